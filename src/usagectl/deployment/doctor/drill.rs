//! `usagectl doctor --drill`: sets one alarm of a stack to ALARM, reports who is notified, waits until CloudWatch has notified
//! them, and sets the alarm back. `alarms` chooses the alarm, `requests` talks to CloudWatch and SNS, `report` shows the result.

mod alarms;
mod report;
mod requests;

use std::time::Duration;

use anyhow::Context;
use aws_sdk_cloudwatch::types::StateValue;
use usage_aggregator::time::Timestamp;

use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;
use crate::stack::Account;
use alarms::{chosen, notifications};
use report::{Report, Stage};
use requests::Requests;

/// How long to wait for the notifications. A composite alarm usually follows its child within seconds.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often to look at the history.
const PAUSE: Duration = Duration::from_secs(3);

/// What to do.
pub(super) struct Drill<'d> {
    pub(super) stack: &'d str,
    /// The alarm, with or without the stack's name.
    pub(super) alarm: Option<&'d str>,
    /// Only report what would be done.
    pub(super) dry_run: bool,
}

impl Drill<'_> {
    /// Runs the drill.
    pub(super) async fn run(&self, account: &Account, options: &Options) -> anyhow::Result<Done> {
        let requests = Requests::new(account);
        let found = requests.alarms(self.stack).await?;
        let alarm = chosen(&found, self.stack, self.alarm).map_err(UsageError)?;
        let mut notifications = notifications(&found, alarm);
        for notification in &mut notifications {
            notification.subscriptions = requests.subscriptions(&notification.topic).await?;
        }
        let mut report = Report {
            stack: self.stack.to_owned(),
            alarm: alarm.name.clone(),
            state: alarm.state.clone(),
            stage: Stage::DryRun,
            notifications,
        };
        if !self.dry_run {
            report.stage = if report.reaches_nobody() { Stage::NobodyToNotify } else { Stage::Fired };
        }
        if report.stage == Stage::Fired {
            let fired = fire(&requests, &mut report).await;
            // Whatever happened: the alarm must not keep firing.
            let restored = requests.set(&report.alarm, alarm.state.clone(), "the drill is over").await;
            restored.with_context(|| format!("set {} back to {}", report.alarm, alarm.state.as_str()))?;
            fired?;
        }
        console::print(&if options.json { report.json() } else { report.text() })?;
        Ok(if report.is_good() { Done::Well } else { Done::WithFailures })
    }
}

/// Sets the alarm, and waits until each notification was sent or has failed, or doesn't come.
async fn fire(requests: &Requests, report: &mut Report) -> anyhow::Result<()> {
    let since: Timestamp = event_source_mapping::now()?;
    requests.set(&report.alarm, StateValue::Alarm, "a drill by usagectl doctor --drill").await?;
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        for notification in &mut report.notifications {
            let actions = requests.actions(&notification.alarm, since).await?;
            notification.learn(&actions);
        }
        if report.is_settled() || tokio::time::Instant::now() >= end {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
