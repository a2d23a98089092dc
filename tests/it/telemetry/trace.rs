//! One invocation as a trace: its spans, its links, and what went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use laptop::emulators::{Fault, FaultPlan};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Value, json};

use super::receiver::{Behavior, Receiver, text, value};
use super::site::Site;
use crate::prefix::{NOW, event, order, orders};
use crate::world::at;

pub const QUARANTINE: [(&str, &str); 2] = [("REJECTED_RECORDS", "quarantine"), ("FRESHNESS", "now")];
pub const SEGMENT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
pub const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:usage-append:live";

/// A batch of three orders, of which the second has a total that is no number.
pub fn batch() -> Vec<Value> {
    let mut records = orders(3);
    records[1] = order(1, &json!({ "S": "much" }));
    records
}

/// The spans as a tree, one per line, without times. Attributes in `shown` follow the name.
fn waterfall(spans: &[Span], shown: &[&str]) -> String {
    fn write(spans: &[Span], parent: &[u8], depth: usize, shown: &[&str], out: &mut String) {
        for span in spans.iter().filter(|span| span.parent_span_id == parent) {
            write!(out, "{:depth$}{}", "", span.name, depth = depth * 2).unwrap();
            for name in shown {
                let text = text(&span.attributes, name);
                if !text.is_empty() {
                    write!(out, " {}={text}", name.rsplit('.').next().unwrap()).unwrap();
                }
            }
            for exception in &span.events {
                let text = |name| text(&exception.attributes, name);
                write!(out, " [{}: {} {}]", exception.name, text("exception.type"), text("exception.message")).unwrap();
            }
            out.push('\n');
            write(spans, &span.span_id, depth + 1, shown, out);
        }
    }
    let mut out = String::new();
    let known: BTreeSet<&[u8]> = spans.iter().map(|span| &*span.span_id).collect();
    let roots: BTreeSet<&[u8]> =
        spans.iter().map(|s| &*s.parent_span_id).filter(|parent| !known.contains(parent)).collect();
    roots.iter().for_each(|root| write(spans, root, 0, shown, &mut out));
    out
}

#[tokio::test]
async fn an_invocation_with_a_retry_and_a_rejected_record_is_one_trace_below_lambdas_segment() {
    let receiver = Receiver::start(Behavior::Status(200));
    let site = Site::new(&receiver.url, &QUARANTINE);
    site.http.set_plan(FaultPlan::on("PutItem", 1, Fault::Throttle));
    let (event, invocation) = (event(&batch()), at(NOW));
    let handled = site.telemetry.within(Some(SEGMENT), ARN, site.handler.handle(&event, &invocation));
    assert!(handled.await.unwrap().response().batch_item_failures.is_empty());

    let spans = receiver.spans();
    let trace: BTreeSet<String> = spans.iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(trace.into_iter().collect::<Vec<_>>(), ["5759e988bd862e3fe1be46a994272793"]);
    let shown = [
        "usage_aggregator.attempts",
        "http.response.status_code",
        "error.type",
        "aws.dynamodb.table_names",
        "aws.s3.bucket",
        "usage_aggregator.key_prefix",
    ];
    insta::assert_snapshot!(waterfall(&spans, &shown));

    let root = &spans[0];
    assert_eq!((root.name.as_str(), hex(&root.parent_span_id)), ("usage-append", "53995c3f42cd8ad8".to_owned()));
    assert_eq!(root.kind(), SpanKind::Consumer);
    let attributes: BTreeMap<_, _> =
        root.attributes.iter().map(|a| (&*a.key, value(a.value.as_ref().unwrap()))).collect();
    insta::assert_json_snapshot!(attributes);
    let resource: BTreeMap<_, _> = receiver
        .resource()
        .into_iter()
        .filter(|attribute| !attribute.key.starts_with("telemetry.sdk."))
        .map(|a| (a.key, value(&a.value.unwrap())))
        .collect();
    insta::assert_json_snapshot!(resource);
}

#[tokio::test]
async fn a_rejection_is_a_log_record_whose_fingerprint_depends_on_its_cause_alone() {
    let receiver = Receiver::start(Behavior::Status(200));
    let site = Site::new(&receiver.url, &QUARANTINE);
    let mut records = orders(5);
    for position in [1, 3] {
        records[position] = order(position, &json!({ "S": "much" }));
    }
    records[4]["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("total");
    site.handler.handle(&event(&records), &at(NOW)).await.unwrap();
    let rejected: Vec<_> =
        receiver.records().into_iter().filter(|r| value(r.body.as_ref().unwrap()) == "record rejected").collect();
    let of = |name: &str| rejected.iter().map(|record| text(&record.attributes, name)).collect::<Vec<_>>();
    assert_eq!(of("usage_aggregator.code"), ["invalid_value", "invalid_value", "missing_attribute"]);
    assert_eq!(of("exception.type"), of("usage_aggregator.code"));
    assert_eq!(of("usage_aggregator.route"), ["order"; 3]);
    let fingerprints = of("usage_aggregator.fingerprint");
    assert_eq!(fingerprints[0], fingerprints[1]);
    assert_ne!(fingerprints[0], fingerprints[2]);
    assert!(rejected.iter().all(|record| record.severity_text == "WARN" && record.trace_id == rejected[0].trace_id));
    assert_eq!(rejected[0].trace_id, receiver.spans()[0].trace_id);
    assert_eq!(rejected[0].event_name, "exception");
}

#[tokio::test]
async fn a_function_error_is_an_exception_of_its_trace_and_the_next_delivery_links_to_it() {
    let receiver = Receiver::start(Behavior::Status(200));
    let site = Site::new(&receiver.url, &[]);
    site.http.set_plan(FaultPlan::always("PutItem", Fault::AccessDenied));
    let (event, invocation) = (event(&orders(2)), at(NOW));
    site.handler.handle(&event, &invocation).await.unwrap_err();
    site.http.set_plan(FaultPlan::none());
    site.handler.handle(&event, &invocation).await.unwrap();
    site.handler.handle(&event, &invocation).await.unwrap();

    let spans = receiver.spans();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    let [failed, again, other] = roots.as_slice() else { panic!("{} traces", roots.len()) };
    assert_eq!(failed.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(text(&failed.attributes, "error.type"), "AccessDeniedException");
    let [exception] = failed.events.as_slice() else { panic!("{:?}", failed.events) };
    assert_eq!(
        (&*exception.name, text(&exception.attributes, "exception.type")),
        ("exception", "AccessDeniedException".to_owned())
    );
    let message = text(&exception.attributes, "exception.message");
    assert!(message.contains("dynamodb:PutItem"));
    assert_eq!(failed.status.as_ref().unwrap().message, message);
    let record = receiver.records().into_iter().find(|record| record.severity_text == "ERROR").unwrap();
    assert_eq!(record.event_name, "faas.invocation.exception");
    let [link] = again.links.as_slice() else { panic!("{:?}", again.links) };
    assert_eq!((&link.trace_id, &link.span_id), (&failed.trace_id, &failed.span_id));
    assert!(other.links.is_empty());
    let cold: Vec<String> = roots.iter().map(|root| text(&root.attributes, "faas.coldstart")).collect();
    assert_eq!(cold, ["true", "false", "false"]);
}

#[tokio::test]
async fn the_delivery_after_a_partial_failure_links_to_it() {
    let receiver = Receiver::start(Behavior::Status(200));
    let site = Site::new(&receiver.url, &[]);
    let outcome = site.handler.handle(&event(&batch()), &at(NOW)).await.unwrap();
    assert_eq!(outcome.response().batch_item_failures.len(), 1);
    site.handler.handle(&event(&batch()[1..]), &at(NOW)).await.unwrap();
    let spans = receiver.spans();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(text(&roots[0].attributes, "error.type"), "invalid_value");
    assert_eq!(roots[0].status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(roots[1].links.iter().map(|link| &link.span_id).collect::<Vec<_>>(), [&roots[0].span_id]);
}

#[tokio::test]
async fn a_file_that_is_already_there_is_an_expected_error_that_does_not_fail_its_span() {
    let receiver = Receiver::start(Behavior::Status(200));
    let site = Site::new(&receiver.url, &[]);
    for _ in 0..2 {
        site.handler.handle(&event(&orders(2)), &at(NOW)).await.unwrap();
    }
    let spans = receiver.spans();
    let expected = |span: &&Span| !text(&span.attributes, "usage_aggregator.expected_error").is_empty();
    let conflicts: Vec<&Span> = spans.iter().filter(expected).collect();
    assert!(conflicts.iter().any(|span| span.name == "S3.PutObject"), "{conflicts:?}");
    for span in conflicts {
        assert_eq!(text(&span.attributes, "error.type"), "");
        assert_eq!(span.status.clone().unwrap_or_default().code(), StatusCode::Unset);
    }
}

#[tokio::test]
async fn an_invocation_names_what_triggered_it() {
    let mut deleted = orders(1);
    deleted[0]["eventName"] = "REMOVE".into();
    deleted[0]["dynamodb"]["OldImage"] = deleted[0]["dynamodb"]["NewImage"].take();
    deleted[0]["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    let inserted = orders(2);
    let both = [&inserted[1..], &deleted[..]].concat();
    let kinesis = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
    let kinesis = json!({ "Records": [{ "eventSource": "aws:kinesis", "eventSourceARN": kinesis }] });
    let queue = json!({ "Records": [{ "eventSource": "aws:sqs" }] });
    let sweep = json!({ "sweep": { "at": "2026-03-01T13:30:00Z", "minutes_ago": 90 } });
    for (event, trigger, [collection, operation, time]) in [
        (event(&inserted), "datasource", ["orders", "insert", ""]),
        (event(&deleted), "datasource", ["orders", "delete", ""]),
        (event(&both), "datasource", ["orders", "", ""]),
        (kinesis.to_string().into_bytes(), "pubsub", ["", "", ""]),
        (queue.to_string().into_bytes(), "other", ["", "", ""]),
        (sweep.to_string().into_bytes(), "timer", ["", "", NOW]),
    ] {
        let receiver = Receiver::start(Behavior::Status(200));
        let site = Site::new(&receiver.url, &[]);
        let _ = site.handler.handle(&event, &at(NOW)).await;
        let spans = receiver.spans();
        let of = |name: &str| text(&spans[0].attributes, name);
        assert_eq!(of("faas.trigger"), trigger);
        let found = [of("faas.document.collection"), of("faas.document.operation"), of("faas.time")];
        assert_eq!(found, [collection, operation, time], "{trigger}");
    }
}

/// The canary is in items, in their keys, in what makes records invalid, and in events that are none.
#[tokio::test]
async fn no_export_contains_what_an_item_contains() {
    const CANARY: &str = "canary-5e0c";
    let receiver = Receiver::start(Behavior::Status(200));
    let canary = |record: &mut Value, number: usize| {
        let text = |name: &str| json!({ "S": format!("{CANARY}-{name}-{number}") });
        let change = &mut record["dynamodb"];
        for keys in ["Keys", "NewImage"] {
            change[keys]["pk"] = json!({ "S": format!("CUSTOMER#{CANARY}-{number}") });
            change[keys]["sk"] = json!({ "S": format!("ORDER#{CANARY}-{number}") });
        }
        change["NewImage"]["status"] = text("status");
        change["NewImage"]["note"] = text("note");
        if number % 3 == 1 {
            change["NewImage"]["total"] = text("total");
        }
        if number % 3 == 2 {
            change["NewImage"]["ordered_at"] = text("time");
            change["NewImage"]["lines"] = json!({ "L": [{ "N": CANARY }] });
        }
    };
    let mut records = orders(30);
    records.iter_mut().enumerate().for_each(|(number, record)| canary(record, number));
    const FAULTS: [(&str, Option<usize>, Fault); 6] = [
        ("PutItem", Some(1), Fault::Throttle),
        ("UpdateItem", Some(1), Fault::Throttle),
        ("PutObject", Some(1), Fault::Status503),
        ("UpdateItem", None, Fault::AccessDenied),
        ("PutItem", None, Fault::AccessDenied),
        ("PutObject", None, Fault::AccessDenied),
    ];
    for settings in [&[("FRESHNESS", "now")][..], &QUARANTINE] {
        let site = Site::new(
            &receiver.url,
            &[settings, &[("QUARANTINE_LIMIT_PERCENT", "100"), ("METRICS_SINK", "otlp")]].concat(),
        );
        for (operation, nth, fault) in FAULTS {
            site.http.set_plan(match nth {
                Some(nth) => FaultPlan::on(operation, nth, fault),
                None => FaultPlan::always(operation, fault),
            });
            let _ = site.handler.handle(&event(&records), &at(NOW)).await;
            let _ = site.handler.handle(&event(&records[1..]), &at(NOW)).await;
        }
        // Neither JSON nor an event of a stream.
        let _ = site.handler.handle(format!("{{\"{CANARY}\":1,\"Records\":[\"{CANARY}\"]").as_bytes(), &at(NOW)).await;
        let _ = site
            .handler
            .handle(
                json!({ "Records": [{ "eventSource": "aws:sqs", "body": CANARY }] }).to_string().as_bytes(),
                &at(NOW),
            )
            .await;
    }
    let paths: BTreeSet<String> = receiver.exports().into_iter().map(|export| export.path).collect();
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["/v1/logs", "/v1/metrics", "/v1/traces"]);
    assert!(receiver.spans().iter().any(|span| span.name == "DynamoDB.UpdateItem"));
    assert!(receiver.records().iter().any(|record| value(record.body.as_ref().unwrap()) == "record rejected"));
    for export in receiver.exports() {
        let at = export.body.windows(CANARY.len()).position(|window| window == CANARY.as_bytes());
        let around = at.map(|at| {
            String::from_utf8_lossy(&export.body[at.saturating_sub(200)..(at + 50).min(export.body.len())]).into_owned()
        });
        assert_eq!(around, None, "{}", export.path);
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
