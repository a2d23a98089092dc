//! Checks of the mapping's filter, and of the function's own writes.

use event_source_mapping::Filters;
use serde_json::json;
use usage_aggregator::pipeline::Pipeline;

use super::super::facts::{Facts, SourceFacts, Stream, Unavailable};
use super::super::finding::{CheckResult, ok, problem, warning};
use super::super::{own_writes, patterns};
use super::mapping::change;
use super::quoted;
use crate::shell::limiter;

/// Only snapshots have all of these attributes.
const SNAPSHOT_ATTRIBUTES: [&str; 3] = ["resource", "window", "window_start"];

/// Every pattern can match a record of the pipeline.
pub(crate) fn can_match(facts: &Facts) -> CheckResult {
    let mapping = facts.the_mapping()?;
    if mapping.filters.is_empty() {
        return ok("the mapping has no filter: every record is delivered");
    }
    if let Err(error) = Filters::parse(&mapping.filters) {
        return problem(format!("the filter is invalid: {error}"), fix(facts));
    }
    if matches!(facts.the_source()?.stream, Stream::Kinesis { .. }) {
        return ok("the filter's patterns are valid; the contents of Kinesis messages aren't checked");
    }
    let found: Vec<_> =
        mapping.filters.iter().map(|pattern| (pattern, patterns::mistakes(pattern, &facts.pipeline))).collect();
    let dead: Vec<_> = found.iter().filter(|(_, mistakes)| !mistakes.never.is_empty()).collect();
    let show = |pattern: &str, why: &[String]| format!("{pattern} ({})", why.join("; "));
    let texts = || dead.iter().map(|(pattern, mistakes)| show(pattern, &mistakes.never)).collect::<Vec<_>>().join(", ");
    if dead.len() == found.len() {
        return problem(
            format!("no record can pass the filter, so nothing is ever delivered: {}", texts()),
            fix(facts),
        );
    }
    if !dead.is_empty() {
        return warning(format!("a pattern of the filter can never match: {}", texts()), fix(facts));
    }
    match found.iter().find(|(_, mistakes)| !mistakes.always.is_empty()) {
        Some((pattern, mistakes)) => warning(
            format!("a condition of the filter is always true: {}", show(pattern, &mistakes.always)),
            fix(facts),
        ),
        None => ok(format!("each of the filter's {} patterns can match", found.len())),
    }
}

/// The filter excludes the function's own writes.
pub(crate) fn own_writes(facts: &Facts) -> CheckResult {
    if !facts.counts() {
        return Err(Unavailable::NotApplicable("the pipeline writes no snapshots"));
    }
    let source = facts.the_source()?;
    let table = facts.names.usage_table.as_ref().ok_or(Unavailable::Unnamed { option: "--usage-table" })?;
    if !is_of_usage(source, facts) {
        return ok(format!("snapshots are written to {table}, which is not the source"));
    }
    let mapping = facts.the_mapping()?;
    match own_writes::passing(&facts.pipeline, &mapping.filters, facts.now) {
        Err(error) => problem(format!("the filter is invalid: {error}"), fix(facts)),
        Ok(passing) if passing.is_empty() => {
            ok(format!("snapshots are written to the source itself, {table}, and the filter excludes them"))
        }
        Ok(passing) => problem(
            format!("the function is invoked with its own writes to {table}: {} pass the filter", passing.join(", ")),
            fix(facts),
        ),
    }
}

/// Whether the stream is that of the usage table.
fn is_of_usage(source: &SourceFacts, facts: &Facts) -> bool {
    matches!(source.stream, Stream::Table { .. }) && facts.names.usage_table.as_ref() == Some(&source.name)
}

/// A command that sets the template's filter, or removes the filter if there is nothing to exclude.
fn fix(facts: &Facts) -> String {
    let Ok(mapping) = &facts.mapping else { return facts.deploy("") };
    let writes_to_source = facts.counts() && facts.source.as_ref().is_ok_and(|source| is_of_usage(source, facts));
    let patterns = match &*facts.pipeline.name {
        limiter::LIMITER => limiter::patterns().unwrap_or_default(),
        _ if writes_to_source => excluding_snapshots(&facts.pipeline),
        _ => Vec::new(),
    };
    if patterns.is_empty() && writes_to_source {
        // Snapshots without these attributes: only the pipeline's author knows how to recognize them.
        return facts.deploy("");
    }
    let filters: Vec<_> = patterns.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
    let criteria = if filters.is_empty() { json!({}) } else { json!({ "Filters": filters }) };
    change(mapping, &format!("--filter-criteria {}", quoted(&criteria.to_string())))
}

/// Patterns, any of which may match, that exclude items with all attributes of a snapshot.
fn excluding_snapshots(pipeline: &Pipeline) -> Vec<String> {
    let attributes = pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.attributes);
    let present = attributes.map(|(name, _)| name.as_str()).filter(|name| SNAPSHOT_ATTRIBUTES.contains(name));
    let absent =
        |name: &str| json!({ "dynamodb": { "NewImage": { name: { "S": [{ "exists": false }] } } } }).to_string();
    present.map(absent).collect()
}

#[cfg(test)]
mod tests {
    use usage_aggregator::pipeline::{shipped, shipped_names};
    use usage_aggregator::time::Timestamp;

    use super::*;

    #[test]
    fn the_suggested_filter_excludes_own_writes_and_no_other_records() {
        let now = Timestamp::parse("2026-11-26T21:00:00Z").unwrap();
        for name in shipped_names() {
            let pipeline = Pipeline::parse(&shipped(name).unwrap()).unwrap();
            let patterns = excluding_snapshots(&pipeline);
            assert_eq!(patterns.is_empty(), pipeline.snapshot.is_none(), "{name}");
            assert_eq!(own_writes::passing(&pipeline, &patterns, now).unwrap(), Vec::<String>::new(), "{name}");
            for pattern in patterns {
                assert_eq!(patterns::mistakes(&pattern, &pipeline), patterns::Mistakes::default(), "{name}");
            }
        }
        let pipeline = Pipeline::parse(&shipped(limiter::LIMITER).unwrap()).unwrap();
        assert_eq!(own_writes::passing(&pipeline, &limiter::patterns().unwrap(), now).unwrap(), Vec::<String>::new());
    }
}
