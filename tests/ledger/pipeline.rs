//! A pipeline with a measure of every kind, from the event to the snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use usage_aggregator::archive::Codec;
use usage_aggregator::fold::Notice;
use usage_aggregator::ledger::{PageKind, pages};
use usage_aggregator::pipeline::{Folder, Pipeline};
use usage_aggregator::plan::{Plan, PlanContext, plan_event};

use crate::place::Place;

const PIPELINE: &str = r##"
[snapshot]
windows = ["hour", "month"]
partition_key = { name = "pk", value = "TENANT#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window}#{window_start}" }
attributes = { window = "{window}" }

[[record]]
type = "request"
match = { pk = "TENANT#{tenant}" }
entity = "{tenant}"
resource = "requests"

[[record.measure]]
name = "requests"
kind = "count"
events = ["INSERT", "MODIFY"]
[[record.measure]]
name = "slowest_s"
kind = "max"
attribute = "duration_ms"
factor = 0.001
[[record.measure]]
name = "fastest"
kind = "min"
attribute = "duration_ms"
[[record.measure]]
name = "first_plan"
kind = "first"
attribute = "plan"
[[record.measure]]
name = "plan"
kind = "latest"
attribute = "plan"
[[record.measure]]
name = "seats"
kind = "latest"
attribute = "seats"
missing = "ignore"
[[record.measure]]
name = "users"
kind = "distinct"
attribute = "user"
[[record.measure]]
name = "duration"
kind = "quantile"
attribute = "duration_ms"
quantiles = [0.5, 1]
"##;

/// A record of one second of 2026-11-28T08:57: its second and sequence number, event, plan, user and duration.
type Request<'r> = (i64, u64, &'r str, &'r str, &'r str, i64);

const REQUESTS: [Request<'_>; 5] = [
    (1, 900, "INSERT", "free", "ann", 120),
    (9, 1_000, "MODIFY", "team", "bob", 80),
    // The same second: the sequence number decides, which isn't the order of the digits.
    (9, 999, "INSERT", "trial", "ann", 2_500),
    (3, 901, "INSERT", "free", "cho", 0),
    // What is removed was taken when it was written.
    (30, 2_000, "REMOVE", "gone", "eve", 9_999),
];

fn event(requests: &[Request<'_>]) -> String {
    let record = |(second, sequence, event, plan, user, duration): &Request<'_>| {
        let keys = format!(r#""pk":{{"S":"TENANT#7"}},"sk":{{"S":"{sequence}"}}"#);
        let attributes =
            format!(r#"{{{keys},"plan":{{"S":"{plan}"}},"user":{{"S":"{user}"}},"duration_ms":{{"N":"{duration}"}}}}"#);
        let images = match *event {
            "INSERT" => format!(r#""NewImage":{attributes}"#),
            "REMOVE" => format!(r#""OldImage":{attributes}"#),
            _ => format!(r#""NewImage":{attributes},"OldImage":{{{keys},"plan":{{"S":"old"}}}}"#),
        };
        format!(
            r#"{{"eventID":"e{sequence}","eventName":"{event}","eventSource":"aws:dynamodb","eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/requests/stream/2026-11-02T08:15:27.416","dynamodb":{{"ApproximateCreationDateTime":{at},"Keys":{{{keys}}},{images},"SequenceNumber":"{sequence}","StreamViewType":"NEW_AND_OLD_IMAGES"}}}}"#,
            at = 1_795_856_220 + second,
        )
    };
    format!(r#"{{"Records":[{}]}}"#, requests.iter().map(record).collect::<Vec<_>>().join(","))
}

fn pipeline() -> Pipeline {
    let files = [("pipeline.toml".to_owned(), PIPELINE.to_owned())].into();
    Pipeline::parse(&Folder { name: "requests".to_owned(), files }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn place() -> Place {
    Place { pipeline: Arc::new(pipeline()), ..Place::new() }
}

fn plan(place: &Place, requests: &[Request<'_>]) -> Plan {
    let (_, plan) = plan_event(event(requests).as_bytes(), &place.pipeline, &PlanContext::default()).unwrap();
    assert!(plan.rejected.is_none(), "{:?}", plan.rejected);
    plan
}

async fn append(place: &Place, requests: &[Request<'_>]) -> Vec<Notice> {
    let mut notices = Vec::new();
    for page in pages(&plan(place, requests).groups, 1, 8) {
        notices.push(place.put(&page, &PageKind::Usage).await);
    }
    notices
}

/// The measures of the month.
fn month(place: &Place) -> String {
    let items = place.items("usage");
    let item = items.iter().find(|item| item["window"].as_s().unwrap() == "month").unwrap();
    let measures: BTreeMap<&String, &AttributeValue> =
        item.iter().filter(|(name, _)| !["pk", "sk", "window", "usage_version"].contains(&name.as_str())).collect();
    let text = |(name, value): (&&String, &&AttributeValue)| match value {
        AttributeValue::N(digits) => format!("{name} {digits}"),
        AttributeValue::S(text) => format!("{name} \"{text}\""),
        other => panic!("{name} is {other:?}"),
    };
    measures.iter().map(text).collect::<Vec<_>>().join(", ")
}

const ALL: &str = "duration_p100 2496.9, duration_p50 79.456, fastest 0, first_plan \"free\", plan \"team\", requests 4, \
                   slowest_s 2.5, users 3";

#[tokio::test(start_paused = true)]
async fn every_kind_is_published_as_the_distinct_records_give_it() {
    let place = place();
    let mut notices = append(&place, &REQUESTS[..3]).await;
    assert_eq!(place.fold(&notices).await.settled, 1);
    // In other batches, in another order, with what was delivered before.
    let mut reversed = REQUESTS;
    reversed.reverse();
    for batch in [&REQUESTS[2..], &reversed[..], &REQUESTS[..1]] {
        notices.extend(append(&place, batch).await);
        assert_eq!(place.fold(&notices).await.settled, notices.len());
    }
    assert_eq!(month(&place), ALL);
}

#[tokio::test(start_paused = true)]
async fn a_voided_record_leaves_every_kind_and_the_last_one_takes_the_attributes_along() {
    let place = place();
    let mut notices = append(&place, &REQUESTS).await;
    let expected = [
        // Without the slowest, which had a sequence number between others.
        (
            2,
            "duration_p100 119.69, duration_p50 79.456, fastest 0, first_plan \"free\", plan \"team\", requests 3, slowest_s 0.12, users 3",
        ),
        // Without the latest.
        (
            1,
            "duration_p100 119.69, duration_p50 0, fastest 0, first_plan \"free\", plan \"free\", requests 2, slowest_s 0.12, users 2",
        ),
        (
            0,
            "duration_p100 0, duration_p50 0, fastest 0, first_plan \"free\", plan \"free\", requests 1, slowest_s 0, users 1",
        ),
        (3, "requests 0, users 0"),
    ];
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    assert_eq!(month(&place), ALL);
    for (voided, expected) in expected {
        notices.extend(place.take_back(&plan(&place, &REQUESTS[voided..=voided]).groups).await);
        assert_eq!(place.fold(&notices).await.settled, notices.len());
        assert_eq!(month(&place), expected);
    }
}

#[test]
fn a_plan_says_what_records_give_for_every_kind() {
    let place = Place { pipeline: Arc::new(pipeline()), ..Place::new() };
    let described = plan(&place, &REQUESTS).describe(&place.pipeline, "", Codec::Null).unwrap();
    let hour = &described["counters"][0]["windows"][0];
    assert_eq!(hour["adds"], serde_json::json!({ "requests": "4" }));
    let expected = serde_json::json!({
        "duration": "4 values from 0 to 2500", "fastest": "min 0", "first_plan": "first free", "plan": "latest team",
        "slowest_s": "max 2.5", "users": "3 different values",
    });
    assert_eq!(hour["takes"], expected);
    assert_eq!(described["counters"][0]["records"][1]["takes"]["duration"], "value 80");
}

/// As after a change of the pipeline in the middle of a month.
#[tokio::test(start_paused = true)]
async fn an_attribute_has_the_value_of_its_present_kind() {
    let before = place();
    let notices = append(&before, &REQUESTS[..1]).await;
    assert_eq!(before.fold(&notices).await.settled, 1);
    let text = PIPELINE.replace("name = \"fastest\"\nkind = \"min\"", "name = \"fastest\"\nkind = \"max\"");
    let files = [("pipeline.toml".to_owned(), text)].into();
    let pipeline = Pipeline::parse(&Folder { name: "requests".to_owned(), files }).unwrap();
    let place = Place { pipeline: Arc::new(pipeline), ..before };
    let notices = append(&place, &REQUESTS[1..2]).await;
    assert_eq!(place.fold(&notices).await.settled, 1);
    assert!(month(&place).contains("fastest 80,"), "{}", month(&place));
}
