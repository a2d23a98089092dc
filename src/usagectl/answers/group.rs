//! The group on a command line: the values of the pipeline's group variables.

use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::usage::CounterKey;

use crate::shell::console::UsageError;

/// Parses `NAME=VALUE`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The key of a group.
///
/// # Errors
/// If a variable of the pipeline is missing, or one is unknown.
pub(super) fn key(
    snapshot: &Snapshot,
    entity: &str,
    resource: &str,
    variables: &[(String, String)],
) -> Result<CounterKey, UsageError> {
    let names = &snapshot.group_variables;
    if let Some((unknown, _)) = variables.iter().find(|(name, _)| !names.iter().skip(2).any(|known| known == name)) {
        let known: Vec<&str> = names.iter().skip(2).map(String::as_str).collect();
        let expected =
            if known.is_empty() { "it has none".to_owned() } else { format!("expected {}", known.join(", ")) };
        return Err(UsageError(format!("--variable: unknown variable `{unknown}` of the pipeline; {expected}")));
    }
    let value = |name: &String| match name.as_str() {
        "entity" => Ok(entity.to_owned()),
        "resource" => Ok(resource.to_owned()),
        name => {
            let given = variables.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
            given
                .ok_or_else(|| UsageError(format!("the pipeline also groups by `{name}`; add --variable {name}=VALUE")))
        }
    };
    names.iter().map(value).collect::<Result<_, _>>().map(CounterKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use usage_aggregator::pipeline::{Pipeline, shipped};

    #[test]
    fn every_variable_of_the_pipeline_is_needed_and_no_other() {
        let of = |name: &str, variables: &[&str]| {
            let snapshot = Pipeline::parse(&shipped(name).unwrap()).unwrap().snapshot.unwrap();
            let variables: Vec<_> = variables.iter().map(|text| variable(text).unwrap()).collect();
            key(&snapshot, "7", "orders", &variables).map(|key| key.0).map_err(|error| error.to_string())
        };
        assert_eq!(of("orders", &[]), Ok(vec!["7".to_owned(), "orders".to_owned()]));
        let unknown = "--variable: unknown variable `tenant` of the pipeline; it has none";
        assert_eq!(of("orders", &["tenant=1"]), Err(unknown.to_owned()));
        let missing = "the pipeline also groups by `namespace`; add --variable namespace=VALUE";
        assert_eq!(of("zae-limiter", &[]), Err(missing.to_owned()));
        assert!(of("zae-limiter", &["namespace=default"]).unwrap().contains(&"default".to_owned()));
        assert!(variable("=1").is_err() && variable("a").is_err());
    }
}
