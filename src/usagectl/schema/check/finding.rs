//! The differences between two schemas, or two pipelines.

use std::collections::{BTreeMap, BTreeSet};

use crate::shell::console::{self, Done};

/// Whether a change is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schema) enum Verdict {
    /// All readers read all rows.
    Safe,
    /// Some reader fails on some rows, or misreads them.
    Unsafe,
}

impl Verdict {
    /// Its name in the output.
    pub(in crate::schema) fn name(self) -> &'static str {
        match self {
            Verdict::Safe => "safe",
            Verdict::Unsafe => "unsafe",
        }
    }
}

/// One difference between two schemas.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::schema) struct Finding {
    /// The path of the field.
    pub path: String,
    /// What changed.
    pub change: String,
    /// Whether that is safe.
    pub verdict: Verdict,
    /// Why, and what to do instead.
    pub reason: String,
}

impl Finding {
    /// A difference at `path`.
    pub(in crate::schema) fn new(
        path: &str,
        change: impl Into<String>,
        verdict: Verdict,
        reason: impl Into<String>,
    ) -> Finding {
        Finding { path: path.to_owned(), change: change.into(), verdict, reason: reason.into() }
    }
}

/// Prints what differs between the old and the new version of each name. An unsafe change makes the command fail.
///
/// # Errors
/// If the output can't be written.
pub(in crate::schema) fn report<T>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    findings: impl Fn(Option<&T>, Option<&T>) -> Vec<Finding>,
    text: impl Fn(&str, &Finding) -> String,
) -> anyhow::Result<Done> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut done = Done::Well;
    for name in names {
        for finding in findings(old.get(name), new.get(name)) {
            if finding.verdict == Verdict::Unsafe {
                done = Done::WithFailures;
            }
            console::print_findings(&text(name, &finding))?;
        }
    }
    Ok(done)
}
