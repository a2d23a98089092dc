//! `usagectl correct list`: corrections and voids with their authors and reasons, and what tools repaired.

use std::collections::BTreeSet;

use anyhow::Context;
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use usage_aggregator::fold::Folder;
use usage_aggregator::ledger::{PageKind, Registered, is_expiring};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;

use super::put::kind_name;
use super::rows::rows;
use crate::answers::audit;
use crate::ledger::open;
use crate::results::sums::date;
use crate::shell::console::{self, Done};
use crate::shell::options::Options;
use crate::shell::table::{number, text, titled};
use crate::stack::{Access, Where};

/// List corrections and voids with their authors and reasons, and what tools repaired
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct List {
    /// Only those of this entity
    #[arg(long, value_name = "TEXT")]
    entity: Option<String>,
    /// Only those that count on this day (UTC) or later
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<String>,
    /// Only those that count on this day (UTC) or earlier
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<String>,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl correct list --stack usage-aggregator
  usagectl correct list --local --entity 7 --from 2026-11-01 --json";

/// Minutes that are read at once.
const CONCURRENT_READS: usize = 8;

/// Whether a correction counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its page is in the ledger, or was and has expired.
    Counts,
    /// It was taken back.
    TakenBack,
    /// Its page isn't in the ledger: the command that put it didn't end.
    Unfinished,
    /// Its page may have expired, and the command that put it didn't end.
    NotKnown,
}

impl Standing {
    fn text(self) -> &'static str {
        match self {
            Standing::Counts => "counts",
            Standing::TakenBack => "taken back",
            Standing::Unfinished => "unfinished: run it again",
            Standing::NotKnown => "expired, not known",
        }
    }
}

impl List {
    /// Prints the corrections that match, by minute.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let ledger = open(&self.place, options, Access::Read).await?;
        let now = event_source_mapping::now()?;
        let table = &ledger.folder.ledger;
        let all = table.registered(None).await.context("read the corrections")?;
        let mut kept: Vec<&Registered> = all.iter().filter(|registered| self.wants(registered)).collect();
        kept.sort_by_key(|registered| registered.page.minute);
        let minutes: BTreeSet<Segment> = kept.iter().map(|registered| registered.page.minute).collect();
        let names = names(&ledger.folder, minutes, now).await?;
        let voided = voided(&all, &names);
        let standing = |registered: &Registered| {
            let record = registered.signature.record_id().short();
            match (&registered.kind, names.is_put(registered)) {
                (_, Some(false)) => Standing::Unfinished,
                (PageKind::Correction(..), _) if voided.contains(&(registered.page.minute, record)) => {
                    Standing::TakenBack
                }
                (_, None) => Standing::NotKnown,
                (_, Some(true)) => Standing::Counts,
            }
        };
        let mut lines = Vec::new();
        let mut listed = titled(["at", "name", "kind", "group", "amounts", "author", "reason", ""]);
        for registered in kept {
            let standing = standing(registered);
            if options.json {
                lines.push(json_line(registered, standing)?);
                continue;
            }
            for cells in cells(registered, standing)? {
                listed.add_row(cells);
            }
        }
        if self.entity.is_none() {
            lines.extend(audit::entries(table, options.json).await?);
        }
        if !options.json {
            let title = if listed.row_count() == 0 { "no corrections found".to_owned() } else { listed.to_string() };
            lines.insert(0, title);
        }
        if !lines.is_empty() {
            console::print(&lines.join("\n"))?;
        }
        Ok(Done::Well)
    }

    fn wants(&self, registered: &Registered) -> bool {
        let at = registered.page.minute.text();
        let day = at.get(..10).unwrap_or(&at);
        let is_of = |entity: &str| {
            let mut keys = registered.content.groups.iter().filter_map(|group| group.key.counter_key().ok());
            keys.any(|key| key.entity() == entity)
        };
        self.entity.as_deref().is_none_or(is_of)
            && self.from.as_deref().is_none_or(|from| day >= from)
            && self.to.as_deref().is_none_or(|to| day <= to)
    }
}

/// The minutes and the beginnings of the ids of the records that were taken back in the minutes of these pages.
fn voided(all: &[Registered], names: &Names) -> BTreeSet<(Segment, u64)> {
    let voids = all.iter().filter(|one| matches!(one.kind, PageKind::Void(..)) && names.is_put(one) == Some(true));
    voids.flat_map(|void| void.content.short_ids().map(|id| (void.page.minute, id))).collect()
}

/// The pages of some minutes.
struct Names {
    found: BTreeSet<(Segment, u64)>,
    now: Timestamp,
    keep_days: i64,
}

impl Names {
    /// Whether the page was put, if that is known.
    fn is_put(&self, registered: &Registered) -> Option<bool> {
        let minute = registered.page.minute;
        match is_expiring(minute, self.keep_days, self.now) {
            true => registered.is_put.then_some(true),
            // The page may have expired, if KEEP_DAYS was lower when it was put.
            false => Some(registered.is_put || self.found.contains(&(minute, registered.page.name))),
        }
    }
}

async fn names(folder: &Folder, minutes: BTreeSet<Segment>, now: Timestamp) -> anyhow::Result<Names> {
    let keep_days = folder.ledger.keep_days;
    let alive = minutes.into_iter().filter(|minute| !is_expiring(*minute, keep_days, now));
    let of_minute = async |minute: Segment| {
        let pages = folder.page_names(minute, None).await.context("read the ledger")?;
        anyhow::Ok(pages.into_iter().map(|page| (minute, page.name)).collect::<Vec<_>>())
    };
    let reads: Vec<_> = alive.map(of_minute).collect();
    let found: Vec<Vec<(Segment, u64)>> = stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await?;
    Ok(Names { found: found.into_iter().flatten().collect(), now, keep_days })
}

fn json_line(registered: &Registered, standing: Standing) -> anyhow::Result<String> {
    let records: Vec<Value> = rows(&registered.content)?
        .into_iter()
        .map(|(record, group, amounts)| {
            let amounts: Map<String, Value> = amounts.into_iter().map(|(name, amount)| (name, json!(amount))).collect();
            json!({ "record_id": record, "group": group, "amounts": amounts })
        })
        .collect();
    Ok(json!({
        "id": registered.signature.id, "kind": kind_name(&registered.kind), "at": registered.page.minute.text(),
        "author": registered.signature.author, "reason": registered.signature.reason, "records": records,
        "standing": match standing {
            Standing::Counts => "counts",
            Standing::TakenBack => "taken_back",
            Standing::Unfinished => "unfinished",
            Standing::NotKnown => "not_known",
        },
    })
    .to_string())
}

/// A row for each record of a correction or void. What was taken back is shown with the opposite sign.
fn cells(registered: &Registered, standing: Standing) -> anyhow::Result<Vec<[comfy_table::Cell; 8]>> {
    let sign = if matches!(registered.kind, PageKind::Void(..)) { "takes back " } else { "" };
    let cell = |(_, group, amounts): (String, Vec<String>, Vec<(String, String)>)| {
        let amounts: Vec<String> = amounts.into_iter().map(|(name, amount)| format!("{name} {amount}")).collect();
        [
            text(&registered.page.minute.text()),
            text(&registered.signature.id),
            text(kind_name(&registered.kind)),
            text(&group.join(" ")),
            number(&format!("{sign}{}", amounts.join(", "))),
            text(&registered.signature.author),
            text(&registered.signature.reason),
            text(standing.text()),
        ]
    };
    Ok(rows(&registered.content)?.into_iter().map(cell).collect())
}
