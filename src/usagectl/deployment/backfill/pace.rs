//! The rate that a command keeps to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Holds back what would be more than a number of records per second.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    /// 0 for no limit.
    per_second: u32,
    taken: AtomicU64,
}

impl Pace {
    /// Starts now, with this many records per second, or 0 for no limit.
    pub(super) fn new(per_second: u32) -> Pace {
        Pace { start: Instant::now(), per_second, taken: AtomicU64::new(0) }
    }

    /// Waits until these records may be written.
    pub(super) async fn take(&self, records: usize) {
        if self.per_second == 0 {
            return;
        }
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        let before = self.taken.fetch_add(records, Ordering::Relaxed);
        let due_ms = before.saturating_mul(1_000) / u64::from(self.per_second);
        tokio::time::sleep_until(self.start + Duration::from_millis(due_ms)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_across_batches() {
        let pace = Pace::new(100);
        for _ in 0..11 {
            pace.take(50).await;
        }
        assert_eq!(Instant::now() - pace.start, Duration::from_secs(5));
        let unlimited = Pace::new(0);
        unlimited.take(1_000_000).await;
        assert_eq!(Instant::now(), unlimited.start);
    }
}
