//! The proof of an hour: what its pages add up to, compared with the states that a fold has written, and these with the
//! snapshots. Each hour is proven from its pages, and a longer window when its last hour is, from the states of the hours
//! that were proven before. Reads only.
//!
//! Between a fold's steps, what it writes differs for a moment. So what differs is compared once more after a while, and only
//! what still differs counts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::distinct::Minute;
use super::engine::{Fold, Mode};
use super::parent::children;
use super::piece::{pieces, sum};
use super::publish::Stored;
use super::republish::wait;
use super::state::Leaves;
use super::tasks::{Task, states_above, windows_above};
use super::value::Value;
use super::{Folder, Totals, Windows};
use crate::error::{Error, ErrorKind};
use crate::ledger::{GroupKey, Level, Measure, PageRef, WindowKey};
use crate::pipeline::Snapshot;
use crate::time::{HOUR_SECONDS, Timestamp};
use crate::usage::Segment;
use crate::window::Zone;

/// What a proof found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The hours, days, weeks, months and totals whose states were compared.
    pub windows: usize,
    /// The pages that were added up.
    pub pages: usize,
    /// The snapshots that were compared.
    pub snapshots: usize,
    /// What differs.
    pub differences: BTreeSet<ProofDifference>,
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProofDifference {
    /// The window.
    pub window: WindowKey,
    /// What is wrong.
    pub what: Wrong,
    /// The hash of the group's key; none for a page.
    pub group_hash: Option<u64>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// A page that the state of its minute doesn't stand for.
    PageNotFolded,
    /// A page that the state of its minute stands for, but that is gone.
    PageGone,
    /// A state whose values for a group aren't those of its pages, or of the states below it.
    State,
    /// A snapshot that is missing, or whose values aren't those of the state.
    Snapshot,
}

impl Wrong {
    /// What it says in the log.
    pub fn text(self) -> &'static str {
        match self {
            Wrong::PageNotFolded => "a page isn't in the state of its minute",
            Wrong::PageGone => "a page that the state of its minute lists is gone",
            Wrong::State => "the state isn't what its pages add up to",
            Wrong::Snapshot => "the snapshot isn't what the state says",
        }
    }
}

impl Proven {
    /// Adds what another proof found.
    pub fn add(&mut self, other: Proven) {
        self.windows += other.windows;
        self.pages += other.pages;
        self.snapshots += other.snapshots;
        self.differences.extend(other.differences);
    }
}

impl Folder {
    /// Proves an hour, and the windows that end with it. What differs is compared again after `patience`, or before, if the
    /// deadline is near.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn prove(
        &self,
        snapshot: &Snapshot,
        hour: WindowKey,
        now: Timestamp,
        patience: Duration,
        deadline: Option<Instant>,
    ) -> Result<Proven, Error> {
        let first = self.prove_once(snapshot, hour, now, deadline).await?;
        if first.differences.is_empty() || patience.is_zero() {
            return Ok(first);
        }
        wait(patience, deadline).await;
        let mut second = self.prove_once(snapshot, hour, now, deadline).await?;
        second.differences.retain(|difference| first.differences.contains(difference));
        Ok(second)
    }

    /// The hours of the pipeline's time zone that ended within an hour up to this second; `None` if there is no such time.
    /// Usually one; where clocks change by half an hour, there may be none or two.
    pub fn hours_until(&self, second: i64) -> Option<Vec<WindowKey>> {
        hours_until(second, self.ledger.zone)
    }

    async fn prove_once(
        &self,
        snapshot: &Snapshot,
        hour: WindowKey,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Proven, Error> {
        let fold = self.fold_with(snapshot, Mode::Usual, now, deadline);
        let mut proven = Proven::default();
        let mut states = fold.below(hour).await?;
        // What the minutes say about other hours. A window that ends later is proven then.
        let minutes = || states.iter().filter(|(child, _)| child.level == Level::Minute);
        let about: BTreeSet<WindowKey> = minutes().flat_map(|(minute, leaves)| pieces(*minute, leaves)).collect();
        // One after the other, so that the proof needs no more memory than a fold.
        for minute in (hour.start()..hour.end()).step_by(60).map(Segment::at) {
            let state = states.remove(&WindowKey::minute(minute, hour.zone())).unwrap_or_default();
            proven.add(fold.prove_minute(minute, &state).await?);
        }
        let last = WindowKey::minute(Segment::at(hour.end() - 60), hour.zone());
        // The total never ends, so it is proven each day.
        let day = last.within(Level::Day).end();
        let ends = |own: &WindowKey| hour.end() == if own.level == Level::Total { day } else { own.end() };
        let has_ended = |window: &WindowKey| window.level == Level::Piece || window.end() <= hour.end();
        let own = states_above(snapshot, last, &BTreeSet::new()).into_iter().filter(ends);
        let others = about.iter().flat_map(|piece| states_above(snapshot, *piece, &about)).filter(has_ended);
        for window in own.chain(others).collect::<BTreeSet<_>>() {
            proven.add(fold.prove_parent(window).await?);
        }
        let own = windows_above(snapshot, last).into_iter().filter(ends);
        let others = about.iter().flat_map(|piece| windows_above(snapshot, *piece)).filter(has_ended);
        for window in own.chain(others).collect::<BTreeSet<_>>() {
            let leaves = fold.stored(window).await?;
            proven.add(self.prove_snapshots(snapshot, window, leaves, now, deadline).await?);
        }
        Ok(proven)
    }

    /// Compares the snapshots of a window with its state.
    async fn prove_snapshots(
        &self,
        snapshot: &Snapshot,
        window: WindowKey,
        leaves: Leaves,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Proven, Error> {
        let keys: Vec<GroupKey> = leaves.values().flat_map(|state| state.totals.keys()).cloned().collect();
        let windows = Windows::from([(window, Ok(leaves))]);
        let comparisons = keys.into_iter().filter_map(|key| {
            let hash = hash_of(&key);
            let publication = Task { window, key }.publication(snapshot, &windows, now)?;
            Some(async move {
                match self.usage.compare(snapshot, &publication, deadline).await {
                    Ok(stored) => Ok((hash, stored)),
                    // Its key isn't valid, so it can't exist.
                    Err(error) if error.kind == ErrorKind::Poison => Ok((hash, Stored::Wrong)),
                    Err(error) => Err(error),
                }
            })
        });
        let mut proven = Proven::default();
        let mut comparisons = stream::iter(comparisons).buffer_unordered(self.concurrency);
        while let Some((hash, stored)) = comparisons.try_next().await? {
            proven.snapshots += 1;
            if stored == Stored::Wrong {
                let what = Wrong::Snapshot;
                proven.differences.insert(ProofDifference { window, what, group_hash: Some(hash) });
            }
        }
        Ok(proven)
    }
}

impl Fold<'_> {
    /// The states of the windows below a window.
    async fn below(&self, window: WindowKey) -> Result<BTreeMap<WindowKey, Leaves>, Error> {
        let half = || Error::transient(format!("read the states of {window}: half of one is missing"));
        children(self.ledger.children(window, self.deadline).await?, Mode::Usual)?.ok_or_else(half)
    }

    /// Adds up the pages of a minute and compares the result with its state. Pages are looked for in the buckets that are
    /// configured and those that the state knows; in others, only the sweep before looks for them.
    async fn prove_minute(&self, minute: Segment, state: &Leaves) -> Result<Proven, Error> {
        let window = WindowKey::minute(minute, self.ledger.zone);
        let listed: BTreeSet<PageRef> = state.values().flat_map(|leaf| leaf.listed.pages()).copied().collect();
        let used = listed.iter().map(|page| page.bucket + 1).max().unwrap_or(0);
        let pages = self.ledger.pages(minute, 0..self.ledger.buckets.max(used), self.deadline).await?;
        let found: BTreeSet<PageRef> = pages.iter().map(|page| page.reference).collect();
        let mut proven = Proven { pages: pages.len(), ..Proven::default() };
        let page = |what| ProofDifference { window, what, group_hash: None };
        proven.differences.extend(found.difference(&listed).map(|_| page(Wrong::PageNotFolded)));
        proven.differences.extend(listed.difference(&found).map(|_| page(Wrong::PageGone)));
        // Without them, every group would differ.
        if found == listed {
            proven.differences.extend(differing(window, &Minute::new(pages).totals(), state));
        }
        Ok(proven)
    }

    /// Adds up the states below a window and compares the result with its state.
    async fn prove_parent(&self, window: WindowKey) -> Result<Proven, Error> {
        let (below, state) = (self.below(window).await?, self.stored(window).await?);
        let (_, totals) = sum(window, &below);
        let differences = differing(window, &totals, &state).collect();
        Ok(Proven { windows: 1, differences, ..Proven::default() })
    }
}

fn hours_until(second: i64, zone: Zone) -> Option<Vec<WindowKey>> {
    let containing = |second| Some(WindowKey::containing(Level::Hour, Timestamp::from_seconds(second)?, zone));
    let mut hours = Vec::new();
    let mut hour = containing(second.checked_sub(HOUR_SECONDS)?)?;
    while hour.end() <= second {
        hours.push(hour);
        hour = containing(hour.end())?;
    }
    Some(hours)
}

/// The groups for which a state doesn't say what was added up.
fn differing(window: WindowKey, totals: &Totals, state: &Leaves) -> impl Iterator<Item = ProofDifference> {
    let mut own = Totals::default();
    state.values().for_each(|leaf| own.merge(&leaf.totals, |key| Some(Cow::Borrowed(key))));
    let keys: BTreeSet<&GroupKey> = totals.keys().chain(own.keys()).collect();
    let wrong = keys.into_iter().filter(|key| !agrees(totals, &own, key));
    let hashes: BTreeSet<u64> = wrong.map(hash_of).collect();
    hashes.into_iter().map(move |hash| ProofDifference { window, what: Wrong::State, group_hash: Some(hash) })
}

/// Whether both say the same about a group. What isn't known was reported when it was folded.
fn agrees(totals: &Totals, own: &Totals, key: &GroupKey) -> bool {
    let values = |of: &'_ Totals| -> BTreeMap<Measure, Value> {
        let group = of.group(key).into_iter().flatten();
        group.map(|(measure, value)| (measure.clone(), value.clone())).collect()
    };
    if totals.is_given_up(key) || own.is_given_up(key) {
        return true;
    }
    let (added, said) = (values(totals), values(own));
    added.keys().eq(said.keys())
        && added
            .values()
            .zip(said.values())
            .all(|(added, said)| added == said || *added == Value::Overflow || *said == Value::Overflow)
}

/// The first 8 bytes of the hash of a group's key: what names it in the log.
fn hash_of(key: &GroupKey) -> u64 {
    blake3::hash(key.bytes()).as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hour_is_proven_once_by_a_schedule_that_runs_each_hour() {
        // Clocks go back by an hour in Berlin, and by half an hour on Lord Howe Island.
        for (zone, day) in
            [("UTC", "2026-11-28"), ("Europe/Berlin", "2026-10-25"), ("Australia/Lord_Howe", "2026-04-05")]
        {
            let zone = Zone::named(zone).unwrap();
            let start = Timestamp::parse(&format!("{day}T00:17:00Z")).unwrap().seconds() - 12 * HOUR_SECONDS;
            let runs = (0..48).map(|run| hours_until(start + run * HOUR_SECONDS, zone).unwrap());
            let proven: Vec<WindowKey> = runs.flatten().collect();
            assert!(proven.windows(2).all(|pair| pair[0].end() == pair[1].start()), "{proven:?}");
            assert!(proven.len() >= 47, "{proven:?}");
        }
    }

    #[test]
    fn an_hour_has_ended_before_it_is_proven() {
        let of = |text: &str| {
            let hours = hours_until(Timestamp::parse(text).unwrap().seconds(), Zone::UTC).unwrap();
            hours.into_iter().map(WindowKey::text).collect::<Vec<_>>()
        };
        assert_eq!(of("2026-11-28T10:00:00Z"), ["2026-11-28T09"]);
        assert_eq!(of("2026-11-28T10:59:59Z"), ["2026-11-28T09"]);
    }
}
