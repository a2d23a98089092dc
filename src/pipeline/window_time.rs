//! Event time: the attribute that decides in which windows a record counts.

use super::Pipeline;
use crate::time::{DAY_SECONDS, Unit};

/// The attribute that decides in which windows a record counts. Its page is still that of its creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowTime {
    /// The path of the attribute.
    pub path: String,
    /// The unit of a number.
    pub unit: Unit,
    /// By how many seconds the time may be before the creation of the record.
    pub late_seconds: i64,
    /// By how many seconds it may be after the creation of the record.
    pub early_seconds: i64,
    /// What happens to a record whose time is beyond that.
    pub beyond: Beyond,
}

/// What happens to a record whose time is too far from its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// It is rejected.
    Reject,
    /// It counts in the windows of its creation.
    CreationTime,
}

impl Pipeline {
    /// The days by which a record may be later than the windows that it counts in, rounded up.
    pub fn late_days(&self) -> i64 {
        let late = self.routes.iter().filter_map(|route| Some(route.window_time.as_ref()?.late_seconds));
        late.max().map_or(0, |seconds| (seconds + DAY_SECONDS - 1) / DAY_SECONDS)
    }

    /// The seconds by which a record may be earlier than the windows that it counts in.
    pub fn early_seconds(&self) -> i64 {
        let early = self.routes.iter().filter_map(|route| Some(route.window_time.as_ref()?.early_seconds));
        early.max().unwrap_or(0)
    }
}
