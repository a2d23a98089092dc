//! Follows a symptom's decision path with the facts of a deployment: which checks were evaluated, the conclusion, and the
//! first step to take. Pure.

use super::check::Check;
use super::facts::Facts;
use super::finding::{Finding, Verdict};
use super::symptom::{DecisionPath, Symptom};

/// A finding on the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The finding.
    pub finding: Finding,
    /// What the finding means for the symptom.
    pub fork: &'static str,
}

/// The result of following a decision path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The checks that were evaluated.
    pub steps: Vec<Step>,
    /// The checks that can wait until the problem that was found is fixed.
    pub not_asked: Vec<Check>,
    /// How many checks don't apply to this deployment.
    pub left_out: usize,
    /// The most severe finding, or the path's conclusion if there is none.
    pub conclusion: String,
    /// A command to run first.
    pub first_step: String,
}

const NOT_THE_CAUSE: &str = "not the cause";
const CANT_TELL: &str = "can't tell";

/// Evaluates the checks for a symptom until a problem is found.
pub fn diagnose(symptom: Symptom, facts: &Facts) -> Diagnosis {
    let DecisionPath { forks, otherwise, first_step } = symptom.path();
    let mut diagnosis = Diagnosis {
        steps: Vec::new(),
        not_asked: Vec::new(),
        left_out: 0,
        conclusion: otherwise.to_owned(),
        first_step: first_step(facts),
    };
    let mut worst = Verdict::Ok;
    for fork in forks {
        if worst == Verdict::Problem {
            diagnosis.not_asked.push(fork.check);
            continue;
        }
        let Some(finding) = fork.check.find(facts) else {
            diagnosis.left_out += 1;
            continue;
        };
        let meaning = match finding.verdict {
            Verdict::Ok => NOT_THE_CAUSE,
            Verdict::NoData | Verdict::Unknown => CANT_TELL,
            Verdict::Warning | Verdict::Problem => fork.if_found,
        };
        // The first of the most severe findings: earlier checks are more likely the cause.
        if finding.verdict >= Verdict::Warning && finding.verdict > worst {
            worst = finding.verdict;
            diagnosis.conclusion = format!("{}: {}", fork.check.name(), fork.if_found);
            diagnosis.first_step = finding.command.clone().unwrap_or_default();
        }
        diagnosis.steps.push(Step { finding, fork: meaning });
    }
    diagnosis
}
