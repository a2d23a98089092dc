//! The expected snapshots: plain arithmetic over changes, in cents, independent of the code under test.

use std::collections::BTreeMap;

use super::history::{Change, What};
use crate::world::StoredItem;

/// Orders, cents and changes by customer, window and start of the window.
pub type Counters = BTreeMap<(String, String, String), [i64; 3]>;

/// The counters that `changes` add up to.
pub fn expected<'c>(changes: impl Iterator<Item = &'c Change>) -> Counters {
    let mut counters = Counters::new();
    for change in changes {
        let (orders, cents) = match change.what {
            What::Insert(new) | What::Poison(new) => live(new),
            What::Modify(old, new) => (live(new).0 - live(old).0, live(new).1 - live(old).1),
            What::Remove(old) => (-live(old).0, -live(old).1),
            // Expired orders stay counted.
            What::Expire(_) => (0, 0),
        };
        for (window, format) in
            [("hour", "%Y-%m-%dT%H:00:00Z"), ("day", "%Y-%m-%dT00:00:00Z"), ("month", "%Y-%m-01T00:00:00Z")]
        {
            let start = jiff::Timestamp::from_second(change.second).unwrap().strftime(format).to_string();
            let counter = counters.entry((change.customer.clone(), window.to_owned(), start)).or_default();
            for (total, add) in counter.iter_mut().zip([orders, cents, 1]) {
                *total += add;
            }
        }
    }
    counters
}

fn live(order: super::history::Order) -> (i64, i64) {
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

/// `-1.5` -> -150
pub fn cents(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 2, "{text} has parts of a cent");
    sign * (whole.parse::<i64>().unwrap() * 100 + format!("{fraction:0<2}").parse::<i64>().unwrap())
}
