//! Formats the report: a line for each check with the command that fixes it, or JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::diagnosis::Diagnosis;
use super::finding::{Finding, Verdict};
use super::symptom::Symptom;
use crate::shell::console::{Color, counted, plain};
use crate::shell::paragraph::paragraph;

/// The number of findings for each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct VerdictCounts {
    pub ok: usize,
    pub no_data: usize,
    pub unknown: usize,
    pub warnings: usize,
    pub problems: usize,
    /// Checks that don't apply to this deployment.
    pub left_out: usize,
}

impl VerdictCounts {
    pub(super) fn new<'f>(findings: impl IntoIterator<Item = &'f Finding>, left_out: usize) -> VerdictCounts {
        let mut tally = VerdictCounts { left_out, ..VerdictCounts::default() };
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
        let VerdictCounts { ok, no_data, unknown, warnings, problems, left_out } = self;
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
            let verb = if left_out == 1 { "doesn't" } else { "don't" };
            let _ = write!(text, "; {left_out} more {verb} apply here");
        }
        text
    }

    fn json(self) -> Value {
        let VerdictCounts { ok, no_data, unknown, warnings, problems, left_out } = self;
        json!({ "ok": ok, "warnings": warnings, "problems": problems, "unknown": unknown, "no_data": no_data, "left_out": left_out })
    }
}

/// The width of the longest check's name.
const NAME: usize = 19;

/// All findings as text.
pub(super) fn text(findings: &[Finding], tally: VerdictCounts) -> String {
    let lines = findings.iter().map(|finding| line(finding, None));
    lines.chain([tally.text()]).collect::<Vec<_>>().join("\n")
}

/// A diagnosis as text.
pub(super) fn diagnosis_text(symptom: Symptom, diagnosis: &Diagnosis) -> String {
    let mut lines = vec![format!("Checks of docs/operations.md#{}:", symptom.runbook())];
    lines.extend(diagnosis.steps.iter().map(|step| line(&step.finding, Some(step.fork))));
    if !diagnosis.not_asked.is_empty() {
        let names: Vec<&str> = diagnosis.not_asked.iter().map(|check| check.name()).collect();
        lines.push(paragraph(&format!("not checked until this is fixed: {}", names.join(", ")), "  "));
    }
    let tally = VerdictCounts::new(diagnosis.steps.iter().map(|step| &step.finding), diagnosis.left_out);
    lines.push(tally.text());
    lines.push(paragraph(&format!("First step: {}", diagnosis.conclusion), "            "));
    lines.push(format!("  {}", plain(&diagnosis.first_step)));
    lines.join("\n")
}

fn line(finding: &Finding, fork: Option<&str>) -> String {
    let Finding { check, verdict, meaning, command } = finding;
    let indent = format!("{:8} {:NAME$} ", "", "");
    let text = paragraph(&format!("{:<8} {:<NAME$} {meaning}", verdict.name(), check.name()), &indent);
    let mut text = match verdict {
        Verdict::Problem => Color::Red.at_start(&text, verdict.name(), &std::io::stdout()),
        Verdict::Warning => Color::Yellow.at_start(&text, verdict.name(), &std::io::stdout()),
        Verdict::Ok | Verdict::NoData | Verdict::Unknown => text,
    };
    if let Some(fork) = fork {
        text.push_str(&format!("\n{}", paragraph(&format!("{indent}→ {fork}"), &format!("{indent}  "))));
    }
    // A command is never wrapped, so that it can be copied.
    if let Some(command) = command {
        text.push_str(&format!("\n{indent}$ {}", plain(command)));
    }
    text
}

/// All findings as JSON lines, and a summary.
pub(super) fn json_lines(findings: &[Finding], tally: VerdictCounts) -> String {
    let lines = findings.iter().map(|finding| object(finding, None).to_string());
    lines.chain([json!({ "summary": tally.json() }).to_string()]).collect::<Vec<_>>().join("\n")
}

/// A diagnosis as JSON lines, and a summary.
pub(super) fn diagnosis_json(symptom: Symptom, diagnosis: &Diagnosis) -> String {
    let lines = diagnosis.steps.iter().map(|step| object(&step.finding, Some(step.fork)).to_string());
    let tally = VerdictCounts::new(diagnosis.steps.iter().map(|step| &step.finding), diagnosis.left_out);
    let end = json!({
        "runbook": symptom.runbook(),
        "not_asked": diagnosis.not_asked.iter().map(|check| check.name()).collect::<Vec<_>>(),
        "first_step": { "meaning": diagnosis.conclusion, "command": diagnosis.first_step },
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
