//! What a check came to.

use super::check::Check;
use super::facts::{Facts, Part, Unseen};

/// What a check says of the facts, or that one of them isn't known.
pub type Look = Result<Answer, Unseen>;

/// A check's judgement: what it means, and the command that mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ok(String),
    Warning { meaning: String, command: String },
    Problem { meaning: String, command: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Ok,
    /// Nothing to judge by yet, which is no fault.
    NoData,
    /// It couldn't be looked at.
    Unknown,
    Warning,
    Problem,
}

impl Verdict {
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

/// One line of the doctor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub check: Check,
    pub verdict: Verdict,
    pub meaning: String,
    /// What mends it, or the next thing to look at.
    pub command: Option<String>,
}

/// All is well.
pub fn ok(meaning: impl Into<String>) -> Look {
    Ok(Answer::Ok(meaning.into()))
}

pub fn warning(meaning: impl Into<String>, command: impl Into<String>) -> Look {
    Ok(Answer::Warning { meaning: meaning.into(), command: command.into() })
}

pub fn problem(meaning: impl Into<String>, command: impl Into<String>) -> Look {
    Ok(Answer::Problem { meaning: meaning.into(), command: command.into() })
}

/// Nothing to judge by yet.
pub fn no_data(why: impl Into<String>) -> Look {
    Err(Unseen::NoData(why.into()))
}

impl Finding {
    /// The finding of a look; none where the deployment has no such thing.
    pub fn new(check: Check, look: Look, facts: &Facts) -> Option<Finding> {
        let (verdict, meaning, command) = match look {
            Ok(Answer::Ok(meaning)) => (Verdict::Ok, meaning, None),
            Ok(Answer::Warning { meaning, command }) => (Verdict::Warning, meaning, Some(command)),
            Ok(Answer::Problem { meaning, command }) => (Verdict::Problem, meaning, Some(command)),
            Err(Unseen::LeftOut(_)) => return None,
            Err(Unseen::Missing(part)) => {
                (Verdict::Problem, format!("{part} isn't there"), Some(mend_missing(&part, facts)))
            }
            Err(Unseen::NoData(why)) => (Verdict::NoData, why, None),
            Err(Unseen::Denied { action }) => {
                (Verdict::Unknown, format!("permission denied: {action}; ask as somebody who may (AWS_PROFILE)"), None)
            }
            Err(Unseen::Unnamed { option }) => {
                (Verdict::Unknown, format!("nothing says what it is called: give {option}"), None)
            }
            Err(Unseen::Failed(why)) => (Verdict::Unknown, why, None),
        };
        Some(Finding { check, verdict, meaning, command })
    }
}

/// A command that makes what is gone, or finds out what else is.
fn mend_missing(part: &Part, facts: &Facts) -> String {
    match part {
        Part::Bucket(name) => format!("aws s3api create-bucket --bucket {name}"),
        Part::Queue(name) => format!("aws sqs create-queue --queue-name {name}"),
        Part::LogGroup(name) => format!("aws logs create-log-group --log-group-name \"{name}\""),
        // With point-in-time recovery DynamoDB keeps a backup of a table that is deleted, for 35 days.
        Part::Table(name) => format!("aws dynamodb list-backups --table-name {name} --backup-type SYSTEM"),
        Part::Other(_) => format!("aws cloudformation detect-stack-drift --stack-name {}", facts.stack_name()),
    }
}
