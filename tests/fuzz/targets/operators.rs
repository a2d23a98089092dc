//! What `usagectl` and the jobs read besides documents: samples of items, alerts, policies, keys, options, and the answers of billing
//! systems.

use std::sync::LazyLock;

use event_source_mapping::{Filters, SequenceNumber, SourceRecord, StreamKind, Timestamp};
use serde_json::{Value, json};
use usage_aggregator::fold::{Alert, Notice};
use usage_aggregator::pipeline::{Pipeline, shipped};
use usage_aggregator::plan::{PlanContext, plan_event};
use usagectl::deployment::assume::Assumptions;
use usagectl::deployment::doctor::{patterns, policy};
use usagectl::deployment::redrive::fuzzing as redrive;
use usagectl::results::export::fuzzing as billing;
use usagectl::schema::fuzzing::drafted;
use usagectl::shell::alert_text::{alert_of, alert_text};

/// A file of items or an event, from which `usagectl init` drafts a pipeline. The draft takes all of the items.
pub(crate) fn sample_file(data: &[u8]) {
    let Ok(draft) = drafted(data) else { return };
    if draft.notes.iter().any(|note| note.contains("left out")) {
        return;
    }
    let text = || draft.folder.files.values().cloned().collect::<Vec<_>>().join("\n");
    let pipeline = match Pipeline::parse(&draft.folder) {
        Ok(pipeline) => pipeline,
        Err(mistakes) => panic!("{mistakes}\n{}", text()),
    };
    // An event may also be rejected for what isn't part of its items.
    if draft.is_of_items {
        let planned = plan_event(&draft.event, &pipeline, &PlanContext::default());
        let rejection = planned.as_ref().map(|(_, plan)| plan.rejected.as_ref());
        assert!(matches!(rejection, Ok(None)), "{rejection:?}\n{}", text());
    }
}

/// The detail of an event of EventBridge, or a message of SNS.
pub(crate) fn alert_event(data: &[u8]) {
    let Ok(detail) = std::str::from_utf8(data) else { return };
    let Some(alert) = alert_of(usage_aggregator::fold::ALERT_SOURCE, detail) else { return };
    let line = alert_text(&alert);
    assert!(!line.chars().any(char::is_control), "{line:?}");
    let again = serde_json::to_string(&alert).unwrap_or_default();
    assert_eq!(serde_json::from_str::<Alert>(&again).ok(), Some(alert), "{again}");
}

/// The keys of a change of the ledger, one on each line.
pub(crate) fn notice_keys(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (key, sort_key) = text.split_once('\n').unwrap_or((text, "00ff00ff00ff00ff"));
    let Some(Notice { minute, page }) = Notice::of("orders", key, sort_key) else { return };
    let bucket = key.rsplit('#').next().and_then(|bucket| bucket.parse().ok());
    assert_eq!((Some(page.bucket), format!("{:016x}", page.name)), (bucket, sort_key.to_owned()));
    assert!(key.starts_with(&format!("p#orders#{}#", minute.text())), "{key}");
}

/// Actions and resources are no longer than this: they are the project's own.
const MAX_NAME: usize = 256;

/// An action, a resource, and on the lines after them a policy.
pub(crate) fn iam_policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((action, rest)) = text.split_once('\n') else { return };
    let Some((resource, document)) = rest.split_once('\n') else { return };
    if action.len() > MAX_NAME || resource.len() > MAX_NAME {
        return;
    }
    let encoded: String = document.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(policy::document(&encoded).ok(), serde_json::from_str(document).ok(), "{document}");
    let Ok(document) = policy::document(document) else { return };
    let statement = |effect: &str| json!({ "Statement": { "Effect": effect, "Action": "*", "Resource": "*" } });
    let of = |policies: &[Value]| policy::allowed(policies, action, resource);
    assert_eq!(of(&[document.clone(), statement("Deny")]), policy::Allowed::No);
    let is_denied = of(&[statement("Allow"), document.clone()]) == policy::Allowed::No;
    assert!(!is_denied || document.to_string().contains("Deny"), "{document}");
    assert!(!is_denied || of(std::slice::from_ref(&document)) == policy::Allowed::No, "{document}");
    _ = policy::requires_tls(&document);
}

/// What `usagectl doctor` reports about a filter pattern: one that matches an event isn't reported as never matching.
pub(crate) fn filter_mistakes(data: &[u8]) {
    static RECORDS: LazyLock<Vec<SourceRecord>> = LazyLock::new(records);
    static ORDERS: LazyLock<Option<Pipeline>> =
        LazyLock::new(|| shipped("orders").and_then(|folder| Pipeline::parse(&folder).ok()));
    let (Ok(pattern), Some(orders)) = (std::str::from_utf8(data), &*ORDERS) else { return };
    let Ok(filters) = Filters::parse(&[pattern.to_owned()]) else { return };
    let mistakes = patterns::mistakes(pattern, orders);
    if let Some(matched) = RECORDS.iter().find(|record| filters.matches(StreamKind::DynamoDb, record)) {
        assert!(mistakes.never.is_empty(), "{mistakes:?}: {}", matched.json);
    }
}

/// Records of orders, as DynamoDB writes them.
fn records() -> Vec<SourceRecord> {
    let events = [
        include_str!("../../../events/insert.json"),
        include_str!("../../../events/modify.json"),
        include_str!("../../../events/remove.json"),
    ];
    let events = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let records = events.flat_map(|event| event["Records"].as_array().cloned().unwrap_or_default());
    let record = |record: Value| {
        let (sequence, created_at) = (SequenceNumber::parse("100")?, Timestamp::from_seconds(1_795_230_305)?);
        Some(SourceRecord { sequence, item: 1, created_at, json: record.to_string() })
    };
    records.filter_map(record).collect()
}

/// The key of an object in the failure bucket.
pub(crate) fn document_key(data: &[u8]) {
    let Ok(key) = std::str::from_utf8(data) else { return };
    let read = redrive::document_key(key);
    assert!(!read.is_quarantined || read.mapping.is_none(), "{key}");
    if read.mapping.is_some() || read.is_quarantined {
        assert_eq!(redrive::document_key(&redrive::narrowed_key(key, data)), read, "{key}");
    }
}

/// The template of a deployed stack, which carries its pipeline.
pub(crate) fn deployed_template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(Some(folder)) = usagectl::stack::carried(text) {
        assert!(text.contains(usagectl::stack::CARRIED), "{}", folder.name);
    }
}

/// Assumptions on the command line.
pub(crate) fn assumptions(data: &[u8]) {
    const NAMES: [&str; 4] = ["rate", "size", "latency", "entities"];
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(given) = Assumptions::parse("--assume", text, &NAMES) else { return };
    for number in [given.rate("rate"), given.bytes("size"), given.number("entities")] {
        assert!(!matches!(number, Ok(Some(number)) if !number.is_finite() || number <= 0.0), "{text}");
    }
    assert!(!matches!(given.seconds("latency"), Ok(Some(seconds)) if !seconds.is_finite() || seconds < 0.0), "{text}");
}

/// A response of a billing system.
pub(crate) fn billing_response(data: &[u8]) {
    let line = billing::described(400, data);
    assert!(line.chars().count() <= 304 && !line.chars().any(char::is_control), "{line:?}");
}

/// A file of customers.
pub(crate) fn customers_csv(data: &[u8]) {
    let found = billing::customer(data, "7");
    assert!(!found.is_ok_and(|customer| customer.is_some_and(|customer| customer.is_empty())));
}

/// An event of the compaction: what it sends in turn is valid and asks for no more.
pub(crate) fn compaction_event(data: &[u8]) {
    let Ok(event) = serde_json::from_slice(data) else { return };
    let Ok(events) = usage_compact::fuzzing::events_of(&event, &["order"]) else { return };
    for event in events {
        let event = serde_json::from_slice(&event).unwrap_or_default();
        assert!(usage_compact::fuzzing::events_of(&event, &["order"]).is_ok(), "{event}");
    }
}
