//! The commands in the help, grouped by task. clap has headings for options only.

use std::fmt::Write;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue};

use super::Cli;
use crate::shell::paragraph::paragraph;

/// The commands of each task, in the order in which someone meets them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Try it", &["explain", "invoke", "local", "simulate", "faults", "traces"]),
    ("Describe and deploy your own table", &["init", "schema", "pipeline", "package"]),
    ("Read the results", &["snapshots", "usage", "alerts", "why", "cat", "export", "compact"]),
    (
        "Check and operate",
        &[
            "watch",
            "indicators",
            "reconcile",
            "prove",
            "correct",
            "ledger",
            "doctor",
            "redrive",
            "backfill",
            "tune",
            "cost",
        ],
    ),
    ("Develop", &["serve", "bench", "completions", "man"]),
];
/// The column at which descriptions start.
const INDENT: usize = 15;

/// The command line as clap derives it.
pub(super) fn plain() -> clap::Command {
    Cli::command()
}

/// The command line, whose help lists the commands by task. Hidden from clap, which would list them a second time.
pub(super) fn command() -> clap::Command {
    let command = plain();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{}\n{{all-args}}{{after-help}}",
        listed(&command)
    );
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let hidden = |command: clap::Command, name: &String| command.mut_subcommand(name, |command| command.hide(true));
    // clap leaves out <COMMAND> if all commands are hidden.
    names.iter().fold(command, hidden).override_usage("usagectl [OPTIONS] <COMMAND>").help_template(template)
}

/// The command that an error is about, if a build without the deployment commands lacks it.
pub(super) fn left_out(error: &clap::Error) -> Option<&'static str> {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    GROUPS.iter().flat_map(|(_, names)| *names).copied().find(|known| known == name)
}

fn listed(command: &clap::Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        // Writing to a String can't fail.
        let _ = writeln!(text, "\n{title}:");
        for name in names {
            let about = match command.find_subcommand(name) {
                Some(found) => found.get_about().map(ToString::to_string).unwrap_or_default(),
                // Left out of a build without the deployment commands.
                None => continue,
            };
            let line = format!("  {name:<width$}{about}", width = INDENT - 2);
            let _ = writeln!(text, "{}", paragraph(&line, &" ".repeat(INDENT)));
        }
    }
    let names = GROUPS.iter().flat_map(|(_, names)| *names).copied();
    let left_out: Vec<&str> = names.filter(|name| command.find_subcommand(name).is_none()).collect();
    if !left_out.is_empty() {
        let _ = writeln!(text, "\nWith `make usagectl`, also: {}", left_out.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// clap wraps what is longer, in the middle of a paragraph or of a command.
    #[test]
    fn no_line_after_the_options_is_longer_than_a_hundred_characters() {
        fn long_lines(command: &clap::Command, found: &mut Vec<String>) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let long = text.lines().filter(|line| line.chars().count() > 100);
            found.extend(long.map(|line| format!("{}: {line}", command.get_name())));
            command.get_subcommands().for_each(|command| long_lines(command, found));
        }
        let mut found = Vec::new();
        long_lines(&plain(), &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn every_command_belongs_to_one_task() {
        let mut known: Vec<String> = plain().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        // Without the deployment commands, the list names more than there is.
        listed.retain(|name| known.iter().any(|known| known == name));
        known.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn the_list_of_commands_fits_80_columns() {
        let text = listed(&plain());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_command_that_a_build_lacks_is_not_a_misspelled_one() {
        let small = || clap::Command::new("usagectl").subcommand(clap::Command::new("cat"));
        let error = |name: &str| small().try_get_matches_from(["usagectl", name]).unwrap_err();
        assert_eq!((left_out(&error("cost")), left_out(&error("coast"))), (Some("cost"), None));
        let text = listed(&small());
        let (listed, missing) = text.split_once("With `make usagectl`, also: ").unwrap();
        assert!(listed.contains("  cat") && !listed.contains("  cost"), "{text}");
        assert!(missing.contains(", cost") && !missing.contains(" cat,"), "{text}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
