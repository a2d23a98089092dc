//! The current time, as a mapping sees it.

use std::fmt;
use std::sync::Arc;

use anyhow::Context;
use stream_types::Timestamp;

/// The time of the system's clock.
///
/// # Errors
/// If it shows a year outside 2000 to 2099.
#[expect(clippy::disallowed_methods, reason = "everything on this machine reads the clock here")]
pub fn now() -> anyhow::Result<Timestamp> {
    let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    now.context("the system's clock shows a year outside 2000 to 2099: set it")
}

/// A source of the current time: the system's clock, or that of a simulation.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that calls `now` whenever it is read.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// The system's clock.
    ///
    /// # Errors
    /// If it shows a year outside 2000 to 2099.
    pub fn system() -> anyhow::Result<Clock> {
        let started = now()?;
        // If the clock leaves these years while the process runs, the time stays at the start.
        Ok(Clock::new(move || now().unwrap_or(started)))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
