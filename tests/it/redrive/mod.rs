//! `usagectl redrive` against what a real mapping gave up, and against a deployed function's endpoints: nothing lost,
//! nothing counted twice, only poison left, whoever else is at work and wherever it dies.

mod crash;
mod deployed;
mod endpoints;
mod lambda;
mod local;
mod moto;
mod outputs;
mod stack;

use serde_json::Value;

use crate::fixture::{Fixture, Run};

/// The lines of a run with `--json`, by their kind.
pub struct Told {
    pub code: Option<i32>,
    pub lines: Vec<Value>,
    pub stderr: String,
}

impl From<Run> for Told {
    fn from(run: Run) -> Told {
        let line =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}\n{}", run.stderr));
        let lines: Vec<Value> = run.stdout.lines().map(line).collect();
        Told { code: run.code, lines, stderr: run.stderr }
    }
}

impl Told {
    /// What lines of a kind say.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter_map(|line| line.get(kind)).collect()
    }

    pub fn summary(&self) -> &Value {
        let last = self.lines.last().unwrap_or_else(|| panic!("nothing was printed: {}", self.stderr));
        last.get("summary").unwrap_or_else(|| panic!("{last} is no summary\n{}", self.stderr))
    }

    pub fn sum(&self, name: &str) -> u64 {
        self.summary()[name].as_u64().unwrap()
    }
}

/// Redrives on this machine.
pub fn redrive(desk: &Fixture, arguments: &[&str]) -> Told {
    desk.run(&[&["redrive", "--local", "--json"], arguments].concat()).into()
}
