//! `usagectl ledger show`: the pages, states and versions of a window.

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use usage_aggregator::fold::{Shown, ShownGroup, ShownPage, ShownState};
use usage_aggregator::ledger::{Level, WindowKey};

use super::open;
use super::range::window;
use crate::shell::console::{self, Done, counted, plain};
use crate::shell::options::Options;
use crate::shell::table::{number, text, titled};
use crate::stack::{Access, Where};

/// Show the pages and the state of a window: versions, what they stand for, and values
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Show {
    /// Minute (UTC), hour, day, week, month or total: 2026-11-28T08:57, 2026-11-28T08, 2026-11-28, 2026-W48, 2026-11 or total; or
    /// what one hour says about another one, with window_time: 2026-11-28T08@2026-11-28T11
    #[arg(value_name = "WINDOW")]
    window: String,
    /// Only groups whose entity is this
    #[arg(long, value_name = "TEXT")]
    entity: Option<String>,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl ledger show 2026-11-28T08:57 --local
  usagectl ledger show 2026-11 --stack usage-aggregator --entity 7
  usagectl ledger show 2026-11-28T08 --local --json";

impl Show {
    /// Prints the window.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let ledger = open(&self.place, options, Access::Read).await?;
        let window = window(&self.window, ledger.snapshot.zone)?;
        let mut shown = ledger.folder.show(Some(&ledger.snapshot), window, None).await.context("read the ledger")?;
        if let Some(entity) = &self.entity {
            shown.states.iter_mut().for_each(|state| state.groups.retain(|group| group.key.entity() == entity));
        }
        let printed = if options.json { json(window, &shown).to_string() } else { listing(window, &shown) };
        console::print(&printed)?;
        Ok(Done::Well)
    }
}

fn version(version: u64) -> String {
    let (epoch, count) = (version >> 48, version & ((1 << 48) - 1));
    if epoch == 0 { count.to_string() } else { format!("{count} of epoch {epoch}") }
}

fn listing(window: WindowKey, shown: &Shown) -> String {
    let mut out = Vec::new();
    if !shown.pages.is_empty() {
        let mut table = titled(["bucket", "page", "kind", "generation", "groups", "records", "folded"]);
        for ShownPage { bucket, name, kind: [kind, ..], generation, groups, records, is_folded } in &shown.pages {
            table.add_row([
                number(&bucket.to_string()),
                text(&format!("{name:016x}")),
                text(kind_of(kind)),
                number(&generation.to_string()),
                number(&groups.to_string()),
                number(&records.to_string()),
                text(if *is_folded { "yes" } else { "no" }),
            ]);
        }
        out.push(format!("{}\n{table}", counted(shown.pages.len(), "page")));
    }
    for state in &shown.states {
        out.push(state_listing(window, state));
    }
    if out.is_empty() {
        return format!("nothing is in the ledger for {window}");
    }
    out.join("\n\n")
}

fn state_listing(window: WindowKey, state: &ShownState) -> String {
    let part = if state.part.is_empty() { String::new() } else { format!(" part {}", state.part) };
    let (groups, bytes) = (counted(state.groups.len(), "group"), state.bytes);
    let title = format!(
        "state {window}{part}: version {}, stands for {}, {groups}, {bytes} bytes",
        version(state.version),
        counted(state.lists, if window.level == Level::Minute { "page" } else { "state" }),
    );
    let mut measures: Vec<&str> = state.groups.iter().flat_map(all).map(|(name, _)| name.as_str()).collect();
    measures.sort_unstable();
    measures.dedup();
    let counts_elsewhere = state.groups.iter().any(|group| group.event_hour.is_some());
    let hour_title = counts_elsewhere.then_some("counts in (UTC)");
    let mut table = titled(["group"].into_iter().chain(hour_title).chain(measures.iter().copied()));
    for group @ ShownGroup { key, event_hour, .. } in &state.groups {
        let value = |measure: &&str| {
            let value = all(group).find(|(name, _)| name == measure).map(|(_, value)| value.as_deref());
            number(value.map_or("", |value| value.unwrap_or("over 38 digits")))
        };
        let hour = counts_elsewhere.then(|| text(&event_hour.map(|hour| hour.text()).unwrap_or_default()));
        let cells = [text(&plain(&key.0.join(" ")))].into_iter().chain(hour);
        table.add_row(cells.chain(measures.iter().map(value)));
    }
    format!("{title}\n{table}")
}

/// The values of a group, first those that are published.
fn all(group: &ShownGroup) -> impl Iterator<Item = &(String, Option<String>)> {
    group.values.iter().chain(&group.unpublished)
}

/// The kind of a page as it is shown. In the ledger, a page of usage has none.
fn kind_of(kind: &str) -> &str {
    if kind.is_empty() { "usage" } else { kind }
}

fn json(window: WindowKey, shown: &Shown) -> Value {
    let page = |page: &ShownPage| {
        let [kind, author, reason] = &page.kind;
        json!({
            "bucket": page.bucket, "name": format!("{:016x}", page.name), "kind": kind_of(kind), "author": author, "reason": reason,
            "generation": page.generation, "groups": page.groups, "records": page.records, "folded": page.is_folded,
        })
    };
    let state = |state: &ShownState| {
        let group = |group: &ShownGroup| {
            let ShownGroup { key, event_hour, .. } = group;
            let mut values = serde_json::Map::new();
            for (name, value) in all(group) {
                values.entry(name.clone()).or_insert_with(|| json!(value));
            }
            let mut shown = json!({ "key": key.0, "values": values });
            if let (Value::Object(fields), Some(hour)) = (&mut shown, event_hour) {
                fields.insert("event_hour".to_owned(), hour.text().into());
            }
            shown
        };
        json!({
            "part": state.part, "version": state.version, "lists": state.lists, "bytes": state.bytes,
            "groups": state.groups.iter().map(group).collect::<Vec<_>>(),
        })
    };
    json!({
        "window": window.text(),
        "pages": shown.pages.iter().map(page).collect::<Vec<_>>(),
        "states": shown.states.iter().map(state).collect::<Vec<_>>(),
    })
}
