//! `usagectl redrive` with the failed batches of a real mapping, and with a deployed function's endpoints: no record is lost,
//! none is counted twice, and only bad records remain, whatever runs at the same time and wherever it is killed.

mod aggregated;
mod crash;
mod deployed;
mod endpoints;
pub mod lambda;
mod local;
pub mod moto;
mod notices;
mod outputs;
mod quarantine;
mod stack;
mod versions;

use serde_json::Value;

use crate::fixture::{Fixture, Run};

/// The lines that a run with `--json` has printed.
pub struct Output {
    pub code: Option<i32>,
    pub lines: Vec<Value>,
    pub stderr: String,
}

impl From<Run> for Output {
    fn from(run: Run) -> Output {
        let line =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}\n{}", run.stderr));
        let lines: Vec<Value> = run.stdout.lines().map(line).collect();
        Output { code: run.code, lines, stderr: run.stderr }
    }
}

impl Output {
    /// The lines of a kind.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter_map(|line| line.get(kind)).collect()
    }

    pub fn summary(&self) -> &Value {
        let summary = self.all("summary").into_iter().next_back();
        summary.unwrap_or_else(|| panic!("no summary was printed: {:?}\n{}", self.lines, self.stderr))
    }

    pub fn sum(&self, name: &str) -> u64 {
        self.summary()[name].as_u64().unwrap()
    }
}

/// Redrives on this machine.
pub fn redrive(fixture: &Fixture, arguments: &[&str]) -> Output {
    fixture.run(&[&["redrive", "--local", "--json"], arguments].concat()).into()
}
