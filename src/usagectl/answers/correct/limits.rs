//! What a correction must satisfy before anything is written: its minute, its group, its measure, and the sums that it changes.

use anyhow::Context;
use stream_types::Decimal;
use usage_aggregator::fold::StateValue;
use usage_aggregator::ledger::{Aggregate, Level, WindowKey};
use usage_aggregator::time::{DAY_SECONDS, Timestamp};
use usage_aggregator::usage::{CounterKey, Segment, check_keys};

use super::put::Change;
use crate::ledger::Open;
use crate::shell::console::{UsageError, plain};

/// Whether a group may be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    /// It must have usage in the month of the correction.
    Known,
    /// It may be one without any usage yet.
    New,
}

/// What a correction adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addition<'a> {
    pub minute: Segment,
    pub key: &'a CounterKey,
    pub measure: &'a str,
    pub amount: Decimal,
}

/// Checks that the pages of a minute are still there, and that it has begun and is counted.
///
/// # Errors
/// With what to do instead.
pub(super) fn check_minute(ledger: &Open, minute: Segment, now: Timestamp) -> Result<(), UsageError> {
    let text = minute.text();
    if minute > Segment::containing(now) {
        return Err(UsageError(format!("--at: {text} is in the future; choose a minute that has begun (UTC)")));
    }
    let horizon = now.seconds() - ledger.config.horizon_days * DAY_SECONDS;
    if minute.start() < horizon {
        let first =
            Timestamp::from_seconds(horizon).map(|at| Segment::containing(at).next().text()).unwrap_or_default();
        return Err(UsageError(format!(
            "--at: {text} is before the horizon of {} days, so the pages of that minute may have expired; correct a minute \
             from {first} on, and give the reason",
            ledger.config.horizon_days
        )));
    }
    match ledger.config.tables.as_ref().and_then(|tables| tables.count_from) {
        Some(first) if minute.start() < first.seconds() => Err(UsageError(format!(
            "--at: {text} is before COUNT_FROM ({first}), and nothing is counted there; correct a later minute"
        ))),
        _ => Ok(()),
    }
}

/// Checks an addition against what is counted, and returns how the windows change that it is in.
///
/// # Errors
/// With what to do instead.
pub(super) async fn check(ledger: &Open, addition: &Addition<'_>, groups: Groups) -> anyhow::Result<Vec<Change>> {
    let Addition { minute, key, measure, amount } = *addition;
    let at = Timestamp::from_seconds(minute.start()).context("read --at")?;
    check_keys(&ledger.snapshot, key, at).map_err(|fault| {
        UsageError(format!(
            "the snapshot's key attribute {} {}; check --entity and --resource",
            fault.field, fault.message
        ))
    })?;
    let highest = ledger.snapshot.windows.iter().map(|window| Level::of(*window)).max().unwrap_or(Level::Hour);
    let largest = WindowKey::containing(highest, at, ledger.snapshot.zone);
    let own = ledger.folder.values(&ledger.snapshot, largest, key, None).await.context("read the ledger")?;
    let is_counted = own.iter().any(|value| value.measure == measure && value.aggregate == Aggregate::Sum);
    if !is_counted && (ledger.snapshot.kinds.contains_key(measure) || ledger.snapshot.has_attribute(measure)) {
        return Err(not_a_sum(measure).into());
    }
    check_group(ledger, addition, &own, largest, groups).await?;
    let levels = [Level::Minute].into_iter().chain(Level::needed(&ledger.snapshot.windows));
    let mut changes = Vec::new();
    for window in levels.map(|level| WindowKey::containing(level, at, ledger.snapshot.zone)) {
        let values = ledger.folder.values(&ledger.snapshot, window, key, None).await.context("read the ledger")?;
        let before = match values.iter().find(|value| value.measure == measure) {
            None => Decimal::ZERO,
            Some(StateValue { aggregate, .. }) if *aggregate != Aggregate::Sum => {
                return Err(not_a_sum(measure).into());
            }
            Some(StateValue { value: Some(text), .. }) => Decimal::parse(text).context("read a state")?,
            Some(StateValue { value: None, .. }) => {
                let remedy = "follow the runbook for Overflow first";
                return Err(UsageError(format!("{measure} of {window} isn't known any more; {remedy}")).into());
            }
        };
        let after = before.checked_add(amount).map_err(|_| {
            let remedy = "choose an amount with fewer digits";
            UsageError(format!(
                "--amount: the sum of {window} is {before} and would need more than 38 digits; {remedy}"
            ))
        })?;
        if window.span().is_some_and(|span| ledger.snapshot.windows.contains(&span.window)) {
            changes.push(Change { window, before, after });
        }
    }
    Ok(changes)
}

fn not_a_sum(measure: &str) -> UsageError {
    UsageError(format!(
        "--measure: {measure} isn't a sum, so no amount can be added to it; take back the wrong records with `usagectl \
         correct void`, and it is computed without them"
    ))
}

/// Checks that the group and its measure are known, because a misspelled one would be a new counter.
async fn check_group(
    ledger: &Open,
    addition: &Addition<'_>,
    own: &[StateValue],
    largest: WindowKey,
    groups: Groups,
) -> anyhow::Result<()> {
    let measure = addition.measure;
    if own.iter().any(|value| value.measure == measure) {
        return Ok(());
    }
    let mut known: Vec<String> = ledger.config.pipeline.measures.clone();
    known.extend(ledger.folder.measures(largest, None).await.context("read the ledger")?);
    known.sort_unstable();
    known.dedup();
    if !known.iter().any(|known| known == measure) {
        let known = known.join(", ");
        return Err(UsageError(format!("--measure: unknown measure `{measure}`; expected one of {known}")).into());
    }
    if groups == Groups::New {
        return Ok(());
    }
    let group = plain(&addition.key.0.join(" "));
    let largest = match largest.level {
        Level::Total => "the window total".to_owned(),
        _ => largest.to_string(),
    };
    let what = match own {
        [] => format!("{group} has no usage in {largest}"),
        own => {
            let measures: Vec<&str> = own.iter().map(|value| value.measure.as_str()).collect();
            format!("{group} has no {measure} in {largest}, only {}", measures.join(", "))
        }
    };
    Err(UsageError(format!("{what}; check the spelling, or add --new to start counting it")).into())
}
