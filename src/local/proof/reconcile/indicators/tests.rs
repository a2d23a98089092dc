//! The model on a few items, and what a comparison with a table reports.

use usage_aggregator::pipeline::shipped;

use super::*;
use crate::emulators::{Services, ensure_tables, sdk_config};
use crate::proof::load::ProfileName;

fn pipeline() -> Pipeline {
    Pipeline::parse(&shipped("findings").unwrap()).unwrap()
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn item(pk: &str, sk: &str, attributes: &[(&str, AttributeValue)]) -> SdkItem {
    let keys = [("pk", text(pk)), ("sk", text(sk))];
    let all = keys.iter().chain(attributes);
    all.map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn vulnerability(number: u32, state: &str, severity: &str) -> SdkItem {
    let at = format!("2026-11-0{number}T00:00:00Z");
    let attributes = [
        ("group", text("payments")),
        ("state", text(state)),
        ("severity", AttributeValue::N(severity.to_owned())),
        ("place", text("src/a.py")),
        ("reported_at", text(&at)),
        ("updated_at", text(&at)),
    ];
    item("FINDING#1", &format!("VULNERABILITY#{number}"), &attributes)
}

#[test]
fn the_model_computes_each_value_from_the_items_that_name_the_target() {
    let pipeline = pipeline();
    let [finding, group] = pipeline.indicators.as_slice() else { panic!("two indicators") };
    let stranger = item("FINDING#1", "VULNERABILITY#9", &[("state", text("OPEN"))]);
    let items =
        [vulnerability(1, "OPEN", "9.10"), vulnerability(2, "FIXED", "3"), vulnerability(3, "OPEN", "0.2"), stranger];
    let expected = model::expected(&pipeline, finding, &items).unwrap();
    let [(key, values)] = &expected.into_iter().collect::<Vec<_>>()[..] else { panic!("one target") };
    assert_eq!(key[0].1, "GROUP#payments");
    let shown = serde_json::to_string(&values).unwrap();
    assert_eq!(
        shown,
        r#"{"by_state":{"M":{"FIXED":{"N":"1"},"OPEN":{"N":"2"}}},"closed":{"BOOL":false},"critical":{"BOOL":true},"last_state":{"S":"OPEN"},"max_severity":{"N":"9.1"},"newest_report":{"S":"2026-11-03T00:00:00Z"},"oldest_open":{"S":"2026-11-01T00:00:00Z"},"open":{"N":"2"},"places":{"N":"1"},"severity":{"N":"9.3"}}"#
    );
    let nothing = serde_json::to_string(&model::values(group, &[])).unwrap();
    assert_eq!(nothing, r#"{"findings":{"N":"0"},"open":{"N":"0"},"open_findings":{"N":"0"}}"#);
}

#[tokio::test]
async fn a_target_that_has_something_else_than_its_items_give_is_a_difference() {
    let (services, pipeline) = (Services::start(None).unwrap(), pipeline());
    let client = services.dynamodb_client(&sdk_config(None));
    ensure_tables(&client, &[ProfileName::Findings.table("findings").unwrap()]).await.unwrap();
    let zeros: HashMap<String, AttributeValue> =
        ["findings", "open", "open_findings"].map(|name| (name.to_owned(), AttributeValue::N("0".to_owned()))).into();
    let right = zeros.clone().into_iter().chain([("version".to_owned(), text("token"))]).collect();
    let wrong = zeros.into_iter().chain([("findings".to_owned(), AttributeValue::N("1".to_owned()))]).collect();
    for group in [
        item("GROUP#a", "GROUP", &[("indicators", AttributeValue::M(right))]),
        item("GROUP#b", "GROUP", &[("indicators", AttributeValue::M(wrong))]),
        item("GROUP#c", "GROUP", &[]),
        // A target that doesn't exist isn't expected.
        vulnerability(1, "OPEN", "1"),
    ] {
        client.put_item().table_name("findings").set_item(Some(group)).send().await.unwrap();
    }
    let mut report = Report::default();
    compare(&client, "findings", &pipeline, &mut report).await.unwrap();
    assert_eq!(report.indicators, Some(Indicators { targets: 3, agreeing_targets: 1 }));
    assert_eq!((report.difference_count, report.agrees()), (4, false));
    let of_b = Difference::Indicator {
        indicator: "group".to_owned(),
        target: "pk GROUP#b, sk GROUP".to_owned(),
        value: "findings".to_owned(),
        expected: Some(r#"{"N":"0"}"#.to_owned()),
        found: Some(r#"{"N":"1"}"#.to_owned()),
    };
    assert!(report.differences.contains(&of_b), "{:#?}", report.differences);
}
