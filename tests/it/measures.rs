//! docs/measures.md: its commands exist, and those that are followed by their output print exactly that.

use std::path::Path;
use std::process::{Command, Output};

use crate::fixture::Fixture;

/// A block of commands, and the output that the document shows for it.
struct Block<'d> {
    commands: &'d str,
    output: Option<&'d str>,
}

fn blocks(document: &str) -> Vec<Block<'_>> {
    let block = |text: &'_ str| text.find("\n```").map(|end| end + 1);
    let mut blocks = Vec::new();
    let mut rest = document;
    while let Some((_, after)) = rest.split_once("```sh\n") {
        let end = block(after).unwrap();
        let (commands, behind) = after.split_at(end);
        let output = behind.strip_prefix("```\n\n```text\n");
        let output = output.map(|text| &text[..block(&format!("\n{text}")).unwrap() - 1]);
        blocks.push(Block { commands, output });
        rest = behind;
    }
    blocks
}

/// Runs commands in a folder with the sample events and pipelines.
fn run(folder: &Path, commands: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_usagectl")).parent().unwrap().display();
    let mut shell = Command::new("sh");
    shell.args(["-c", commands]).current_dir(folder).env_clear();
    shell.env("PATH", format!("{programs}:/usr/bin:/bin")).output().unwrap()
}

/// The text without the column `since` of a table, which has the time of the run.
fn without_since(text: &str) -> String {
    let since = text.lines().find_map(|line| line.split('┆').position(|cell| cell.trim() == "since"));
    let cells = |line: &str| {
        let cells = line.split('┆').enumerate().filter(|(number, _)| Some(*number) != since);
        cells.map(|(_, cell)| cell).collect::<Vec<_>>().join("┆")
    };
    text.lines().map(cells).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_walk_prints_what_the_document_says() {
    check_document("docs/measures.md", 7, |_| false);
}

/// Runs the commands of a document that are followed by their output, and those without output that `is_run` names, in order. Of the
/// others, only that they exist is checked. `UPDATE_DOCUMENTS=1` writes what the commands print into the document.
pub fn check_document(name: &str, least: usize, is_run: fn(&str) -> bool) {
    let path = crate::repository().join(name);
    let document = std::fs::read_to_string(&path).unwrap();
    let fixture = Fixture::new();
    for name in ["events", "schemas"] {
        std::os::unix::fs::symlink(crate::repository().join(name), fixture.0.path().join(name)).unwrap();
    }
    let mut updated = document.clone();
    let mut compared = 0;
    for Block { commands, output } in blocks(&document) {
        if output.is_some() || is_run(commands) {
            let printed = run(fixture.0.path(), commands);
            let found = String::from_utf8(printed.stdout).unwrap();
            assert!(printed.status.success(), "{commands}{}", String::from_utf8_lossy(&printed.stderr));
            let Some(expected) = output else { continue };
            if std::env::var_os("UPDATE_DOCUMENTS").is_some() && without_since(&found) != without_since(expected) {
                let shown = |text: &str| format!("{commands}```\n\n```text\n{text}```");
                updated = updated.replacen(&shown(expected), &shown(&found), 1);
            } else {
                assert_eq!(without_since(&found), without_since(expected), "{commands}");
            }
            compared += 1;
            continue;
        }
        for command in commands.lines().filter(|line| line.starts_with("usagectl ")) {
            let help = run(fixture.0.path(), &format!("{command} --help"));
            assert!(help.status.success(), "{command}: {}", String::from_utf8_lossy(&help.stderr));
        }
    }
    assert!(compared >= least, "only {compared} commands were compared");
    if updated != document {
        std::fs::write(path, updated).unwrap();
    }
}
