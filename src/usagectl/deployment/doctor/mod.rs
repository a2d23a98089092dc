//! `usagectl doctor`: diagnoses a deployment.
//!
//! `gather` reads everything into plain `facts`. Each of the `checks` is a pure function of them. `symptom` is the decision
//! tree of docs/operations.md, which `diagnosis` follows. `show` prints. `drill` tests the notifications. Only `--probe` and
//! `--drill` change anything.

pub mod check;
mod checks;
pub mod diagnosis;
mod drill;
pub mod facts;
pub mod finding;
mod gather;
pub mod own_writes;
pub mod patterns;
pub mod policy;
mod show;
pub mod symptom;
pub mod unavailable;

use clap::Args;

use crate::deployment::error_as_json;
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;
use crate::shell::running::Running;
use crate::stack::Where;
use check::Check;
use facts::Facts;
use finding::{Finding, Verdict};
use gather::Probe;
use show::VerdictCounts;
use symptom::Symptom;

/// Diagnose a deployment: what is wrong, what it means, how to fix it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {
    /// Run only the checks for this symptom, in the order of docs/operations.md, and suggest a first step
    symptom: Option<Symptom>,
    /// Write a probe to the failure destination and delete it, using your credentials rather than the function's
    #[arg(long, conflicts_with = "local")]
    probe: bool,
    /// Let an alarm fire for a moment, report who is subscribed and whether they were notified, and set it back
    #[arg(long, requires = "stack", conflicts_with_all = ["local", "probe", "symptom"])]
    drill: bool,
    /// With --drill: the alarm, such as AnyError [default: DroppedEvents or another quiet one that pages]
    #[arg(long, value_name = "NAME", requires = "drill")]
    alarm: Option<String>,
    /// With --drill: report what would be done and who is subscribed
    #[arg(long, requires = "drill")]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl doctor --stack usage-aggregator
  usagectl doctor iterator-age --stack usage-aggregator
  usagectl doctor --stack usage-aggregator --probe   also test the failure destination
  usagectl doctor --stack usage-aggregator --drill   test the notifications
  usagectl doctor --function orders --json           find the other parts through the function
  usagectl doctor --local                            check the embedded services

Each check is OK, a warning or a problem. It is `no data` if there is no data yet, and `unknown` if
something could not be read, with the missing permission. Only --probe and --drill change anything.
An alarm that a drill has set returns to its real state by itself, even if the drill is interrupted.

Exit codes:
  0  All checks with data are OK
  1  A check is a warning or unknown, a drill notified nobody or not everybody, or the stack doesn't
     exist (`error:` on stderr)
  2  A check is a problem, or the command line is invalid (`error:` on stderr)";

impl Doctor {
    /// Runs the command.
    ///
    /// # Errors
    /// When the command line is invalid, or the deployment can't be read.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        error_as_json(options, self.diagnose(options).await)
    }

    async fn diagnose(&self, options: &Options) -> anyhow::Result<Done> {
        // Read first: opening the deployment locks the data folder.
        let control = Running::read(&options.data).and_then(|running| running.control);
        let deployment = self.place.open(options).await?;
        if self.drill {
            let missing = || UsageError("--drill needs --stack NAME".to_owned());
            let (stack, account) = self.place.stack.as_deref().zip(deployment.account()).ok_or_else(missing)?;
            let drill = drill::Drill { stack, alarm: self.alarm.as_deref(), dry_run: self.dry_run };
            return drill.run(account, options).await;
        }
        let probe = if self.probe { Probe::Send } else { Probe::Dont };
        let facts = gather::facts(&self.place, deployment, options, control, probe).await?;
        match self.symptom {
            None => all(&facts, options),
            Some(symptom) => {
                let diagnosis = diagnosis::diagnose(symptom, &facts);
                console::print_findings(&if options.json {
                    show::diagnosis_json(symptom, &diagnosis)
                } else {
                    show::diagnosis_text(symptom, &diagnosis)
                })?;
                Ok(done(diagnosis.steps.iter().map(|step| &step.finding)))
            }
        }
    }
}

fn all(facts: &Facts, options: &Options) -> anyhow::Result<Done> {
    let findings: Vec<Finding> = Check::ALL.iter().filter_map(|check| check.find(facts)).collect();
    let tally = VerdictCounts::new(&findings, Check::ALL.len() - findings.len());
    console::print_findings(&if options.json {
        show::json_lines(&findings, tally)
    } else {
        show::text(&findings, tally)
    })?;
    Ok(done(&findings))
}

fn done<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Done {
    match findings.into_iter().map(|finding| finding.verdict).max() {
        None | Some(Verdict::Ok | Verdict::NoData) => Done::Well,
        Some(Verdict::Unknown | Verdict::Warning) => Done::WithFailures,
        Some(Verdict::Problem) => Done::WithProblems,
    }
}

#[cfg(test)]
mod tests;
