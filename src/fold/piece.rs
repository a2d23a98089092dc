//! Pieces: what the minutes of one hour say about another hour. A group of a minute that counts in another hour names that hour in
//! its key. It leaves the hour of its minute out and is summed up by a piece, and the other hour sums up the pieces about it
//! beside its own minutes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::state::{Leaves, Listed, State};
use super::totals::Totals;
use crate::ledger::{GroupKey, Level, WindowKey};

/// The key that a group of `child` has in a window that is the sum of it, among others; `None` if the group counts elsewhere.
pub(super) fn key_in<'k>(window: WindowKey, child: WindowKey, key: &'k GroupKey) -> Option<Cow<'k, GroupKey>> {
    let hour = key.event_hour().filter(|_| child.level == Level::Minute);
    match (hour, window.level) {
        (Some(hour), Level::Piece) if WindowKey::piece(hour, child) == window => Some(Cow::Owned(key.without_hour())),
        (Some(_), _) | (None, Level::Piece) => None,
        (None, _) => Some(Cow::Borrowed(key)),
    }
}

/// What a window stands for and says: the sum of its children. A piece stands only for the minutes that say something about its
/// hour, so that others don't change it. Once a minute has a group, each version of it does.
pub(super) fn sum(window: WindowKey, children: &BTreeMap<WindowKey, Leaves>) -> (Listed, Totals) {
    let mut totals = Totals::default();
    let mut listed = BTreeMap::new();
    for (child, part, state) in
        children.iter().flat_map(|(child, leaves)| leaves.iter().map(move |(part, state)| (child, part, state)))
    {
        totals.merge(&state.totals, |key| key_in(window, *child, key));
        if lists(window, *child, state) {
            listed.insert(super::leaf(*child, part), state.version);
        }
    }
    (Listed::Leaves(listed), totals)
}

/// Whether a window stands for a part of its child.
pub(super) fn lists(window: WindowKey, child: WindowKey, state: &State) -> bool {
    window.level != Level::Piece || state.totals.keys().any(|key| key_in(window, child, key).is_some())
}

/// The pieces that a minute's state names.
pub(super) fn pieces(minute: WindowKey, leaves: &Leaves) -> BTreeSet<WindowKey> {
    let keys = leaves.values().flat_map(|state| state.totals.keys());
    let hours: BTreeSet<_> = keys.filter_map(GroupKey::event_hour).collect();
    hours.into_iter().map(|hour| WindowKey::piece(hour, minute)).collect()
}

/// Groups of a minute, without their hours, by where they are summed up: the minute itself, which always comes first, or a piece.
pub(super) fn origins(
    minute: WindowKey,
    keys: impl IntoIterator<Item = GroupKey>,
) -> BTreeMap<WindowKey, BTreeSet<GroupKey>> {
    let mut origins = BTreeMap::from([(minute, BTreeSet::new())]);
    for key in keys {
        let (origin, key) = match key.event_hour() {
            Some(hour) => (WindowKey::piece(hour, minute), key.without_hour()),
            None => (minute, key),
        };
        origins.entry(origin).or_default().insert(key);
    }
    origins
}
