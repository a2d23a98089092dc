//! What a backfill did, or would do: for people and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use stream_types::Decimal;

use super::preview::merge;
use crate::shell::console::{counted, plain};
use crate::shell::numbers::whole;

/// 10: enough to see what is wrong; all are in a file.
const SHOWN: usize = 10;

/// What a backfill did, or would do.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    /// Items that existed.
    pub(super) items: usize,
    /// Those of them that the stream has changed since.
    pub(super) changed: usize,
    /// Rows in the archive by record type.
    pub(super) rows: BTreeMap<String, usize>,
    /// Items that open a measure.
    pub(super) counted: usize,
    /// The sum of all opening values by measure; `None` if it has more than 38 digits.
    #[serde(serialize_with = "texts")]
    pub(super) opening: BTreeMap<String, Option<Decimal>>,
    /// Items that have no effect.
    pub(super) skipped: usize,
    /// Items that are durable.
    pub(super) durable: usize,
    pub(super) batches: usize,
    pub(super) pages: usize,
    pub(super) write_units: usize,
    pub(super) files: usize,
    /// Files that an earlier command has finished.
    pub(super) finished_before: usize,
    #[serde(rename = "rejected")]
    pub(super) refused: Vec<Refused>,
}

/// An item that isn't written, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Refused {
    pub(super) item: String,
    pub(super) reason: String,
}

fn texts<S: serde::Serializer>(opening: &BTreeMap<String, Option<Decimal>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(opening.iter().map(|(name, sum)| (name, sum.map(|sum| sum.to_string()))))
}

impl Totals {
    /// Takes an item that isn't written.
    pub(super) fn refuse(&mut self, item: String, reason: String) {
        self.refused.push(Refused { item, reason });
    }

    /// Adds those of a part.
    pub(super) fn add(&mut self, part: Totals) {
        self.items += part.items;
        self.changed += part.changed;
        merge(&mut self.rows, part.rows);
        self.counted += part.counted;
        for (name, more) in part.opening {
            let sum = self.opening.entry(name).or_insert(Some(Decimal::default()));
            *sum = sum.zip(more).and_then(|(sum, more)| sum.checked_add(more).ok());
        }
        self.skipped += part.skipped;
        self.durable += part.durable;
        self.batches += part.batches;
        self.pages += part.pages;
        self.write_units += part.write_units;
        self.files += part.files;
        self.finished_before += part.finished_before;
        self.refused.extend(part.refused);
    }

    /// For people. `dollars` is the estimated cost, for a dry run.
    pub(super) fn text(&self, cut: &str, dollars: Option<f64>) -> String {
        let mut lines = Vec::new();
        let would = if dollars.is_some() { "would be " } else { "" };
        let number = |count: usize| whole(u64::try_from(count).unwrap_or(u64::MAX));
        lines.push(format!(
            "{} as of {cut}, {} of which changed afterwards",
            self.noun(self.items),
            number(self.changed)
        ));
        for (record_type, rows) in &self.rows {
            lines.push(format!("  {} {would}archived as {record_type}", number(*rows)));
        }
        for (measure, sum) in &self.opening {
            let sum = sum.map_or("more than 38 digits".to_owned(), |sum| sum.to_string());
            lines.push(format!("  {measure} {would}opened with {sum} in all"));
        }
        if self.skipped > 0 {
            lines.push(format!("  {} skipped: the pipeline neither archives nor counts them", number(self.skipped)));
        }
        if self.finished_before > 0 {
            let files = counted(self.finished_before, "file");
            lines.push(format!("  {files} finished by an earlier run, and not counted here"));
        }
        for Refused { item, reason } in self.refused.iter().take(SHOWN) {
            lines.push(format!("  rejected: {}: {}", plain(item), plain(reason)));
        }
        if self.refused.len() > SHOWN {
            lines.push(format!("  and {} more", number(self.refused.len() - SHOWN)));
        }
        match dollars {
            Some(dollars) => lines.push(format!(
                "{}, {} of {}, {}: about {}",
                counted(self.batches, "invocation"),
                counted(self.pages, "page"),
                counted(self.write_units, "write unit"),
                counted(self.files, "archive file"),
                crate::shell::numbers::dollars(dollars)
            )),
            None => lines.push(format!("{} durable, {} rejected", self.noun(self.durable), number(self.refused.len()))),
        }
        lines.join("\n")
    }

    fn noun(&self, count: usize) -> String {
        let number = whole(u64::try_from(count).unwrap_or(u64::MAX));
        format!("{number} item{}", if count == 1 { "" } else { "s" })
    }
}
