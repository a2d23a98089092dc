//! `usagectl indicators filter`: the filter of a mapping that drops items which neither a record type nor a target is for.

use std::collections::BTreeSet;

use clap::Args;
use event_source_mapping::Filters;
use serde_json::{Map, Value, json};
use usage_aggregator::pipeline::Pipeline;

use crate::shell::console::{self, Done, UsageError, note};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::{Sample, Variables};

/// How many filters a mapping may have, without a higher quota.
const MOST_FILTERS: usize = 5;

/// Print the filter for the event source mapping that drops items which the pipeline doesn't need
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Filter {}

const EXAMPLES: &str = "\
Examples:
  usagectl indicators filter --pipeline findings
  usagectl indicators filter --pipeline-dir mine | jq -c > filter.json
  aws lambda update-event-source-mapping --uuid UUID --filter-criteria file://filter.json

The filter lets through the items of each record type and the targets of indicators, by the
literal parts of their keys. It can't drop the function's own writes of indicators: a filter
sees one image and can't compare two. The function recognizes them, and the stream falls silent
without a filter. A deployment that changes the mapping takes the filter back; set it again then.";

impl Filter {
    /// Runs the command.
    pub(super) fn run(self, options: &Options) -> anyhow::Result<Done> {
        let config = Variables::new(options, &Sample::default()).with_metrics_sink("none").config()?;
        let patterns: Vec<String> =
            patterns(&config.pipeline).map_err(UsageError)?.iter().map(Value::to_string).collect();
        Filters::parse(&patterns)?;
        if patterns.len() > MOST_FILTERS {
            note(&format!(
                "note: {} filters; a mapping may have {MOST_FILTERS}, or 10 if AWS raises the quota of the account",
                patterns.len()
            ));
        }
        let filters: Vec<Value> = patterns.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
        let filters = json!({ "Filters": filters });
        console::print(&if options.json { filters.to_string() } else { serde_json::to_string_pretty(&filters)? })?;
        Ok(Done::Well)
    }
}

/// A pattern for each shape of keys.
fn patterns(pipeline: &Pipeline) -> Result<Vec<Value>, String> {
    let Some(first) = pipeline.indicators.first() else {
        return Err(format!("the pipeline {} has no indicators", pipeline.name));
    };
    let is_key = |name: &str| first.target.iter().any(|(known, _)| known == name);
    let mut keys: Vec<Map<String, Value>> = Vec::new();
    for route in &pipeline.routes {
        let mut key = Map::new();
        for (name, start, end) in route.matched_ends() {
            if !is_key(name) {
                return Err(format!(
                    "the record type {} is recognized by `{name}`, which isn't part of the table's key, so no filter can select its records",
                    route.record_type
                ));
            }
            key.extend(rule(start, end).map(|rule| (name.to_owned(), rule)));
        }
        if key.is_empty() {
            return Err(format!(
                "the record type {} is recognized by no text in the key, so every record is needed",
                route.record_type
            ));
        }
        keys.push(key);
    }
    for indicator in &pipeline.indicators {
        let rules = indicator.target.iter().filter_map(|(name, template)| {
            let (start, end) = template.ends();
            Some((name.clone(), rule(start, end)?))
        });
        keys.push(rules.collect());
    }
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(Value::Object(key.clone()).to_string()));
    Ok(keys.into_iter().map(|key| json!({ "dynamodb": { "Keys": key } })).collect())
}

/// The condition on a part of a key that starts and ends like this; `None` if it can be anything.
fn rule(start: &str, end: &str) -> Option<Value> {
    match (start, end) {
        ("", "") => None,
        ("", end) => Some(json!({ "S": [{ "suffix": end }] })),
        (start, _) => Some(json!({ "S": [{ "prefix": start }] })),
    }
}

#[cfg(test)]
mod tests {
    use event_source_mapping::{SequenceNumber, SourceRecord, StreamKind, Timestamp};
    use usage_aggregator::pipeline::shipped;

    use super::*;

    #[test]
    fn a_filter_lets_through_what_is_counted_and_the_targets_and_nothing_else() {
        let pipeline = Pipeline::parse(&shipped("findings").unwrap()).unwrap();
        let patterns: Vec<String> = patterns(&pipeline).unwrap().iter().map(Value::to_string).collect();
        assert_eq!(patterns.len(), 3, "the targets are record types: {patterns:?}");
        let filters = Filters::parse(&patterns).unwrap();
        let passes = |pk: &str, sk: &str| {
            let keys = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
            let json = json!({ "eventName": "REMOVE", "dynamodb": { "Keys": keys } }).to_string();
            let sequence = SequenceNumber::parse("100000000000000000001").unwrap();
            let created_at = Timestamp::parse("2026-11-26T21:00:00Z").unwrap();
            filters.matches(StreamKind::DynamoDb, &SourceRecord { sequence, item: 0, created_at, json })
        };
        let keys = [
            ("FINDING#1", "VULNERABILITY#2", true),
            ("GROUP#1", "FINDING#1", true),
            ("GROUP#1", "GROUP", true),
            ("GROUP#1", "MEMBER#1", false),
            ("USER#1", "PROFILE", false),
        ];
        for (pk, sk, expected) in keys {
            assert_eq!(passes(pk, sk), expected, "{pk} {sk}");
        }
        let demand = Pipeline::parse(&shipped("demand").unwrap()).unwrap();
        assert!(super::patterns(&demand).is_err());
    }
}
