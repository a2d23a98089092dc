//! `usagectl indicators show`: the indicators of one target, stored and recomputed.

use clap::Args;

use super::examine::{Drift, State, examine};
use super::open::{Selection, Table};
use super::text;
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;
use crate::stack::Access;

/// Show the indicators of one item, as stored and as its items give them now
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Show {
    /// Key of the target: partition key and sort key
    #[arg(required = true, num_args = 1..=2, value_name = "KEY")]
    key: Vec<String>,
    #[command(flatten)]
    selection: Selection,
}

const EXAMPLES: &str = "\
Examples:
  usagectl indicators show 'GROUP#payments' GROUP --local
  usagectl indicators show 'CUSTOMER#7' PROFILE --stack usage-aggregator --json

Needs dynamodb:DescribeTable, Query and GetItem on the source table.

The exit code is 1 if a value differs, for example because a change is still on its way.";

impl Show {
    /// Runs the command.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let table = self.selection.open(options, Access::Read).await?;
        let names = table.key_names();
        if names.len() != self.key.len() {
            let names = names.join(" and ");
            return Err(UsageError(format!("the key of {} is {names}: specify {names}", table.name)).into());
        }
        let given: Vec<(&str, &str)> = names.iter().copied().zip(self.key.iter().map(String::as_str)).collect();
        let text = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        let mut done = None;
        for (index, indicator) in table.indicators() {
            let Some(variables) = indicator.target_variables(text) else { continue };
            let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
            let Some(key) = indicator.target_key(&variables) else { continue };
            let name = (index, key);
            let agrees = show(&table, &name, options).await?;
            done = Some(done.unwrap_or(true) && agrees);
        }
        match done {
            Some(true) => Ok(Done::Well),
            Some(false) => Ok(Done::WithFailures),
            None => Err(UsageError(not_a_target(&table)).into()),
        }
    }
}

/// Prints a target, and returns whether it has what its items give.
async fn show(table: &Table, name: &(usize, Vec<(String, String)>), options: &Options) -> anyhow::Result<bool> {
    let Some(indicator) = table.pipeline.indicators.get(name.0) else { return Ok(true) };
    let state = examine(table, name).await.map_err(|failure| anyhow::Error::new(failure.error))?;
    let (drift, agrees) = match state {
        State::Missing => {
            return Err(UsageError(format!("{} has no item {}", table.name, text::key(&name.1))).into());
        }
        State::Differs(drift) => (drift, false),
        State::Equal => {
            let values = table.recomputer().values(indicator, &name.1).await;
            let values = values.map_err(|failure| anyhow::Error::new(failure.error))?;
            (Drift { stored: Some(values.clone()), recomputed: values }, true)
        }
    };
    let text = match options.json {
        true => text::drift_json(indicator, &name.1, &drift, true).to_string(),
        false => text::drifts([(indicator, &name.1, &drift)].into_iter(), true),
    };
    console::print(&text)?;
    Ok(agrees)
}

fn not_a_target(table: &Table) -> String {
    let targets: Vec<String> =
        table.indicators().map(|(_, indicator)| format!("{} ({})", indicator.target_text(), indicator.name)).collect();
    format!("this is not the key of a target; targets are {}", targets.join(", "))
}
