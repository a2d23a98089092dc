//! Retries of one operation: exponential backoff with full jitter, never past the deadline.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long to keep trying when there is no deadline.
const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(30);
/// Longest time for one attempt, so that a stalled connection leaves time for another attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

tokio::task_local! {
    /// The number of the attempt that is being made.
    static ATTEMPT: u32;
}

/// The number of the attempt of which the caller is a part, from 1 on.
pub fn attempt() -> u32 {
    ATTEMPT.try_get().unwrap_or(1)
}

/// The attempts of one operation.
#[derive(Debug)]
pub struct Backoff {
    deadline: Instant,
    attempts: u32,
}

impl Backoff {
    /// Allows attempts until `deadline`, or for 30 seconds if there is none.
    pub fn until(deadline: Option<Instant>) -> Self {
        Backoff { deadline: deadline.unwrap_or_else(|| Instant::now() + DEFAULT_TIME_LIMIT), attempts: 0 }
    }

    /// Waits for one attempt, for 10 seconds at most and not past the deadline. `None` means that no response arrived
    /// in time; the operation may have taken effect all the same.
    pub async fn attempt<T>(&mut self, attempt: impl Future<Output = T>) -> Option<T> {
        self.attempts += 1;
        let attempt = ATTEMPT.scope(self.attempts, attempt);
        tokio::time::timeout(self.remaining().min(ATTEMPT_TIMEOUT), attempt).await.ok()
    }

    /// Counts an attempt that consists of several operations.
    pub fn count(&mut self) {
        self.attempts += 1;
    }

    /// Pauses before another attempt. Returns false immediately if there is no time for one.
    pub async fn pause(&mut self) -> bool {
        // A random part of the longest pause, so that conflicting writers don't all retry at the same moment.
        let pause = longest_pause(self.attempts).mul_f64(fastrand::f64());
        if self.remaining() <= pause {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }

    /// The error for an attempt without a response. `doing` reads after "failed to".
    pub fn no_answer(&self, doing: &str) -> Error {
        Error::transient(format!("{doing}: no response in time"))
    }

    /// Adds the number of attempts to `error`.
    pub fn give_up(&self, error: Error) -> Error {
        Error { message: format!("{} (attempt {})", error.message, self.attempts), ..error }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Attempts an operation until it succeeds, can't succeed, or the deadline passes. `doing` reads after "failed to".
///
/// # Errors
/// The error of the last attempt.
pub async fn retried<T, F: Future<Output = Result<T, Error>>>(
    deadline: Option<Instant>,
    doing: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut backoff = Backoff::until(deadline);
    loop {
        let error = match backoff.attempt(attempt()).await {
            Some(Ok(done)) => return Ok(done),
            Some(Err(error)) => error,
            None => backoff.no_answer(doing),
        };
        if error.kind != ErrorKind::Transient || !backoff.pause().await {
            return Err(backoff.give_up(error));
        }
    }
}

fn longest_pause(attempt: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_two_seconds() {
        let pauses: Vec<_> = (1..=8).map(|attempt| longest_pause(attempt).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(longest_pause(u32::MAX), LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn no_attempt_or_pause_lasts_past_the_deadline() {
        let mut backoff = Backoff::until(Some(Instant::now()));
        assert_eq!(backoff.attempt(std::future::pending::<()>()).await, None);
        assert!(!backoff.pause().await);
    }
}
