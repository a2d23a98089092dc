//! `usagectl why`: opens a number into the records behind it, which add up to exactly that number, or says what is missing.

mod show;
mod sql;
mod walk;

use std::collections::BTreeMap;

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use clap::Args;
use laptop::proof::rows::RowReader;
use stream_types::Decimal;
use usage_aggregator::fold::StateValue;
use usage_aggregator::ledger::{Aggregate, WindowKey};
use usage_aggregator::usage::{CounterKey, SnapshotItem};

use crate::answers::group;
use crate::ledger::{Open, open, window};
use crate::shell::console::{self, Done, UsageError};
use crate::shell::csv_text::Formulas;
use crate::shell::options::Options;
use crate::stack::{Access, Where};
use walk::{Found, walk};

/// Show the records behind a number, and that they add up to it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Why {
    /// Entity, as the pipeline names it
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// Resource, as the pipeline names it
    #[arg(value_name = "RESOURCE")]
    resource: String,
    /// Month, week, day or hour in the pipeline's time zone, minute (UTC), or total: 2026-11, 2026-W48, 2026-11-28,
    /// 2026-11-28T08, or 2026-11-28T08:57
    #[arg(value_name = "WINDOW")]
    window: String,
    /// Only this measure
    #[arg(value_name = "MEASURE")]
    measure: Option<String>,
    /// Another variable of the pipeline's snapshots; may be repeated
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = group::variable)]
    variables: Vec<(String, String)>,
    /// Print at most N records; the summary has all of them
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print all records as CSV, without the summary
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print the SQL that lists the archived records in Athena, even if the ledger has all of them
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    sql: bool,
    #[command(flatten)]
    formulas: Formulas,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl why 7 orders 2026-11 amount --stack usage-aggregator
  usagectl why 7 orders 2026-11-28T08 --local --limit 1000
  usagectl why 7 orders 2026-11-28 --stack usage-aggregator --csv > records.csv

The records are read from the pages of the ledger, which are kept for KEEP_DAYS and 7 days.
Beyond that, what is missing is named with what it adds up to, and the SQL that lists the
records in the archive is printed. Needs dynamodb:Query on the ledger and dynamodb:GetItem on
the usage table.

Exit codes:
  0  The records add up to the number
  1  Some records are missing, or something failed
  2  The command line is invalid";

/// A number, and what is behind it.
struct Answer<'a> {
    key: &'a CounterKey,
    window: WindowKey,
    /// The values of the snapshot, or of the state of a window without snapshots, by measure.
    shown: BTreeMap<String, String>,
    /// Whether the window has snapshots.
    has_snapshot: bool,
    found: Found,
}

impl Why {
    /// Prints the records.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let ledger = open(&self.place, options, Access::Read).await?;
        let window = window(&self.window, ledger.snapshot.zone)?;
        let key = group::key(&ledger.snapshot, &self.entity, &self.resource, &self.variables)?;
        let progress = console::spinner("windows read");
        let mut found = walk(&ledger.folder, &ledger.snapshot, window, &key).await?;
        progress.finish_and_clear();
        let stored = stored(&ledger, window, &key).await?;
        let has_snapshot = stored.is_some();
        let mut shown = stored.unwrap_or_else(|| values(&found.own));
        if let Some(measure) = &self.measure {
            let known: Vec<&str> = shown.keys().map(String::as_str).collect();
            if !shown.contains_key(measure) && !known.is_empty() {
                let known = known.join(", ");
                return Err(UsageError(format!("unknown measure `{measure}`; expected one of {known}")).into());
            }
            shown.retain(|name, _| name == measure);
            found.records.iter_mut().for_each(|(_, record)| record.retain(measure));
            found.records.retain(|(_, record)| record.texts().next().is_some());
            found.gaps.iter_mut().for_each(|gap| gap.sums.retain(|name, _| name == measure));
            found.gaps.retain(|gap| !gap.sums.is_empty());
        }
        if shown.is_empty() && found.records.is_empty() {
            let remedy = "check the spelling, and the window";
            let group = console::plain(&key.0.join(" "));
            return Err(UsageError(format!("nothing is counted for {group} in {window}; {remedy}")).into());
        }
        let answer = Answer { key: &key, window, shown, has_snapshot, found };
        console::print(&match (options.json, self.csv) {
            (true, _) => answer.json(),
            (false, true) => answer.csv(self.formulas)?,
            (false, false) => answer.text(self.limit),
        })?;
        if self.sql || (!self.csv && !options.json && !answer.found.gaps.is_empty()) {
            for query in sql::queries(&ledger.config.pipeline, &key, window) {
                console::print(&format!("\nThe archived records, in Athena:\n{query}"))?;
            }
        }
        Ok(if answer.is_explained() { Done::Well } else { Done::WithFailures })
    }
}

/// The values of the snapshot by measure; `None` if the window has no snapshots, or this one has expired.
async fn stored(
    ledger: &Open,
    window: WindowKey,
    key: &CounterKey,
) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    let span = window.span().filter(|span| ledger.snapshot.windows.contains(&span.window));
    let Some(span) = span else { return Ok(None) };
    let item = SnapshotItem::new(&ledger.snapshot, key, span);
    let usage = &ledger.folder.usage;
    let key = item.key.into_iter().map(|(name, text)| (name, AttributeValue::S(text))).collect();
    let read = usage.client.get_item().table_name(&usage.name).set_key(Some(key)).consistent_read(true).send().await;
    let read = read.with_context(|| format!("read a snapshot from {} (dynamodb:GetItem)", usage.name))?;
    let row = read.item.and_then(|item| RowReader::new(&ledger.snapshot).read(&item));
    Ok(row.map(|row| row.measures))
}

/// The values of a state by measure.
fn values(own: &[StateValue]) -> BTreeMap<String, String> {
    own.iter().filter_map(|value| Some((value.measure.clone(), value.value.clone()?))).collect()
}

/// How the records compare with the number of one measure.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// The records add up to it.
    Exact,
    /// They do with what is known to be missing.
    Missing(Decimal),
    /// They don't.
    Differs { records: Option<Decimal>, missing: Decimal },
    /// It isn't a sum, so nothing adds up.
    NotASum,
}

impl Answer<'_> {
    fn verdict(&self, measure: &str, shown: &str) -> Verdict {
        let is_sum = |value: &StateValue| value.measure != measure || value.aggregate == Aggregate::Sum;
        if !self.found.own.iter().all(is_sum) {
            return Verdict::NotASum;
        }
        let records = walk::counted(self.found.records.iter().map(|(_, record)| record));
        let records = records.get(measure).copied().unwrap_or(Some(Decimal::ZERO));
        let gaps = self.found.gaps.iter().filter_map(|gap| gap.sums.get(measure));
        let missing = gaps.fold(Decimal::ZERO, |sum, gap| sum.checked_add(*gap).unwrap_or(sum));
        let total = records.and_then(|records| records.checked_add(missing).ok());
        match Decimal::parse(shown).ok().filter(|shown| total == Some(*shown)) {
            Some(_) if missing.is_zero() => Verdict::Exact,
            Some(_) => Verdict::Missing(missing),
            None => Verdict::Differs { records, missing },
        }
    }

    fn verdicts(&self) -> impl Iterator<Item = (&str, &str, Verdict)> {
        self.shown.iter().map(|(measure, shown)| (measure.as_str(), shown.as_str(), self.verdict(measure, shown)))
    }

    /// Whether all records are there, and add up to the numbers.
    fn is_explained(&self) -> bool {
        let is_right = |verdict: &Verdict| matches!(verdict, Verdict::Exact | Verdict::NotASum);
        self.found.gaps.is_empty() && self.verdicts().all(|(_, _, verdict)| is_right(&verdict))
    }
}
