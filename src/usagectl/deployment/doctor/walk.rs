//! A symptom's way through the decision tree with the facts at hand: which checks were asked, where it ended, and the
//! first step to take.

use super::check::Check;
use super::facts::Facts;
use super::finding::{Finding, Verdict};
use super::symptom::{Path, Symptom};

/// A finding at a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub finding: Finding,
    /// What the answer means here.
    pub fork: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    pub stops: Vec<Stop>,
    /// What needn't be asked before the problem that was found is mended.
    pub not_asked: Vec<Check>,
    /// What this deployment doesn't have.
    pub left_out: usize,
    /// What it comes to.
    pub conclusion: String,
    pub first_step: String,
}

const GO_ON: &str = "not this; go on";
const CANT_TELL: &str = "can't tell; go on";

/// Walks until a problem is found.
pub fn walk(symptom: Symptom, facts: &Facts) -> Walk {
    let Path { forks, otherwise, first_step } = symptom.path();
    let mut walk = Walk {
        stops: Vec::new(),
        not_asked: Vec::new(),
        left_out: 0,
        conclusion: otherwise.to_owned(),
        first_step: first_step(facts),
    };
    let mut worst = Verdict::Ok;
    for fork in forks {
        if worst == Verdict::Problem {
            walk.not_asked.push(fork.check);
            continue;
        }
        let Some(finding) = fork.check.find(facts) else {
            walk.left_out += 1;
            continue;
        };
        let meaning = match finding.verdict {
            Verdict::Ok => GO_ON,
            Verdict::NoData | Verdict::Unknown => CANT_TELL,
            Verdict::Warning | Verdict::Problem => fork.if_found,
        };
        // The first of the gravest: what comes earlier in the tree is looked at earlier.
        if finding.verdict >= Verdict::Warning && finding.verdict > worst {
            worst = finding.verdict;
            walk.conclusion = format!("{}: {}", fork.check.name(), fork.if_found);
            walk.first_step = finding.command.clone().unwrap_or_default();
        }
        walk.stops.push(Stop { finding, fork: meaning });
    }
    walk
}
