//! The function as the resource that was invoked, in attributes of the invocation's span: its ARN is only known then.

use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute::{AWS_LAMBDA_INVOKED_ARN, CLOUD_ACCOUNT_ID, CLOUD_RESOURCE_ID};

/// The attributes of a function that was invoked by this ARN, which may end in an alias. The ID of the resource ends in the
/// version instead.
pub(super) fn attributes(arn: &str, version: Option<&str>) -> Vec<KeyValue> {
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, _, "lambda", _, account, "function", name, ..] = parts.as_slice() else { return Vec::new() };
    let without_alias = arn.split_inclusive(':').take(6).collect::<String>() + name;
    let resource_id = match version {
        Some(version) => format!("{without_alias}:{version}"),
        None => without_alias,
    };
    vec![
        KeyValue::new(AWS_LAMBDA_INVOKED_ARN, arn.to_owned()),
        KeyValue::new(CLOUD_ACCOUNT_ID, (*account).to_owned()),
        KeyValue::new(CLOUD_RESOURCE_ID, resource_id),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_resource_names_the_version_instead_of_an_alias() {
        const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:usage-append";
        let of = |arn: &str, version| -> Vec<String> {
            attributes(arn, version).into_iter().map(|attribute| attribute.value.to_string()).collect()
        };
        let by_alias = format!("{ARN}:live");
        assert_eq!(of(&by_alias, Some("7")), [by_alias.clone(), "123456789012".to_owned(), format!("{ARN}:7")]);
        assert_eq!(of(ARN, Some("$LATEST"))[2], format!("{ARN}:$LATEST"));
        assert_eq!(of(ARN, None)[2], ARN);
        assert!(of("", Some("7")).is_empty());
    }
}
