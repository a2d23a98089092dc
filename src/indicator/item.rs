//! The map of an indicator: its bookkeeping, and when two values are the same.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::pipeline::{INDICATOR_PREVIOUS, INDICATOR_VERSION};
use crate::record::{Item, Value};

/// So few members or entries are searched one by one; more are sorted.
const FEW: usize = 32;

/// Whether two values are equal. The order of a map's entries and of a set's members doesn't matter.
pub fn same(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::M(one), Value::M(other)) => same_entries(one, other),
        (Value::L(one), Value::L(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Ss(one), Value::Ss(other)) => same_members(one, other),
        (Value::Ns(one), Value::Ns(other)) => same_members(one, other),
        (Value::Bs(one), Value::Bs(other)) => same_members(one, other),
        _ => one == other,
    }
}

fn same_members<T: Ord>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len()
        && match one.len() {
            ..=FEW => one.iter().all(|member| other.contains(member)),
            _ => sorted(one, T::cmp).eq(sorted(other, T::cmp)),
        }
}

fn same_entries(one: &Item<'_>, other: &Item<'_>) -> bool {
    fn by_name<'i, 'v>(item: &'i Item<'v>) -> impl Iterator<Item = &'i (Cow<'v, str>, Value<'v>)> {
        sorted(&item.0, |(one, _), (other, _)| one.cmp(other))
    }
    one.0.len() == other.0.len()
        && match one.0.len() {
            ..=FEW => one.0.iter().all(|(name, value)| other.attribute(name).is_some_and(|other| same(value, other))),
            _ => by_name(one).zip(by_name(other)).all(|(one, other)| one.0 == other.0 && same(&one.1, &other.1)),
        }
}

fn sorted<T>(list: &[T], order: impl Fn(&T, &T) -> Ordering) -> impl Iterator<Item = &T> {
    let mut sorted: Vec<&T> = list.iter().collect();
    sorted.sort_by(|one, other| order(one, other));
    sorted.into_iter()
}

/// The token of the write that made a map, if the function made it.
pub(super) fn token<'v>(map: Option<&'v Value<'_>>, name: &str) -> Option<&'v str> {
    match map? {
        Value::M(entries) => match entries.attribute(name)? {
            Value::S(token) => Some(token),
            _ => None,
        },
        _ => None,
    }
}

/// What the token of a target that the function created starts with, as long as it has the map.
const CREATED: &str = "created-";

/// Whether a token says that the function created the target.
pub(super) fn is_creators(token: Option<&str>) -> bool {
    token.is_some_and(|token| token.starts_with(CREATED))
}

/// The token of a write of a target that the function creates or created.
pub(super) fn creators(token: &str) -> String {
    format!("{CREATED}{token}")
}

/// Whether the function itself turned the old map into the new one: the new one has a token, and names that of the old
/// one as the one that it replaced. Each write has a token of its own, so a copy that someone else puts back is taken for a
/// write of the function only after another change by someone else, which has asked for the target.
pub(super) fn is_own_write(old: Option<&Value<'_>>, new: Option<&Value<'_>>) -> bool {
    let version = token(new, INDICATOR_VERSION);
    version.is_some()
        && version != token(old, INDICATOR_VERSION)
        && token(new, INDICATOR_PREVIOUS) == token(old, INDICATOR_VERSION)
}

/// Whether a stored map has exactly these values.
pub(super) fn has_values(stored: Option<&Value<'_>>, values: &Item<'_>) -> bool {
    let Some(Value::M(stored)) = stored else { return false };
    let is_value = |name: &str| name != INDICATOR_VERSION && name != INDICATOR_PREVIOUS;
    let stored: Vec<_> = stored.0.iter().filter(|(name, _)| is_value(name)).collect();
    stored.len() == values.0.len()
        && stored.iter().all(|(name, value)| values.attribute(name).is_some_and(|other| same(value, other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps;

    /// A member that counts how often it is compared.
    #[derive(Debug, Clone, Copy, Eq)]
    struct Member(usize);

    impl Ord for Member {
        fn cmp(&self, other: &Member) -> Ordering {
            steps::count();
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Member {
        fn partial_cmp(&self, other: &Member) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Member {
        fn eq(&self, other: &Member) -> bool {
            self.cmp(other) == Ordering::Equal
        }
    }

    #[test]
    fn regression_large_sets_are_compared_in_few_steps() {
        for count in [0, 1, 32, 33, 5_000] {
            // In an order that is neither ascending nor descending.
            let one: Vec<Member> = (0..count).map(|number| Member(number * 7_919 % 10_007)).collect();
            let mut other: Vec<Member> = one.iter().rev().copied().collect();
            let steps = steps::of(|| assert!(same_members(&one, &other)));
            assert!(steps <= 64 * count, "{steps} steps for {count} members");
            assert!(!same_members(&one, &[other.as_slice(), &[Member(10_008)]].concat()));
            if let Some(last) = other.last_mut() {
                *last = Member(10_008);
                assert!(!same_members(&one, &other));
            }
        }
    }

    #[test]
    fn maps_with_few_and_many_entries_are_the_same_in_any_order() {
        for count in [2, 32, 33, 1_000] {
            let entry = |number: i64| (format!("{number}").into(), Value::N(number.into()));
            let one = Item((0..count).map(entry).collect());
            let mut other = Item((0..count).rev().map(entry).collect());
            let are_same =
                |one: &Item<'static>, other: &Item<'static>| same(&Value::M(one.clone()), &Value::M(other.clone()));
            assert!(are_same(&one, &other));
            other.0[1].1 = Value::Null;
            assert!(!are_same(&one, &other));
            other.0.remove(1);
            assert!(!are_same(&one, &other));
        }
    }
}
