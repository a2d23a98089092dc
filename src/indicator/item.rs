//! The map of an indicator: its bookkeeping, and when two values are the same.

use crate::pipeline::{INDICATOR_PREVIOUS, INDICATOR_VERSION};
use crate::record::{Item, Value};

/// Whether two values are equal. The order of a map's entries and of a set's members doesn't matter.
pub fn same(one: &Value<'_>, other: &Value<'_>) -> bool {
    let members = |one: usize, other: usize, holds: &dyn Fn(usize) -> bool| one == other && (0..one).all(holds);
    match (one, other) {
        (Value::M(one), Value::M(other)) => same_entries(one, other),
        (Value::L(one), Value::L(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Ss(one), Value::Ss(other)) => {
            members(one.len(), other.len(), &|at| one.get(at).is_some_and(|member| other.contains(member)))
        }
        (Value::Ns(one), Value::Ns(other)) => {
            members(one.len(), other.len(), &|at| one.get(at).is_some_and(|member| other.contains(member)))
        }
        (Value::Bs(one), Value::Bs(other)) => {
            members(one.len(), other.len(), &|at| one.get(at).is_some_and(|member| other.contains(member)))
        }
        _ => one == other,
    }
}

fn same_entries(one: &Item<'_>, other: &Item<'_>) -> bool {
    one.0.len() == other.0.len()
        && one.0.iter().all(|(name, value)| other.attribute(name).is_some_and(|other| same(value, other)))
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
