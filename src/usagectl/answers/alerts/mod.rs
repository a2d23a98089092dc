//! `usagectl alerts`: which entities have reached the thresholds of the pipeline's alerts, and which have fallen back.

mod read;
mod show;

use clap::Args;
use usage_aggregator::ledger::{Level, WindowKey};

use crate::ledger::{open, window};
use crate::results::sums::Length;
use crate::shell::console::{self, Done};
use crate::shell::csv_text::Formulas;
use crate::shell::options::Options;
use crate::stack::{Access, Where};
use read::Standing;

/// List who has reached the thresholds of the pipeline's alerts, and who has fallen back
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Alerts {
    /// Only alerts of this entity
    #[arg(long, value_name = "TEXT")]
    entity: Option<String>,
    /// Only alerts on windows of this length
    #[arg(long, value_name = "LENGTH", conflicts_with = "at")]
    window: Option<Length>,
    /// Alerts of this window, in the pipeline's time zone: 2026-11, 2026-W48, 2026-11-28, 2026-11-28T08, or total
    /// [default: the windows that are open now]
    #[arg(long, value_name = "WINDOW")]
    at: Option<String>,
    /// Only alerts that have fired and not cleared since
    #[arg(long)]
    firing: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    formulas: Formulas,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl alerts --local
  usagectl alerts --stack usage-aggregator --firing --window month
  usagectl alerts --stack usage-aggregator --at 2026-10 --csv > october.csv
  usagectl alerts --local --entity 7 --json | jq .state

Reads the alerts that the fold has put into the ledger, and the snapshots for the present
values. An entity that has never reached a threshold isn't listed; `usagectl usage top` ranks
all of them. Needs dynamodb:Query on the ledger and dynamodb:GetItem on the usage table.";

impl Alerts {
    /// Prints the alerts.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let ledger = open(&self.place, options, Access::Read).await?;
        let windows = match &self.at {
            Some(text) => vec![window(text, ledger.snapshot.zone)?],
            None => self.open_windows(&ledger.snapshot)?,
        };
        let progress = console::spinner("alerts read");
        let all = read::standings(&ledger, &windows, |standing| self.wants(standing)).await?;
        progress.finish_and_clear();
        let others: Vec<&str> = ledger.snapshot.group_variables.iter().skip(2).map(String::as_str).collect();
        match (options.json, self.csv) {
            (true, _) if all.is_empty() => {}
            (true, _) => console::print(&show::lines(&all))?,
            (false, true) => console::print(&show::csv(&all, &others, self.formulas)?)?,
            (false, false) if all.is_empty() => {
                let has_limits = !ledger.snapshot.alerts.is_empty();
                console::print(&show::none(&ledger.config.pipeline.name, has_limits))?;
            }
            (false, false) => console::print(&show::text(&all, &others))?,
        }
        Ok(Done::Well)
    }

    /// The windows of the pipeline that contain the present moment.
    fn open_windows(&self, snapshot: &usage_aggregator::pipeline::Snapshot) -> anyhow::Result<Vec<WindowKey>> {
        let now = event_source_mapping::now()?;
        let wanted = self.window.map(Length::window);
        let windows = snapshot.windows.iter().filter(|window| wanted.is_none_or(|wanted| wanted == **window));
        Ok(windows.map(|window| WindowKey::containing(Level::of(*window), now, snapshot.zone)).collect())
    }

    fn wants(&self, standing: &Standing) -> bool {
        self.entity.as_deref().is_none_or(|entity| standing.alert.entity == entity)
            && (!self.firing || standing.is_firing())
    }
}
