//! `usagectl bench`: times the whole handler on one event, with instant responses from the services, until the figure is
//! stable. It prints JSON, so that it can be compared with other implementations.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use laptop::emulators::instant_clients;
use serde_json::{Value, json};
use usage_aggregator::config::Config;
use usage_aggregator::decode::Event;
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::plan::Plan;

use crate::event::invoke::time_of;
use crate::event::read_event;
use crate::shell::console::{self, Done};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::{Sample, Variables};

/// Time the function on an event, with instant responses from all services
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    /// File with a Lambda event from DynamoDB Streams or Kinesis; `-` reads it from stdin
    #[arg(value_name = "EVENT.json")]
    event: PathBuf,
    /// Codec for the archived files (or set ARCHIVE_CODEC)
    #[arg(long, value_name = "CODEC")]
    codec: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl bench events/batch-1000.json
  usagectl bench --codec null --json events/batch-1000.json | jq .us_per_record

Stages are in microseconds per record: `read` the envelope, `plan` (decode, route, count, encode),
`seal` the files, and `commit`, which is the rest: the SDK's work on requests and responses. If the
pipeline has indicators, that includes three requests for each target, none of which has items.
Neither network nor disk is used. Build with optimization:
  cargo run --profile soak -- bench events/batch-1000.json";

/// Medians of fewer rounds vary too much.
const MINIMUM_ROUNDS: usize = 20;
const MINIMUM_TIME: Duration = Duration::from_secs(1);
const MAXIMUM_TIME: Duration = Duration::from_secs(20);
/// How far apart the medians of earlier and later rounds may be for the figure to be stable.
const STABLE_WITHIN: f64 = 0.02;

impl Bench {
    /// Times the event and prints the result.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        if cfg!(debug_assertions) {
            console::note("note: this is a debug build, so its figures are meaningless; see `usagectl bench --help`");
        }
        let bytes = read_event(&self.event)?;
        let sample = Sample::of(&bytes);
        let mut variables = Variables::new(options, &sample).with_metrics_sink("none");
        if let Some(codec) = &self.codec {
            variables = variables.with_codec(codec);
        }
        let now = time_of(None, &sample, &self.event)?;
        let invocation = Invocation { request_id: "bench".to_owned(), now, deadline: None };
        let subject =
            Subject { files: variables.config()?, handler: Handler::new(variables.config()?, instant_clients()) };
        let result = subject.measure(&bytes, &invocation).await?;
        let shown = if options.json { result.to_string() } else { serde_json::to_string_pretty(&result)? };
        console::print(&shown)?;
        Ok(Done::Well)
    }
}

/// The handler being measured.
struct Subject {
    handler: Handler,
    /// Its configuration, for sealing files.
    files: Config,
}

/// Seconds of each round, by stage.
type Times = BTreeMap<&'static str, Vec<f64>>;

impl Subject {
    async fn measure(&self, bytes: &[u8], invocation: &Invocation) -> anyhow::Result<Value> {
        let outcome = self.handler.append(bytes, invocation).await?;
        if let Some(rejection) = outcome.rejected.first() {
            bail!("time this event, because not all of it can be processed: {rejection}");
        }
        if outcome.records == 0 {
            bail!("time this event, because it has no records");
        }
        let output_bytes: usize = outcome.files.iter().map(|file| file.bytes).sum();
        let times = self.rounds(bytes, invocation).await?;
        Ok(result_json(&times, outcome.records, bytes.len(), output_bytes))
    }

    async fn rounds(&self, bytes: &[u8], invocation: &Invocation) -> anyhow::Result<Times> {
        let mut times = Times::new();
        let started = Instant::now();
        loop {
            self.round(bytes, invocation, &mut times).await?;
            let whole = times.get("whole").map(Vec::as_slice).unwrap_or_default();
            let enough = whole.len() >= MINIMUM_ROUNDS && started.elapsed() >= MINIMUM_TIME;
            if (enough && is_stable(whole)) || started.elapsed() >= MAXIMUM_TIME {
                return Ok(times);
            }
        }
    }

    async fn round(&self, bytes: &[u8], invocation: &Invocation, times: &mut Times) -> anyhow::Result<()> {
        let mut clock = Instant::now();
        let mut lap = |stage| {
            times.entry(stage).or_default().push(clock.elapsed().as_secs_f64());
            clock = Instant::now();
        };
        black_box(self.handler.append(bytes, invocation).await?);
        lap("whole");
        black_box(Event::read(bytes)?);
        lap("read");
        let (_, plan) = self.handler.plan(bytes, invocation.now)?;
        lap("planned");
        self.seal(&plan)?;
        lap("seal");
        Ok(())
    }

    fn seal(&self, plan: &Plan) -> anyhow::Result<()> {
        let Some(place) = &self.files.archive else { return Ok(()) };
        for ((record_type, _), draft) in &plan.files {
            if let Some((_, schema)) = self.files.pipeline.schemas().find(|(name, _)| name == record_type) {
                black_box(draft.seal(schema, place.codec, &place.prefix, plan.records)?);
            }
        }
        Ok(())
    }
}

fn is_stable(times: &[f64]) -> bool {
    let (earlier, later) = times.split_at(times.len() / 2);
    let (earlier, later) = (median(earlier), median(later));
    (earlier - later).abs() <= STABLE_WITHIN * later
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn result_json(times: &Times, records: usize, bytes: usize, output_bytes: usize) -> Value {
    let seconds = |stage| times.get(stage).map_or(0.0, |times| median(times));
    // A batch has at most 10,000 records and 6 MB (Lambda limits), far below u32::MAX.
    let float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let micros = |seconds: f64| round(seconds * 1e6 / float(records), 3);
    let whole = seconds("whole");
    // Planning reads the event itself.
    let plan = (seconds("planned") - seconds("read")).max(0.0);
    let commit = (whole - seconds("planned") - seconds("seal")).max(0.0);
    json!({
        "records": records,
        "bytes": bytes,
        "records_per_second": round(float(records) / whole, 0),
        "us_per_record": micros(whole),
        "mb_per_second": round(float(bytes) / whole / 1e6, 1),
        "stages": {
            "read": micros(seconds("read")),
            "plan": micros(plan),
            "seal": micros(seconds("seal")),
            "commit": micros(commit),
        },
        "output_bytes": output_bytes,
    })
}

fn round(value: f64, digits: i32) -> f64 {
    let power = 10_f64.powi(digits);
    (value * power).round() / power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_medians_and_commit_is_the_rest() {
        let times = Times::from([
            ("whole", vec![0.009, 0.010, 5.0]),
            ("read", vec![0.001; 3]),
            ("planned", vec![0.005; 3]),
            ("seal", vec![0.002; 3]),
        ]);
        let expected = json!({
            "records": 1000, "bytes": 700_000, "records_per_second": 100_000.0, "us_per_record": 10.0, "mb_per_second": 70.0,
            "stages": { "read": 1.0, "plan": 4.0, "seal": 2.0, "commit": 3.0 }, "output_bytes": 60_000,
        });
        assert_eq!(result_json(&times, 1_000, 700_000, 60_000), expected);
    }

    #[test]
    fn a_figure_is_stable_once_its_halves_agree() {
        assert!(is_stable(&[1.0, 1.01, 9.0, 1.0, 1.01, 1.0]));
        assert!(!is_stable(&[2.0, 2.0, 2.0, 1.0, 1.0, 1.0]));
    }
}
