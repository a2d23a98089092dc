//! A random history of an orders table: what happened to which order and when, and the resulting stream records.

use std::ops::Range;

use serde_json::{Value, json};

/// The state of an order in the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    pub canceled: bool,
    pub cents: i64,
}

impl Order {
    /// When it was placed, which most orders say correctly. Some clocks are hours or days off.
    fn placed(self) -> i64 {
        const HOUR: i64 = 3_600;
        let before = [0, 1_200, HOUR, 3 * HOUR, 30 * HOUR, 10 * DAY, -1_800, -2 * DAY];
        START - before[usize::try_from(self.cents.rem_euclid(8)).unwrap()]
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What {
    Insert(Order),
    Modify(Order, Order),
    Remove(Order),
    Expire(Order),
    /// An order that can't be archived because it has no status.
    Poison(Order),
}

/// What decides in which windows an order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// When it changed.
    Change,
    /// When it says that it was placed.
    Placed,
    /// When it was placed if [`GENERATION_BY_PLACED`] of the pipeline counts it, otherwise when it changed.
    Generation,
}

/// The generation of the pipeline that counts orders when they were placed, if generations differ.
pub const GENERATION_BY_PLACED: u64 = 2;

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    pub sequence: String,
    pub second: i64,
    pub customer: String,
    order: String,
    pub what: What,
    pub timing: Timing,
}

pub struct History {
    pub changes: Vec<Change>,
    /// When the function runs. Changes that are more than 18 days older are too old.
    pub now: i64,
}

/// 2026-02-27T22:50:00Z: minutes before the end of an hour, and days before the end of a month.
const START: i64 = 1_772_232_600;
const DAY: i64 = 86_400;
/// By how much an order may have been placed before and after its change. Others count when they change.
const PLACED: std::ops::RangeInclusive<i64> = -7 * DAY..=3_600;

impl History {
    /// A history with a random number of changes from this range.
    pub fn random(seed: u64, changes: Range<usize>) -> History {
        let mut random = fastrand::Rng::with_seed(seed);
        let customers = random.usize(1..4);
        let step = [1, 20, 600, 7_200][random.usize(0..4)];
        let mut table: Vec<(String, String, Order)> = Vec::new();
        let mut second = START;
        let count = random.usize(changes);
        let mut changes = Vec::new();
        while changes.len() < count {
            second += random.i64(0..=step);
            // Sequence numbers of 21 to 22 digits that increase in uneven steps, as on AWS.
            let sequence = format!(
                "{}",
                999_999_999_999_990_000_000_u128 + (changes.len() as u128) * 1_000 + random.u128(0..1_000)
            );
            let mut emit = |customer: &str, order: &str, what| {
                let (customer, order) = (customer.to_owned(), order.to_owned());
                changes.push(Change {
                    sequence: sequence.clone(),
                    second,
                    customer,
                    order,
                    what,
                    timing: Timing::Change,
                });
            };
            let order = Order { canceled: false, cents: random.i64(-500..100_000) };
            let customer = format!("c{}", random.usize(0..customers));
            let pick = (!table.is_empty()).then(|| random.usize(0..table.len()));
            match (random.u8(0..20), pick) {
                (0, _) => emit(&customer, &format!("poison-{second}-{sequence}"), What::Poison(order)),
                (1..=8, _) | (_, None) => {
                    let name = sequence.clone();
                    emit(&customer, &name, What::Insert(order));
                    table.push((customer, name, order));
                }
                (9..=13, Some(at)) => {
                    let (customer, name, old) = table[at].clone();
                    emit(&customer, &name, What::Modify(old, order));
                    table[at].2 = order;
                }
                (14..=16, Some(at)) => {
                    let (customer, name, old) = table[at].clone();
                    let new = Order { canceled: !old.canceled, ..old };
                    emit(&customer, &name, What::Modify(old, new));
                    table[at].2 = new;
                }
                (_, Some(at)) => {
                    let (customer, name, old) = table.swap_remove(at);
                    emit(&customer, &name, if random.bool() { What::Remove(old) } else { What::Expire(old) });
                }
            }
        }
        // In one of ten histories, the first changes are older than the horizon.
        let now = if random.u8(0..10) == 0 { changes[count / 4].second + 18 * DAY } else { second + 5 };
        History { changes, now }
    }

    /// The same history of orders that count at these times.
    pub fn timed(mut self, timing: Timing) -> History {
        self.changes.iter_mut().for_each(|change| change.timing = timing);
        self
    }

    /// The same history with room for other records between its sequence numbers, if `has_others`.
    pub fn spaced(mut self, has_others: bool) -> History {
        if has_others {
            self.changes.iter_mut().for_each(|change| change.sequence.push_str("000"));
        }
        self
    }

    /// Whether a change can't be processed, however often it is delivered, to a function that isn't fixed.
    pub fn is_hopeless(&self, change: &Change) -> bool {
        matches!(change.what, What::Poison(_)) || change.second < self.now - 18 * DAY
    }
}

impl Change {
    /// A number that all changes of an order share.
    pub fn item(&self) -> u64 {
        self.order.bytes().fold(0, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)))
    }

    /// The name of its order.
    pub fn order(&self) -> &str {
        &self.order
    }

    /// When it took place.
    pub fn time(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.second).unwrap()
    }

    /// A second of the windows in which this generation of the pipeline counts an image of its order.
    pub fn counts_at(&self, order: Order, generation: u64) -> jiff::Timestamp {
        let by_placed = match self.timing {
            Timing::Change => false,
            Timing::Placed => true,
            Timing::Generation => generation == GENERATION_BY_PLACED,
        };
        let is_known = by_placed && PLACED.contains(&(order.placed() - self.second));
        jiff::Timestamp::from_second(if is_known { order.placed() } else { self.second }).unwrap()
    }

    /// The stream record as Lambda delivers it.
    pub fn record(&self) -> Value {
        let keys = json!({ "pk": { "S": format!("CUSTOMER#{}", self.customer) }, "sk": { "S": format!("ORDER#{}", self.order) } });
        let image = |order: &Order| {
            let cents = order.cents;
            let total = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
            let status = if order.canceled { "CANCELLED" } else { "OPEN" };
            let mut image =
                json!({ "pk": keys["pk"], "sk": keys["sk"], "status": { "S": status }, "total": { "N": total } });
            if self.timing != Timing::Change {
                image["placed"] = json!({ "N": order.placed().to_string() });
            }
            image
        };
        let poison = |order: &Order| {
            let mut image = image(order);
            image.as_object_mut().unwrap().remove("status");
            image
        };
        let (name, new, old) = match &self.what {
            What::Insert(new) => ("INSERT", Some(image(new)), None),
            What::Modify(old, new) => ("MODIFY", Some(image(new)), Some(image(old))),
            What::Remove(old) | What::Expire(old) => ("REMOVE", None, Some(image(old))),
            What::Poison(new) => ("INSERT", Some(poison(new)), None),
        };
        let mut record = json!({
            "eventID": format!("{:0>32}", self.sequence),
            "eventName": name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": self.second as f64,
                "Keys": keys,
                "SequenceNumber": self.sequence,
                "SizeBytes": 100,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
        });
        for (field, image) in [("NewImage", new), ("OldImage", old)] {
            image.into_iter().for_each(|image| record["dynamodb"][field] = image);
        }
        if matches!(self.what, What::Expire(_)) {
            record["userIdentity"] = json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" });
        }
        record
    }
}

/// An event with the records of these changes.
pub fn event<'c>(changes: impl IntoIterator<Item = &'c Change>) -> Vec<u8> {
    let records: Vec<Value> = changes.into_iter().map(Change::record).collect();
    serde_json::to_vec(&json!({ "Records": records })).unwrap()
}
