//! `usagectl reconcile --stack`: checks the counters of one window of a deployed stack against its archive. What is read is
//! named by the stack's outputs, and how it is read by the function's configuration.

use laptop::proof::reconcile::{Period, Report, Site, Truth, reconcile_within};
use serde_json::{Value, json};
use usage_aggregator::config::Config;
use usage_aggregator::time::{DAY_SECONDS, Timestamp};

use super::lines::{error_line, line};
use super::{Reconcile, conclude, unprovable_is_usage};
use crate::answers::prove::{Repair, repair_window};
use crate::ledger;
use crate::results::differences;
use crate::shell::console::{self, Done, UsageError, note};
use crate::shell::options::Options;
use crate::stack::{Access, Deployment, Where};

impl Reconcile {
    /// Compares and prints the result.
    pub(super) async fn run_deployed(&self, stack: &str, options: &Options) -> anyhow::Result<Done> {
        let place = Where { stack: Some(stack.to_owned()), ..Where::default() };
        let deployment = place.open(options).await?;
        let access = if self.repair { Access::Write } else { Access::Read };
        let config = deployment.variables(options, access).await?.with_metrics_sink("none").config()?;
        let now = event_source_mapping::now()?;
        let period = Period::new(self.at.clone().unwrap_or_else(|| day_before(now)));
        let at = period.name();
        if now.to_string().starts_with(at) {
            note(&format!("note: {at} hasn't ended: records that are still on their way are reported as differences"));
        }
        let mut report = self.compare_and_print(&deployment, &config, &period, options).await?;
        if !report.agrees() && self.repair {
            let ledger = ledger::open(&place, options, access).await?;
            let window = ledger::window(at, ledger.snapshot.zone)?;
            let request = Repair { author: self.author.as_deref(), dry_run: self.dry_run };
            let is_complete = repair_window(&ledger, options, window, &request).await?;
            if self.dry_run {
                return Ok(Done::WithFailures);
            }
            report = self.compare_and_print(&deployment, &config, &period, options).await?;
            if !is_complete {
                return Ok(Done::WithFailures);
            }
        }
        if !report.agrees() && !options.json {
            let what = match self.repair {
                true => "explains what differs in ledger and archive",
                false => "compares with the ledger, too; add --repair here to write what follows from it",
            };
            note(&format!("next: `usagectl prove {at} --stack {stack}` {what}"));
        }
        let done = if report.agrees() { Done::Well } else { Done::WithFailures };
        conclude(done, &report.unprovable)
    }

    /// Compares, and prints the report, or with `--json` the error.
    async fn compare_and_print(
        &self,
        deployment: &Deployment,
        config: &Config,
        period: &Period,
        options: &Options,
    ) -> anyhow::Result<Report> {
        let (name, at) = (&config.pipeline.name, period.name());
        let report = match self.compare_deployed(deployment, config, period).await {
            Ok(report) => report,
            Err(error) => {
                if options.json {
                    console::print(&error_line(name, &Truth::Archive, &error))?;
                }
                return Err(error);
            }
        };
        console::print(&if options.json {
            json_line(name, at, &report)?
        } else {
            differences::text(&format!("{name} {at}"), &report)
        })?;
        Ok(report)
    }

    async fn compare_deployed(
        &self,
        deployment: &Deployment,
        config: &Config,
        period: &Period,
    ) -> anyhow::Result<Report> {
        let name = &config.pipeline.name;
        let (Some(tables), Some(archive)) = (&config.tables, &config.archive) else {
            let missing = if config.tables.is_none() { "counts" } else { "archives" };
            return Err(UsageError(format!("pipeline {name} {missing} nothing, so there is nothing to compare")).into());
        };
        let clients = deployment.clients();
        let site = Site {
            clients: &clients,
            pipeline: &config.pipeline,
            tables: Some(tables),
            archive: Some(archive),
            unsettled: None,
            unfolded_pages: 0,
            period: Some(period),
            now: event_source_mapping::now()?,
        };
        let progress = console::spinner("snapshots and files read");
        let report = reconcile_within(self.wait, &site, &Truth::Archive, None, &|| progress.inc(1)).await;
        progress.finish_and_clear();
        report.map_err(unprovable_is_usage)
    }
}

/// The line of `--json`.
fn json_line(name: &str, at: &str, report: &Report) -> anyhow::Result<String> {
    let mut line: Value = serde_json::from_str(&line(name, &Truth::Archive, report, None)?)?;
    if let Some(fields) = line.as_object_mut() {
        fields.insert("at".to_owned(), json!(at));
    }
    Ok(line.to_string())
}

/// The day before `now`, which has ended.
fn day_before(now: Timestamp) -> String {
    let day_before = Timestamp::from_seconds(now.seconds() - DAY_SECONDS).unwrap_or(now);
    day_before.date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_last_day_that_has_ended() {
        assert_eq!(day_before(Timestamp::parse("2026-03-01T00:00:01Z").unwrap()), "2026-02-28");
    }
}
