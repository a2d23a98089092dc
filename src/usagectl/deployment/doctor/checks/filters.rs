//! The mapping's filter, and what the function writes itself.

use event_source_mapping::Filters;
use serde_json::json;
use usage_aggregator::pipeline::Pipeline;

use super::super::facts::{Facts, Stream, Unseen};
use super::super::finding::{Look, ok, problem, warning};
use super::super::{own, patterns};
use super::mapping::change;
use super::quoted;

/// The attributes that only a snapshot has all of.
const TELLING: [&str; 3] = ["resource", "window", "window_start"];

/// Every pattern may match a record of the pipeline's.
pub fn can_match(facts: &Facts) -> Look {
    let mapping = facts.the_mapping()?;
    if mapping.filters.is_empty() {
        return ok("the mapping has no filter: every record is delivered");
    }
    if let Err(error) = Filters::parse(&mapping.filters) {
        return problem(format!("the filter is wrong: {error}"), mend(facts));
    }
    if matches!(facts.the_source()?.stream, Stream::Kinesis { .. }) {
        return ok("the filter's patterns are well formed; what Kinesis messages hold isn't looked into");
    }
    let found: Vec<_> =
        mapping.filters.iter().map(|pattern| (pattern, patterns::mistakes(pattern, &facts.pipeline))).collect();
    let dead: Vec<_> = found.iter().filter(|(_, mistakes)| !mistakes.never.is_empty()).collect();
    let show = |pattern: &str, why: &[String]| format!("{pattern} ({})", why.join("; "));
    let texts = || dead.iter().map(|(pattern, mistakes)| show(pattern, &mistakes.never)).collect::<Vec<_>>().join(", ");
    if dead.len() == found.len() {
        return problem(
            format!("no record can pass the filter, so nothing is ever delivered: {}", texts()),
            mend(facts),
        );
    }
    if !dead.is_empty() {
        return warning(format!("a pattern can never match: {}", texts()), mend(facts));
    }
    match found.iter().find(|(_, mistakes)| !mistakes.always.is_empty()) {
        Some((pattern, mistakes)) => warning(
            format!("a condition of the filter is always true: {}", show(pattern, &mistakes.always)),
            mend(facts),
        ),
        None => ok(format!("each of the filter's {} patterns may match", found.len())),
    }
}

/// What the function writes into its own source is filtered out.
pub fn own_writes(facts: &Facts) -> Look {
    if !facts.counts() {
        return Err(Unseen::LeftOut("the pipeline writes no snapshots"));
    }
    let source = facts.the_source()?;
    let table = of_usage(facts)?;
    if !matches!(source.stream, Stream::Table { .. }) || *table != source.name {
        return ok(format!("snapshots go to {table}, which is not the source"));
    }
    let mapping = facts.the_mapping()?;
    match own::passing(&facts.pipeline, &mapping.filters, facts.now) {
        Err(error) => problem(format!("the filter is wrong: {error}"), mend(facts)),
        Ok(passing) if passing.is_empty() => {
            ok(format!("snapshots go to the source itself, {table}, and the filter keeps them out"))
        }
        Ok(passing) => problem(
            format!(
                "the function is invoked with what it writes itself into {table}: {} pass the filter",
                passing.join(", ")
            ),
            mend(facts),
        ),
    }
}

fn of_usage(facts: &Facts) -> Result<&String, Unseen> {
    facts.names.usage_table.as_ref().ok_or(Unseen::Unnamed { option: "--usage-table" })
}

/// A command that sets the filter that the template has, or takes the filter away where there is nothing to keep out.
fn mend(facts: &Facts) -> String {
    let Ok(mapping) = &facts.mapping else { return facts.deploy("") };
    let patterns = keeping_out(&facts.pipeline);
    if patterns.is_empty() && facts.counts() {
        // A snapshot without these attributes: only its pipeline's author knows what tells it.
        return facts.deploy("");
    }
    let filters: Vec<_> = patterns.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
    let criteria = if filters.is_empty() { json!({}) } else { json!({ "Filters": filters }) };
    change(mapping, &format!("--filter-criteria {}", quoted(&criteria.to_string())))
}

/// Patterns, joined by "or", that leave out what has all attributes of a snapshot.
fn keeping_out(pipeline: &Pipeline) -> Vec<String> {
    let attributes = pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.attributes);
    let telling = attributes.map(|(name, _)| name.as_str()).filter(|name| TELLING.contains(name));
    let absent =
        |name: &str| json!({ "dynamodb": { "NewImage": { name: { "S": [{ "exists": false }] } } } }).to_string();
    telling.map(absent).collect()
}

#[cfg(test)]
mod tests {
    use usage_aggregator::pipeline::{shipped, shipped_names};
    use usage_aggregator::time::Timestamp;

    use super::*;

    #[test]
    fn the_filter_that_mends_keeps_own_writes_out_and_lets_records_in() {
        let now = Timestamp::parse("2026-11-26T21:00:00Z").unwrap();
        for name in shipped_names() {
            let pipeline = Pipeline::parse(&shipped(name).unwrap()).unwrap();
            let patterns = keeping_out(&pipeline);
            assert_eq!(patterns.is_empty(), pipeline.snapshot.is_none(), "{name}");
            assert_eq!(own::passing(&pipeline, &patterns, now).unwrap(), Vec::<String>::new(), "{name}");
            for pattern in patterns {
                assert_eq!(patterns::mistakes(&pattern, &pipeline), patterns::Mistakes::default(), "{name}");
            }
        }
    }
}
