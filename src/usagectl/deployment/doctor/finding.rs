//! The result of a check.

use super::check::Check;
use super::facts::{Facts, Part, Unavailable};

/// The assessment of a check, or the fact that it lacks.
pub type CheckResult = Result<Assessment, Unavailable>;

/// A check's assessment: what it means, and the command that fixes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assessment {
    /// Nothing is wrong.
    Ok(String),
    /// Something should be changed.
    Warning {
        /// What is wrong, and what that means.
        meaning: String,
        /// The command that fixes it, or that shows more.
        command: String,
    },
    /// Something is broken, or data may be lost.
    Problem {
        /// What is wrong, and what that means.
        meaning: String,
        /// The command that fixes it, or that shows more.
        command: String,
    },
}

/// The outcome of a check, least severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is wrong.
    Ok,
    /// There is no data yet, which is not a fault.
    NoData,
    /// The facts could not be read.
    Unknown,
    /// Something should be changed.
    Warning,
    /// Something is broken, or data may be lost.
    Problem,
}

impl Verdict {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::NoData => "no data",
            Verdict::Unknown => "unknown",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        }
    }
}

/// One line of the doctor's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// Its outcome.
    pub verdict: Verdict,
    /// What was found, and what that means.
    pub meaning: String,
    /// The command that fixes it, or that shows more.
    pub command: Option<String>,
}

/// Nothing is wrong.
pub(crate) fn ok(meaning: impl Into<String>) -> CheckResult {
    Ok(Assessment::Ok(meaning.into()))
}

/// Something should be changed.
pub(crate) fn warning(meaning: impl Into<String>, command: impl Into<String>) -> CheckResult {
    Ok(Assessment::Warning { meaning: meaning.into(), command: command.into() })
}

/// Something is broken, or data may be lost.
pub(crate) fn problem(meaning: impl Into<String>, command: impl Into<String>) -> CheckResult {
    Ok(Assessment::Problem { meaning: meaning.into(), command: command.into() })
}

/// There is no data yet.
pub(crate) fn no_data(why: impl Into<String>) -> CheckResult {
    Err(Unavailable::NoData(why.into()))
}

impl Finding {
    /// The finding for a result; `None` if the check doesn't apply to this deployment.
    pub fn new(check: Check, look: CheckResult, facts: &Facts) -> Option<Finding> {
        let (verdict, meaning, command) = match look {
            Ok(Assessment::Ok(meaning)) => (Verdict::Ok, meaning, None),
            Ok(Assessment::Warning { meaning, command }) => (Verdict::Warning, meaning, Some(command)),
            Ok(Assessment::Problem { meaning, command }) => (Verdict::Problem, meaning, Some(command)),
            Err(Unavailable::NotApplicable(_)) => return None,
            Err(Unavailable::Missing(part)) => {
                (Verdict::Problem, format!("{part} doesn't exist"), Some(fix_missing(&part, facts)))
            }
            Err(Unavailable::NoData(why)) => (Verdict::NoData, why, None),
            Err(Unavailable::Denied { action }) => (
                Verdict::Unknown,
                format!("permission denied: {action}; use credentials that allow it (AWS_PROFILE)"),
                None,
            ),
            Err(Unavailable::Unnamed { option }) => {
                (Verdict::Unknown, format!("its name is unknown: specify {option}"), None)
            }
            Err(Unavailable::Failed(why)) => (Verdict::Unknown, why, None),
        };
        Some(Finding { check, verdict, meaning, command })
    }
}

/// A command that creates the missing part, or shows what else is missing.
fn fix_missing(part: &Part, facts: &Facts) -> String {
    match part {
        Part::Bucket(name) => format!("aws s3api create-bucket --bucket {name}"),
        Part::Queue(name) => format!("aws sqs create-queue --queue-name {name}"),
        Part::LogGroup(name) => format!("aws logs create-log-group --log-group-name \"{name}\""),
        // With point-in-time recovery DynamoDB keeps a backup of a table that is deleted, for 35 days.
        Part::Table(name) => format!("aws dynamodb list-backups --table-name {name} --backup-type SYSTEM"),
        Part::Other(_) => format!("aws cloudformation detect-stack-drift --stack-name {}", facts.stack_name()),
    }
}
