//! What all commands say and how: results on stdout, notes on stderr, a progress bar where somebody watches, and how a
//! command ends.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::shell::options::Options;

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Well,
    /// What failed has been printed already.
    WithFailures,
    /// What is wrong has been printed already, and it is grave: exit code 2.
    WithProblems,
}

/// A mistake in what was asked for: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// The reader of stdout has gone: nothing to complain of.
#[derive(Debug, thiserror::Error)]
#[error("stdout is closed")]
pub struct Closed;

/// Prints `text` and a line's end.
///
/// # Errors
/// [`Closed`] when nobody reads any more, as behind `| head`.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    // In one piece: a reader that takes the first line and goes has had all of it.
    let written = stdout.write_all(format!("{text}\n").as_bytes());
    written.and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error).context("write to stdout"),
    })
}

/// Tells the person something that is no result.
pub fn note(text: &str) {
    // There is nowhere left to complain of a closed stderr.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A bar on stderr; a hidden one for a single step or where nobody watches.
pub fn progress(steps: usize) -> ProgressBar {
    if steps < 2 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(steps).unwrap_or(u64::MAX));
    let style =
        ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A count on stderr of what can't be counted before; a hidden one where nobody watches.
pub fn spinner(what: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {pos} {prefix} {msg}");
    spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.set_prefix(what);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// `text` without what would steer the terminal: it comes from events and tables.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// `1 record`, `2 records`.
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Sends the function's own log lines to stderr, if `--verbose` asks for them.
pub fn log_to_stderr(options: &Options) {
    if options.verbose {
        usage_aggregator::logs::start_with(tracing::Level::DEBUG, io::stderr);
    }
}
