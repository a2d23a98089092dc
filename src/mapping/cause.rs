//! Why a delivery failed.

use serde::{Deserialize, Serialize};

use crate::function::RejectionReason;

/// Why a delivery failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "detail")]
pub enum FailureCause {
    /// The function reported the record as failed, for this reason if it is known.
    Reported(Option<RejectionReason>),
    /// The response is not valid, or reports a record that is not in the batch.
    InvalidResponse,
    /// The function failed with this message.
    FunctionError(String),
    /// The function did not run, for this reason.
    NotInvoked(String),
    /// The event exceeds the payload limit.
    TooLarge,
}

/// The longest message of a cause that is counted.
const CAUSE_CHARACTERS: usize = 60;
/// Digits of this many characters or more differ from failure to failure: sequence numbers, hashes, times.
const IDENTIFIER_DIGITS: usize = 6;

impl FailureCause {
    /// A short text under which failures of the same kind are counted.
    pub fn summary(&self) -> String {
        match self {
            FailureCause::Reported(Some(reason)) => format!("{} {}", reason.code, reason.field),
            FailureCause::Reported(None) => "reported by the function".to_owned(),
            FailureCause::InvalidResponse => "invalid response".to_owned(),
            FailureCause::FunctionError(message) if message.contains("Task timed out") => "timeout".to_owned(),
            FailureCause::FunctionError(message) => short(message),
            FailureCause::NotInvoked(message) => format!("not invoked: {}", short(message)),
            FailureCause::TooLarge => "event over 6 MB".to_owned(),
        }
    }
}

/// The first line of a message without identifiers, cut to a length.
fn short(message: &str) -> String {
    let error: Option<ErrorBody> = serde_json::from_str(message).ok();
    let message = error.map_or_else(|| message.to_owned(), |error| error.message);
    let mut text = String::new();
    let mut digits = String::new();
    // The newline ends the last digits.
    for c in message.lines().next().unwrap_or_default().chars().chain(['\n']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        text.push_str(if digits.len() < IDENTIFIER_DIGITS { &digits } else { "#" });
        digits.clear();
        text.push(c);
    }
    let text = text.trim_end();
    match text.char_indices().nth(CAUSE_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// The body of a function error, as Lambda's runtimes write it.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "errorMessage")]
    message: String,
}
