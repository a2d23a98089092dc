//! Attributes that several measures share, because records name measures or because the pipeline was changed, and groups of another
//! definition. DynamoDB refuses an update that names an attribute twice, and so does the in-process one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use usage_aggregator::fold::{Depth, Notice};
use usage_aggregator::ledger::{PageKind, WindowKey, pages};
use usage_aggregator::pipeline::template::{ParsedText, Template};
use usage_aggregator::pipeline::{Folder, Pipeline};
use usage_aggregator::plan::{PlanContext, plan_event};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;
use usage_aggregator::window::Zone;

use crate::place::{Item, Place, text};

/// A pipeline of requests whose measure is left to each test.
const PIPELINE: &str = r##"
[snapshot]
windows = ["hour", "month"]
partition_key = { name = "pk", value = "TENANT#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window}#{window_start}" }
attributes = { window = "{window}" }

[[record]]
type = "request"
match = { pk = "TENANT#{tenant}" }
bind = { region = "region" }
entity = "{tenant}"
resource = "requests"

[[record.measure]]
name = "requests"
kind = "count"
"##;

const LATENCY: &str = "[[record.measure]]\nname = \"latency\"\nkind = \"quantile\"\nattribute = \"ms\"\n";
const MEDIAN: &str = "[[record.measure]]\nname = \"latency_p50\"\nkind = \"sum\"\nattribute = \"ms\"\n";

fn pipeline(text: &str) -> Arc<Pipeline> {
    let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
    let folder = Folder { name: "requests".to_owned(), files };
    Arc::new(Pipeline::parse(&folder).unwrap_or_else(|mistakes| panic!("{mistakes}")))
}

/// The same place after a change of the pipeline.
fn changed(place: Place, text: &str) -> Place {
    Place { pipeline: pipeline(text), ..place }
}

/// Appends a request in 2026-11-28T08:57 with these milliseconds, as the pipeline counts it.
async fn request(place: &Place, number: u64, milliseconds: u64) -> Vec<Notice> {
    let keys = format!(r#""pk":{{"S":"TENANT#7"}},"sk":{{"S":"{number}"}}"#);
    let event = format!(
        r#"{{"Records":[{{"eventID":"e{number}","eventName":"INSERT","eventSource":"aws:dynamodb","eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/requests/stream/2026-11-02T08:15:27.416","dynamodb":{{"ApproximateCreationDateTime":1795856221,"Keys":{{{keys}}},"NewImage":{{{keys},"region":{{"S":"eu"}},"ms":{{"N":"{milliseconds}"}}}},"SequenceNumber":"{number}","StreamViewType":"NEW_AND_OLD_IMAGES"}}}}]}}"#
    );
    let (_, plan) = plan_event(event.as_bytes(), &place.pipeline, &PlanContext::default()).unwrap();
    assert!(plan.rejected.is_none(), "{:?}", plan.rejected);
    let mut notices = Vec::new();
    for page in pages(&plan.groups, place.pipeline.generation, 8) {
        notices.push(place.put(&page, &PageKind::Usage).await);
    }
    notices
}

async fn count(place: &Place, notices: &[Notice]) {
    let folded = place.fold(notices).await;
    assert_eq!((folded.settled, folded.unpublished.len()), (notices.len(), 0), "{:?}", folded.unpublished);
}

fn month(place: &Place) -> Item {
    let is_month = |item: &Item| text(item, "window") == "month";
    place.items("usage").into_iter().find(is_month).unwrap()
}

fn number(digits: &str) -> AttributeValue {
    AttributeValue::N(digits.to_owned())
}

/// The name of the fraction sorts behind that of the measure, and before it.
#[tokio::test(start_paused = true)]
async fn a_measure_that_is_named_like_a_fraction_does_not_freeze_the_snapshot() {
    for (fraction, name) in [("{measure}#fraction", "amount#fraction"), ("a_{measure}", "a_amount")] {
        let mut place = Place::new();
        let template = Template::new(&ParsedText::parse(fraction).unwrap(), |_| Some(0)).unwrap();
        let snapshot = Arc::get_mut(&mut place.pipeline).unwrap().snapshot.as_mut().unwrap();
        snapshot.fraction = Some(template);
        let mut notices = place.append_measures(1, 0, &[("amount", 1), (name, 7)]).await;
        notices.extend(place.append(&[(2, "a", 0, 25)], 1).await);
        count(&place, &notices).await;
        let item = month(&place);
        assert_eq!((&item["amount"], text(&item, name)), (&number("1"), "0.25".to_owned()));
        let notices = place.append(&[(3, "a", 1, 1_000)], 1).await;
        count(&place, &notices).await;
        assert_eq!(month(&place)["amount"], number("11"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_quantile_replaces_a_sum_that_had_the_name_of_its_attribute() {
    let place = Place { pipeline: pipeline(&format!("{PIPELINE}{MEDIAN}")), ..Place::new() };
    count(&place, &request(&place, 1, 900).await).await;
    assert_eq!(month(&place)["latency_p50"], number("900"));
    let place = changed(place, &format!("{PIPELINE}{LATENCY}"));
    count(&place, &request(&place, 2, 0).await).await;
    let item = month(&place);
    assert_eq!([&item["latency_p50"], &item["requests"]], [&number("0"), &number("2")]);
}

#[tokio::test(start_paused = true)]
async fn an_attribute_of_every_snapshot_keeps_its_text_where_a_measure_once_had_its_name() {
    let place = Place { pipeline: pipeline(&format!("{PIPELINE}{MEDIAN}")), ..Place::new() };
    count(&place, &request(&place, 1, 900).await).await;
    let attributes = "attributes = { latency_p50 = \"{resource}\", window = \"{window}\" }";
    let place = changed(place, &PIPELINE.replace("attributes = { window = \"{window}\" }", attributes));
    count(&place, &request(&place, 2, 0).await).await;
    let item = month(&place);
    assert_eq!((text(&item, "latency_p50").as_str(), &item["requests"]), ("requests", &number("2")));
}

/// A deployment adds a variable to the sort key in the middle of a month, and a later one takes it away.
#[tokio::test(start_paused = true)]
async fn groups_of_another_definition_are_not_published() {
    let with_region = PIPELINE.replace("{resource}#", "{resource}#{region}#");
    for (before, after) in [(PIPELINE, with_region.as_str()), (with_region.as_str(), PIPELINE)] {
        let place = Place { pipeline: pipeline(before), ..Place::new() };
        let old = request(&place, 1, 0).await;
        count(&place, &old).await;
        let keys =
            |place: &Place| -> BTreeSet<String> { place.items("usage").iter().map(|item| text(item, "sk")).collect() };
        let mut expected = keys(&place);
        let place = changed(place, &format!("generation = 2\n{after}"));
        count(&place, &request(&place, 2, 0).await).await;
        expected.extend(["hour#2026-11-28T08:00:00Z", "month#2026-11-01T00:00:00Z"].map(|window| {
            if after.contains("region}#") { format!("requests#eu#{window}") } else { format!("requests#{window}") }
        }));
        assert_eq!(expected.len(), 4);
        assert_eq!(keys(&place), expected);
        // What the old definition counted is delivered again, and swept at the end of the hour and of the month.
        count(&place, &old).await;
        let snapshot = place.pipeline.snapshot.as_ref().unwrap();
        for end in ["2026-11-28T09:00:00Z", "2026-12-01T00:00:00Z"] {
            let end = Timestamp::parse(end).unwrap();
            let last = Segment::at(end.seconds() - 60);
            let swept = place.folder.sweep(snapshot, last, Depth::Differences, end, None).await.unwrap();
            assert_eq!((swept.repaired, swept.refused.len()), (0, 0));
            let hour = WindowKey::minute(last, Zone::UTC).within(usage_aggregator::ledger::Level::Hour);
            let proven = place.folder.prove(snapshot, hour, end, Duration::ZERO, None).await.unwrap();
            assert_eq!((proven.snapshots, proven.differences), (1, BTreeSet::new()));
        }
        assert_eq!(keys(&place), expected);
    }
}
