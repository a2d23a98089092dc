//! Pauses between attempts: exponential with full jitter, and never past the deadline.

use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long to go on where there is no deadline.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pauses of one operation.
#[derive(Debug)]
pub struct Backoff {
    deadline: Instant,
    longest: Duration,
}

impl Backoff {
    /// Pauses until `deadline`, or for half a minute without one.
    pub fn until(deadline: Option<Instant>) -> Self {
        Backoff { deadline: deadline.unwrap_or_else(|| Instant::now() + PATIENCE), longest: FIRST_PAUSE }
    }

    /// The time left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Pauses before another attempt; false, at once, when there is no time for one.
    pub async fn pause(&mut self) -> bool {
        // A random part of the longest pause, so that writers in conflict don't come back at once.
        let pause = self.longest.mul_f64(fastrand::f64());
        self.longest = (self.longest * 2).min(LONGEST_PAUSE);
        if self.remaining() <= pause {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}
