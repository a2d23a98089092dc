//! Customers, orders and order lines in one table, as `schemas/orders` describes them.
//!
//! An order counts for its customer, with its total, unless it is cancelled. There is no other arithmetic.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::change::{Add, Attribute, CHANGE_ATTRIBUTE, Change, Meaning, Write, hundredths, item, texts};
use super::profile::Shape;
use super::skew::Picker;

/// Orders that may still change. Older ones stay as they are, which bounds the memory.
const LIVE_ORDERS: usize = 10_000;
/// 2026-01-01T00:00:00Z: orders are dated by their number, so that the same seed gives the same items.
const FIRST_ORDER_SECOND: u64 = 1_767_225_600;
const RESOURCE: &str = "orders";

/// The load.
#[derive(Debug)]
pub struct Orders {
    pub(super) random: Rng,
    customers: Picker,
    pub(super) poison_percent: f64,
    live: Vec<Order>,
    /// The number of the last change of each customer's profile.
    profiles: BTreeMap<String, u64>,
}

#[derive(Debug, Clone)]
struct Order {
    /// The number of the change that created it.
    number: u64,
    customer: u32,
    total_cents: i64,
    status: Status,
    lines: u32,
    /// The number of its last change.
    state: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    New,
    Paid,
    Shipped,
    Cancelled,
}

/// A kind of change.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Ordered,
    Repriced,
    Advanced,
    Cancelled,
    Reactivated,
    Removed,
    LineAdded,
    ProfileChanged,
}

/// The percentage of changes of each kind.
const CHANCES: [(Happening, u8); 8] = [
    (Happening::Ordered, 34),
    (Happening::Repriced, 16),
    (Happening::Advanced, 10),
    (Happening::Cancelled, 7),
    (Happening::Reactivated, 3),
    (Happening::Removed, 6),
    (Happening::LineAdded, 20),
    (Happening::ProfileChanged, 4),
];

impl Orders {
    pub fn new(shape: &Shape, random: Rng) -> Orders {
        let customers = Picker::new(shape.entities, shape.skew);
        Orders { random, customers, poison_percent: shape.poison_percent, live: Vec::new(), profiles: BTreeMap::new() }
    }

    /// Restores a customer profile that an earlier run wrote. Each run has new orders.
    pub fn resume(&mut self, write: &Write) {
        let Write::Put { item, .. } = write else { return };
        let text = |name: &str| item.get(name).and_then(Attribute::as_text);
        let state = text(CHANGE_ATTRIBUTE).and_then(|number| number.parse().ok());
        if let (Some(pk), Some("PROFILE"), Some(state)) = (text("pk"), text("sk"), state) {
            self.profiles.insert(pk.to_owned(), state);
        }
    }

    pub fn next(&mut self, number: u64) -> Change {
        if self.random.f64() * 100.0 < self.poison_percent {
            return self.poisoned(number);
        }
        match self.happening() {
            Happening::ProfileChanged => self.profile(number),
            Happening::Ordered => self.ordered(number),
            Happening::LineAdded => self.line(number),
            happening => self.changed(number, happening),
        }
    }

    fn happening(&mut self) -> Happening {
        let mut at = self.random.u8(0..100);
        for (happening, chance) in CHANCES {
            match at.checked_sub(chance) {
                Some(rest) => at = rest,
                None => return happening,
            }
        }
        Happening::Ordered
    }

    fn ordered(&mut self, number: u64) -> Change {
        let order = self.new_order(number);
        if self.live.len() == LIVE_ORDERS {
            let done = self.random.usize(0..LIVE_ORDERS);
            self.live.swap_remove(done);
        }
        self.live.push(order.clone());
        Change { number, write: order.put(None), meaning: order.meaning(Worth::NOTHING, order.worth()) }
    }

    /// An order whose total is a string, which can't be counted.
    fn poisoned(&mut self, number: u64) -> Change {
        let order = self.new_order(number);
        let mut write = order.put(None);
        if let Write::Put { item, .. } = &mut write {
            item.insert("total".to_owned(), Attribute::text("free"));
        }
        let nothing = Meaning { adds: Vec::new(), poison: true, archived: None, ..order.meaning_of(Vec::new()) };
        Change { number, write, meaning: nothing }
    }

    fn changed(&mut self, number: u64, happening: Happening) -> Change {
        if self.live.is_empty() {
            return self.ordered(number);
        }
        let index = self.random.usize(0..self.live.len());
        if matches!(happening, Happening::Removed) {
            return self.live.swap_remove(index).removed(number);
        }
        let cents = self.random.i64(100..50_000);
        // The index is in range.
        let Some(order) = self.live.get_mut(index) else { return self.ordered(number) };
        let (before, replaces) = (order.worth(), order.state);
        order.state = number;
        match happening {
            Happening::Repriced => order.total_cents = cents,
            Happening::Cancelled => order.status = Status::Cancelled,
            Happening::Reactivated => order.status = Status::New,
            _ => order.status = order.status.next(),
        }
        Change { number, write: order.put(Some(replaces)), meaning: order.meaning(before, order.worth()) }
    }

    fn line(&mut self, number: u64) -> Change {
        if self.live.is_empty() {
            return self.ordered(number);
        }
        let index = self.random.usize(0..self.live.len());
        let (sku, quantity, cents) = (self.random.u32(1..500), self.random.u32(1..10), self.random.i64(100..20_000));
        let Some(order) = self.live.get_mut(index) else { return self.ordered(number) };
        order.lines += 1;
        let (pk, sk) = (format!("ORDER#{}", order.number), format!("LINE#{}", order.lines));
        let item = item([
            ("pk", Attribute::text(&pk)),
            ("sk", Attribute::text(&sk)),
            ("sku", Attribute::text(format!("sku-{sku}"))),
            ("quantity", Attribute::number(quantity)),
            ("price", Attribute::number(hundredths(cents))),
            (CHANGE_ATTRIBUTE, Attribute::number(number)),
        ]);
        archived_only(number, "order_line", [&pk, &sk], Write::Put { item, replaces: None })
    }

    fn profile(&mut self, number: u64) -> Change {
        let customer = self.customers.pick(&mut self.random);
        let pk = format!("CUSTOMER#{customer}");
        let item = item([
            ("pk", Attribute::text(&pk)),
            ("sk", Attribute::text("PROFILE")),
            ("name", Attribute::text(format!("Customer {customer}"))),
            ("email", Attribute::text(format!("{customer}.{number}@example.com"))),
            ("since", Attribute::text("2026-01-01")),
            (CHANGE_ATTRIBUTE, Attribute::number(number)),
        ]);
        let replaces = self.profiles.insert(pk.clone(), number);
        archived_only(number, "customer", [&pk, "PROFILE"], Write::Put { item, replaces })
    }

    fn new_order(&mut self, number: u64) -> Order {
        let customer = self.customers.pick(&mut self.random);
        let total_cents = self.random.i64(100..50_000);
        Order { number, customer, total_cents, status: Status::New, lines: 0, state: number }
    }
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Status::New => "NEW",
            Status::Paid => "PAID",
            Status::Shipped => "SHIPPED",
            Status::Cancelled => "CANCELLED",
        }
    }

    fn next(self) -> Status {
        match self {
            Status::New => Status::Paid,
            Status::Paid | Status::Shipped => Status::Shipped,
            Status::Cancelled => Status::Cancelled,
        }
    }
}

/// What an order adds to its customer's usage.
#[derive(Debug, Clone, Copy)]
struct Worth {
    orders: i64,
    cents: i64,
}

impl Worth {
    const NOTHING: Worth = Worth { orders: 0, cents: 0 };
}

impl Order {
    fn worth(&self) -> Worth {
        match self.status {
            Status::Cancelled => Worth::NOTHING,
            _ => Worth { orders: 1, cents: self.total_cents },
        }
    }

    fn pk(&self) -> String {
        format!("CUSTOMER#{}", self.customer)
    }

    fn sk(&self) -> String {
        format!("ORDER#{}", self.number)
    }

    fn put(&self, replaces: Option<u64>) -> Write {
        let second = i64::try_from(FIRST_ORDER_SECOND.saturating_add(self.number)).unwrap_or(i64::MAX);
        let ordered_at = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX);
        let item = item([
            ("pk", Attribute::text(self.pk())),
            ("sk", Attribute::text(self.sk())),
            ("status", Attribute::text(self.status.text())),
            ("currency", Attribute::text("EUR")),
            ("total", Attribute::number(hundredths(self.total_cents))),
            ("ordered_at", Attribute::text(ordered_at.to_string())),
            (CHANGE_ATTRIBUTE, Attribute::number(self.state)),
        ]);
        Write::Put { item, replaces }
    }

    fn removed(self, number: u64) -> Change {
        let key = item([("pk", Attribute::text(self.pk())), ("sk", Attribute::text(self.sk()))]);
        let write = Write::Delete { key, replaces: self.state };
        Change { number, write, meaning: self.meaning(self.worth(), Worth::NOTHING) }
    }

    fn meaning(&self, before: Worth, after: Worth) -> Meaning {
        let (orders, cents) = (after.orders - before.orders, after.cents - before.cents);
        let sums =
            [("orders", orders.to_string(), orders), ("amount", hundredths(cents), cents), ("changes", "1".into(), 1)];
        let customer = self.customer.to_string();
        let add = |(measure, amount, sign): (&str, String, i64)| {
            let group = texts([("entity", &customer), ("resource", RESOURCE)]);
            (sign != 0).then(|| Add { group, measure: measure.to_owned(), amount })
        };
        self.meaning_of(sums.into_iter().filter_map(add).collect())
    }

    fn meaning_of(&self, adds: Vec<Add>) -> Meaning {
        let (pk, sk, record_type) = (self.pk(), self.sk(), "order".to_owned());
        let archived = Some(record_type.clone());
        let key = texts([("pk", &pk), ("sk", &sk)]);
        Meaning { record_type, key, adds, event_time: None, poison: false, archived }
    }
}

/// A write of an item that is archived but not counted.
fn archived_only(number: u64, record_type: &str, [pk, sk]: [&str; 2], write: Write) -> Change {
    let (key, archived) = (texts([("pk", pk), ("sk", sk)]), Some(record_type.to_owned()));
    let (record_type, adds) = (record_type.to_owned(), Vec::new());
    let meaning = Meaning { record_type, key, adds, event_time: None, poison: false, archived };
    Change { number, write, meaning }
}
