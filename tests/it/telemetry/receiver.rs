//! An OTLP receiver on this machine: it keeps the bytes of what was exported, and answers as a test wants.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// One export.
#[derive(Debug, Clone)]
pub struct Export {
    pub path: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// How the receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    /// It answers with this status.
    Status(u16),
    /// It reads the request and never answers.
    Silent,
    /// It closes each connection without reading.
    Closed,
}

/// The receiver. It runs until the test process ends.
pub struct Receiver {
    pub url: String,
    exports: Arc<Mutex<Vec<Export>>>,
    connections: Arc<Mutex<usize>>,
}

impl Receiver {
    pub fn start(behavior: Behavior) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Receiver {
            url: format!("http://{}", listener.local_addr().unwrap()),
            exports: Arc::default(),
            connections: Arc::default(),
        };
        let (exports, connections) = (Arc::clone(&receiver.exports), Arc::clone(&receiver.connections));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                *connections.lock().unwrap() += 1;
                let (exports, stream) = (Arc::clone(&exports), stream.unwrap());
                std::thread::spawn(move || serve(stream, behavior, &exports));
            }
        });
        receiver
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// The exports so far.
    pub fn exports(&self) -> Vec<Export> {
        self.exports.lock().unwrap().clone()
    }

    fn decoded<M: Message + Default>(&self, path: &str) -> Vec<M> {
        let exports = self.exports();
        let exports = exports.iter().filter(|export| export.path == path);
        exports.map(|export| M::decode(&*export.body).unwrap()).collect()
    }

    /// The spans so far, in the order in which they began.
    pub fn spans(&self) -> Vec<Span> {
        let requests: Vec<ExportTraceServiceRequest> = self.decoded("/v1/traces");
        let scopes =
            requests.into_iter().flat_map(|request| request.resource_spans).flat_map(|spans| spans.scope_spans);
        let mut spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    /// The attributes of the resource of the first spans.
    pub fn resource(&self) -> Vec<KeyValue> {
        let requests: Vec<ExportTraceServiceRequest> = self.decoded("/v1/traces");
        requests[0].resource_spans[0].resource.clone().unwrap().attributes
    }

    /// The log records so far.
    pub fn records(&self) -> Vec<LogRecord> {
        let requests: Vec<ExportLogsServiceRequest> = self.decoded("/v1/logs");
        let scopes = requests.into_iter().flat_map(|request| request.resource_logs).flat_map(|logs| logs.scope_logs);
        scopes.flat_map(|scope| scope.log_records).collect()
    }

    /// The metrics so far.
    pub fn metrics(&self) -> Vec<Metric> {
        let requests: Vec<ExportMetricsServiceRequest> = self.decoded("/v1/metrics");
        let resources = requests.into_iter().flat_map(|request| request.resource_metrics);
        resources.flat_map(|metrics| metrics.scope_metrics).flat_map(|scope| scope.metrics).collect()
    }
}

/// Serves one request of a connection.
fn serve(mut stream: TcpStream, behavior: Behavior, exports: &Mutex<Vec<Export>>) {
    if behavior == Behavior::Closed {
        return;
    }
    let Some(export) = read(&stream) else { return };
    exports.lock().unwrap().push(export);
    match behavior {
        Behavior::Status(status) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            // The client may be gone.
            let _ = stream.write_all(head.as_bytes());
        }
        // Until the client closes the connection.
        Behavior::Silent => _ = stream.read_to_end(&mut Vec::new()),
        Behavior::Closed => {}
    }
}

/// Reads a request; `None` if the connection ends before it does.
fn read(stream: &TcpStream) -> Option<Export> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0).map(|_| line.trim_end().to_owned())
    };
    let path = line()?.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    while let Some(line) = line().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length: &String| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Export { path, headers, body })
}

/// An attribute as text; an empty one if there is none.
pub fn text(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    found.and_then(|attribute| attribute.value.as_ref()).map(value).unwrap_or_default()
}

/// A value as text.
pub fn value(value: &AnyValue) -> String {
    match value.value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        Value::ArrayValue(array) => array.values.iter().map(self::value).collect::<Vec<_>>().join(","),
        other => panic!("{other:?}"),
    }
}
