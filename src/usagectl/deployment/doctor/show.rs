//! What the doctor prints: a line for each check and the command that mends it, or JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::finding::{Finding, Verdict};
use super::symptom::Symptom;
use super::walk::Walk;
use crate::shell::console::{counted, plain};

/// How many findings there are of each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub ok: usize,
    pub no_data: usize,
    pub unknown: usize,
    pub warnings: usize,
    pub problems: usize,
    /// Checks that this deployment has nothing for.
    pub left_out: usize,
}

impl Tally {
    pub fn new<'f>(findings: impl IntoIterator<Item = &'f Finding>, left_out: usize) -> Tally {
        let mut tally = Tally { left_out, ..Tally::default() };
        for finding in findings {
            *match finding.verdict {
                Verdict::Ok => &mut tally.ok,
                Verdict::NoData => &mut tally.no_data,
                Verdict::Unknown => &mut tally.unknown,
                Verdict::Warning => &mut tally.warnings,
                Verdict::Problem => &mut tally.problems,
            } += 1;
        }
        tally
    }

    fn text(self) -> String {
        let Tally { ok, no_data, unknown, warnings, problems, left_out } = self;
        let asked = ok + no_data + unknown + warnings + problems;
        let mut parts = vec![format!("{ok} OK")];
        let others = [
            (warnings, counted(warnings, "warning")),
            (problems, counted(problems, "problem")),
            (unknown, format!("{unknown} unknown")),
            (no_data, format!("{no_data} without data")),
        ];
        parts.extend(others.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text));
        let mut text = format!("{}: {}", counted(asked, "check"), parts.join(", "));
        if left_out > 0 {
            // Writing to a String can't fail.
            let _ = write!(text, "; {left_out} more have nothing to look at here");
        }
        text
    }

    fn json(self) -> Value {
        let Tally { ok, no_data, unknown, warnings, problems, left_out } = self;
        json!({ "ok": ok, "warnings": warnings, "problems": problems, "unknown": unknown, "no_data": no_data, "left_out": left_out })
    }
}

/// The width of the longest check's name.
const NAME: usize = 19;

/// All checks, for people.
pub fn text(findings: &[Finding], tally: Tally) -> String {
    let lines = findings.iter().map(|finding| line(finding, None));
    lines.chain([tally.text()]).collect::<Vec<_>>().join("\n")
}

/// A walk, for people.
pub fn walk_text(symptom: Symptom, walk: &Walk) -> String {
    let mut lines = vec![format!("The way of docs/operations.md#{}:", symptom.runbook())];
    lines.extend(walk.stops.iter().map(|stop| line(&stop.finding, Some(stop.fork))));
    if !walk.not_asked.is_empty() {
        let names: Vec<&str> = walk.not_asked.iter().map(|check| check.name()).collect();
        lines.push(format!("not asked before this is mended: {}", names.join(", ")));
    }
    let tally = Tally::new(walk.stops.iter().map(|stop| &stop.finding), walk.left_out);
    lines.push(tally.text());
    lines.push(format!("First step: {}\n  {}", plain(&walk.conclusion), plain(&walk.first_step)));
    lines.join("\n")
}

fn line(finding: &Finding, fork: Option<&str>) -> String {
    let Finding { check, verdict, meaning, command } = finding;
    let mut text = format!("{:<8} {:<NAME$} {}", verdict.name(), check.name(), plain(meaning));
    let below = |text: &str| format!("\n{:8} {:NAME$} {text}", "", "");
    if let Some(fork) = fork {
        text.push_str(&below(&format!("→ {fork}")));
    }
    if let Some(command) = command {
        text.push_str(&below(&format!("$ {}", plain(command))));
    }
    text
}

/// One object a finding, and one of the whole.
pub fn json_lines(findings: &[Finding], tally: Tally) -> String {
    let lines = findings.iter().map(|finding| object(finding, None).to_string());
    lines.chain([json!({ "summary": tally.json() }).to_string()]).collect::<Vec<_>>().join("\n")
}

/// One object a fork, and one of what it comes to.
pub fn walk_json(symptom: Symptom, walk: &Walk) -> String {
    let lines = walk.stops.iter().map(|stop| object(&stop.finding, Some(stop.fork)).to_string());
    let tally = Tally::new(walk.stops.iter().map(|stop| &stop.finding), walk.left_out);
    let end = json!({
        "runbook": symptom.runbook(),
        "not_asked": walk.not_asked.iter().map(|check| check.name()).collect::<Vec<_>>(),
        "first_step": { "meaning": walk.conclusion, "command": walk.first_step },
        "summary": tally.json(),
    });
    lines.chain([end.to_string()]).collect::<Vec<_>>().join("\n")
}

fn object(finding: &Finding, fork: Option<&str>) -> Value {
    let Finding { check, verdict, meaning, command } = finding;
    let verdict = verdict.name().to_lowercase().replace(' ', "_");
    let mut object = json!({ "check": check.name(), "verdict": verdict, "meaning": meaning, "command": command });
    if let (Some(fork), Some(fields)) = (fork, object.as_object_mut()) {
        fields.insert("fork".to_owned(), json!(fork));
    }
    object
}
