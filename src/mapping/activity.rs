//! What a mapping is doing now, for a display: the shards that it reads, and the batch that each lane delivers.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::progress::{RunProgress, Runs};

/// A shard that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardActivity {
    /// The shard.
    pub shard: String,
    /// How many mappings read it: two while a copy of the mapping runs.
    pub readers: usize,
    /// Records that were read and are not settled.
    pub unsettled_records: u64,
    /// Whether the shard has more records, which are not read because the lanes are full.
    pub more_unread: bool,
    /// The lanes that deliver a batch, or that a batch blocks. The others are idle.
    pub lanes: Vec<LaneActivity>,
}

/// A lane that isn't idle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneActivity {
    /// Its number within the shard.
    pub lane: usize,
    /// The batch that the function is invoked with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivering: Option<Delivering>,
    /// Whether a batch that failed is delivered again.
    pub is_blocked: bool,
}

/// A batch that the function is invoked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Delivering {
    /// Its records.
    pub records: u64,
    /// How often it was delivered before.
    pub retries: u32,
}

impl Runs {
    /// What each shard that is read is doing.
    pub(crate) fn activity(&self) -> Vec<ShardActivity> {
        let activity = |(shard, run): (&str, &RunProgress)| ShardActivity {
            shard: shard.to_owned(),
            readers: self.readers(shard),
            unsettled_records: run.unsettled_records,
            more_unread: run.more_unread,
            lanes: lanes(run),
        };
        self.ahead().into_iter().map(activity).collect()
    }
}

fn lanes(run: &RunProgress) -> Vec<LaneActivity> {
    let busy: BTreeSet<usize> = run.delivering.keys().chain(run.blocked.keys()).copied().collect();
    let lane = |lane| LaneActivity {
        lane,
        delivering: run.delivering.get(&lane).copied(),
        is_blocked: run.blocked.contains_key(&lane),
    };
    busy.into_iter().map(lane).collect()
}
