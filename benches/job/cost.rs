//! What a batch costs in DynamoDB and S3, worked out from its plan by AWS's rules, beside what people write: one UpdateItem
//! for each delta and window.

use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::plan::Plan;
use usage_aggregator::usage::totals;

/// 1 KB: a write unit's size; in a transaction each counts twice.
const UNIT_BYTES: usize = 1_024;
const IN_TRANSACTION: usize = 2;
/// Names and values of a claim item besides its ids (src/usage/claim.rs): key 57, format 7, version 9, ids 3, expiry 16.
const CLAIM_BYTES: usize = 92;
const ID_BYTES: usize = 8;

/// The write units and PUTs of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub ours: usize,
    pub one_by_one: usize,
    pub puts: usize,
}

pub fn of(plan: &Plan, pipeline: &Pipeline) -> Cost {
    let snapshot = pipeline.snapshot.as_ref().expect("workloads count");
    let effects = plan.groups.iter().flat_map(|group| group.effects.iter().map(move |effect| (group, effect)));
    // A snapshot item is far below 1 KB.
    let snapshots = totals(snapshot, effects).expect("small sums").len();
    let claim_units = |ids: usize| (CLAIM_BYTES + ID_BYTES * ids).div_ceil(UNIT_BYTES);
    let claims: usize = plan.groups.iter().map(|group| claim_units(group.effects.len())).sum();
    let deltas: usize = plan.groups.iter().flat_map(|group| &group.effects).map(|effect| effect.amounts.len()).sum();
    Cost {
        ours: IN_TRANSACTION * (snapshots + claims),
        one_by_one: deltas * snapshot.windows.len(),
        puts: plan.files.len(),
    }
}
