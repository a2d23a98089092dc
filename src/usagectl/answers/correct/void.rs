//! `usagectl correct void`: takes back records. The minute is computed as if they had never arrived.

use std::collections::BTreeSet;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use usage_aggregator::fold::{MinuteRecords, PageRecord, Pages, Standing};
use usage_aggregator::ledger::{PageKind, Registered, Signature};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;

use super::closed::check_closed;
use super::limits::check_minute;
use super::put::{Draft, Fold, Shown, check_name, is_in_ledger, put};
use super::repeat::CommandLine;
use super::rows::rows;
use super::{Signed, default_id, minute};
use crate::ledger::{Open, author, lasting, open};
use crate::shell::console::{self, Done, UsageError, counted, plain};
use crate::shell::options::Options;
use crate::shell::table::{number, text, titled};
use crate::stack::{Access, Where};

/// Take back records, or a correction: they count nowhere from then on
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Void {
    /// Records to take back, by the first 16 hex digits of their ID or more, as `usagectl why` and the archive have them
    #[arg(long = "record", value_name = "RECORD_ID", num_args = 1.., value_parser = record, requires = "at")]
    #[arg(required_unless_present = "correction")]
    records: Vec<RecordName>,
    /// Minute in which they count (UTC): 2026-11-28T08:57
    #[arg(long, value_name = "MINUTE", value_parser = minute, requires = "records")]
    at: Option<Segment>,
    /// Take back this correction, by the name that `usagectl correct list` shows
    #[arg(long, value_name = "NAME", conflicts_with_all = ["records", "at"])]
    correction: Option<String>,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl correct void --record 5d41402abc4b2a76 --at 2026-11-28T08:57 \\
    --reason 'Test order' --stack usage-aggregator
  usagectl correct void --correction 3f2a90c1d4e5b677 --reason 'Wrong customer' --local

`usagectl why` lists the records behind a number, each with its minute. Nothing counts a record
that was taken back, even if it is delivered again. This can't be undone: to count it after
all, add a correction. Repeat the command printed at the end if the ledger is restored to an
earlier moment.";

/// The beginning of a record's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RecordName(u64);

fn record(text: &str) -> Result<RecordName, String> {
    let digits = text.get(..16).filter(|_| text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let name = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).map(RecordName);
    name.ok_or_else(|| "expected 16 to 32 hex digits".to_owned())
}

/// What to take back, and under which name.
struct Request {
    ids: BTreeSet<u64>,
    minute: Segment,
    signature: Signature,
}

impl Void {
    /// Puts the page, and prints what it takes back.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let fold = Fold::of(&self.place, &options.data);
        let ledger = open(&self.place, options, Access::Write).await?;
        let now = event_source_mapping::now()?;
        let request = self.request(&ledger, now).await?;
        let known = ledger.folder.ledger.registered_as(&request.signature.id, None).await?;
        let is_registered = known.is_some();
        let draft = match known {
            Some(registered) => Some(again(&ledger, registered, &request).await?),
            None => self.draft(&ledger, &request).await?,
        };
        let Some(draft) = draft else {
            console::print(&nothing(options, &request))?;
            return Ok(Done::Well);
        };
        let is_counted = is_registered && is_in_ledger(&ledger, &draft.page).await?;
        if !is_counted {
            let content = draft.content()?;
            let counted_at = content.groups.iter().map(|group| group.key.event_hour().unwrap_or(draft.page.minute));
            check_closed(&ledger.snapshot, counted_at, now)?;
        }
        let shown = match self.signed.dry_run {
            true => None,
            false => Some(put(&ledger, &fold, &draft, now).await?),
        };
        let command = self.command(&request, &draft.signature, options);
        let report = Report { draft: &draft, is_registered, is_counted, shown, command: &command };
        console::print(&if options.json { report.json()? } else { report.text()? })?;
        if shown.is_some() && !options.json {
            console::note(&format!("To repeat it after a restore of the ledger: {command}"));
        }
        Ok(Done::Well)
    }

    async fn request(&self, ledger: &Open, now: Timestamp) -> anyhow::Result<Request> {
        let (ids, minute) = match (&self.correction, self.at) {
            (Some(name), _) => {
                let known = ledger.folder.ledger.registered_as(name, None).await?;
                let found = known.filter(|known| matches!(known.kind, PageKind::Correction(..))).ok_or_else(|| {
                    let remedy = "`usagectl correct list` lists the existing ones";
                    UsageError(format!("--correction: no correction has the name `{name}`; {remedy}"))
                })?;
                (BTreeSet::from([found.signature.record_id().short()]), found.page.minute)
            }
            (None, Some(minute)) => (self.records.iter().map(|name| name.0).collect(), minute),
            (None, None) => return Err(UsageError("add --record and --at, or --correction".to_owned()).into()),
        };
        check_minute(ledger, minute, now)?;
        let author = author(self.signed.author.as_deref(), ledger).await?;
        let (reason, at) = (self.signed.reason.clone(), minute.text());
        let names: Vec<String> = ids.iter().map(|id| format!("{id:016x}")).collect();
        let parts = ["void", lasting(&author), &*reason, &*at];
        let parts: Vec<&str> = parts.into_iter().chain(names.iter().map(String::as_str)).collect();
        let id = self.signed.id.clone().unwrap_or_else(|| default_id(&parts));
        Ok(Request { ids, minute, signature: Signature { id, author, reason } })
    }

    /// The page that takes the records back; `None` if all of them already were.
    async fn draft(&self, ledger: &Open, request: &Request) -> anyhow::Result<Option<Draft>> {
        let Request { ids, minute, signature } = request;
        let found = records(ledger, *minute).await?;
        let is_known = |id: &u64| found.records.iter().any(|record| record.id.short() == *id);
        let unknown: Vec<String> = ids.iter().filter(|id| !is_known(id)).map(|id| format!("{id:016x}")).collect();
        if !unknown.is_empty() {
            let remedy = "`usagectl why` shows the records of a number with their minutes";
            let (minute, unknown) = (minute.text(), unknown.join(", "));
            return Err(UsageError(format!("--record: {minute} has no record {unknown}; {remedy}")).into());
        }
        let open: BTreeSet<u64> = ids.difference(&voided(&found)).copied().collect();
        if open.is_empty() {
            return Ok(None);
        }
        if open.len() < ids.len() {
            console::note(&format!("note: skipping {} taken back before", counted(ids.len() - open.len(), "record")));
        }
        let content = ledger.folder.counted_rows(*minute, &open, None).await.context("read the ledger")?;
        let (page, kind) = signature.void(*minute, content);
        if page.data.len() > MAX_PAGE_BYTES {
            return Err(
                UsageError("--record: too many records for one page; take back fewer at once".to_owned()).into()
            );
        }
        Ok(Some(Draft { signature: signature.clone(), page, kind }))
    }

    fn command(&self, request: &Request, signature: &Signature, options: &Options) -> String {
        let mut line = CommandLine::new("usagectl correct void");
        match &self.correction {
            Some(name) => line = line.with("--correction", name),
            None => {
                for id in &request.ids {
                    line = line.with("--record", &format!("{id:016x}"));
                }
                line = line.with("--at", &request.minute.text());
            }
        }
        let Signature { id, author, reason } = signature;
        line.with("--id", id).with("--author", author).with("--reason", reason).at(&self.place, options).text()
    }
}

/// 300 KB: an item has at most 400 KB.
const MAX_PAGE_BYTES: usize = 300 * 1024;

/// The registered page of the same request.
async fn again(ledger: &Open, registered: Registered, request: &Request) -> anyhow::Result<Draft> {
    let taken: BTreeSet<u64> = registered.content.short_ids().collect();
    let mut is_same = matches!(registered.kind, PageKind::Void(..))
        && registered.page.minute == request.minute
        && taken.is_subset(&request.ids);
    // The page doesn't have what was taken back before it was put.
    if is_same && taken.len() < request.ids.len() {
        let voided = voided(&records(ledger, request.minute).await?);
        is_same = request.ids.difference(&taken).all(|id| voided.contains(id));
    }
    check_name(&registered, &request.signature, is_same)?;
    Ok(registered.into())
}

async fn records(ledger: &Open, minute: Segment) -> anyhow::Result<MinuteRecords> {
    ledger.folder.records(minute, Pages::All, None).await.context("read the ledger")
}

/// The records that were taken back.
fn voided(found: &MinuteRecords) -> BTreeSet<u64> {
    let is_void = |record: &&PageRecord| matches!(record.standing, Standing::Void(..));
    found.records.iter().filter(is_void).map(|record| record.id.short()).collect()
}

fn nothing(options: &Options, request: &Request) -> String {
    if options.json {
        return json!({ "id": null, "kind": "void", "records": [], "at": request.minute.text(), "dry_run": false })
            .to_string();
    }
    format!(
        "nothing to take back: {} taken back before",
        match request.ids.len() {
            1 => "the record was".to_owned(),
            count => format!("all {count} records were"),
        }
    )
}

/// What the command did, or would do.
struct Report<'r> {
    draft: &'r Draft,
    /// Whether it was registered before.
    is_registered: bool,
    /// Whether it was in the ledger before.
    is_counted: bool,
    shown: Option<Shown>,
    command: &'r str,
}

impl Report<'_> {
    fn json(&self) -> anyhow::Result<String> {
        let Signature { id, author, reason } = &self.draft.signature;
        let shown = self.shown.map(|shown| shown == Shown::Now);
        let records: Vec<Value> = rows(&self.draft.content()?)?
            .into_iter()
            .map(|(id, group, amounts)| {
                let amounts: serde_json::Map<String, Value> =
                    amounts.into_iter().map(|(measure, amount)| (measure, json!(amount))).collect();
                json!({ "record_id": id, "group": group, "amounts": amounts })
            })
            .collect();
        Ok(json!({
            "id": id, "kind": "void", "author": author, "reason": reason, "at": self.draft.page.minute.text(),
            "page": format!("{:016x}", self.draft.page.name), "records": records, "registered_before": self.is_registered,
            "counted_before": self.is_counted, "dry_run": self.shown.is_none(), "shown": shown, "command": self.command,
        })
        .to_string())
    }

    fn text(&self) -> anyhow::Result<String> {
        let Signature { id, author, reason } = &self.draft.signature;
        let mut table = titled(["record", "group", "took back"]);
        for (id, group, amounts) in rows(&self.draft.content()?)? {
            let amounts: Vec<String> = amounts.iter().map(|(measure, amount)| format!("{measure} {amount}")).collect();
            table.add_row([text(&id), text(&group.join(" ")), number(&amounts.join(", "))]);
        }
        let end = match (self.shown, self.is_counted) {
            (None, true) => "It is in the ledger already. Nothing was written (dry run).",
            (None, false) => "Nothing was written (dry run).",
            (Some(_), true) => "It was in the ledger already, so nothing changed.",
            (Some(shown), false) => shown.text(),
        };
        let title = format!("void {id} at {}\nby ", self.draft.page.minute.text());
        Ok(format!("{title}{}: {}\n{table}\n{end}", plain(author), plain(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_by_the_first_16_digits_of_its_id_or_more() {
        let expected = Ok(RecordName(0x5d41_402a_bc4b_2a76));
        for right in ["5d41402abc4b2a76", "5D41402ABC4B2A76", "5d41402abc4b2a76b9719d911017c592"] {
            assert_eq!(record(right), expected, "{right}");
        }
        for wrong in ["", "5d41402abc4b2a7", "5d41402abc4b2a76b9719d911017c5921", "5d41402abc4b2a7g"] {
            assert!(record(wrong).is_err(), "{wrong}");
        }
    }
}
