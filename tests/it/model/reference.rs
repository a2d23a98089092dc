//! The expected snapshots: plain arithmetic over changes, in cents, independent of the code under test.

use std::collections::BTreeMap;

use super::history::{Change, Order, What};
use crate::world::StoredItem;

/// Orders, cents and changes by customer, window and start of the window.
pub type Counters = BTreeMap<Key, [i64; 3]>;

/// The customer, window and start of a counter.
pub type Key = (String, String, String);

/// The counters that changes add up to, each counted by a generation of the pipeline.
pub fn expected<'c>(changes: impl Iterator<Item = (&'c Change, u64)>) -> Counters {
    let mut counters = Counters::new();
    for (key, effect) in changes.flat_map(|(change, generation)| effects(change, generation)) {
        let counter = counters.entry(key).or_default();
        *counter = sum(*counter, effect);
    }
    counters
}

/// What a change adds to which counters if this generation of the pipeline counts it.
pub fn effects(change: &Change, generation: u64) -> Counters {
    let mut effects = Counters::new();
    for (key, effect) in parts(change, generation).into_iter().flatten() {
        let all = effects.entry(key).or_default();
        *all = sum(*all, effect);
    }
    effects.retain(|_, effect| *effect != [0; 3]);
    effects
}

/// The effects of a change by the hour in which they count. A fold writes one hour after the other, so until the change is settled,
/// a day or month may have one part and not the other.
pub fn parts(change: &Change, generation: u64) -> Vec<Counters> {
    let plus = |order| (order, [live(order).0, live(order).1, 1]);
    let minus = |order, changes| (order, [-live(order).0, -live(order).1, changes]);
    let images = match change.what {
        What::Insert(new) | What::Poison(new) => vec![plus(new)],
        What::Modify(old, new) => vec![minus(old, 0), plus(new)],
        What::Remove(old) => vec![minus(old, 1)],
        // Expired orders stay counted.
        What::Expire(old) => vec![(old, [0, 0, 1])],
    };
    let mut parts: BTreeMap<Key, Counters> = BTreeMap::new();
    for (order, effect) in images {
        let [hour, day, month] = keys(change.counts_at(order, generation), change);
        let part = parts.entry(hour.clone()).or_default();
        for key in [hour, day, month] {
            let all = part.entry(key).or_default();
            *all = sum(*all, effect);
        }
    }
    for part in parts.values_mut() {
        part.retain(|_, effect| *effect != [0; 3]);
    }
    parts.into_values().collect()
}

/// The counters that an image of a change's order is in.
fn keys(at: jiff::Timestamp, change: &Change) -> [Key; 3] {
    [("hour", "%Y-%m-%dT%H:00:00Z"), ("day", "%Y-%m-%dT00:00:00Z"), ("month", "%Y-%m-01T00:00:00Z")]
        .map(|(window, format)| (change.customer.clone(), window.to_owned(), at.strftime(format).to_string()))
}

pub fn sum(one: [i64; 3], other: [i64; 3]) -> [i64; 3] {
    std::array::from_fn(|number| one[number] + other[number])
}

fn live(order: Order) -> (i64, i64) {
    if order.canceled { (0, 0) } else { (1, order.cents) }
}

/// The counters in a usage table.
pub fn stored(items: &[StoredItem]) -> Counters {
    let counter = |item: &StoredItem| {
        let text = |name: &str| item[name].as_s().unwrap().clone();
        let number = |name: &str| item.get(name).map_or("0", |value| value.as_n().unwrap()).to_owned();
        let key = (text("entity"), text("window"), text("window_start"));
        (key, [number("orders").parse().unwrap(), cents(&number("amount")), number("changes").parse().unwrap()])
    };
    items.iter().map(counter).collect()
}

/// The versions of the counters in a usage table.
pub fn versions(items: &[StoredItem]) -> BTreeMap<Key, u64> {
    let version = |item: &StoredItem| {
        let text = |name: &str| item[name].as_s().unwrap().clone();
        let version = <[u8; 8]>::try_from(item["usage_version"].as_b().unwrap().as_ref()).unwrap();
        ((text("entity"), text("window"), text("window_start")), u64::from_be_bytes(version))
    };
    items.iter().map(version).collect()
}

/// `-1.5` -> -150
pub fn cents(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 2, "{text} has parts of a cent");
    sign * (whole.parse::<i64>().unwrap() * 100 + format!("{fraction:0<2}").parse::<i64>().unwrap())
}
