//! The handler of the function that compacts, with Lambda's Invoke API as an endpoint of this file, and raw files that the handler of
//! the other function has archived.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_lambda::config::retry::RetryConfig;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use laptop::emulators::{Fault, FaultPlan, in_process, sdk_config};
use serde_json::{Value, json};
use usage_aggregator::error::ErrorKind;
use usage_compact::Function;

use crate::place::Place;
use crate::schedule::{at, handler, order};

const HOUR: i64 = 3_600;
/// 2026-11-28T08:00:00Z.
const START: i64 = 1_795_852_800;
const NAME: &str = "stack-compact";
const BUCKET: &str = "archive";

/// A type, a partition date, and a unit.
type Unit = [String; 3];

/// Lambda, which accepts events for later.
#[derive(Clone, Default)]
struct Lambda {
    accepted: Arc<Mutex<Vec<Value>>>,
    /// The unit whose events it throttles.
    throttled: Arc<Mutex<Option<Unit>>>,
}

async fn invoke(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap) {
    assert_eq!((name.as_str(), headers["x-amz-invocation-type"].to_str().unwrap()), (NAME, "Event"));
    let event: Value = serde_json::from_slice(&body).unwrap();
    if event.get("prove").is_none() && Some(unit_of(&event)) == *lambda.throttled.lock().unwrap() {
        let error = ("x-amzn-errortype".parse().unwrap(), "TooManyRequestsException".parse().unwrap());
        return (StatusCode::TOO_MANY_REQUESTS, HeaderMap::from_iter([error]));
    }
    lambda.accepted.lock().unwrap().push(event);
    (StatusCode::ACCEPTED, HeaderMap::new())
}

/// The unit that an event names. It has nothing else.
fn unit_of(event: &Value) -> Unit {
    assert_eq!(event.as_object().unwrap().len(), 3, "{event}");
    ["type", "date", "unit"].map(|name| event[name].as_str().unwrap().to_owned())
}

/// An archive with units of three types, and the function.
struct Deployed {
    place: Place,
    lambda: Lambda,
    function: Function,
    clock: Arc<AtomicI64>,
}

impl Deployed {
    async fn new() -> Deployed {
        let place = Place::new();
        place.objects.set_time(START);
        let append = handler(&place);
        let mixed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/mixed.json");
        let mut events = vec![std::fs::read(mixed).unwrap()];
        events.extend((0..30).map(|hour| order(hour, START + hour * HOUR)));
        for event in events {
            let outcome = append.handle(&event, &at(START + 30 * HOUR)).await.unwrap();
            assert!(outcome.response().batch_item_failures.is_empty(), "{outcome:?}");
        }
        let lambda = Lambda::default();
        let client = lambda.serve().await;
        let clock = Arc::new(AtomicI64::new(START + 31 * HOUR));
        let now = Arc::clone(&clock);
        let variables = [
            ("PIPELINE", "orders"),
            ("ARCHIVE_BUCKET", BUCKET),
            ("AWS_LAMBDA_FUNCTION_NAME", NAME),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ];
        let value =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let clients = in_process::clients(place.http.client());
        let function = Function::new(value, clients, client, Arc::new(move || now.load(Ordering::SeqCst)));
        let function = function.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Deployed { place, lambda, function, clock }
    }

    /// What the function started since the last call.
    fn started(&self) -> Vec<Value> {
        std::mem::take(&mut self.lambda.accepted.lock().unwrap())
    }

    /// Delivers these events, as Lambda does later. Each puts the Parquet file of its unit, and nothing else.
    async fn deliver(&self, events: &[Value]) {
        for event in events {
            let before = self.units("parquet");
            let answer = self.function.handle(event, None).await.unwrap();
            assert_eq!((answer.files, answer.started), (1, 0), "{event}");
            let new: Vec<Unit> = self.units("parquet").difference(&before).cloned().collect();
            assert_eq!(new, [unit_of(event)]);
        }
    }

    /// The units that have files of this kind, from their keys.
    fn units(&self, kind: &str) -> BTreeSet<Unit> {
        let unit = |key: String| {
            let rest = key.strip_prefix(&format!("data-pipeline/{kind}/"))?;
            let (record_type, rest) = rest.split_once("/partition_date=")?;
            let (date, name) = rest.split_once('/')?;
            let (unit, _) = name.rsplit_once('-')?;
            Some([record_type, date, unit].map(str::to_owned))
        };
        self.place.objects.bucket(BUCKET).into_keys().filter_map(unit).collect()
    }
}

impl Lambda {
    /// A client of this Lambda.
    async fn serve(&self) -> aws_sdk_lambda::Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = axum::Router::new().route("/2015-03-31/functions/{name}/invocations", post(invoke));
        let routes = routes.with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let config = sdk_config(None).into_builder().endpoint_url(url).retry_config(RetryConfig::disabled()).build();
        aws_sdk_lambda::Client::new(&config)
    }
}

#[tokio::test]
async fn the_schedule_makes_one_invocation_per_type_date_and_unit_and_each_compacts_its_unit() {
    let deployed = Deployed::new().await;
    let units = deployed.units("avro");
    let types: BTreeSet<&str> = units.iter().map(|[record_type, ..]| record_type.as_str()).collect();
    assert_eq!((types.len(), units.len() > 32), (3, true), "{units:?}");
    let answer = deployed.function.handle(&json!({}), None).await.unwrap();
    // The first unit is compacted by the invocation itself.
    let own = deployed.units("parquet");
    assert_eq!((own.len(), answer.files, answer.started), (1, 1, units.len() - 1));
    let events = deployed.started();
    let asked: BTreeSet<Unit> = events.iter().map(unit_of).chain(own).collect();
    assert_eq!((events.len(), asked), (units.len() - 1, units.clone()));
    deployed.deliver(&events).await;
    assert_eq!(deployed.units("parquet"), units);
    // There is nothing left to do, and a day later the raw files go, without another invocation.
    assert_eq!(deployed.function.handle(&json!({}), None).await.unwrap(), usage_compact::Answer::default());
    deployed.clock.fetch_add(25 * HOUR, Ordering::SeqCst);
    deployed.function.handle(&json!({}), None).await.unwrap();
    assert_eq!((deployed.units("avro").len(), deployed.started().len()), (0, 0));
}

#[tokio::test]
async fn an_event_with_a_type_or_a_date_starts_its_units_only() {
    for (event, selects) in [
        (json!({ "type": "customer" }), (|unit| unit[0] == "customer") as fn(&Unit) -> bool),
        (json!({ "date": "2026-11-28" }), |unit| unit[1] == "2026-11-28"),
        (json!({ "type": "order", "date": "2026-11-29" }), |unit| unit[0] == "order" && unit[1] == "2026-11-29"),
    ] {
        let deployed = Deployed::new().await;
        let expected: BTreeSet<Unit> = deployed.units("avro").into_iter().filter(selects).collect();
        deployed.function.handle(&event, None).await.unwrap();
        let done = deployed.started().iter().map(unit_of).chain(deployed.units("parquet")).collect::<BTreeSet<Unit>>();
        assert_eq!((done, expected.is_empty()), (expected, false), "{event}");
    }
}

#[tokio::test]
async fn a_start_that_lambda_refuses_is_reported_and_the_next_run_makes_up_for_it() {
    let deployed = Deployed::new().await;
    let units = deployed.units("avro");
    let refused = ["order", "2026-11-28", "2026-11-28T11"].map(str::to_owned);
    *deployed.lambda.throttled.lock().unwrap() = Some(refused.clone());
    let error = deployed.function.handle(&json!({}), None).await.unwrap_err();
    let expected = "start the compaction of order 2026-11-28 2026-11-28T11 (lambda:InvokeFunction on stack-compact): ";
    assert!(error.message.starts_with(expected) && error.message.contains("TooManyRequests"), "{error}");
    assert_eq!(error.kind, ErrorKind::Transient);
    // All others were started or done.
    let events = deployed.started();
    assert_eq!((events.len(), deployed.units("parquet").len()), (units.len() - 2, 1));
    deployed.deliver(&events).await;
    // It is the only one that is left, so the next run compacts it itself.
    let next = deployed.function.handle(&json!({}), None).await.unwrap();
    assert_eq!((next.files, next.started), (1, 0));
    assert_eq!(deployed.units("parquet"), units);
}

#[tokio::test]
async fn an_invocation_that_fails_is_reported_and_the_next_run_starts_it_again() {
    let deployed = Deployed::new().await;
    deployed.function.handle(&json!({}), None).await.unwrap();
    let mut events = deployed.started();
    let failing = events.remove(3);
    deployed.place.http.set_plan(FaultPlan::on("PutObject", 1, Fault::AccessDenied));
    let error = deployed.function.handle(&failing, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    let [record_type, date, unit] = unit_of(&failing);
    let file = format!("data-pipeline/parquet/{record_type}/partition_date={date}/{unit}-000.parquet");
    assert!(error.message.contains(&format!("{file} (s3:PutObject)")), "{error}");
    deployed.place.http.set_plan(FaultPlan::none());
    deployed.deliver(&events[1..]).await;
    let next = deployed.function.handle(&json!({}), None).await.unwrap();
    let again = deployed.started();
    assert_eq!((next.files, next.started, again.len()), (1, 1, 1));
    deployed.deliver(&again).await;
    assert_eq!(deployed.units("parquet"), deployed.units("avro"));
}

#[tokio::test]
async fn a_unit_that_cannot_be_read_is_reported_and_holds_up_no_other() {
    let deployed = Deployed::new().await;
    let units = deployed.units("avro");
    let damaged = "data-pipeline/parquet/order/partition_date=2026-11-28/2026-11-28T11-000.parquet";
    deployed.place.objects.put_object(BUCKET, damaged, b"no Parquet file");
    let error = deployed.function.handle(&json!({}), None).await.unwrap_err();
    assert_eq!(error.message, format!("read s3://{BUCKET}/{damaged}: it is not a Parquet file"));
    let events = deployed.started();
    assert_eq!(events.len(), units.len() - 2);
    deployed.deliver(&events).await;
    assert_eq!(deployed.units("parquet"), units);
}

#[tokio::test]
async fn an_event_that_is_not_understood_changes_nothing() {
    let deployed = Deployed::new().await;
    for event in [json!({ "unit": "2026-11-28T11" }), json!({ "type": "invoice" }), json!({ "Records": [] })] {
        let error = deployed.function.handle(&event, None).await.unwrap_err();
        assert!(error.message.starts_with(&format!("read the event {event}: ")), "{error}");
    }
    assert_eq!((deployed.started().len(), deployed.units("parquet").len()), (0, 0));
}

#[tokio::test]
async fn each_part_of_a_large_day_is_proven_by_an_invocation_of_its_own() {
    let deployed = Deployed::new().await;
    let large = "data-pipeline/avro/order/partition_date=2026-11-28/2026-11-28T09-large.avro";
    deployed.place.objects.put_object(BUCKET, large, &vec![0; 40_000_000]);
    let event = json!({ "prove": { "at": "2026-11-30T10:00:00Z", "hours_ago": 26 } });
    let answer = deployed.function.handle(&event, None).await.unwrap();
    // Its own failure would have Lambda start the others again, and their hours would count twice.
    assert_eq!((answer.started, answer.hours), (3, 0));
    let parts = ["2026-11-28T08", "2026-11-28T16", "2026-11-29T00"];
    assert_eq!(deployed.started(), parts.map(|from| json!({ "prove": { "from": from, "hours": 8 } })));
}
