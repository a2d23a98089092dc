//! What `usagectl why` prints: a table with a summary, JSON lines, or CSV.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use stream_types::Decimal;
use usage_aggregator::fold::{PageRecord, Standing};
use usage_aggregator::ledger::{Level, PageKind, WindowKey};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;

use super::walk::{Gap, counted};
use super::{Answer, Verdict};
use crate::shell::console::{counted as number_of, plain};
use crate::shell::csv_text::{Formulas, csv_text};
use crate::shell::table::{number, text, titled};

/// How many windows that are gone are named. The others are only counted.
const NAMED: usize = 5;

impl Answer<'_> {
    /// The records that count or were taken back. Copies in other pages are left out.
    fn listed(&self) -> impl Iterator<Item = &(Segment, PageRecord)> {
        self.found.records.iter().filter(|(_, record)| record.standing != Standing::Repeated)
    }

    fn measures(&self) -> Vec<&str> {
        let amounts = self.listed().flat_map(|(_, record)| record.texts()).map(|(name, _)| name);
        amounts.chain(self.shown.keys().map(String::as_str)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// A table of the first records, sums by the windows below, and how they compare with the number.
    pub(super) fn text(&self, limit: usize) -> String {
        let measures = self.measures();
        let titles = ["minute", "record", "kind"].into_iter().chain(measures.iter().copied()).chain(["note"]);
        let mut table = titled(titles);
        for (minute, record) in self.listed().take(limit) {
            let amount = |measure: &&str| {
                number(&record.texts().find(|(name, _)| name == measure).map(|(_, text)| text).unwrap_or_default())
            };
            let start = [text(&minute.text()), text(&format!("{:016x}", record.id.short())), text(kind(record))];
            table.add_row(start.into_iter().chain(measures.iter().map(amount)).chain([text(&note(record))]));
        }
        let count = self.listed().count();
        let group = plain(&self.key.0.join(" "));
        let mut parts = vec![format!("{group} in {}: {}", self.window, number_of(count, "record"))];
        if count > 0 {
            parts.push(table.to_string());
        }
        if count > limit {
            parts.push(format!("{} more; print all with --limit {count} or --csv", count - limit));
        }
        parts.extend(self.by_window(&measures));
        parts.extend(self.found.gaps.iter().map(gap_text));
        if !self.found.unfolded.is_empty() {
            let names: Vec<String> = self.found.unfolded.iter().map(|window| window.text()).collect();
            parts.push(format!("not summed up yet: {}; run it again after the fold window", shortened(&names)));
        }
        parts.extend(self.verdicts().map(|(measure, shown, verdict)| self.verdict_text(measure, shown, &verdict)));
        parts.join("\n")
    }

    /// Sums by day of a month, by hour of a day; nothing for a shorter window.
    fn by_window(&self, measures: &[&str]) -> Option<String> {
        let level = match self.window.level {
            Level::Minute | Level::Piece | Level::Hour => return None,
            Level::Day => Level::Hour,
            _ => Level::Day,
        };
        let mut windows: BTreeMap<WindowKey, Vec<&PageRecord>> = BTreeMap::new();
        for (minute, record) in self.listed() {
            let at = Timestamp::from_seconds(record.event_hour.unwrap_or(*minute).start())?;
            windows.entry(WindowKey::containing(level, at, self.window.zone())).or_default().push(record);
        }
        let name = if level == Level::Hour { "hour" } else { "day" };
        let mut table = titled([name, "records"].into_iter().chain(measures.iter().copied()));
        for (window, records) in &windows {
            let sums = counted(records.iter().copied());
            let sum = |measure: &&str| {
                let sum = sums.get(*measure).map(|sum| sum.map_or("too large".to_owned(), |sum| sum.to_string()));
                number(&sum.unwrap_or_default())
            };
            let counting = records.iter().filter(|record| record.standing == Standing::Counted).count();
            let start = [text(&window.text()), number(&counting.to_string())];
            table.add_row(start.into_iter().chain(measures.iter().map(sum)));
        }
        (windows.len() > 1).then(|| table.to_string())
    }

    fn verdict_text(&self, measure: &str, shown: &str, verdict: &Verdict) -> String {
        let what = if self.has_snapshot { "the snapshot" } else { "the state of the ledger" };
        match verdict {
            Verdict::Exact => format!("{measure}: the records add up to {shown}, as {what} says"),
            Verdict::Missing(missing) => {
                format!("{measure}: {what} says {shown}; {missing} of it is in records that the ledger no longer has")
            }
            Verdict::NotASum => format!("{measure}: {what} says {shown}, which isn't a sum of its records"),
            Verdict::Differs { records, missing } => {
                let records = records.map_or("more than 38 digits".to_owned(), |sum| sum.to_string());
                let missing = if missing.is_zero() { String::new() } else { format!(", and {missing} is missing") };
                let remedy = "run it again after the fold window; if it stays, run `usagectl prove`";
                format!("{measure}: {what} says {shown}, but the records add up to {records}{missing}; {remedy}")
            }
        }
    }

    /// A line for each record, and one for the whole.
    pub(super) fn json(&self) -> String {
        let line = |(minute, record): &(Segment, PageRecord)| {
            let amounts: Map<String, Value> =
                record.texts().map(|(name, text)| (name.to_owned(), json!(text))).collect();
            let [_, author, reason] = signed(record);
            json!({ "record": {
                "minute": minute.text(), "record_id": format!("{:016x}", record.id.short()), "kind": kind(record),
                "standing": standing(record), "page": format!("{:016x}", record.page.name), "author": author,
                "reason": reason, "amounts": amounts,
            } })
            .to_string()
        };
        let gap = |gap: &Gap| json!({ "window": gap.window.text(), "gone": gap.gone, "sums": texts(&gap.sums) });
        let measures: Map<String, Value> = self
            .verdicts()
            .map(|(measure, shown, verdict)| {
                let is_exact = matches!(verdict, Verdict::Exact | Verdict::NotASum);
                (measure.to_owned(), json!({ "shown": shown, "explained": is_exact }))
            })
            .collect();
        let summary = json!({ "summary": {
            "group": self.key.0, "window": self.window.text(), "snapshot": self.has_snapshot, "measures": measures,
            "missing": self.found.gaps.iter().map(gap).collect::<Vec<_>>(),
            "not_summed_up": self.found.unfolded.iter().map(|window| window.text()).collect::<Vec<_>>(),
            "explained": self.is_explained(),
        } });
        let lines = self.listed().map(line).chain([summary.to_string()]);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A header, and a line for each record.
    pub(super) fn csv(&self, formulas: Formulas) -> anyhow::Result<String> {
        let measures = self.measures();
        let head = ["minute", "record_id", "kind", "standing", "author", "reason"].into_iter();
        let titles: Vec<&str> = head.chain(measures.iter().copied()).collect();
        let line = |(minute, record): &(Segment, PageRecord)| {
            let [_, author, reason] = signed(record);
            let (minute, id) = (minute.text(), format!("{:016x}", record.id.short()));
            let amount = |measure: &&str| {
                record.texts().find(|(name, _)| name == measure).map(|(_, text)| text).unwrap_or_default()
            };
            let start = [&*minute, &*id, kind(record), standing(record), author, reason].map(str::to_owned);
            start.into_iter().chain(measures.iter().map(amount)).collect()
        };
        csv_text(&titles, self.listed().map(line), formulas)
    }
}

fn kind(record: &PageRecord) -> &'static str {
    if record.kind == PageKind::Usage { "usage" } else { "correction" }
}

fn standing(record: &PageRecord) -> &'static str {
    match record.standing {
        Standing::Counted => "counted",
        Standing::Repeated => "repeated",
        Standing::Void(..) => "taken_back",
    }
}

/// The kind, author and reason of a record that people put or took back.
fn signed(record: &PageRecord) -> [&str; 3] {
    match &record.standing {
        Standing::Void(author, reason) => ["void", author, reason],
        Standing::Counted | Standing::Repeated => record.kind.texts(),
    }
}

fn note(record: &PageRecord) -> String {
    let [_, author, reason] = signed(record);
    match record.standing {
        Standing::Void(..) => format!("taken back by {author}: {reason}"),
        _ if author.is_empty() => String::new(),
        _ => format!("by {author}: {reason}"),
    }
}

fn gap_text(gap: &Gap) -> String {
    let sums: Vec<String> = gap.sums.iter().map(|(measure, sum)| format!("{measure} {sum}")).collect();
    format!(
        "missing in {}: {}, in {}, which the ledger no longer has",
        gap.window,
        sums.join(", "),
        shortened(&gap.gone)
    )
}

/// The first names, and how many more there are.
fn shortened(names: &[String]) -> String {
    let mut text = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    text
}

fn texts(sums: &BTreeMap<String, Decimal>) -> Map<String, Value> {
    sums.iter().map(|(measure, sum)| (measure.clone(), json!(sum.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_are_shown() {
        let names: Vec<String> = ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned).to_vec();
        assert_eq!(shortened(&names), "a, b, c, d, e and 2 more");
        assert_eq!(shortened(&names[..2]), "a, b");
    }
}
