//! Closing: when a window no longer changes in the usual course of events, and what becomes of records that are late.

use super::Snapshot;
use crate::time::Timestamp;
use crate::window::{Span, Window};

/// The attribute of a snapshot that says when the values of its closed window changed last.
pub const RESTATED_ATTRIBUTE: &str = "restated_at";

/// What the names of measures that count adjustments end with.
const ADJUSTED: &str = "_adjusted";

/// The name of the measure that says how much of another one is due to adjustments.
pub fn adjusted_name(measure: &str) -> String {
    format!("{measure}{ADJUSTED}")
}

/// When windows are closed, and what becomes of records that are late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// How many seconds after its end a window is closed.
    pub grace_seconds: i64,
    /// What becomes of a record for a closed window.
    pub late: LateRecords,
    /// Shorter windows are closed together with the window of this length that they are in.
    pub window: Option<Window>,
}

/// What becomes of a record for a closed window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateRecords {
    /// It changes the closed window, whose snapshot says when.
    Restate,
    /// It counts in the window of its creation, as an adjustment.
    Adjust,
}

impl Snapshot {
    /// Whether a record that was created then counts as an adjustment, because the windows of its event were closed.
    pub fn adjusts(&self, event: Timestamp, created_at: Timestamp) -> bool {
        let Some(Closing { late: LateRecords::Adjust, window: Some(window), .. }) = self.closing else { return false };
        self.closes_at(window.containing(event, self.zone)).is_some_and(|closes_at| closes_at <= created_at.seconds())
    }

    /// The second from which on a window is closed; `None` if it never is.
    pub fn closes_at(&self, span: Span) -> Option<i64> {
        let closing = self.closing.filter(|_| span.window != Window::Total)?;
        let together = closing.window.map_or(span.end(), |window| window.at(span.start, span.zone).end());
        Some(span.end().max(together) + closing.grace_seconds)
    }

    /// Whether a window is closed: a change of its snapshots then says when it was made.
    pub fn is_closed(&self, span: Span, now: Timestamp) -> bool {
        self.closes_at(span).is_some_and(|closes_at| closes_at <= now.seconds())
    }
}
