//! The commit: claims and counters of a batch's groups are read, written together, and on any conflict read again.
//! Effect and evidence land together or not at all, so that no retry, of ours, the SDK's or Lambda's, counts twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, TransactWriteItem};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::claim::Claims;
use super::group::{Group, totals};
use super::read::{Claimed, MAX_KEYS};
use super::snapshot::SnapshotItem;
use super::transaction::{self, Actions, MAX_ACTIONS};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, is_key_mismatch, key_mismatch};
use crate::pipeline::Snapshot;

/// The usage and claims tables, for one pipeline.
#[derive(Debug, Clone)]
pub struct UsageTables {
    pub client: Client,
    pub usage_table: String,
    pub claims_table: String,
    /// The pipeline's name, which claims are kept under.
    pub pipeline: String,
    /// How long a claim is kept after its minute: the horizon and a margin for clocks.
    pub claim_seconds: i64,
    /// How many bundles are committed at once.
    pub concurrency: usize,
    /// One permit for each transaction in flight, however a batch is split.
    pub transactions: Arc<Semaphore>,
}

/// What came of a batch's counters.
#[derive(Debug, Default)]
pub struct Committed {
    /// Positions of records with an effect that this invocation counted.
    pub applied: BTreeSet<usize>,
    /// Positions of records with an effect that had been counted before.
    pub duplicates: BTreeSet<usize>,
    /// Positions of records with an effect that could not be counted, and why.
    pub failed: Vec<(usize, Error)>,
    /// The snapshot items that were added to.
    pub snapshots: BTreeSet<SnapshotItem>,
}

impl Committed {
    fn join(mut self, other: Committed) -> Committed {
        self.applied.extend(other.applied);
        self.duplicates.extend(other.duplicates);
        self.failed.extend(other.failed);
        self.snapshots.extend(other.snapshots);
        self
    }

    fn failed(groups: &[&Group], error: &Error) -> Committed {
        let mut committed = Committed::default();
        committed.fail(groups, error);
        committed
    }

    fn fail(&mut self, groups: &[&Group], error: &Error) {
        let records = groups.iter().flat_map(|group| &group.effects).map(|effect| effect.record);
        self.failed.extend(records.map(|record| (record, error.clone())));
    }

    /// Gives `claimed` back unless all its records have been counted before.
    fn unless_done<'g>(&mut self, claimed: Claimed<'g>) -> Option<Claimed<'g>> {
        if !claimed.is_done() {
            return Some(claimed);
        }
        self.duplicates.extend(claimed.group.effects.iter().map(|effect| effect.record));
        None
    }
}

/// Why a transaction didn't happen.
enum Refusal {
    /// Read the claims again and retry.
    Retry { error: Error, cause: RetryCause },
    /// No retry of the same can help.
    Stop(Stop),
}

/// Why a transaction must be retried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetryCause {
    /// Another writer was there at the same time; nothing was written.
    Conflict,
    /// The service is overloaded; nothing was written.
    Throttled,
    /// No response: the transaction may have happened.
    Unknown,
}

/// Why a bundle isn't tried again as it is.
enum Stop {
    /// Something in it is refused, or in the way: its parts must be tried apart to find out which.
    Apart(Error),
    /// Somebody must mend something first.
    Config(Error),
}

/// After this many conflicts, the groups of a bundle are committed separately, so that one busy counter doesn't hold up the
/// others. Throttling never splits a bundle: more transactions would only add to the load.
const CONFLICTS_BEFORE_SPLIT: u32 = 2;

impl UsageTables {
    /// Counts `groups`, each exactly once whatever has been delivered before, until the deadline.
    ///
    /// # Errors
    /// Only what no record is to blame for: a missing table, a missing permission.
    pub async fn commit(
        &self,
        snapshot: &Snapshot,
        groups: &[Group],
        deadline: Option<Instant>,
    ) -> Result<Committed, Error> {
        let mut ordered: Vec<&Group> = groups.iter().collect();
        // Minutes of one counter next to each other share its snapshot items in a transaction.
        ordered.sort_unstable_by(|a, b| (&a.key, a.segment).cmp(&(&b.key, b.segment)));
        let mut committed = Committed::default();
        let mut new = Vec::new();
        // Futures are collected before they are streamed: a closure over borrows isn't Send for every lifetime.
        let reads: Vec<_> = ordered.chunks(MAX_KEYS).map(|chunk| self.read_until(chunk, deadline)).collect();
        let mut reads = stream::iter(reads).buffered(self.concurrency);
        while let Some((chunk, read)) = reads.try_next().await? {
            match read {
                Ok(claimed) => new.extend(claimed.into_iter().filter_map(|claimed| committed.unless_done(claimed))),
                Err(error) => committed.fail(chunk, &error),
            }
        }
        let bundles = bundles(snapshot, new).into_iter();
        let commits: Vec<_> = bundles.map(|bundle| self.commit_bundle(snapshot, bundle, deadline)).collect();
        stream::iter(commits)
            .buffer_unordered(self.concurrency)
            .try_fold(committed, |all, one| async { Ok(all.join(one)) })
            .await
    }

    /// Counts one bundle in one transaction, or in parts where that can't be.
    async fn commit_bundle(
        &self,
        snapshot: &Snapshot,
        bundle: Vec<Claimed<'_>>,
        deadline: Option<Instant>,
    ) -> Result<Committed, Error> {
        let groups: Vec<&Group> = bundle.iter().map(|claimed| claimed.group).collect();
        match (self.commit_together(snapshot, bundle, deadline).await, groups.as_slice()) {
            (Ok(committed), _) => Ok(committed),
            (Err(Stop::Config(error)), _) => Err(error),
            (Err(Stop::Apart(error)), [group]) if group.effects.len() < 2 => Ok(Committed::failed(&groups, &error)),
            (Err(Stop::Apart(_)), [group]) => self.commit_halves(snapshot, group, deadline).await,
            (Err(Stop::Apart(_)), groups) => self.commit_apart(snapshot, groups, deadline).await,
        }
    }

    /// Counts each group in a transaction of its own.
    async fn commit_apart(
        &self,
        snapshot: &Snapshot,
        groups: &[&Group],
        deadline: Option<Instant>,
    ) -> Result<Committed, Error> {
        let alone = |group| Box::pin(self.commit(snapshot, std::slice::from_ref(group), deadline));
        let commits: Vec<_> = groups.iter().copied().map(alone).collect();
        stream::iter(commits)
            .buffer_unordered(self.concurrency)
            .try_fold(Committed::default(), |all, one| async { Ok(all.join(one)) })
            .await
    }

    /// Counts the earlier half of a group, then the later one, so that what precedes the record to blame is counted.
    /// Claims are each record's own, which is why a group may be split between transactions.
    async fn commit_halves(
        &self,
        snapshot: &Snapshot,
        group: &Group,
        deadline: Option<Instant>,
    ) -> Result<Committed, Error> {
        let (earlier, later) = group.halves();
        let first = Box::pin(self.commit(snapshot, std::slice::from_ref(&earlier), deadline)).await?;
        match first.failed.first().map(|(_, error)| error.clone()) {
            Some(error) => Ok(first.join(Committed::failed(&[&later], &error))),
            None => Ok(first.join(Box::pin(self.commit(snapshot, std::slice::from_ref(&later), deadline)).await?)),
        }
    }

    /// The loop of one transaction.
    async fn commit_together<'g>(
        &self,
        snapshot: &Snapshot,
        mut bundle: Vec<Claimed<'g>>,
        deadline: Option<Instant>,
    ) -> Result<Committed, Stop> {
        let groups: Vec<&Group> = bundle.iter().map(|claimed| claimed.group).collect();
        let mut backoff = Backoff::until(deadline);
        let mut attempted: BTreeSet<usize> = BTreeSet::new();
        let mut conflicts = 0;
        loop {
            let attempt = async {
                let _permit = self.transactions.acquire().await;
                self.attempt(snapshot, &bundle).await
            };
            let refusal = match backoff.attempt(attempt).await {
                Some(Ok(snapshots)) => return Ok(summarize(&bundle, &attempted, snapshots)),
                Some(Err(refusal)) => refusal,
                None => Refusal::Retry { error: backoff.no_answer(&self.doing()), cause: RetryCause::Unknown },
            };
            let error = match refusal {
                Refusal::Stop(stop) => return Err(stop),
                Refusal::Retry { error, cause } => {
                    if cause == RetryCause::Unknown {
                        attempted.extend(bundle.iter().flat_map(Claimed::new_effects).map(|effect| effect.record));
                    }
                    conflicts += u32::from(cause == RetryCause::Conflict);
                    error
                }
            };
            if !backoff.pause().await {
                return Ok(Committed::failed(&groups, &backoff.give_up(error)));
            }
            if conflicts == CONFLICTS_BEFORE_SPLIT && groups.len() > 1 {
                return Err(Stop::Apart(error));
            }
            match self.read_until(&groups, deadline).await.map_err(Stop::Config)? {
                (_, Ok(claimed)) => bundle = claimed,
                (_, Err(error)) => return Ok(Committed::failed(&groups, &error)),
            }
        }
    }

    /// Sends one transaction, unless nothing in it is new.
    async fn attempt(&self, snapshot: &Snapshot, bundle: &[Claimed<'_>]) -> Result<BTreeSet<SnapshotItem>, Refusal> {
        let new = bundle.iter().flat_map(|claimed| claimed.new_effects().map(|effect| (claimed.group, effect)));
        let totals = totals(snapshot, new)
            .map_err(|(_, error)| Refusal::Stop(Stop::Apart(Error::poison(format!("count usage: a sum {error}")))))?;
        if totals.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut writes = Vec::new();
        for claimed in bundle.iter().filter(|claimed| !claimed.is_done()) {
            let new: Vec<u64> = claimed.new_effects().map(|effect| effect.id.short()).collect();
            writes.push(self.claim_write(claimed.group, &claimed.claims, &new).map_err(config)?);
        }
        let additions = self.additions(snapshot, totals).await.map_err(unread)?;
        for addition in &additions {
            writes.push(transaction::add(&self.usage_table, addition).map_err(config)?);
        }
        self.send(writes).await.map(|()| additions.into_iter().map(|addition| addition.item).collect())
    }

    fn claim_write(&self, group: &Group, claims: &Claims, new: &[u64]) -> Result<TransactWriteItem, Error> {
        let key = self.page_key(group, claims.open_page());
        let expires_at = group.segment.start() + self.claim_seconds;
        transaction::claim(&self.claims_table, claims.item_with(key, new, expires_at), claims.version())
    }

    fn doing(&self) -> String {
        let (usage, claims) = (&self.usage_table, &self.claims_table);
        format!("count usage in {usage} with claims in {claims} (dynamodb:PutItem, dynamodb:UpdateItem)")
    }

    async fn send(&self, writes: Vec<TransactWriteItem>) -> Result<(), Refusal> {
        let sent = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        let Err(failure) = sent else { return Ok(()) };
        let doing = self.doing();
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = failure.as_service_error() {
            return Err(canceled_for(&doing, canceled.cancellation_reasons()));
        }
        let error = Error::from_sdk(&doing, &failure);
        Err(match error.kind {
            ErrorKind::Config => Refusal::Stop(Stop::Config(error)),
            ErrorKind::Poison => Refusal::Stop(Stop::Apart(error)),
            ErrorKind::Transient => Refusal::Retry { error, cause: RetryCause::Unknown },
        })
    }
}

/// Packs groups into transactions of at most 100 actions.
fn bundles<'g>(snapshot: &Snapshot, groups: Vec<Claimed<'g>>) -> Vec<Vec<Claimed<'g>>> {
    let mut bundles: Vec<Vec<Claimed<'g>>> = Vec::new();
    let mut actions = Actions::default();
    for claimed in groups {
        let fits = actions.add(snapshot, claimed.group) <= MAX_ACTIONS;
        match bundles.last_mut().filter(|_| fits) {
            Some(bundle) => bundle.push(claimed),
            None => {
                actions = Actions::default();
                actions.add(snapshot, claimed.group);
                bundles.push(vec![claimed]);
            }
        }
    }
    bundles
}

fn summarize(bundle: &[Claimed<'_>], attempted: &BTreeSet<usize>, snapshots: BTreeSet<SnapshotItem>) -> Committed {
    let mut committed = Committed { snapshots, ..Committed::default() };
    for claimed in bundle {
        for effect in &claimed.group.effects {
            // What an earlier attempt without an answer may have counted is this invocation's work.
            let ours = !claimed.claims.has(effect.id.short()) || attempted.contains(&effect.record);
            let list = if ours { &mut committed.applied } else { &mut committed.duplicates };
            list.insert(effect.record);
        }
    }
    committed
}

/// What it means that the fractions couldn't be read: nothing was sent.
fn unread(error: Error) -> Refusal {
    match error.kind {
        ErrorKind::Config => config(error),
        ErrorKind::Poison => Refusal::Stop(Stop::Apart(error)),
        ErrorKind::Transient => Refusal::Retry { error, cause: RetryCause::Throttled },
    }
}

fn config(error: Error) -> Refusal {
    Refusal::Stop(Stop::Config(error))
}

/// What a cancelled transaction means. One item that can never be written outweighs any number of conflicts.
fn canceled_for(doing: &str, reasons: &[CancellationReason]) -> Refusal {
    let codes = || reasons.iter().filter_map(|reason| reason.code()).filter(|code| *code != "None");
    let text = format!("{doing}: the transaction was cancelled: {}", codes().collect::<Vec<_>>().join(", "));
    let refused = |reason: &&CancellationReason| {
        matches!(reason.code(), Some("ValidationError" | "ItemCollectionSizeLimitExceeded"))
    };
    match reasons.iter().find(refused) {
        Some(reason) if is_key_mismatch(reason.message().unwrap_or_default()) => config(key_mismatch(doing)),
        Some(_) => Refusal::Stop(Stop::Apart(Error::poison(format!(
            "{text}; a counter's attribute isn't a number, its item is over 400 KB, or its sum needs over 38 digits"
        )))),
        None => {
            let conflict = codes().any(|code| matches!(code, "TransactionConflict" | "ConditionalCheckFailed"));
            let cause = if conflict { RetryCause::Conflict } else { RetryCause::Throttled };
            Refusal::Retry { error: Error::transient(text), cause }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_item_that_can_never_be_written_outweighs_conflicts() {
        let reason = |code: &str, message: &str| CancellationReason::builder().code(code).message(message).build();
        let mismatch = "The provided key element does not match the schema";
        let cases = [
            (vec![reason("None", ""), reason("TransactionConflict", "")], "conflict"),
            (vec![reason("ConditionalCheckFailed", ""), reason("ThrottlingError", "")], "conflict"),
            (vec![reason("None", ""), reason("ThrottlingError", "")], "throttled"),
            (
                vec![reason("TransactionConflict", ""), reason("ValidationError", "Type mismatch for attribute")],
                "apart",
            ),
            (vec![reason("ItemCollectionSizeLimitExceeded", ""), reason("None", "")], "apart"),
            (vec![reason("None", ""), reason("ValidationError", mismatch)], "config"),
        ];
        for (reasons, expected) in cases {
            let found = match canceled_for("count", &reasons) {
                Refusal::Retry { cause: RetryCause::Conflict, .. } => "conflict",
                Refusal::Retry { cause: RetryCause::Throttled, .. } => "throttled",
                Refusal::Stop(Stop::Apart(error)) if error.kind == ErrorKind::Poison => "apart",
                Refusal::Stop(Stop::Config(_)) => "config",
                _ => "something else",
            };
            assert_eq!(found, expected, "{reasons:?}");
        }
    }
}
