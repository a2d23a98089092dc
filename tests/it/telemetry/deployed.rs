//! The binary that is deployed: nothing unless the environment asks for it, and then below Lambda's segment.

use super::receiver::{Behavior, Receiver, text};
use super::trace::hex;
use crate::runtime::{Received, Sandbox, recent_orders};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_binary_exports_only_if_the_environment_asks_for_it() {
    let world = World::new("telemetry", "orders").await;
    let receiver = Receiver::start(Behavior::Status(200));
    let (bucket, url) = (world.bucket(), receiver.url.clone());
    let variables = [
        ("PIPELINE", "orders"),
        ("USAGE_TABLE", "telemetry-usage"),
        ("LEDGER_TABLE", "telemetry-ledger"),
        ("ARCHIVE_BUCKET", bucket.as_str()),
        ("ARCHIVE_PREFIX", "telemetry"),
        ("TELEMETRY_BUDGET_MS", "10000"),
        ("DEADLINE_MARGIN_MS", "20000"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret%20key"),
        ("OTEL_SERVICE_NAME", "usage"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let event = recent_orders(3, 0);
    let mut disabled = Sandbox::start(&[&variables[..], &[("OTEL_SDK_DISABLED", "true")]].concat()).await;
    assert!(matches!(disabled.invoke(&event).await, Received::Response(_)));
    assert_eq!(receiver.connections(), 0);

    let mut sandbox = Sandbox::start(&variables).await;
    assert!(matches!(sandbox.invoke(&event).await, Received::Response(_)));
    let refused = sandbox.invoke(br#"{"Records":[{"eventSource":"aws:sqs"}]}"#).await;
    assert!(matches!(refused, Received::Error(_)));
    let spans = receiver.spans();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert!(names.contains(&"DynamoDB.PutItem") && names.contains(&"S3.PutObject"), "{names:?}");
    let roots: Vec<_> = spans.iter().filter(|span| span.name == "f").collect();
    assert_eq!(roots.len(), 2, "{names:?}");
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
    assert_eq!(text(&roots[0].attributes, "aws.lambda.invoked_arn"), arn);
    // The header of this Runtime API names no sampled segment.
    assert_ne!(hex(&roots[0].trace_id), "5bef4de7ad49b0e87f6ef6c87fc2e700");
    let resource = receiver.resource();
    let of = |name| text(&resource, name);
    assert_eq!((of("service.name"), of("deployment.environment.name")), ("usage".to_owned(), "test".to_owned()));
    assert_eq!(receiver.exports()[0].headers["api-key"], "secret key");
    let failed = receiver.records().into_iter().find(|record| record.severity_text == "ERROR").unwrap();
    assert_eq!(text(&failed.attributes, "exception.type"), "config");
}
