//! Commits the groups of a batch: reads their claims, writes claims and counters in the same transaction, and reads the
//! claims again after any conflict. A record's claim and its effect are stored together or not at all, so no retry,
//! whether by this function, the SDK or Lambda, counts a record twice.

mod committed;
mod failure;

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::claim::Claims;
use super::group::{Group, totals};
use super::read::{Claimed, MAX_KEYS};
use super::snapshot::SnapshotItem;
use super::transaction::{self, Actions, MAX_ACTIONS};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};
use crate::pipeline::Snapshot;
pub use committed::Committed;
use committed::summarize;
use failure::{AttemptFailure, BundleFailure, RetryCause, cancellation, config, fractions_unread};

/// The usage and claims tables, for one pipeline.
#[derive(Debug, Clone)]
pub struct UsageTables {
    /// The SDK client for DynamoDB.
    pub client: Client,
    /// The name of the table that holds the snapshots.
    pub usage_table: String,
    /// The name of the table that holds the claims.
    pub claims_table: String,
    /// The name of the pipeline, which is part of the keys of claims.
    pub pipeline: String,
    /// How long a claim is kept after its minute, in seconds: the horizon plus a margin for clock skew.
    pub claim_seconds: i64,
    /// Whether the records after one that DynamoDB refuses are counted, too.
    pub continues_after_refusal: bool,
    /// The maximum number of bundles that are committed at once.
    pub concurrency: usize,
    /// Limits the transactions in flight, however a batch is split.
    pub transactions: Arc<Semaphore>,
}

/// After this many conflicts, the groups of a bundle are committed separately, so that one busy counter doesn't hold up
/// the others. Throttling never splits a bundle: more transactions would only add to the load.
const CONFLICTS_BEFORE_SPLIT: u32 = 2;

impl UsageTables {
    /// Counts `groups`, each record exactly once however often it has been delivered, retrying until the deadline.
    ///
    /// # Errors
    /// Only errors that no record causes: a missing table, a missing permission.
    pub async fn commit(
        &self,
        snapshot: &Snapshot,
        groups: &[Group],
        deadline: Option<Instant>,
    ) -> Result<Committed, Error> {
        let mut ordered: Vec<&Group> = groups.iter().collect();
        // Adjacent minutes of the same counter share its snapshot items in a transaction.
        ordered.sort_unstable_by(|a, b| (&a.key, a.segment).cmp(&(&b.key, b.segment)));
        let mut committed = Committed::default();
        let mut new = Vec::new();
        // Futures are collected before they are streamed because a closure over borrows isn't Send for every lifetime.
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

    /// Counts one bundle in a single transaction or, if that fails, in parts.
    async fn commit_bundle(
        &self,
        snapshot: &Snapshot,
        bundle: Vec<Claimed<'_>>,
        deadline: Option<Instant>,
    ) -> Result<Committed, Error> {
        let groups: Vec<&Group> = bundle.iter().map(|claimed| claimed.group).collect();
        match (self.commit_together(snapshot, bundle, deadline).await, groups.as_slice()) {
            (Ok(committed), _) => Ok(committed),
            (Err(BundleFailure::Abort(error)), _) => Err(error),
            (Err(BundleFailure::Split(error)), [group]) if group.effects.len() < 2 => {
                Ok(Committed::failed(&groups, &error))
            }
            (Err(BundleFailure::Split(_)), [group]) => self.commit_halves(snapshot, group, deadline).await,
            (Err(BundleFailure::Split(_)), groups) => self.commit_separately(snapshot, groups, deadline).await,
        }
    }

    /// Counts each group in a separate transaction.
    async fn commit_separately(
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

    /// Counts the earlier half of a group, then the later half, so that every record before the one that DynamoDB
    /// refuses is counted. A group may be split because each record has its own claim.
    async fn commit_halves(
        &self,
        snapshot: &Snapshot,
        group: &Group,
        deadline: Option<Instant>,
    ) -> Result<Committed, Error> {
        let (earlier, later) = group.halves();
        let first = Box::pin(self.commit(snapshot, std::slice::from_ref(&earlier), deadline)).await?;
        let failed = first.failed.first().filter(|(_, error)| {
            // The refused record will be quarantined, and the records after it have an effect.
            !(self.continues_after_refusal && error.kind == ErrorKind::Poison)
        });
        match failed.map(|(_, error)| error.clone()) {
            Some(error) => Ok(first.join(Committed::failed(&[&later], &error))),
            None => Ok(first.join(Box::pin(self.commit(snapshot, std::slice::from_ref(&later), deadline)).await?)),
        }
    }

    /// Sends the transaction of a bundle, retrying until the deadline.
    async fn commit_together<'g>(
        &self,
        snapshot: &Snapshot,
        mut bundle: Vec<Claimed<'g>>,
        deadline: Option<Instant>,
    ) -> Result<Committed, BundleFailure> {
        let groups: Vec<&Group> = bundle.iter().map(|claimed| claimed.group).collect();
        let mut backoff = Backoff::until(deadline);
        let mut attempted: BTreeSet<usize> = BTreeSet::new();
        let mut conflicts = 0;
        loop {
            let attempt = async {
                let _permit = self.transactions.acquire().await;
                self.attempt(snapshot, &bundle).await
            };
            let failure = match backoff.attempt(attempt).await {
                Some(Ok(snapshots)) => return Ok(summarize(&bundle, &attempted, snapshots)),
                Some(Err(failure)) => failure,
                None => {
                    AttemptFailure::Retry { error: backoff.no_answer(&self.description()), cause: RetryCause::Unknown }
                }
            };
            let error = match failure {
                AttemptFailure::GiveUp(failure) => return Err(failure),
                AttemptFailure::Retry { error, cause } => {
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
                return Err(BundleFailure::Split(error));
            }
            match self.read_until(&groups, deadline).await.map_err(BundleFailure::Abort)? {
                (_, Ok(claimed)) => bundle = claimed,
                (_, Err(error)) => return Ok(Committed::failed(&groups, &error)),
            }
        }
    }

    /// Sends one transaction, unless all its records have already been counted.
    async fn attempt(
        &self,
        snapshot: &Snapshot,
        bundle: &[Claimed<'_>],
    ) -> Result<BTreeSet<SnapshotItem>, AttemptFailure> {
        let new = bundle.iter().flat_map(|claimed| claimed.new_effects().map(|effect| (claimed.group, effect)));
        let totals = totals(snapshot, new).map_err(|(_, error)| {
            AttemptFailure::GiveUp(BundleFailure::Split(Error::poison(format!(
                "count usage: a sum of the batch {error}"
            ))))
        })?;
        if totals.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut writes = Vec::new();
        for claimed in bundle.iter().filter(|claimed| !claimed.is_done()) {
            let new: Vec<u64> = claimed.new_effects().map(|effect| effect.id.short()).collect();
            writes.push(self.claim_write(claimed.group, &claimed.claims, &new).map_err(config)?);
        }
        let additions = self.additions(snapshot, totals).await.map_err(fractions_unread)?;
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

    fn description(&self) -> String {
        let (usage, claims) = (&self.usage_table, &self.claims_table);
        format!("count usage in {usage} with claims in {claims} (dynamodb:PutItem, dynamodb:UpdateItem)")
    }

    async fn send(&self, writes: Vec<TransactWriteItem>) -> Result<(), AttemptFailure> {
        let sent = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        let Err(failure) = sent else { return Ok(()) };
        let doing = self.description();
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = failure.as_service_error() {
            return Err(cancellation(&doing, canceled.cancellation_reasons()));
        }
        let error = Error::from_sdk(&doing, &failure);
        Err(match error.kind {
            ErrorKind::Config => AttemptFailure::GiveUp(BundleFailure::Abort(error)),
            ErrorKind::Poison => AttemptFailure::GiveUp(BundleFailure::Split(error)),
            ErrorKind::Transient => AttemptFailure::Retry { error, cause: RetryCause::Unknown },
        })
    }
}

/// Packs groups into bundles whose transactions have at most 100 actions.
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
