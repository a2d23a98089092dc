//! The command that repeats a correction, for the log: after the ledger was restored, later corrections must be made again.

use crate::shell::options::Options;
use crate::shell::quote::quoted;
use crate::stack::Where;

/// The words of a command, quoted for a shell.
#[derive(Debug, Default)]
pub(super) struct CommandLine(String);

impl CommandLine {
    /// Begins with the words of a command.
    pub(super) fn new(words: &str) -> CommandLine {
        CommandLine(words.to_owned())
    }

    /// Adds an option.
    #[must_use]
    pub(super) fn with(mut self, option: &str, value: &str) -> CommandLine {
        self.0.push_str(&format!(" {option}={}", quoted(value)));
        self
    }

    /// Adds the deployment and the pipeline.
    #[must_use]
    pub(super) fn at(mut self, place: &Where, options: &Options) -> CommandLine {
        if let Some(name) = &options.pipeline {
            self = self.with("--pipeline", name);
        }
        if let Some(folder) = &options.pipeline_dir {
            self = self.with("--pipeline-dir", &folder.to_string_lossy());
        }
        if place.local {
            if !options.has_usual_data() {
                self = self.with("--data", &options.data.to_string_lossy());
            }
            self.0.push_str(" --local");
        }
        let names = [
            ("--stack", &place.stack),
            ("--function", &place.names.function),
            ("--usage-table", &place.names.usage_table),
            ("--ledger-table", &place.names.ledger_table),
        ];
        for (option, value) in names {
            if let Some(value) = value {
                self.0.push_str(&format!(" {option} {}", quoted(value)));
            }
        }
        self
    }

    /// The whole line.
    pub(super) fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_back() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: Options,
        }
        let options = <Line as clap::Parser>::parse_from(["usagectl", "--pipeline", "orders"]).options;
        let place = Where { stack: Some("usage".to_owned()), ..Where::default() };
        let line = CommandLine::new("usagectl correct add").with("--amount", "-1.5").with("--reason", "it's $HOME");
        let expected = r"usagectl correct add --amount=-1.5 --reason='it'\''s $HOME' --pipeline=orders --stack usage";
        assert_eq!(line.at(&place, &options).text(), expected);

        let here = Where { local: true, ..Where::default() };
        let with_data = |words: &[&str]| {
            let options = <Line as clap::Parser>::parse_from([&["usagectl"], words].concat()).options;
            CommandLine::new("usagectl correct void").at(&here, &options).text()
        };
        assert_eq!(with_data(&["--data", "../other"]), "usagectl correct void --data=../other --local");
        assert_eq!(with_data(&["--data=my data"]), "usagectl correct void --data='my data' --local");
        assert_eq!(with_data(&[]), "usagectl correct void --local");
    }
}
