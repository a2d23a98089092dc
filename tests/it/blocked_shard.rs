//! How long rejected records hold up the other records of their shard: a stream, the real mapping, and the real handler, in
//! virtual time. `make rejections` prints the whole table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_source_mapping::sources::MemoryStream;
use event_source_mapping::{
    Checkpoints, Clock, Destination, Function, InvocationResult, Mapping, Settings, SourceRecord, StreamKind,
};
use laptop::emulators::{Fault, FaultPlan};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use usage_aggregator::decode;
use usage_aggregator::handler::Invocation;
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;

use crate::prefix::{order, order_of};
use crate::simulation::bench::{Bench, Release};

/// The creation time of the first record, 2026-03-01T12:00:00Z.
const START: i64 = 1_772_366_400_000_000;
const SHARD: &str = "shardId-00000000";
const ARN: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000";
/// How often records are written.
const TICK: Duration = Duration::from_millis(100);
/// How long each call of DynamoDB and S3 takes.
const CALL: Duration = Duration::from_millis(5);

/// A load on one shard, and what is deployed.
#[derive(Debug, Clone, Copy)]
struct Case {
    release: Release,
    records_per_second: usize,
    rejected: Rejected,
    retries: u32,
}

/// Which records are rejected.
#[derive(Debug, Clone, Copy)]
enum Rejected {
    /// This share of everybody's records, in percent.
    Percent(usize),
    /// All records of one customer: nine out of ten and, after the first 250, 99 out of 100.
    OfOneCustomer,
}

/// What was measured while the load ran.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Records that were acknowledged or discarded, per second.
    settled_per_second: f64,
    /// The highest age of a record when it was settled, or at the end if it wasn't.
    highest_age: Duration,
    /// The same for records directly behind a rejected one.
    behind_rejected: Duration,
}

/// The function, as the mapping invokes it.
struct Lambda {
    bench: Arc<Bench>,
    release: Release,
    clock: Clock,
    settled: Settled,
}

/// When records were settled, by position.
type Settled = Arc<Mutex<BTreeMap<usize, Instant>>>;

const FIRST_SEQUENCE_NUMBER: u128 = 100_000_000_000_000_000_000;

fn positions(event: &[u8]) -> Vec<usize> {
    let event = decode::Event::read(event).unwrap();
    let number = |raw: &decode::RawRecord<'_>| raw.sequence.as_str().parse::<u128>().unwrap();
    event.records().iter().map(|raw| usize::try_from(number(raw) - FIRST_SEQUENCE_NUMBER).unwrap()).collect()
}

fn settle(settled: &Settled, positions: &[usize]) {
    let mut settled = settled.lock().unwrap();
    for position in positions {
        settled.entry(*position).or_insert_with(Instant::now);
    }
}

#[async_trait::async_trait]
impl Function for Lambda {
    fn arn(&self) -> &str {
        "arn:aws:lambda:us-east-1:123456789012:function:usage-aggregator"
    }

    async fn invoke(&self, event: &[u8], _request_id: &str) -> InvocationResult {
        let lease = self.bench.sandbox(self.release);
        lease.sandbox.http.set_plan(FaultPlan::new(|_| Fault::Delay(CALL)));
        let invocation = Invocation { request_id: String::new(), now: self.clock.now(), deadline: None };
        let response = match lease.sandbox.handler.append(event, &invocation).await {
            Ok(outcome) => outcome.response(),
            Err(error) => return InvocationResult::FunctionError(error.to_string()),
        };
        let positions = positions(event);
        let failed = response.batch_item_failures.first().and_then(|failure| failure.item_identifier.as_deref());
        let failed =
            failed.map(|sequence| usize::try_from(sequence.parse::<u128>().unwrap() - FIRST_SEQUENCE_NUMBER).unwrap());
        let durable = positions.iter().position(|position| Some(*position) == failed).unwrap_or(positions.len());
        settle(&self.settled, &positions[..durable]);
        InvocationResult::Returned(serde_json::to_vec(&response).unwrap())
    }
}

impl Case {
    /// Every record at such a position is rejected. The first one comes early, but not first.
    fn is_rejected(self, position: usize) -> bool {
        match self.rejected {
            Rejected::Percent(0) => false,
            Rejected::Percent(percent) => position % (100 / percent) == 10 % (100 / percent),
            Rejected::OfOneCustomer if position < 250 => !position.is_multiple_of(10),
            Rejected::OfOneCustomer => !position.is_multiple_of(100),
        }
    }

    fn record(self, position: usize, created_at: Timestamp) -> SourceRecord {
        let is_rejected = self.is_rejected(position);
        let total = if is_rejected { json!({ "S": "much" }) } else { json!({ "N": "1.50" }) };
        let mut record = match self.rejected {
            Rejected::Percent(_) => order(position, &total),
            Rejected::OfOneCustomer if is_rejected => order_of("attacker", position, &total),
            Rejected::OfOneCustomer => order_of(&format!("other-{}", position % 70), position, &total),
        };
        record["dynamodb"]["ApproximateCreationDateTime"] = (created_at.micros() / 1_000_000).into();
        let sequence = SequenceNumber::parse((FIRST_SEQUENCE_NUMBER + position as u128).to_string()).unwrap();
        SourceRecord { sequence, item: position as u64, created_at, json: record.to_string() }
    }

    /// Runs the load for this long.
    fn measure(self, bench: &Arc<Bench>, duration: Duration) -> Measured {
        bench.reset();
        fastrand::seed(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(self.run(bench, duration))
    }

    async fn run(self, bench: &Arc<Bench>, duration: Duration) -> Measured {
        let started = Instant::now();
        let now =
            move || Timestamp::from_micros(START + i64::try_from(started.elapsed().as_micros()).unwrap()).unwrap();
        let clock = Clock::new(now);
        let stream = Arc::new(MemoryStream::new(StreamKind::DynamoDb, ARN));
        stream.open(SHARD, &[]);
        let settled = Settled::default();
        let lambda = Lambda {
            bench: Arc::clone(bench),
            release: self.release,
            clock: clock.clone(),
            settled: Arc::clone(&settled),
        };
        let settings = Settings {
            batch_size: 1_000,
            batching_window: Duration::from_secs(1),
            maximum_retry_attempts: Some(self.retries),
            bisect_batch_on_function_error: true,
            ..Settings::new(Duration::from_millis(250))
        };
        let checkpoints = Arc::new(Mutex::new(Checkpoints::in_memory(ARN, "blocked")));
        let source = Arc::<MemoryStream>::clone(&stream);
        let mut mapping = Mapping::new(settings, source, Arc::new(lambda), clock, checkpoints, 1);
        let (destination, mut discarded) = mpsc::unbounded_channel::<String>();
        mapping.destination = Some(Destination::Channel(destination));
        let (_stop, stopped) = watch::channel(false);
        let running = tokio::spawn(Arc::new(mapping).run(stopped));
        let received = Arc::clone(&settled);
        let receiving = tokio::spawn(async move {
            while let Some(event) = discarded.recv().await {
                settle(&received, &positions(event.as_bytes()));
            }
        });
        let mut written = Vec::new();
        while started.elapsed() < duration {
            let due = started.elapsed().as_secs_f64() * self.records_per_second as f64;
            while written.len() < due as usize {
                stream.push(SHARD, self.record(written.len(), now()));
                written.push(Instant::now());
            }
            tokio::time::sleep(TICK).await;
        }
        running.abort();
        receiving.abort();
        self.measured(&written, &settled.lock().unwrap(), duration)
    }

    fn measured(self, written: &[Instant], settled: &BTreeMap<usize, Instant>, duration: Duration) -> Measured {
        let age = |position: usize| *settled.get(&position).unwrap_or(&Instant::now()) - written[position];
        let highest = |positions: &mut dyn Iterator<Item = usize>| positions.map(age).max().unwrap_or_default();
        let mut behind =
            (1..written.len()).filter(|position| self.is_rejected(position - 1) && !self.is_rejected(*position));
        Measured {
            settled_per_second: settled.len() as f64 / duration.as_secs_f64(),
            highest_age: highest(&mut (0..written.len())),
            behind_rejected: highest(&mut behind),
        }
    }
}

fn row(case: Case, measured: Measured) -> String {
    let Case { release, records_per_second, rejected, retries } = case;
    let rejected = match rejected {
        Rejected::Percent(percent) => format!("{percent}%"),
        Rejected::OfOneCustomer => "one customer's".to_owned(),
    };
    let Measured { settled_per_second, highest_age, behind_rejected } = measured;
    let (highest, behind) = (highest_age.as_secs_f64(), behind_rejected.as_secs_f64());
    format!(
        "| {release:?} | {records_per_second} | {rejected} | {retries} | {settled_per_second:.1} | {highest:.1} s | {behind:.1} s |"
    )
}

/// With a quarantine, a shard with rejected records is as fast as one without. `REJECTIONS=SECONDS` measures every
/// case for this long.
#[test]
fn quarantined_records_hold_up_no_other_record() {
    let seconds = std::env::var("REJECTIONS").ok().map(|text| text.parse().expect("a whole number"));
    let duration = Duration::from_secs(seconds.unwrap_or(20));
    let (rates, retries): (&[usize], &[u32]) =
        if seconds.is_some() { (&[50, 500], &[0, 3, 10]) } else { (&[50], &[10]) };
    println!("| mode | records/s | rejected | retries | settled/s | highest age | behind a rejected record |");
    println!("|---|---|---|---|---|---|---|");
    let bench = Bench::with_limit("50");
    for &records_per_second in rates {
        for release in [Release::Failing, Release::Quarantining] {
            for &retries in retries {
                let measure = |rejected_percent| {
                    let rejected = Rejected::Percent(rejected_percent);
                    let case = Case { release, records_per_second, rejected, retries };
                    let measured = case.measure(&bench, duration);
                    println!("{}", row(case, measured));
                    measured
                };
                let [without, one, five] = [0, 1, 5].map(measure);
                let load = records_per_second as f64;
                assert!(without.settled_per_second > 0.9 * load, "without rejected records: {without:?}");
                for measured in [one, five] {
                    match release {
                        Release::Quarantining => {
                            assert!(measured.settled_per_second > 0.99 * without.settled_per_second, "{measured:?}");
                            assert!(measured.highest_age <= 2 * without.highest_age, "{measured:?}");
                            assert!(measured.behind_rejected <= 2 * without.highest_age, "{measured:?}");
                        }
                        _ => assert!(retries < 10 || measured.settled_per_second < 0.1 * load, "{measured:?}"),
                    }
                }
            }
        }
    }
}

/// A broken release must not move the stream into the failure bucket, although Lambda splits each batch that fails until
/// its parts are small.
#[test]
fn a_broken_release_quarantines_fewer_than_twenty_records() {
    for records_per_second in [12, 50, 500] {
        let bench = Bench::with_limit("50");
        let case =
            Case { release: Release::Quarantining, records_per_second, rejected: Rejected::Percent(100), retries: 10 };
        let measured = case.measure(&bench, Duration::from_secs(20));
        let quarantined = bench.stored().documents.len();
        assert!(quarantined < 20, "{quarantined} are quarantined: {measured:?}");
        assert!(measured.highest_age > Duration::from_secs(15), "the shard is blocked: {measured:?}");
    }
}

/// One customer who fills a shard with bad records holds up nobody, although most batches have more of them than the limit allows,
/// and many have nothing else.
#[test]
fn one_customer_with_bad_records_does_not_stop_the_shard() {
    for records_per_second in [12, 50, 500] {
        let bench = Bench::with_limit("50");
        let measure = |rejected| {
            let case = Case { release: Release::Quarantining, records_per_second, rejected, retries: 10 };
            let measured = case.measure(&bench, Duration::from_secs(30));
            println!("{}", row(case, measured));
            measured
        };
        let without = measure(Rejected::Percent(0));
        let attacked = measure(Rejected::OfOneCustomer);
        assert!(attacked.settled_per_second > 0.95 * without.settled_per_second, "{attacked:?}");
        assert!(attacked.highest_age <= 2 * without.highest_age, "{attacked:?}");
        let quarantined = bench.stored().documents.len();
        assert!(quarantined > records_per_second * 20, "only {quarantined} are quarantined");
    }
}
