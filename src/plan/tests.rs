//! What a batch comes to, from the event's bytes to the plan.

use super::*;
use crate::pipeline::shipped;

fn pipeline(name: &str) -> Pipeline {
    Pipeline::parse(&shipped(name).unwrap()).unwrap()
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Records, groups, files, skipped and repeated records.
fn counts(plan: &Plan) -> [usize; 5] {
    [plan.records, plan.groups.len(), plan.files.len(), plan.tally.skipped, plan.tally.repeated]
}

#[test]
fn every_sample_event_is_planned_fully() {
    let cases = [
        ("insert", "orders", [1, 1, 1, 0, 0]),
        ("modify", "orders", [1, 1, 1, 0, 0]),
        ("remove", "orders", [1, 1, 1, 0, 0]),
        ("ttl-removal", "orders", [1, 1, 1, 0, 0]),
        // An order each at 23:58 and 23:59, then at 00:00 a cancelled one, at 00:02 a deleted and a new one; stock is skipped.
        ("mixed", "orders", [11, 5, 5, 1, 0]),
        ("batch-1000", "orders", [1_000, 351, 1, 0, 0]),
        ("kinesis-wrapped", "orders", [4, 2, 1, 0, 1]),
        ("kinesis-plain", "alleycat", [5, 3, 1, 0, 0]),
        ("demand", "demand", [4, 0, 2, 0, 0]),
    ];
    for (event, pipeline_name, expected) in cases {
        let bytes = sample(event);
        let plan = Plan::new(&decode::Event::read(&bytes).unwrap(), &pipeline(pipeline_name), &Terms::default());
        assert_eq!(plan.rejected, None, "{event}");
        assert_eq!(counts(&plan), expected, "{event}");
    }
}

#[test]
fn the_poison_event_is_planned_up_to_its_third_record() {
    let bytes = sample("poison");
    let plan = Plan::new(&decode::Event::read(&bytes).unwrap(), &pipeline("orders"), &Terms::default());
    let rejection = plan.rejected.as_ref().unwrap().to_string();
    assert_eq!(rejection, "record 3400002759747896230535: invalid_value: NewImage.total: expected N, found S");
    assert_eq!(counts(&plan), [2, 2, 1, 0, 0]);
}
