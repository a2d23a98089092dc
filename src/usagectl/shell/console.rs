//! Terminal output: results on stdout, notes on stderr, progress on a terminal only, and the outcomes that become exit codes.

use std::ffi::OsString;
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

/// Prints findings. On a terminal, the verdicts at the start of a line that need attention are in color.
///
/// # Errors
/// As for [`print()`].
pub fn print_findings(text: &str) -> anyhow::Result<()> {
    let has_colors = has_colors(&io::stdout());
    let lines = text.split('\n').map(|line| match has_colors {
        true => highlighted(line, &[("problem", Color::Red), ("unsafe", Color::Red), ("warning", Color::Yellow)]),
        false => line.to_owned(),
    });
    print(&lines.collect::<Vec<_>>().join("\n"))
}

/// Prints a message that is not part of the result to stderr. On a terminal, `error:` and `warning:` are in color. Messages may have
/// names from events and tables, so each line is made [`plain`].
pub fn note(text: &str) {
    let lines = text.split('\n').map(plain).collect::<Vec<_>>().join("\n");
    let text = match has_colors(&io::stderr()) {
        true => highlighted(&lines, &[("error:", Color::Red), ("warning:", Color::Yellow)]),
        false => lines,
    };
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
    /// `text` in this color.
    pub fn paint(self, text: &str) -> String {
        let code = match self {
            Color::Red => 31,
            Color::Yellow => 33,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// `line` with the word that it starts with in color, if it is one of `words`.
fn highlighted(line: &str, words: &[(&str, Color)]) -> String {
    let found = words.iter().find_map(|(word, color)| Some(color.paint(word) + line.strip_prefix(word)?));
    found.unwrap_or_else(|| line.to_owned())
}

/// Whether `stream` is a terminal that shows colors, and NO_COLOR isn't set: see <https://no-color.org>.
#[expect(clippy::disallowed_methods, reason = "what every terminal program reads")]
pub fn has_colors(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && allows_colors(|name| std::env::var_os(name))
}

fn allows_colors(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let no_color = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_color && variable("TERM").is_none_or(|terminal| terminal != "dumb")
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

/// Replaces control characters, because `text` may come from events and tables and must not control the terminal, and the
/// characters that break or reorder a line, because they would make one entity look like another.
pub fn plain(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !reorders(c);
    text.chars().map(|c| if is_plain(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Whether a character is a line separator or one of Unicode's controls of the writing direction.
fn reorders(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
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
    fn only_what_needs_attention_is_in_color() {
        let words = [("problem", Color::Red), ("warning", Color::Yellow)];
        assert_eq!(highlighted("problem  alarms", &words), "\u{1b}[31mproblem\u{1b}[0m  alarms");
        assert_eq!(highlighted("warning  age", &words), "\u{1b}[33mwarning\u{1b}[0m  age");
        assert_eq!(highlighted("OK       no problem", &words), "OK       no problem");
    }

    #[test]
    fn no_entity_can_control_the_terminal_or_look_like_another() {
        assert_eq!(plain("CUSTOMER#7 \u{fc}\u{5e9}\u{4f8b}\u{1f600}"), "CUSTOMER#7 \u{fc}\u{5e9}\u{4f8b}\u{1f600}");
        for hostile in
            ["\u{1b}[2J", "\u{9b}31m", "\r", "\n", "\u{202e}7#", "\u{2066}", "\u{200f}", "\u{2028}", "\u{7f}"]
        {
            let shown = plain(&format!("a{hostile}b"));
            assert!(shown.starts_with("a\u{fffd}") && !shown.contains(hostile), "{hostile:?}");
        }
    }

    #[test]
    fn a_file_gets_no_colors_and_neither_does_a_terminal_with_no_color() {
        assert!(!has_colors(&tempfile::tempfile().unwrap()));
        let allows = |set: &[(&str, &str)]| {
            allows_colors(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        assert!(allows(&[]) && allows(&[("TERM", "xterm"), ("NO_COLOR", "")]));
        assert!(!allows(&[("NO_COLOR", "1")]) && !allows(&[("TERM", "dumb")]));
    }
}
