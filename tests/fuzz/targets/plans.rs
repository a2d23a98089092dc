//! The plan of an event: the same event makes the same pages and files.

use std::sync::LazyLock;

use usage_aggregator::ledger::pages;
use usage_aggregator::pipeline::{Pipeline, shipped, shipped_names};
use usage_aggregator::plan::{Plan, PlanContext, plan_event};

static PIPELINES: LazyLock<Vec<Pipeline>> = LazyLock::new(|| {
    shipped_names().into_iter().filter_map(shipped).filter_map(|folder| Pipeline::parse(&folder).ok()).collect()
});
static CONTEXT: LazyLock<PlanContext> = LazyLock::new(PlanContext::default);

/// An event, for one of the built-in pipelines, which its length chooses.
pub(crate) fn plan(data: &[u8]) {
    let pipelines = &*PIPELINES;
    let pipeline = &pipelines[data.len() % pipelines.len()];
    let Ok((event, plan)) = plan_event(data, pipeline, &CONTEXT) else { return };
    assert!(plan.records <= event.records().len());
    let Ok((_, again)) = plan_event(data, pipeline, &CONTEXT) else { panic!("it was planned before") };
    assert_eq!(written(&plan), written(&again));
    assert_eq!((plan.rejected, plan.quarantined, plan.tally), (again.rejected, again.quarantined, again.tally));
}

/// The names and positions of what is written.
fn written(plan: &Plan) -> (Vec<(u64, Vec<usize>)>, Vec<String>) {
    let pages = pages(&plan.groups, 1, 8).into_iter().map(|page| (page.name, page.records)).collect();
    (pages, plan.files.keys().map(|key| format!("{key:?}")).collect())
}
