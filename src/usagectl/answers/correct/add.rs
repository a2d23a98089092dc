//! `usagectl correct add`: adds an amount to a measure, as a record of its own.

use clap::Args;
use serde_json::json;
use stream_types::Decimal;
use usage_aggregator::ledger::Signature;
use usage_aggregator::usage::{CounterKey, Segment};

use super::closed::check_closed;
use super::limits::{Addition, Groups, check, check_minute};
use super::put::{Change, Draft, Fold, Shown, check_same, is_in_ledger, put};
use super::repeat::CommandLine;
use super::{Signed, default_id, minute};
use crate::answers::group;
use crate::ledger::{Open, author, lasting, open};
use crate::shell::console::{self, Done, UsageError, plain};
use crate::shell::options::Options;
use crate::shell::table::{number, text, titled};
use crate::stack::{Access, Where};

/// Add an amount to a measure, or subtract a negative one
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Add {
    /// Entity, as the pipeline names it
    #[arg(long, value_name = "TEXT")]
    entity: String,
    /// Resource, as the pipeline names it
    #[arg(long, value_name = "TEXT")]
    resource: String,
    /// Another variable of the pipeline's snapshots; may be repeated
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = group::variable)]
    variables: Vec<(String, String)>,
    /// Measure, which must be a sum
    #[arg(long, value_name = "NAME")]
    measure: String,
    /// What to add; a negative number subtracts
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = amount)]
    amount: Decimal,
    /// Minute in which it counts (UTC): 2026-11-28T08:57
    #[arg(long, value_name = "MINUTE", value_parser = minute)]
    at: Segment,
    /// Allow an entity, resource or measure that has no usage in the month yet
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl correct add --entity 7 --resource orders --measure amount --amount -12.50 \\
    --at 2026-11-28T08:57 --reason 'Ticket 4711: order 42 was a test' --stack usage-aggregator
  usagectl correct add --entity 7 --resource orders --measure orders --amount 1 \\
    --at 2026-11-28T08:57 --reason 'Lost before the stream was on' --id T-4712 --local --dry-run

The correction is a record of the ledger with its own ID, and counts once like any other. Repeat the
command printed at the end if the ledger is restored to an earlier moment.";

fn amount(text: &str) -> Result<Decimal, String> {
    match Decimal::parse(text) {
        Err(_) => Err("expected a decimal number of at most 38 digits, such as -12.50".to_owned()),
        Ok(amount) if amount.is_zero() => Err("0 changes nothing".to_owned()),
        Ok(amount) => Ok(amount),
    }
}

impl Add {
    /// Puts the correction, and prints what it changes.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let fold = Fold::of(&self.place, &options.data);
        let ledger = open(&self.place, options, Access::Write).await?;
        let now = event_source_mapping::now()?;
        let key = group::key(&ledger.snapshot, &self.entity, &self.resource, &self.variables)?;
        check_minute(&ledger, self.at, now)?;
        let signature = self.signature(&ledger, &key).await?;
        let (mut draft, mut is_counted) = (self.draft(&ledger, signature, &key)?, false);
        if let Some(registered) = ledger.folder.ledger.registered_as(&draft.signature.id, None).await? {
            check_same(&registered, &draft)?;
            is_counted = is_in_ledger(&ledger, &registered.page).await?;
            draft = registered.into();
        }
        if !is_counted {
            check_closed(&ledger.snapshot, [self.at], now)?;
        }
        let addition = Addition { minute: self.at, key: &key, measure: &self.measure, amount: self.amount };
        let groups = if self.new || is_counted { Groups::New } else { Groups::Known };
        let mut changes = check(&ledger, &addition, groups).await?;
        if is_counted {
            changes.iter_mut().for_each(|change| change.after = change.before);
        }
        let shown = match self.signed.dry_run {
            true => None,
            false => Some(put(&ledger, &fold, &draft, now).await?),
        };
        let done = Report {
            add: &self,
            draft: &draft,
            key: &key,
            changes: &changes,
            is_counted,
            shown,
            command: self.command(&draft.signature, options),
        };
        console::print(&if options.json { done.json() } else { done.text() })?;
        if shown.is_some() && !options.json {
            console::note(&format!("To repeat it after a restore of the ledger: {}", done.command));
        }
        Ok(Done::Well)
    }

    async fn signature(&self, ledger: &Open, key: &CounterKey) -> anyhow::Result<Signature> {
        let author = author(self.signed.author.as_deref(), ledger).await?;
        let reason = self.signed.reason.clone();
        let (at, amount) = (self.at.text(), self.amount.to_string());
        let parts = [lasting(&author), &*reason, &*at, &*amount, &*self.measure, "add"];
        let parts: Vec<&str> = parts.into_iter().chain(key.0.iter().map(String::as_str)).collect();
        let id = self.signed.id.clone().unwrap_or_else(|| default_id(&parts));
        Ok(Signature { id, author, reason })
    }

    fn draft(&self, ledger: &Open, signature: Signature, key: &CounterKey) -> Result<Draft, UsageError> {
        let generation = ledger.config.pipeline.generation;
        let drafted = signature.correction(self.at, key, (&self.measure, self.amount), generation);
        let (page, kind) = drafted.map_err(|what| UsageError(format!("the correction {what}")))?;
        Ok(Draft { signature, page, kind })
    }

    fn command(&self, signature: &Signature, options: &Options) -> String {
        let mut line =
            CommandLine::new("usagectl correct add").with("--entity", &self.entity).with("--resource", &self.resource);
        for (name, value) in &self.variables {
            line = line.with("--variable", &format!("{name}={value}"));
        }
        line = line
            .with("--measure", &self.measure)
            .with("--amount", &self.amount.to_string())
            .with("--at", &self.at.text())
            .with("--id", &signature.id)
            .with("--author", &signature.author)
            .with("--reason", &signature.reason)
            .at(&self.place, options);
        // After a restore, the month may have no usage of it yet.
        format!("{} --new", line.text())
    }
}

/// What the command did, or would do.
struct Report<'r> {
    add: &'r Add,
    draft: &'r Draft,
    key: &'r CounterKey,
    changes: &'r [Change],
    /// Whether it was in the ledger before.
    is_counted: bool,
    /// When the snapshots show it; `None` for a dry run.
    shown: Option<Shown>,
    command: String,
}

impl Report<'_> {
    fn json(&self) -> String {
        let Report { add, draft, key, changes, is_counted, shown, command } = self;
        let Signature { id, author, reason } = &draft.signature;
        let window = |change: &Change| json!({ "window": change.window.text(), "before": change.before.to_string(), "after": change.after.to_string() });
        json!({
            "id": id, "record_id": draft.signature.record_id().to_string(), "kind": "correction", "author": author,
            "reason": reason, "group": key.0, "measure": add.measure, "amount": add.amount.to_string(),
            "at": add.at.text(), "page": format!("{:016x}", draft.page.name), "windows": changes.iter().map(window).collect::<Vec<_>>(),
            "counted_before": is_counted, "dry_run": shown.is_none(), "shown": shown.map(|shown| shown == Shown::Now),
            "command": command,
        })
        .to_string()
    }

    fn text(&self) -> String {
        let Report { add, draft, key, changes, is_counted, shown, .. } = self;
        let Signature { id, author, reason } = &draft.signature;
        let mut table = titled(["window", "before", "after"]);
        for Change { window, before, after } in *changes {
            table.add_row([text(&window.text()), number(&before.to_string()), number(&after.to_string())]);
        }
        let group = plain(&key.0.join(" "));
        let title = format!("correction {id}: {} {} for {group} at {}", add.amount, add.measure, add.at.text());
        let end = match (shown, is_counted) {
            (None, true) => "It is in the ledger already. Nothing was written (dry run).",
            (None, false) => "Nothing was written (dry run).",
            (Some(_), true) => "It was in the ledger already, so nothing changed.",
            (Some(shown), false) => shown.text(),
        };
        format!("{}\nby {}: {}\n{table}\n{end}", plain(&title), plain(author), plain(reason))
    }
}
