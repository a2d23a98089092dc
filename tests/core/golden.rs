//! Compares the plan of every sample event with its reviewed snapshot. A new event needs a new snapshot.

use std::path::Path;

use usage_aggregator::archive::Codec;
use usage_aggregator::pipeline::{Folder, Pipeline, shipped};
use usage_aggregator::plan::{PlanContext, plan_event};

#[test]
fn every_sample_event_has_its_reviewed_plan() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("events");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let pipeline = match name.as_str() {
            "demand" => "demand",
            "api-usage" => "api-usage",
            "findings" => "findings",
            "kinesis-plain" | "kinesis-aggregated" => "alleycat",
            "zae-limiter" => "zae-limiter",
            _ => "orders",
        };
        let pipeline = Pipeline::parse(&shipped(pipeline).unwrap()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, plan) = plan_event(&bytes, &pipeline, &PlanContext::default()).unwrap();
        let mut plan = plan.describe(&pipeline, &pipeline.archive_prefix, Codec::Null).unwrap();
        if name == "batch-1000" {
            // A thousand effects are too many to review, so only the number of counters is compared.
            let counters = plan["counters"].as_array().unwrap().len();
            plan["counters"] = counters.into();
        }
        insta::assert_json_snapshot!(name, plan);
        count += 1;
    }
    assert!(count >= 10, "only {count} events");
}

#[test]
fn a_record_adds_to_every_counter_whose_conditions_it_meets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/requests");
    let pipeline = Pipeline::parse(&Folder::read(&folder).unwrap()).unwrap();
    let bytes = std::fs::read(folder.join("event.json")).unwrap();
    let (_, plan) = plan_event(&bytes, &pipeline, &PlanContext::default()).unwrap();
    insta::assert_json_snapshot!("requests", plan.describe(&pipeline, "", Codec::Null).unwrap());
}

/// A finding that is opened, renamed, and closed; two writes of the function, the second of which changes no value; a map that someone
/// puts back; and a change of another attribute.
#[test]
fn a_plan_has_the_targets_of_indicators_and_why_each_is_computed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/indicators");
    let pipeline = Pipeline::parse(&Folder::read(&folder).unwrap()).unwrap();
    let bytes = std::fs::read(folder.join("event.json")).unwrap();
    let (_, plan) = plan_event(&bytes, &pipeline, &PlanContext::default()).unwrap();
    assert_eq!(plan.tally.indicator_writes, 1);
    insta::assert_json_snapshot!("indicators", plan.describe(&pipeline, "", Codec::Null).unwrap());
}
