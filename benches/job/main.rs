//! `make bench`: compares our job with typical implementations and with the floor, on seeded workloads. All implementations
//! take turns, round after round, and the medians of one run are compared, so that a noisy machine slows all of them alike. A
//! turn is several jobs, the first of them untimed, because a warm function has its processor to itself.
//!
//! With `once WORKLOAD` it only runs that workload's job `JOBS` times, on `RECORDS` records, for callgrind; with
//! `handle WORKLOAD`, the whole handler. With `write FOLDER` it writes the workloads' events there, for implementations
//! elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::too_many_lines,
    unreachable_pub
)]

mod cost;
mod jobs;
mod processes;
mod rivals;
mod straightforward;
mod workloads;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use usage_aggregator::archive::Codec;
use workloads::Workload;

/// Rounds take several minutes, so that noise on the machine affects all implementations alike.
const ROUNDS: usize = 30;
/// How long a turn lasts, unless a single job takes longer.
const TURN: Duration = Duration::from_millis(20);
/// The records and entities of the main table's batches.
const RECORDS: usize = 1_000;
const ENTITIES: usize = 50;

/// A name, and what is timed. Its result only keeps the compiler from removing the work.
type Rival<'r> = (&'static str, Box<dyn FnMut() -> usize + 'r>);

fn main() {
    // cargo bench passes --bench.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [word, name] = words.as_slice()
        && (word == "once" || word == "handle")
    {
        return once(name, word == "handle");
    }
    if let [word, folder] = words.as_slice()
        && word == "write"
    {
        return Workload::ALL.into_iter().for_each(|workload| drop(processes::event_file(workload, Path::new(folder))));
    }
    println!("{RECORDS} records of {ENTITIES} entities, medians of {ROUNDS} interleaved rounds.\n");
    println!("{}", Row::SUMMARY);
    let rows: Vec<Row> = Workload::ALL.into_iter().map(Row::measure).collect();
    rows.iter().for_each(|row| println!("{}", row.summary()));
    println!("\nWhere the time goes, µs per record:\n\n{}", Row::TIMES);
    rows.iter().for_each(|row| println!("{}", row.times()));
    println!("\nThe job (zstandard) by batch size, µs per record:\n");
    println!("| workload | 1 | 100 | 1,000 | most | 1,000 -> most | 100 -> most |\n|---|---|---|---|---|---|---|");
    Workload::ALL.into_iter().for_each(|workload| println!("{}", by_batch(workload)));
    println!("\nThe job (zstandard) of {RECORDS} records by entities in the batch, µs per record:\n");
    println!("| workload | 1 | 10 | 50 | 500 | 5,000 |\n|---|---|---|---|---|---|");
    Workload::ALL.into_iter().for_each(|workload| println!("{}", by_entities(workload)));
    println!(
        "\nPer million records in batches of {RECORDS}, with the capacity that the embedded DynamoDB reports as consumed; GB-s of compute:\n"
    );
    println!(
        "| workload | records per entity | append | append and fold | one by one | ours / theirs | read units | PUTs | GB-s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let till = cost::Till::open();
    for workload in [Workload::Bucket, Workload::Demand, Workload::Racer] {
        [1, 10, 100, 1_000].into_iter().for_each(|each| println!("{}", cost_of(&till, workload, each)));
    }
}

/// The cost per million records in batches with `records_each` records per entity.
fn cost_of(till: &cost::Till, workload: Workload, records_each: usize) -> String {
    let event = workload.event(RECORDS, RECORDS / records_each);
    let cost = till.bill(workload, &event, &format!("{}-{records_each}", workload.name()));
    let handler = jobs::Handling::new(workload);
    let times = medians(vec![("handler", Box::new(|| handler.handle(&event)))]);
    // Lambda gives a function of 1,769 MB one core; with less memory it takes longer but uses as many GB-s.
    let gb_seconds = micros(times["handler"], RECORDS) * 1.769;
    let million = |units: f64| units * 1e6 / RECORDS as f64;
    format!(
        "| {} | {records_each} | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} | {gb_seconds:.1} |",
        workload.name(),
        million(cost.append_units),
        million(cost.write_units),
        million(cost.one_by_one),
        cost.write_units / cost.one_by_one,
        million(cost.read_units),
        million(cost.puts as f64),
    )
}

/// Runs only the job, or only the whole handler. The instructions of one job are the difference between a run of many and a
/// run of none.
fn once(name: &str, whole: bool) {
    let workload = Workload::ALL.into_iter().find(|workload| workload.name() == name);
    let workload = workload.unwrap_or_else(|| panic!("no workload {name}"));
    let jobs: usize = std::env::var("JOBS").map_or(5, |jobs| jobs.parse().expect("JOBS is a number"));
    // One record shows the fixed cost of a batch.
    let records: usize =
        std::env::var("RECORDS").map_or(RECORDS, |records| records.parse().expect("RECORDS is a number"));
    let (event, pipeline) = (workload.event(records, ENTITIES), workload.pipeline());
    let handling = whole.then(|| jobs::Handling::new(workload));
    for _ in 0..jobs {
        black_box(match &handling {
            Some(handling) => handling.handle(&event),
            None => jobs::job(&event, &pipeline, Codec::Zstandard),
        });
    }
    println!("{}", processes::own_peak_kib());
}

/// A workload's row in the tables.
struct Row {
    workload: Workload,
    bytes: f64,
    /// Microseconds per record, by implementation; none if it isn't installed.
    times: BTreeMap<&'static str, f64>,
    /// Instructions per record, if valgrind is installed.
    instructions: Option<u64>,
    peak_kib: u64,
}

impl Row {
    const SUMMARY: &str = "\
| workload | records/s | MB/s | peak KiB | instructions/record | null / JSON skipped | null / floor | typical Rust / ours | typical Rust, zstandard / ours | Node / ours | Python / ours |
|---|---|---|---|---|---|---|---|---|---|---|";
    const TIMES: &str = "\
| workload | bytes | JSON skipped | Avro written | read | decode | plan | job: null | zstandard | deflate | snappy | handler | typical Rust | typical Rust, zstandard | Node | Python |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

    fn measure(workload: Workload) -> Row {
        let (event, pipeline) = (workload.event(RECORDS, ENTITIES), workload.pipeline());
        let (event, pipeline) = (event.as_slice(), &pipeline);
        let schema = pipeline.schemas().next().map(|(_, schema)| schema.parsed()).expect("a schema");
        let file = processes::event_file(workload, &processes::folder());
        let rows = straightforward::Rows::of(workload, event);
        let handler = jobs::Handling::new(workload);
        let job = |codec: Codec| Box::new(move || jobs::job(event, pipeline, codec));
        let mut rivals: Vec<Rival<'_>> = vec![
            ("skipped", Box::new(|| jobs::floor(event))),
            ("written", Box::new(|| rows.write(schema))),
            ("read", Box::new(|| jobs::read(event))),
            ("decode", Box::new(|| jobs::decode(event))),
            ("plan", Box::new(|| jobs::plan(event, pipeline).records)),
            ("null", job(Codec::Null)),
            ("zstandard", job(Codec::Zstandard)),
            ("deflate", job(Codec::Deflate)),
            ("snappy", job(Codec::Snappy)),
            ("handler", Box::new(|| handler.handle(event))),
            ("typical", Box::new(|| straightforward::job(workload, schema, event, straightforward::deflate()))),
            (
                "typical zstandard",
                Box::new(|| straightforward::job(workload, schema, event, straightforward::zstandard())),
            ),
        ];
        let others =
            [("node", rivals::Rival::node(workload, &file)), ("python", rivals::Rival::python(workload, &file))];
        for (name, rival) in others {
            rivals.extend(rival.map(|mut rival| -> Rival<'_> { (name, Box::new(move || rival.run())) }));
        }
        let times = medians(rivals).into_iter().map(|(name, time)| (name, micros(time, RECORDS))).collect();
        let bytes = event.len() as f64 / RECORDS as f64;
        let instructions = processes::instructions(workload, RECORDS as u64);
        Row { workload, bytes, times, instructions, peak_kib: processes::peak_kib(workload) }
    }

    fn times(&self) -> String {
        let names = [
            "skipped",
            "written",
            "read",
            "decode",
            "plan",
            "null",
            "zstandard",
            "deflate",
            "snappy",
            "handler",
            "typical",
            "typical zstandard",
            "node",
            "python",
        ];
        let time = |name: &&str| self.times.get(*name).map_or("-".to_owned(), |time| format!("{time:.2}"));
        format!(
            "| {} | {:.0} | {} |",
            self.workload.name(),
            self.bytes,
            names.iter().map(time).collect::<Vec<_>>().join(" | ")
        )
    }

    fn summary(&self) -> String {
        let job = self.times["zstandard"];
        let (null, skipped) = (self.times["null"], self.times["skipped"]);
        let ratio = |name: &str| self.times.get(name).map_or("-".to_owned(), |time| format!("{:.1}", time / job));
        format!(
            "| {} | {:.0} | {:.0} | {} | {} | {:.2} | {:.2} | {} | {} | {} | {} |",
            self.workload.name(),
            1e6 / job,
            self.bytes / job,
            self.peak_kib,
            self.instructions.map_or("-".to_owned(), |count| count.to_string()),
            null / skipped,
            null / (skipped + self.times["written"]),
            ratio("typical"),
            ratio("typical zstandard"),
            ratio("node"),
            ratio("python"),
        )
    }
}

fn by_batch(workload: Workload) -> String {
    let events = [1, 100, 1_000, 10_000].map(|records| workload.event(records, ENTITIES));
    let times = job_times(workload, &events);
    let (to_most, from_100) = (times[3] / times[2], times[3] / times[1]);
    format!("| {} | {} | {to_most:.2} | {from_100:.2} |", workload.name(), shown(&times))
}

fn by_entities(workload: Workload) -> String {
    let events = [1, 10, 50, 500, 5_000].map(|entities| workload.event(RECORDS, entities));
    format!("| {} | {} |", workload.name(), shown(&job_times(workload, &events)))
}

/// Microseconds per record of the job on each of these events.
fn job_times(workload: Workload, events: &[Vec<u8>]) -> Vec<f64> {
    const NAMES: [&str; 5] = ["0", "1", "2", "3", "4"];
    let pipeline = &workload.pipeline();
    let mut rivals: Vec<Rival<'_>> = Vec::new();
    for (name, event) in NAMES.into_iter().zip(events) {
        rivals.push((name, Box::new(|| jobs::job(event, pipeline, Codec::Zstandard))));
    }
    let medians = medians(rivals);
    NAMES.iter().zip(events).map(|(name, event)| micros(medians[name], jobs::read(event))).collect()
}

fn shown(times: &[f64]) -> String {
    times.iter().map(|time| format!("{time:.2}")).collect::<Vec<_>>().join(" | ")
}

fn micros(time: Duration, records: usize) -> f64 {
    time.as_secs_f64() * 1e6 / records as f64
}

/// The median time of each implementation's job, over rounds in which each has one turn.
fn medians(mut rivals: Vec<Rival<'_>>) -> BTreeMap<&'static str, Duration> {
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (name, run) in &mut rivals {
            black_box(run());
            let turn = Instant::now();
            while turn.elapsed() < TURN {
                let started = Instant::now();
                black_box(run());
                times.entry(name).or_default().push(started.elapsed());
            }
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    times.into_iter().map(|(name, times)| (name, median(times))).collect()
}
