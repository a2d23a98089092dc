//! What an alarm reports: its state, since when, and why.

use serde::Serialize;

use super::definition::Definition;

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum State {
    /// Firing.
    #[serde(rename = "ALARM")]
    Alarm,
    /// Not firing.
    #[serde(rename = "OK")]
    Ok,
    /// Without enough data to decide.
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl State {
    /// CloudWatch's name.
    pub fn name(self) -> &'static str {
        match self {
            State::Alarm => "ALARM",
            State::Ok => "OK",
            State::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// Whom an alarm reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody must act now.
    Page,
    /// Somebody must act this week.
    Ticket,
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        }
    }
}

/// An alarm at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlarmStatus {
    /// Its name in the template.
    pub name: String,
    /// Its state.
    pub state: State,
    /// When it went into this state, in UTC; `None` if it hasn't been evaluated.
    pub since: Option<String>,
    /// Why it went into this state.
    pub reason: String,
    /// Whether it pages.
    pub severity: Severity,
}

impl AlarmStatus {
    pub(super) fn new(name: &str, severity: Severity) -> AlarmStatus {
        let reason = "not evaluated yet".to_owned();
        AlarmStatus { name: name.to_owned(), state: State::InsufficientData, since: None, reason, severity }
    }
}

/// Which of the last values decided, for example `7 (> 0) in 1 of 1 × 5 min`.
pub(super) fn reason(definition: &Definition, values: &[Option<f64>]) -> String {
    let periods = definition.periods.evaluated;
    let length = match definition.period {
        86_400 => "1 day".to_owned(),
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds => format!("{} min", seconds / 60),
    };
    let latest: Vec<f64> = values.iter().rev().flatten().copied().take(periods).collect();
    let breaching = latest.iter().copied().filter(|value| definition.is_breaching(*value));
    let condition = definition.condition();
    match (breaching.clone().next(), latest.first()) {
        (Some(value), _) => {
            format!("{} ({condition}) in {} of {periods} × {length}", shown(value), breaching.count())
        }
        (None, Some(value)) => format!("{} (not {condition}) in {periods} × {length}", shown(*value)),
        (None, None) => format!("no data in {periods} × {length}"),
    }
}

/// A value with at most two decimals.
fn shown(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
