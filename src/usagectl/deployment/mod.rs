//! Commands for a deployed stack: diagnosis, live page, redrive, backfill, tuning, cost.

#[cfg(feature = "deployment")]
pub mod arrivals;
#[cfg(feature = "deployment")]
pub mod assume;
#[cfg(feature = "deployment")]
pub mod backfill;
#[cfg(feature = "deployment")]
pub mod cost;
#[cfg(feature = "deployment")]
pub mod doctor;
pub mod redrive;
#[cfg(feature = "deployment")]
pub mod tune;
#[cfg(feature = "deployment")]
pub mod watch;

#[cfg(test)]
#[cfg(feature = "deployment")]
mod agreement_tests;

use serde_json::json;

use crate::shell::console::{self, Closed, Done};
use crate::shell::options::Options;

/// With `--json`, prints an error as an object too, so that a program that reads stdout sees it. It is still returned, and
/// becomes the exit code and the line on stderr.
fn error_as_json(options: &Options, done: anyhow::Result<Done>) -> anyhow::Result<Done> {
    match &done {
        Err(error) if options.json && !error.is::<Closed>() => {
            console::print(&json!({ "error": format!("{error:#}") }).to_string())?;
            done
        }
        _ => done,
    }
}
