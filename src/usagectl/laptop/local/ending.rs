//! What a run that is stopped leaves behind: the records that still wait, what they wait for, and the command with which the
//! run continues.

use crate::shell::quote::quoted;
use crate::shell::waiting::{self, Waiting};

/// Options that start over, write load or inject faults, some of which need the load. A run that continues has none of them.
const SWITCHES: [&str; 2] = ["--fresh", "--forever"];
const WITH_VALUE: [&str; 9] = [
    "--simulate",
    "--records",
    "--duration",
    "--rate",
    "--entities",
    "--seed",
    "--faults",
    "--faults-after",
    "--fault-seed",
];

/// What waits in the stream, and in the ledger's stream, in words; `None` if nothing does.
pub(super) fn text(
    waiting: &Waiting,
    unfolded: &Waiting,
    arguments: impl IntoIterator<Item = String>,
) -> Option<String> {
    let mut lines = Vec::new();
    for (waiting, noun, rest) in [(waiting, "record", "in the stream"), (unfolded, "page", "to be folded")] {
        if waiting.is_some() && waiting.records == 0 {
            lines.push(format!("Unread {noun}s may still wait {rest}."));
        } else if waiting.is_some() {
            let (verb, plural) = if waiting.records == 1 { ("waits", "") } else { ("wait", "s") };
            lines.push(format!("{} {noun}{plural} still {verb} {rest}.", waiting.count()));
        }
        lines.extend(waiting.blocked.iter().flat_map(waiting::described));
    }
    if lines.is_empty() {
        return None;
    }
    lines.push(format!("To continue where this run stopped:\n  {}", continuation(arguments)));
    Some(lines.join("\n"))
}

/// The command line without the options that a run that continues must not have.
fn continuation(arguments: impl IntoIterator<Item = String>) -> String {
    let mut command = vec!["usagectl".to_owned()];
    let mut arguments = arguments.into_iter().skip(1);
    while let Some(argument) = arguments.next() {
        let name = argument.split('=').next().unwrap_or_default();
        if WITH_VALUE.contains(&name) {
            if name == argument {
                arguments.next();
            }
        } else if !SWITCHES.contains(&name) {
            command.push(quoted(&argument));
        }
    }
    command.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::waiting::tests::blocked;

    fn arguments(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_command_to_continue_keeps_everything_but_load_and_faults() {
        let line = "target/debug/usagectl --data .usage/demo local --fresh --simulate orders --records=3000 --rate 400 \
                    --filter {\"a\":[1]} --faults all --forever";
        let expected = "usagectl --data .usage/demo local --filter '{\"a\":[1]}'";
        assert_eq!(continuation(arguments(line)), expected);
    }

    #[test]
    fn a_stopped_run_says_what_waits_and_how_to_continue() {
        let waiting = Waiting { records: 3_205, blocked: vec![blocked()], ..Waiting::default() };
        insta::assert_snapshot!(text(&waiting, &Waiting::default(), arguments("usagectl local --fresh")).unwrap());
    }

    #[test]
    fn pages_that_wait_to_be_folded_are_named_as_well() {
        let waiting = |records| Waiting { records, ..Waiting::default() };
        let text = |records, pages| text(&waiting(records), &waiting(pages), arguments("usagectl local")).unwrap();
        let end = "To continue where this run stopped:\n  usagectl local";
        assert_eq!(text(0, 1), format!("1 page still waits to be folded.\n{end}"));
        let both = "2 records still wait in the stream.\n3 pages still wait to be folded.";
        assert_eq!(text(2, 3), format!("{both}\n{end}"));
    }

    #[test]
    fn what_a_disabled_mapping_has_not_read_may_wait() {
        let disabled = || Waiting { more_unread: true, disabled: true, ..Waiting::default() };
        let text = text(&disabled(), &disabled(), arguments("usagectl local")).unwrap();
        let both = "Unread records may still wait in the stream.\nUnread pages may still wait to be folded.";
        assert_eq!(text, format!("{both}\nTo continue where this run stopped:\n  usagectl local"));
    }

    #[test]
    fn a_run_that_has_settled_everything_says_nothing() {
        assert_eq!(text(&Waiting::default(), &Waiting::default(), arguments("usagectl local")), None);
    }
}
