//! The commit: claims and counters of a batch's groups are read, written together, and on any conflict read again.
//! Effect and evidence land together or not at all, so that no retry, of ours, the SDK's or Lambda's, counts twice.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, TransactWriteItem};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::claim::{self, Claims, Page};
use super::group::{Effect, Group, totals};
use super::snapshot::SnapshotItem;
use super::transaction::{self, MAX_ACTIONS, actions};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};
use crate::pipeline::Snapshot;

/// 100: BatchGetItem's limit of keys.
const MAX_KEYS: usize = 100;

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
    /// The most transactions under way at once.
    pub concurrency: usize,
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

/// A group with the claims read for it.
#[derive(Debug)]
struct Claimed<'g> {
    group: &'g Group,
    claims: Claims,
}

impl<'g> Claimed<'g> {
    fn new_effects(&self) -> impl Iterator<Item = &'g Effect> {
        let group: &'g Group = self.group;
        group.effects.iter().filter(|effect| !self.claims.has(effect.id.short()))
    }

    fn is_done(&self) -> bool {
        self.new_effects().next().is_none()
    }
}

/// Why a transaction didn't happen.
enum Refusal {
    /// Read the claims again and retry. True when it may have happened all the same.
    Retry { error: Error, ambiguous: bool },
    /// No retry can help; the groups must be tried apart to find out which is to blame.
    Poison(Error),
    /// Somebody must mend something first.
    Config(Error),
}

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

    /// Reads claims until the deadline; the inner error is what was wrong then.
    async fn read_until<'c, 'g>(
        &self,
        groups: &'c [&'g Group],
        deadline: Option<Instant>,
    ) -> Result<(&'c [&'g Group], Result<Vec<Claimed<'g>>, Error>), Error> {
        let mut backoff = Backoff::until(deadline);
        loop {
            match self.read_claims(groups).await {
                Ok(claimed) => return Ok((groups, Ok(claimed))),
                Err(error) if error.kind == ErrorKind::Config => return Err(error),
                Err(error) if !backoff.pause().await => return Ok((groups, Err(error))),
                Err(_) => {}
            }
        }
    }

    /// Counts one bundle in one transaction; where DynamoDB refuses it for good, each group by itself.
    async fn commit_bundle(
        &self,
        snapshot: &Snapshot,
        bundle: Vec<Claimed<'_>>,
        deadline: Option<Instant>,
    ) -> Result<Committed, Error> {
        let groups: Vec<&Group> = bundle.iter().map(|claimed| claimed.group).collect();
        match self.commit_together(snapshot, bundle, deadline).await {
            Ok(committed) => Ok(committed),
            Err(error) if error.kind == ErrorKind::Config => Err(error),
            Err(error) if groups.len() == 1 => Ok(Committed::failed(&groups, &error)),
            Err(_) => {
                let mut committed = Committed::default();
                for group in groups {
                    let alone = Box::pin(self.commit(snapshot, std::slice::from_ref(group), deadline)).await?;
                    committed = committed.join(alone);
                }
                Ok(committed)
            }
        }
    }

    /// The loop of one transaction. A poison error means that something in the bundle can't be counted.
    async fn commit_together<'g>(
        &self,
        snapshot: &Snapshot,
        mut bundle: Vec<Claimed<'g>>,
        deadline: Option<Instant>,
    ) -> Result<Committed, Error> {
        let groups: Vec<&Group> = bundle.iter().map(|claimed| claimed.group).collect();
        let mut backoff = Backoff::until(deadline);
        let mut attempted: BTreeSet<usize> = BTreeSet::new();
        loop {
            let error = match self.attempt(snapshot, &bundle).await {
                Ok(snapshots) => return Ok(summarize(&bundle, &attempted, snapshots)),
                Err(Refusal::Config(error) | Refusal::Poison(error)) => return Err(error),
                Err(Refusal::Retry { error, ambiguous }) => {
                    if ambiguous {
                        attempted.extend(bundle.iter().flat_map(Claimed::new_effects).map(|effect| effect.record));
                    }
                    error
                }
            };
            loop {
                if !backoff.pause().await {
                    return Ok(Committed::failed(&groups, &error));
                }
                match self.read_claims(&groups).await {
                    Ok(claimed) => break bundle = claimed,
                    Err(error) if error.kind == ErrorKind::Config => return Err(error),
                    Err(_) => {}
                }
            }
        }
    }

    /// Sends one transaction, unless nothing in it is new.
    async fn attempt(&self, snapshot: &Snapshot, bundle: &[Claimed<'_>]) -> Result<BTreeSet<SnapshotItem>, Refusal> {
        let new = bundle.iter().flat_map(|claimed| claimed.new_effects().map(|effect| (claimed.group, effect)));
        let totals = totals(snapshot, new)
            .map_err(|(_, error)| Refusal::Poison(Error::poison(format!("count usage: a sum {error}"))))?;
        if totals.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut writes = Vec::new();
        for claimed in bundle.iter().filter(|claimed| !claimed.is_done()) {
            let new: Vec<u64> = claimed.new_effects().map(|effect| effect.id.short()).collect();
            writes.push(self.claim_write(claimed.group, &claimed.claims, &new).map_err(Refusal::Config)?);
        }
        let mut snapshots = BTreeSet::new();
        for ((key, span), sums) in &totals {
            let item = SnapshotItem::new(snapshot, key, *span);
            writes.push(transaction::add(&self.usage_table, &item, sums).map_err(Refusal::Config)?);
            snapshots.insert(item);
        }
        self.send(writes).await.map(|()| snapshots)
    }

    fn claim_write(&self, group: &Group, claims: &Claims, new: &[u64]) -> Result<TransactWriteItem, Error> {
        let key = claim::page_key(&self.pipeline, &group.key, group.segment, claims.open_page());
        let expires_at = group.segment.start() + self.claim_seconds;
        transaction::claim(&self.claims_table, claims.item_with(key, new, expires_at), claims.version())
    }

    async fn send(&self, writes: Vec<TransactWriteItem>) -> Result<(), Refusal> {
        let sent = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        let Err(failure) = sent else { return Ok(()) };
        let doing = format!(
            "count usage in {} with claims in {} (dynamodb:PutItem, dynamodb:UpdateItem)",
            self.usage_table, self.claims_table
        );
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = failure.as_service_error() {
            return Err(canceled_for(&doing, canceled.cancellation_reasons()));
        }
        let error = Error::from_sdk(&doing, &failure);
        Err(match error.kind {
            ErrorKind::Config => Refusal::Config(error),
            ErrorKind::Poison => Refusal::Poison(error),
            ErrorKind::Transient => Refusal::Retry { error, ambiguous: true },
        })
    }

    /// Reads every page of the claims of `groups`: the first of each, and where that is full, ever more of the next.
    async fn read_claims<'g>(&self, groups: &[&'g Group]) -> Result<Vec<Claimed<'g>>, Error> {
        let mut claimed: Vec<_> = groups.iter().map(|group| Claimed { group, claims: Claims::default() }).collect();
        let mut pending: Vec<usize> = (0..claimed.len()).collect();
        let mut pages_ahead = 1;
        while !pending.is_empty() {
            let mut keys = Vec::new();
            for claimed in pending.iter().filter_map(|index| claimed.get(*index)) {
                let first = claimed.claims.open_page();
                keys.extend((first..first + pages_ahead).map(|page| self.page_key(claimed.group, page)));
            }
            let mut pages = self.get_pages(keys).await?;
            pending.retain(|index| {
                let Some(Claimed { group, claims }) = claimed.get_mut(*index) else { return false };
                let mut full = true;
                for _ in 0..pages_ahead {
                    let page = pages.remove(&self.page_key(group, claims.open_page())).unwrap_or_default();
                    full = claims.add_page(page);
                    if !full {
                        break;
                    }
                }
                full
            });
            pages_ahead *= 2;
        }
        Ok(claimed)
    }

    fn page_key(&self, group: &Group, page: usize) -> String {
        claim::page_key(&self.pipeline, &group.key, group.segment, page)
    }

    async fn get_pages(&self, keys: Vec<String>) -> Result<HashMap<String, Page>, Error> {
        let mut pages = HashMap::new();
        for chunk in keys.chunks(MAX_KEYS) {
            let key = |key: &String| HashMap::from([(claim::KEY.to_owned(), AttributeValue::S(key.clone()))]);
            let mut wanted: Vec<_> = chunk.iter().map(key).collect();
            let mut backoff = Backoff::until(None);
            while !wanted.is_empty() {
                let (found, left) = self.get_items(wanted).await?;
                for item in found {
                    if let Some(Ok(key)) = item.get(claim::KEY).map(|key| key.as_s().cloned()) {
                        pages.insert(key, Page::read(item)?);
                    }
                }
                wanted = left;
                if !wanted.is_empty() && !backoff.pause().await {
                    return Err(Error::transient(format!("read claims from {}: throttled", self.claims_table)));
                }
            }
        }
        Ok(pages)
    }

    async fn get_items(&self, keys: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>), Error> {
        let doing = format!("read claims from {} (dynamodb:BatchGetItem)", self.claims_table);
        let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let request = request.map_err(|error| Error::config(format!("{doing}: {error}")))?;
        let answer = self.client.batch_get_item().request_items(&self.claims_table, request).send().await;
        let answer = answer.map_err(|error| Error::from_sdk(&doing, &error))?;
        let found = answer.responses.unwrap_or_default().remove(&self.claims_table).unwrap_or_default();
        let left = answer.unprocessed_keys.unwrap_or_default().remove(&self.claims_table);
        Ok((found, left.map(|left| left.keys).unwrap_or_default()))
    }
}

type Item = HashMap<String, AttributeValue>;

/// Packs groups into transactions of at most 100 actions.
fn bundles<'g>(snapshot: &Snapshot, groups: Vec<Claimed<'g>>) -> Vec<Vec<Claimed<'g>>> {
    let mut bundles: Vec<Vec<Claimed<'g>>> = Vec::new();
    for claimed in groups {
        let fits = bundles.last().is_some_and(|bundle| {
            let together = bundle.iter().map(|claimed| claimed.group).chain([claimed.group]);
            actions(snapshot, together) <= MAX_ACTIONS
        });
        match bundles.last_mut() {
            Some(bundle) if fits => bundle.push(claimed),
            _ => bundles.push(vec![claimed]),
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

/// What a cancelled transaction means. One item that can never be written outweighs any number of conflicts.
fn canceled_for(doing: &str, reasons: &[aws_sdk_dynamodb::types::CancellationReason]) -> Refusal {
    let codes = || reasons.iter().filter_map(|reason| reason.code()).filter(|code| *code != "None");
    let text = format!("{doing}: the transaction was cancelled: {}", codes().collect::<Vec<_>>().join(", "));
    if codes().any(|code| matches!(code, "ValidationError" | "ItemCollectionSizeLimitExceeded")) {
        return Refusal::Poison(Error::poison(text));
    }
    Refusal::Retry { error: Error::transient(text), ambiguous: false }
}
