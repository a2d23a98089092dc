//! The CloudWatch operations for which moto doesn't support the SDK's protocol (Smithy RPC v2 CBOR): DescribeAlarms,
//! ListMetrics and GetMetricData, with responses from a table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use ciborium::Value;
use tokio::net::TcpListener;

/// An alarm: its name, state, and how many actions it has.
pub type Alarm = (String, &'static str, usize);

/// The contents of the responses.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    pub alarms: Vec<Alarm>,
    /// How many metrics the function's namespace has.
    pub own_metrics: usize,
    /// One value for each metric, five minutes old.
    pub numbers: BTreeMap<&'static str, f64>,
    /// Operations that are denied.
    pub denied: Vec<&'static str>,
    /// The requests: the operation, and how many metrics it asked for.
    pub asked: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Answers {
    /// Serves them on a loopback port until the runtime ends, and returns the URL.
    pub async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/service/GraniteServiceVersion20100801/operation/{name}", post(answer));
        tokio::spawn(async move { axum::serve(listener, routes.with_state(self)).await.unwrap() });
        url
    }

    fn answer(&self, operation: &str, request: &Value) -> Value {
        match operation {
            "DescribeAlarms" => map([("MetricAlarms", list(self.alarms.iter().map(alarm)))]),
            "ListMetrics" => {
                let metric = |number: usize| map([("MetricName", text(&format!("Metric{number}")))]);
                map([("Metrics", list((0..self.own_metrics).map(metric)))])
            }
            "GetMetricData" => {
                let queries = field(request, "MetricDataQueries").and_then(Value::as_array).unwrap();
                map([("MetricDataResults", list(queries.iter().map(|query| self.result(query))))])
            }
            other => panic!("CloudWatch's {other} is not emulated"),
        }
    }

    fn result(&self, query: &Value) -> Value {
        let metric = field(query, "MetricStat").and_then(|stat| field(stat, "Metric")).unwrap();
        let name = field(metric, "MetricName").and_then(Value::as_text).unwrap();
        let number = self.numbers.get(name);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let at = Value::Tag(1, Box::new(Value::Integer((now - 300).into())));
        map([
            ("Id", field(query, "Id").unwrap().clone()),
            ("StatusCode", text("Complete")),
            ("Timestamps", list(number.map(|_| at))),
            ("Values", list(number.map(|number| Value::Float(*number)))),
        ])
    }
}

async fn answer(State(answers): State<Answers>, Path(operation): Path<String>, body: Bytes) -> impl IntoResponse {
    let request: Value = ciborium::from_reader(body.as_ref()).unwrap();
    let metrics = field(&request, "MetricDataQueries").and_then(Value::as_array).map_or(0, Vec::len);
    answers.asked.lock().unwrap().push((operation.clone(), metrics));
    let (status, answer) = if answers.denied.contains(&operation.as_str()) {
        (StatusCode::FORBIDDEN, map([("__type", text("com.amazonaws.cloudwatch#AccessDeniedException"))]))
    } else {
        (StatusCode::OK, answers.answer(&operation, &request))
    };
    let mut bytes = Vec::new();
    ciborium::into_writer(&answer, &mut bytes).unwrap();
    (status, [("smithy-protocol", "rpc-v2-cbor"), (header::CONTENT_TYPE.as_str(), "application/cbor")], bytes)
}

fn alarm((name, state, actions): &Alarm) -> Value {
    let action = text("arn:aws:sns:us-east-1:123456789012:topic");
    map([
        ("AlarmName", text(name)),
        ("StateValue", text(state)),
        ("ActionsEnabled", Value::Bool(true)),
        ("AlarmActions", list(std::iter::repeat_n(action, *actions))),
    ])
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(values.into_iter().collect())
}

pub fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (text(name), value)).collect())
}

pub fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}
