//! Folds a piece, an hour, a day, a week, a month or the total: sums up the states of the windows below it.

use std::collections::BTreeMap;

use super::engine::{Attempts, Fold, Mode};
use super::parts::Parts;
use super::piece;
use super::state::{Leaf, Leaves, Listed, leaves};
use super::write::Written;
use crate::error::Error;
use crate::ledger::{StateItem, WindowKey};

/// The versions of leaves.
pub(super) type Versions = BTreeMap<Leaf, u64>;

impl Fold<'_> {
    /// Folds `window`, of whose children at least the versions `known` must be read.
    ///
    /// # Errors
    /// If something is missing again and again, if the deadline passes, or if someone must fix something first.
    pub(super) async fn fold_parent(&self, window: WindowKey, known: &Versions) -> Result<Leaves, Error> {
        let mut attempts = Attempts::new(self.deadline);
        let mut is_complete = false;
        loop {
            let own = async { self.parts(&self.ledger.states(window, self.deadline).await?) };
            let children = async {
                // A damaged child is an error even while states are rebuilt: it must be rebuilt first, or its parent would
                // lack it.
                children(self.ledger.kept_children(window, self.deadline).await?, Mode::Usual)
            };
            let (own, children) = tokio::join!(own, children);
            let (Some(own), Some(children)) = (own?, children?) else {
                attempts.lacks(|| format!("read the states of {window}: half of one is missing")).await?;
                continue;
            };
            // Rule R: never write a state from a reading that lacks what is known to exist.
            if let Some((Leaf { window: child, part }, version)) = self.lacking(&own, known, &versions(&children)) {
                let lacks = || format!("fold {window}: version {version} of the state {child}/{part} is missing");
                attempts.lacks(lacks).await?;
                continue;
            }
            if own.versions.is_empty() && !is_complete {
                is_complete = true;
                if self.fold_uncounted(window, &children).await? {
                    continue;
                }
            }
            let (listed, totals) = piece::sum(window, &children);
            let own = match self.unless_current(own, &listed) {
                Ok(leaves) => return Ok(leaves),
                Err(own) => own,
            };
            match self.write(window, own, &listed, &totals).await? {
                Written::All(leaves) => return Ok(leaves),
                Written::Again => attempts.again(|| format!("write the state {window}: others write it, too")).await?,
            }
        }
    }

    /// A leaf that must exist and isn't in a reading of the windows below, with its version.
    fn lacking<'l>(&self, own: &'l Parts, known: &'l Versions, read: &Versions) -> Option<(&'l Leaf, u64)> {
        let binding = own.leaves.values().filter(|_| self.mode != Mode::Forget);
        let listed = binding.flat_map(|state| state.listed.leaves());
        let mut expected = known.iter().map(|(leaf, version)| (leaf, *version)).chain(listed);
        // What a state of an earlier epoch lists may be as a restore has left it. What has expired isn't left by one.
        let before = own.before.iter().flat_map(Listed::leaves).filter(|(leaf, _)| self.is_past(leaf.window));
        let lacking = expected.find(|(leaf, version)| !has(read, leaf, *version));
        lacking.or_else(|| before.into_iter().find(|(leaf, _)| !has(read, leaf, 1)))
    }
}

pub(super) fn leaf(window: WindowKey, part: &str) -> Leaf {
    Leaf { window, part: part.to_owned() }
}

/// The versions of the leaves of these windows.
pub(super) fn versions(windows: &BTreeMap<WindowKey, Leaves>) -> Versions {
    let leaves = windows.iter().flat_map(|(window, leaves)| leaves.iter().map(|(part, state)| (*window, part, state)));
    leaves.map(|(window, part, state)| (leaf(window, part), state.version)).collect()
}

/// The leaves of each child; `None` if one must be read again.
pub(super) fn children(items: Vec<StateItem>, mode: Mode) -> Result<Option<BTreeMap<WindowKey, Leaves>>, Error> {
    let mut by_window: BTreeMap<WindowKey, Vec<StateItem>> = BTreeMap::new();
    items.into_iter().for_each(|item| by_window.entry(item.window).or_default().push(item));
    by_window
        .into_iter()
        .map(|(window, items)| Ok(leaves(&items, mode)?.map(|leaves| (window, leaves))))
        .collect::<Result<Option<_>, _>>()
}

/// Whether the leaf, or all leaves into which it was split, or the one that it is a part of, has at least this version.
pub(super) fn has(read: &Versions, leaf: &Leaf, version: u64) -> bool {
    let covers = |other: &Leaf| {
        other.window == leaf.window && (other.part.starts_with(&leaf.part) || leaf.part.starts_with(&other.part))
    };
    let mut versions = read.iter().filter(|(other, _)| covers(other)).map(|(_, version)| *version).peekable();
    versions.peek().is_some() && versions.all(|found| found >= version)
}
