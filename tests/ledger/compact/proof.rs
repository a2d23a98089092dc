//! The daily proof over the archive: it finds each record that the stream lost, each row that is gone, and each page that is gone, and
//! nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use laptop::emulators::{in_process, sdk_config};
use serde_json::{Value, json};
use tokio::time::Instant;
use usage_aggregator::config::Config;
use usage_aggregator::handler::Handler;
use usage_aggregator::time::Timestamp;
use usage_compact::{Answer, Clock, Function};

use crate::place::Place;
use crate::schedule::at;

const HOUR: i64 = 3_600;
/// 2026-11-27T22:00:00Z: two hours before the day that is proven.
const START: i64 = 1_795_816_800;

/// A change of an order: the hour after [`START`], its number, and its total before and after.
pub type Change = (i64, i64, Option<i64>, Option<i64>);

/// The functions' environment.
fn environment(more: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    const USUAL: [(&str, &str); 6] = [
        ("PIPELINE", "orders"),
        ("ARCHIVE_BUCKET", "archive"),
        ("LEDGER_TABLE", "ledger"),
        ("USAGE_TABLE", "usage"),
        ("METRICS_SINK", "none"),
        ("SOURCE_ARN", "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/1"),
    ];
    move |name| {
        let found = more.iter().chain(&USUAL).find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned()).filter(|value| !value.is_empty())
    }
}

/// The function that compacts.
fn function(place: &Place, more: &[(&str, &str)], clock: Clock) -> Function {
    let lambda = aws_sdk_lambda::Client::new(&sdk_config(None));
    let function = Function::new(environment(more), in_process::clients(place.http.client()), lambda, clock);
    function.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The function that reads the stream, and the one that compacts.
fn functions(place: &Place, more: &[(&str, &str)], clock: &Arc<AtomicI64>) -> (Handler, Function) {
    let handler = Handler::new(Config::read(environment(more)).unwrap(), in_process::clients(place.http.client()));
    let now = Arc::clone(clock);
    (handler, function(place, more, Arc::new(move || now.load(Ordering::SeqCst))))
}

pub struct Deployed {
    pub place: Place,
    handler: Handler,
    pub function: Function,
    clock: Arc<AtomicI64>,
}

impl Deployed {
    pub fn new() -> Deployed {
        Deployed::with(&[])
    }

    pub fn with(more: &[(&str, &str)]) -> Deployed {
        let place = Place::new();
        place.objects.set_time(START);
        let clock = Arc::new(AtomicI64::new(START));
        let (handler, function) = functions(&place, more, &clock);
        Deployed { handler, place, function, clock }
    }

    /// Deploys another version of the functions.
    pub fn redeploy(&mut self, more: &[(&str, &str)]) {
        (self.handler, self.function) = functions(&self.place, more, &self.clock);
    }

    /// Delivers these changes to a stack that was deployed two days before; their numbers are their sequence numbers.
    pub async fn deliver(&self, changes: &[(usize, Change)]) {
        self.compact(-48).await;
        self.deliver_only(changes).await;
    }

    /// Delivers these changes.
    pub async fn deliver_only(&self, changes: &[(usize, Change)]) {
        for (sequence, change) in changes {
            let created_at = START + change.0 * HOUR + i64::try_from(*sequence).unwrap();
            self.place.objects.set_time(created_at);
            let event = event(*sequence, created_at, *change);
            let outcome = self.handler.handle(&event, &at(created_at)).await.unwrap();
            assert!(outcome.response().batch_item_failures.is_empty(), "{outcome:?}");
        }
    }

    /// Compacts what is due at this hour after the start.
    pub async fn compact(&self, hour: i64) {
        self.clock.store(START + hour * HOUR, Ordering::SeqCst);
        self.place.objects.set_time(START + hour * HOUR);
        self.function.handle(&json!({}), None).await.unwrap();
    }

    /// Proves the day from two hours after the start on, as the schedule does.
    async fn prove(&self) -> Answer {
        let now = START + (2 + 24 + 26) * HOUR;
        self.clock.store(now, Ordering::SeqCst);
        let time = Timestamp::from_seconds(now + 61).unwrap().to_string();
        self.function.handle(&json!({ "prove": { "at": time, "hours_ago": 26 } }), None).await.unwrap()
    }

    /// Proves the five hours with changes. Differences and unlinked records.
    pub async fn proven(&self) -> [usize; 2] {
        let [hours, differences, unlinked] = self.proven_by(None).await;
        assert_eq!(hours, 5);
        [differences, unlinked]
    }

    /// The same until a deadline, with the hours that were proven.
    pub async fn proven_by(&self, deadline: Option<Instant>) -> [usize; 3] {
        self.clock.store(START + 52 * HOUR, Ordering::SeqCst);
        let event = json!({ "prove": { "from": "2026-11-28T00", "hours": 5 } });
        let Answer { hours, differences, unlinked, .. } = self.function.handle(&event, deadline).await.unwrap();
        [hours, differences, unlinked]
    }

    /// Takes the page of the last change out of the ledger, and returns it.
    pub fn take_page(&self) -> crate::place::Item {
        let is_last = |item: &crate::place::Item| {
            let key = item["pk"].as_s().unwrap();
            key.starts_with("p#") && key.contains("#2026-11-28T04:00")
        };
        let page = self.place.items("ledger").into_iter().find(is_last).unwrap();
        self.place.delete("ledger", page["pk"].as_s().unwrap(), page["sk"].as_s().unwrap());
        page
    }

    pub fn files(&self, start: &str) -> Vec<String> {
        let keys = self.place.objects.bucket("archive").into_keys();
        keys.filter(|key| key.contains("/order/") && key.contains(start)).collect()
    }
}

fn event(sequence: usize, created_at: i64, (_, number, before, after): Change) -> Vec<u8> {
    let image = |total: i64| {
        json!({
            "pk": {"S": "CUSTOMER#a"}, "sk": {"S": format!("ORDER#{number}")}, "status": {"S": "NEW"},
            "currency": {"S": "EUR"}, "total": {"N": total.to_string()}, "ordered_at": {"S": "2026-11-27T08:00:00Z"},
            "ship_on": {"S": format!("2026-12-0{}", number % 3 + 1)}, "express": {"BOOL": false},
            "address": {"M": {"street": {"S": "x"}, "city": {"S": "x"}, "country": {"S": "DE"}}},
            "labels": {"M": {}}, "lines": {"L": []},
        })
    };
    let name = match (before, after) {
        (None, _) => "INSERT",
        (_, None) => "REMOVE",
        _ => "MODIFY",
    };
    let mut dynamodb = json!({
        "ApproximateCreationDateTime": created_at, "SequenceNumber": (1_000 + sequence).to_string(),
        "Keys": {"pk": {"S": "CUSTOMER#a"}, "sk": {"S": format!("ORDER#{number}")}},
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    for (image, name) in [(before.map(image), "OldImage"), (after.map(image), "NewImage")] {
        if let (Some(image), Some(fields)) = (image, dynamodb.as_object_mut()) {
            fields.insert(name.to_owned(), image);
        }
    }
    let record = json!({
        "eventID": sequence.to_string(), "eventName": name, "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/1", "dynamodb": dynamodb,
    });
    json!({ "Records": [record] }).to_string().into_bytes()
}

/// Two orders from before the day, of which one is removed and inserted again, and one that lives within it.
pub fn changes() -> Vec<(usize, Change)> {
    let changes = [
        (0, 1, None, Some(10)),
        (1, 2, None, Some(20)),
        (2, 3, None, Some(30)),
        (3, 1, Some(10), Some(11)),
        (3, 1, Some(11), Some(12)),
        (4, 2, Some(20), None),
        (5, 2, None, Some(22)),
        (5, 3, Some(30), Some(33)),
        (6, 3, Some(33), None),
        (6, 1, Some(12), Some(13)),
    ];
    changes.into_iter().enumerate().collect()
}

/// The same without the changes with these numbers.
pub fn without(lost: &[usize]) -> Vec<(usize, Change)> {
    changes().into_iter().filter(|(number, _)| !lost.contains(number)).collect()
}

#[test]
fn the_function_starts_with_every_place_for_metrics() {
    // The template gives all functions the same value, and this one has no OpenTelemetry.
    for sink in ["emf", "cloudwatch", "otlp", "none"] {
        function(&Place::new(), &[("METRICS_SINK", sink)], Arc::new(|| START));
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_is_proven_from_raw_and_compacted_files_and_the_rows_before_it() {
    let deployed = Deployed::new();
    deployed.deliver(&changes()).await;
    assert_eq!(deployed.proven().await, [0, 0], "raw files only");
    deployed.compact(5).await;
    assert!(!deployed.files("/parquet/").is_empty() && !deployed.files("/avro/").is_empty());
    assert_eq!(deployed.proven().await, [0, 0], "some hours are compacted, and have both");
    deployed.compact(40).await;
    deployed.compact(40 + 25).await;
    assert!(deployed.files("/avro/").is_empty());
    let Answer { hours, differences, unlinked, started, .. } = deployed.prove().await;
    assert_eq!([hours, differences, unlinked, started], [24, 0, 0, 0], "Parquet files only, and the whole day");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_stream_lost_is_found_by_the_change_after_it() {
    for (lost, what) in [
        (3, "an update, after which an order was updated again in the same hour"),
        (4, "an update, after which it was updated in another hour"),
        (5, "a removal, after which the order was inserted again"),
        (6, "an insertion; the order isn't changed any more"),
        (7, "an update, after which the order was removed"),
    ] {
        let deployed = Deployed::new();
        deployed.deliver(&without(&[lost])).await;
        let expected = usize::from(lost != 6);
        assert_eq!(deployed.proven().await, [expected, 0], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_and_pages_that_are_gone_are_found() {
    let deployed = Deployed::new();
    deployed.deliver(&changes()).await;
    // The last change of the day.
    let file = deployed.files("2026-11-28T04").pop().unwrap();
    let body = deployed.place.objects.bucket("archive")[&file].clone();
    let s3 = in_process::clients(deployed.place.http.client()).s3;
    s3.delete_object().bucket("archive").key(&file).send().await.unwrap();
    assert_eq!(deployed.proven().await, [1, 0]);
    deployed.place.objects.put_object("archive", &file, &body);
    deployed.take_page();
    assert_eq!(deployed.proven().await, [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn hours_whose_pages_may_have_expired_or_that_cannot_be_read_are_not_counted_as_proven() {
    let deployed = Deployed::new();
    deployed.deliver(&changes()).await;
    deployed.place.objects.put_object("archive", &deployed.files("2026-11-28T01").pop().unwrap(), b"damaged");
    let some = json!({ "prove": { "from": "2026-11-28T00", "hours": 3 } });
    deployed.clock.store(START + 52 * HOUR, Ordering::SeqCst);
    let error = deployed.function.handle(&some, None).await.unwrap_err();
    assert!(error.message.starts_with("read s3://archive/data-pipeline/avro/order/"), "{error}");
    // In a year, no page is left.
    deployed.clock.store(START + 365 * 24 * HOUR, Ordering::SeqCst);
    assert_eq!(deployed.function.handle(&some, None).await.unwrap(), Answer::default());
}

#[tokio::test(start_paused = true)]
async fn rows_that_do_not_fit_into_memory_are_compared_in_several_passes() {
    // A quarter of a megabyte has fewer than 500 rows.
    let deployed = Deployed::with(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1")]);
    let mut changes: Vec<(usize, Change)> = Vec::new();
    for number in 0..500 {
        changes.push((changes.len(), (2, number, None, Some(1))));
        if number % 2 == 0 {
            changes.push((changes.len(), (2, number, Some(1), Some(2))));
        }
    }
    deployed.deliver(&changes).await;
    let [differences, unlinked] = deployed.proven().await;
    assert_eq!(differences, 0);
    // Of items that could not be remembered.
    assert!(unlinked < 250, "{unlinked}");
}

/// Prints how fast an hour is proven: PROOF_RECORDS (2,000 by default) orders of an hour, a third of them changed once.
#[tokio::test]
async fn a_large_hour_is_proven_and_measured() {
    let records: usize = std::env::var("PROOF_RECORDS").map_or(2_000, |text| text.parse().unwrap());
    let deployed = Deployed::with(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "2048")]);
    for first in (0..records).step_by(1_000) {
        let numbers = first..records.min(first + 1_000);
        let changes = numbers.map(|record| {
            let number = i64::try_from(record / 4 * 3 + record % 4 % 3).unwrap();
            let (before, after) = if record % 4 == 3 { (Some(1), 2) } else { (None, 1) };
            let at = START + 2 * HOUR + i64::try_from(record * 3_600 / records).unwrap();
            let event: Value = serde_json::from_slice(&event(record, at, (2, number, before, Some(after)))).unwrap();
            event["Records"][0].clone()
        });
        let event = json!({ "Records": changes.collect::<Vec<_>>() }).to_string();
        let outcome = deployed.handler.handle(event.as_bytes(), &at(START + 3 * HOUR)).await.unwrap();
        assert!(outcome.response().batch_item_failures.is_empty(), "{outcome:?}");
    }
    deployed.place.objects.set_time(START + 3 * HOUR);
    deployed.compact(28).await;
    deployed.compact(55).await;
    let bytes: usize = deployed.place.objects.bucket("archive").values().map(|body| body.len()).sum();
    deployed.clock.store(START + 52 * HOUR, Ordering::SeqCst);
    let started = std::time::Instant::now();
    let event = json!({ "prove": { "from": "2026-11-28T00", "hours": 1 } });
    let answer = deployed.function.handle(&event, None).await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!((answer.hours, answer.differences), (1, 0));
    println!(
        "{records} records in {bytes} bytes of Parquet: proven in {seconds:.2} s, {:.0} records/s, unlinked {}",
        records as f64 / seconds,
        answer.unlinked
    );
}
