//! Every sample event's Plan, as a person reads it. A new event asks for its snapshot.

use std::path::Path;

use usage_aggregator::archive::Codec;
use usage_aggregator::pipeline::{Pipeline, shipped};
use usage_aggregator::plan::{PlanContext, plan_event};

#[test]
fn every_event_has_the_plan_that_was_read_and_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("events");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let pipeline = match name.as_str() {
            "demand" => "demand",
            "kinesis-plain" => "alleycat",
            "zae-limiter" => "zae-limiter",
            _ => "orders",
        };
        let pipeline = Pipeline::parse(&shipped(pipeline).unwrap()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, plan) = plan_event(&bytes, &pipeline, &PlanContext::default()).unwrap();
        let mut plan = plan.describe(&pipeline, &pipeline.archive_prefix, Codec::Null).unwrap();
        if name == "batch-1000" {
            // A thousand effects are nobody's reading: the counters by their number, the rest as it is.
            let counters = plan["counters"].as_array().unwrap().len();
            plan["counters"] = counters.into();
        }
        insta::assert_json_snapshot!(name, plan);
        count += 1;
    }
    assert!(count >= 10, "only {count} events");
}
