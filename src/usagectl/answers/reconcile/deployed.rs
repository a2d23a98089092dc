//! `usagectl reconcile --stack`: checks the counters of one window of a deployed stack against its archive. What is read is
//! named by the stack's outputs, and how it is read by the function's configuration.

use laptop::proof::reconcile::{Period, Report, Site, Truth, reconcile_within};
use serde_json::{Value, json};
use usage_aggregator::config::Config;
use usage_aggregator::ledger::WindowKey;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::{Window, Zone};

use super::lines::{error_line, line};
use super::{Reconcile, conclude, unprovable_is_usage};
use crate::answers::prove::{Repair, repair_window, snapshot_window};
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
        let zone = config.pipeline.snapshot.as_ref().map_or(Zone::UTC, |snapshot| snapshot.zone);
        let window = window(self.at.as_deref(), zone, now)?;
        let period = Period::new(window.text());
        let at = period.name();
        if window.end() > now.seconds() {
            note(&format!("note: {at} hasn't ended: records that are still on their way are reported as differences"));
        }
        let mut report = self.compare_and_print(&deployment, &config, &period, options).await?;
        if !report.agrees() && self.repair {
            let ledger = ledger::open(&place, options, access).await?;
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
        let report = reconcile_within(self.wait, &site, &Truth::Archive, &[], &|| progress.inc(1)).await;
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

/// The window to check: the given one, or the day before `now`, which has ended.
fn window(at: Option<&str>, zone: Zone, now: Timestamp) -> Result<WindowKey, UsageError> {
    let day_before = || {
        let today = Window::Day.containing(now, zone);
        Window::Day.at(today.start - 1, zone).key()
    };
    snapshot_window("--at", &at.map_or_else(day_before, str::to_owned), zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_last_day_that_has_ended_in_the_time_zone() {
        let los_angeles = Zone::named("America/Los_Angeles").unwrap();
        for (now, zone, expected) in [
            ("2026-03-01T00:00:01Z", Zone::UTC, "2026-02-28"),
            // 18:00 on November 28.
            ("2026-11-29T02:00:00Z", los_angeles, "2026-11-27"),
            // The day on which the clocks go back has 25 hours.
            ("2026-11-02T07:59:59Z", los_angeles, "2026-10-31"),
            ("2026-11-02T08:00:00Z", los_angeles, "2026-11-01"),
        ] {
            let now = Timestamp::parse(now).unwrap();
            let window = window(None, zone, now).unwrap();
            assert!(window.text() == expected && window.end() <= now.seconds(), "{window}");
        }
    }

    #[test]
    fn a_window_is_named_as_the_pipeline_names_it() {
        let (berlin, now) = (Zone::named("Europe/Berlin").unwrap(), Timestamp::parse("2026-11-29").unwrap());
        for right in ["2026-11", "2026-W48", "2026-11-28", "2026-11-28T08+01:00"] {
            assert_eq!(window(Some(right), berlin, now).unwrap().text(), right);
        }
        let refused = |wrong: &str| window(Some(wrong), berlin, now).unwrap_err().to_string();
        assert!(refused("2026-11-28T08").contains("and its offset in Europe/Berlin"));
        assert!(refused("2026-11-28T08:57").starts_with("--at: a minute has no snapshots"));
    }
}
