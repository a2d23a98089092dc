//! `usagectl correct`: changes what was counted, as pages of the ledger with an author and a reason. `add` adds an amount,
//! `void` takes back records, and `list` shows what was corrected.

mod add;
mod closed;
mod limits;
mod list;
mod put;
mod repeat;
mod rows;
mod void;

use std::time::Duration;

use clap::{Args, Subcommand};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;

use crate::shell::console::Done;
use crate::shell::options::Options;

/// Correct what was counted: add an amount, or take back records, with an author and a reason
#[derive(Debug, Args)]
pub struct Correct {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Box<add::Add>),
    Void(Box<void::Void>),
    List(Box<list::List>),
}

impl Correct {
    /// Runs the command.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        match self.command {
            Command::Add(add) => add.run(options).await,
            Command::Void(void) => void.run(options).await,
            Command::List(list) => list.run(options).await,
        }
    }
}

/// What every correction has.
#[derive(Debug, Args)]
struct Signed {
    /// Why, for those who look at the number later
    #[arg(long, value_name = "TEXT", value_parser = text)]
    reason: String,
    /// Who corrects [default: the caller's identity in the account; with --local, $USER]
    #[arg(long, value_name = "NAME", value_parser = text)]
    author: Option<String>,
    /// Name of the correction. Running the command again under the same name changes nothing [default: a hash of what is
    /// corrected, by whom, and why]
    #[arg(long, value_name = "NAME", value_parser = text)]
    id: Option<String>,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// How long to wait for a running `usagectl local` to fold the page. Its batching window is usually 1 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// 256 bytes: more isn't a name or a reason. A sort key has at most 1,024.
const MAX_TEXT_BYTES: usize = 256;

fn text(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        text if text.len() > MAX_TEXT_BYTES => Err(format!("it has more than {MAX_TEXT_BYTES} bytes")),
        text if text.chars().any(char::is_control) => Err("it has a control character".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Parses a minute, or the minute of a time.
fn minute(text: &str) -> Result<Segment, String> {
    let minute =
        Segment::parse(text).or_else(|| Timestamp::parse(text).filter(|_| text.len() > 16).map(Segment::containing));
    minute
        .ok_or_else(|| "expected a minute like 2026-11-28T08:57, or a time like 2026-11-28T08:57:31Z (UTC)".to_owned())
}

/// The name of a correction whose author named none: the beginning of a hash of everything about it.
fn default_id(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_named_by_itself_or_by_a_time_in_it() {
        let expected = Segment::parse("2026-11-28T08:57");
        for right in ["2026-11-28T08:57", "2026-11-28T08:57:31Z", "2026-11-28T08:57:31.5Z"] {
            assert_eq!(minute(right).ok(), expected, "{right}");
        }
        for wrong in ["", "2026-11-28", "2026-11-28T08", "2026-11-28T08:60", "now"] {
            assert!(minute(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_default_name_depends_on_every_part_and_where_it_ends() {
        assert_eq!(default_id(&["a", "b"]), default_id(&["a", "b"]));
        assert_ne!(default_id(&["a", "b"]), default_id(&["ab", ""]));
        assert_eq!(default_id(&["a"]).len(), 16);
        assert!(text("  ").is_err() && text("a\nb").is_err() && text(&"a".repeat(257)).is_err());
        assert_eq!(text(" late "), Ok("late".to_owned()));
    }
}
