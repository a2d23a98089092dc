//! `usagectl doctor`: looks at a deployment and says what is wrong with it, what that means and what mends it.
//!
//! `gather` does all reading, into plain `facts`; each of the `checks` is a pure function of them; `symptom` is the
//! decision tree of docs/operations.md, which `walk` follows; `show` prints. Nothing is changed but by `--probe`.

mod check;
mod checks;
mod facts;
mod finding;
mod gather;
mod own;
mod patterns;
mod policy;
mod show;
mod symptom;
mod unseen;
mod walk;

use clap::Args;

use crate::deployment::error_as_json;
use crate::shell::console::{self, Done};
use crate::shell::options::Options;
use crate::shell::running::Running;
use crate::stack::Where;
use check::Check;
use facts::Facts;
use finding::{Finding, Verdict};
use gather::Probe;
use show::Tally;
use symptom::Symptom;

/// Say what is wrong with a deployment, what that means, and what mends it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {
    /// What was seen: only the checks on its way through docs/operations.md, and the first step to take
    symptom: Option<Symptom>,
    /// Write something to the failure destination and delete it again, as you, not as the function
    #[arg(long, conflicts_with = "local")]
    probe: bool,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl doctor --stack usage-aggregator
  usagectl doctor iterator-age --stack usage-aggregator
  usagectl doctor --stack usage-aggregator --probe   tries the failure destination, too
  usagectl doctor --function orders --json           what else there is, the function says
  usagectl doctor --local                            the embedded services

Each check is OK, a warning or a problem; `no data` where there is nothing to judge by yet, and
`unknown` where it couldn't be looked at, with the permission that is missing. Nothing is changed
but by --probe.

Exit codes:
  0  all is well, as far as there are data
  1  a warning, or a check that couldn't look; `error:` on stderr where there is no such stack
  2  a problem; `error:` on stderr and nothing on stdout where the command line is wrong";

impl Doctor {
    /// Runs the command.
    ///
    /// # Errors
    /// When the command line is invalid, or the deployment can't be read.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        error_as_json(options, self.diagnose(options).await)
    }

    async fn diagnose(&self, options: &Options) -> anyhow::Result<Done> {
        // Before the folder is ours.
        let control = Running::read(&options.data).and_then(|running| running.control);
        let deployment = self.place.open(options).await?;
        let probe = if self.probe { Probe::Send } else { Probe::Dont };
        let facts = gather::facts(&self.place, deployment, options, control, probe).await?;
        match self.symptom {
            None => all(&facts, options),
            Some(symptom) => {
                let walk = walk::walk(symptom, &facts);
                console::print(&if options.json {
                    show::walk_json(symptom, &walk)
                } else {
                    show::walk_text(symptom, &walk)
                })?;
                Ok(done(walk.stops.iter().map(|stop| &stop.finding)))
            }
        }
    }
}

fn all(facts: &Facts, options: &Options) -> anyhow::Result<Done> {
    let findings: Vec<Finding> = Check::ALL.iter().filter_map(|check| check.find(facts)).collect();
    let tally = Tally::new(&findings, Check::ALL.len() - findings.len());
    console::print(&if options.json { show::json_lines(&findings, tally) } else { show::text(&findings, tally) })?;
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
