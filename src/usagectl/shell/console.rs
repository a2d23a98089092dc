//! Terminal output: results on stdout, notes on stderr, progress on a terminal only, and the outcomes that become exit codes.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::shell::options::Options;

/// The outcome of a command that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Exit code 0.
    Well,
    /// Something failed, and has already been printed: exit code 1.
    WithFailures,
    /// A serious problem was found, and has already been printed: exit code 2.
    WithProblems,
}

/// A mistake on the command line or in the configuration: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// The reader of stdout has closed it, which is not an error.
#[derive(Debug, thiserror::Error)]
#[error("stdout is closed")]
pub struct Closed;

/// Prints `text` and a newline to stdout.
///
/// # Errors
/// [`Closed`] if the reader has closed stdout, as `| head` does.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    // One write, so that a reader that stops after the first line has received all of it.
    let written = stdout.write_all(format!("{text}\n").as_bytes());
    written.and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error).context("write to stdout"),
    })
}

/// Prints a message that is not part of the result to stderr, with `error:` and `warning:` in color on a terminal.
pub fn note(text: &str) {
    let stderr = io::stderr();
    let text = Color::Yellow.at_start(&Color::Red.at_start(text, "error:", &stderr), "warning:", &stderr);
    // If stderr is closed, there is nowhere left to report it.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A color for what needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// A problem.
    Red,
    /// A warning.
    Yellow,
}

impl Color {
    /// `text` with `word` in this color if it starts with it.
    pub fn at_start(self, text: &str, word: &str, stream: &impl IsTerminal) -> String {
        text.strip_prefix(word).map_or_else(|| text.to_owned(), |rest| self.paint(word, stream) + rest)
    }

    /// `text` in this color if `stream` is a terminal that shows colors and NO_COLOR isn't set.
    pub fn paint(self, text: &str, stream: &impl IsTerminal) -> String {
        self.painted(text, stream.is_terminal() && has_colors())
    }

    fn painted(self, text: &str, is_shown: bool) -> String {
        match (self, is_shown) {
            (_, false) => text.to_owned(),
            (Color::Red, true) => format!("\u{1b}[31m{text}\u{1b}[0m"),
            (Color::Yellow, true) => format!("\u{1b}[33m{text}\u{1b}[0m"),
        }
    }
}

/// Whether the environment allows colors: see https://no-color.org.
#[expect(clippy::disallowed_methods, reason = "what every terminal program reads")]
fn has_colors() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Asks on stderr, and reads the answer from stdin: yes, or anything else for no.
///
/// # Errors
/// If stdin can't be read.
pub fn ask(question: &str) -> anyhow::Result<bool> {
    note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("read the answer from stdin")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// A progress bar on stderr, hidden for a single step or without a terminal.
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

/// A running count on stderr where the total is unknown, hidden without a terminal.
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

/// Replaces control characters, because `text` may come from events and tables and must not control the terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A count and its noun: `1 record`, `2 records`.
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Sends the function's logs to stderr if `--verbose` is set.
pub fn log_to_stderr(options: &Options) {
    if options.verbose {
        usage_aggregator::logs::start_with(tracing::Level::DEBUG, io::stderr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_colors() {
        assert_eq!(Color::Red.painted("unsafe", true), "\u{1b}[31munsafe\u{1b}[0m");
        assert_eq!(Color::Yellow.painted("warning:", false), "warning:");
        // A file is not a terminal.
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Color::Red.paint("unsafe", &file), "unsafe");
        assert_eq!(Color::Red.at_start("error: x", "error:", &file), "error: x");
    }
}
