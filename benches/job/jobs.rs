//! Our job and its stages for one batch, without I/O: read the envelope, plan (decode, route, count, encode), seal the files,
//! sum the counters. `floor` is the cost of merely scanning the bytes; `Handling` is the whole handler, including the SDK's
//! work on requests and responses, with instant responses.

use std::hint::black_box;

use laptop::emulators::instant_clients;
use serde::de::IgnoredAny;
use tokio::runtime::Runtime;
use usage_aggregator::archive::Codec;
use usage_aggregator::config::Config;
use usage_aggregator::decode::Event;
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::plan::{Plan, PlanContext, plan_event};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::totals;

use crate::workloads::Workload;

/// serde_json skipping the whole event: the baseline of all ratios.
pub fn floor(event: &[u8]) -> usize {
    black_box(serde_json::from_slice::<IgnoredAny>(event).expect("an event is JSON"));
    event.len()
}

pub fn read(event: &[u8]) -> usize {
    Event::read(event).expect("an event").records().len()
}

/// Reads and decodes every record, without a plan.
pub fn decode(event: &[u8]) -> usize {
    let event = Event::read(event).expect("an event");
    let mut scratch = Vec::new();
    for raw in event.records() {
        black_box(raw.decode(&mut scratch).expect("a record of the workload"));
    }
    event.records().len()
}

pub fn plan(event: &[u8], pipeline: &Pipeline) -> Plan {
    let (_, plan) = plan_event(event, pipeline, &PlanContext::default()).expect("an event");
    assert!(plan.rejected.is_none(), "{:?}", plan.rejected);
    plan
}

/// Everything but the calls to services. Returns the size of the files.
pub fn job(event: &[u8], pipeline: &Pipeline, codec: Codec) -> usize {
    let plan = plan(event, pipeline);
    let effects = plan.groups.iter().flat_map(|group| group.effects.iter().map(move |effect| (group, effect)));
    let snapshot = pipeline.snapshot.as_ref().expect("workloads count");
    black_box(totals(snapshot, effects).expect("small sums"));
    sealed(&plan, pipeline, codec)
}

/// Seals the files of a plan. Returns their size.
pub fn sealed(plan: &Plan, pipeline: &Pipeline, codec: Codec) -> usize {
    let seal = |(record_type, draft): (&str, &usage_aggregator::archive::FileDraft)| {
        let (_, schema) = pipeline.schemas().find(|(name, _)| *name == record_type).expect("a schema");
        draft.seal(schema, codec, "bench", usize::MAX).expect("a file").map_or(0, |file| file.body.len())
    };
    plan.files.iter().map(|((record_type, _), draft)| seal((record_type, draft))).sum()
}

/// The handler of a workload's pipeline.
pub struct Handling {
    handler: Handler,
    runtime: Runtime,
    invocation: Invocation,
}

impl Handling {
    pub fn new(workload: Workload) -> Handling {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handler = {
            let _inside = runtime.enter();
            Handler::new(config(workload, "bench", "stream"), instant_clients())
        };
        Handling { handler, runtime, invocation: invocation() }
    }

    /// Handles an event. Returns the number of durable records.
    pub fn handle(&self, event: &[u8]) -> usize {
        let outcome = self.runtime.block_on(self.handler.append(event, &self.invocation)).expect("an outcome");
        assert_eq!(outcome.durable, outcome.records, "{:?}", outcome.rejected);
        outcome.durable
    }
}

/// The function's configuration, with tables and a bucket of this name. `freshness` is the variable's value.
pub fn config(workload: Workload, name: &str, freshness: &str) -> Config {
    let folder = workload.folder().to_string_lossy().into_owned();
    let config = Config::read(|variable| match variable {
        "PIPELINE_DIR" => Some(folder.clone()),
        "USAGE_TABLE" => Some(format!("usage-{name}")),
        "LEDGER_TABLE" => Some(format!("ledger-{name}")),
        "FRESHNESS" => Some(freshness.to_owned()),
        "ARCHIVE_BUCKET" => Some(format!("archive-{name}")),
        "METRICS_SINK" => Some("none".to_owned()),
        _ => None,
    });
    config.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// An invocation in the hour after the workloads' records.
pub fn invocation() -> Invocation {
    let now = Timestamp::parse("2026-11-21T04:00:00Z").expect("a time");
    Invocation { request_id: "bench".to_owned(), now, deadline: None }
}
