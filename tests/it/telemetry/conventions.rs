//! The exports as Python's OpenTelemetry packages see them: they decode, and their names are those of the conventions.

use std::process::Command;

use laptop::emulators::{Fault, FaultPlan};

use super::receiver::{Behavior, Receiver};
use super::site::Site;
use super::trace::{ARN, QUARANTINE, SEGMENT, batch};
use crate::prefix::{NOW, event, orders};
use crate::readers::venv;
use crate::world::at;

const READER: &str = r#"
import importlib, pathlib, sys
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
import opentelemetry.semconv as semconv

known = set()
base = pathlib.Path(semconv.__path__[0])
for path in base.glob('**/attributes/*_attributes.py'):
    module = '.'.join((semconv.__name__, *path.relative_to(base).with_suffix('').parts))
    values = vars(importlib.import_module(module)).values()
    known |= {value for value in values if isinstance(value, str) and '.' in value and ' ' not in value}
assert {'faas.trigger', 'aws.dynamodb.table_names', 'exception.stacktrace'} <= known, len(known)

unknown, spans, records, points = set(), 0, 0, 0
def check(attributes):
    for attribute in attributes:
        if attribute.key not in known and not attribute.key.startswith('usage_aggregator.'):
            unknown.add(attribute.key)
for path in map(pathlib.Path, sys.argv[1:]):
    body = path.read_bytes()
    if path.suffix == '.traces':
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            check(resource.resource.attributes)
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                spans += 1
                assert span.end_time_unix_nano >= span.start_time_unix_nano > 0, span
                check(span.attributes)
                names = [attribute.key for attribute in span.attributes]
                assert len(names) == len(set(names)), names
                # A span with an error type has failed. An invocation names its trigger.
                assert 'error.type' not in names or span.status.code == span.status.STATUS_CODE_ERROR, span
                assert span.kind not in (span.SPAN_KIND_SERVER, span.SPAN_KIND_CONSUMER) or 'faas.trigger' in names, span
                for event in span.events: check(event.attributes)
    elif path.suffix == '.logs':
        request = ExportLogsServiceRequest.FromString(body)
        for record in (r for l in request.resource_logs for scope in l.scope_logs for r in scope.log_records):
            records += 1
            assert record.severity_number > 0 and len(record.trace_id) == 16, record
            check(record.attributes)
    else:
        request = ExportMetricsServiceRequest.FromString(body)
        points += sum(1 for m in request.resource_metrics for scope in m.scope_metrics for _ in scope.metrics)
print(spans > 10, records > 2, points > 5, sorted(unknown))
"#;

#[tokio::test]
async fn pythons_opentelemetry_decodes_every_export_and_knows_every_name() {
    let receiver = Receiver::start(Behavior::Status(200));
    let site = Site::new(&receiver.url, &[&QUARANTINE[..], &[("METRICS_SINK", "otlp")]].concat());
    let invocation = at(NOW);
    site.http.set_plan(FaultPlan::on("PutItem", 1, Fault::Throttle));
    let batch = event(&batch());
    site.telemetry.within(Some(SEGMENT), ARN, site.handler.handle(&batch, &invocation)).await.unwrap();
    let sweep = br#"{"sweep": {"at": "2026-03-01T13:30:00Z", "minutes_ago": 90}}"#;
    site.handler.handle(sweep, &invocation).await.unwrap();
    site.http.set_plan(FaultPlan::always("PutItem", Fault::AccessDenied));
    let orders = event(&orders(3));
    site.handler.handle(&orders, &invocation).await.unwrap_err();

    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (number, export) in receiver.exports().iter().enumerate() {
        let path = folder.path().join(format!("{number}.{}", export.path.rsplit('/').next().unwrap()));
        std::fs::write(&path, &export.body).unwrap();
        paths.push(path);
    }
    let output = Command::new(venv().join("python")).arg("-c").arg(READER).args(&paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "True True True []");
}
