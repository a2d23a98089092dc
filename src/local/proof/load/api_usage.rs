//! API requests and subscriptions in one table, as `schemas/api-usage` describes them.
//!
//! A request counts for its tenant, its tenant's endpoint and its plan, in the windows of its own time, which is up to a day
//! before it is written; a later correction adds the difference in bytes. A subscription's seats count while it is active, and so
//! do the hours for which they stood. There is no other arithmetic.

mod request;
mod subscription;

use std::collections::BTreeMap;

use fastrand::Rng;
use stream_types::Timestamp;

use super::change::{Add, Attribute, Change, LoadItem, Meaning, Write, item, texts};
use super::profile::Shape;
use super::skew::Picker;
use request::Request;
use subscription::Subscription;

/// Requests and subscriptions that may still change. Older ones stay as they are, which bounds the memory.
const LIVE_ITEMS: usize = 10_000;
const ENDPOINTS: [&str; 4] = ["/v1/orders", "/v1/invoices", "/v1/search", "/v1/reports"];
const PLANS: [&str; 3] = ["free", "team", "business"];

/// The load.
#[derive(Debug)]
pub struct ApiUsage {
    pub(super) random: Rng,
    tenants: Picker,
    pub(super) poison_percent: f64,
    requests: Vec<Request>,
    subscriptions: Vec<Subscription>,
}

/// A kind of change.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Requested,
    Corrected,
    RequestRemoved,
    Subscribed,
    Resized,
    Upgraded,
    Touched,
    Switched,
    SubscriptionRemoved,
}

/// The percentage of changes of each kind.
const CHANCES: [(Happening, u8); 9] = [
    (Happening::Requested, 66),
    (Happening::Corrected, 4),
    (Happening::RequestRemoved, 4),
    (Happening::Subscribed, 8),
    (Happening::Resized, 6),
    (Happening::Upgraded, 3),
    (Happening::Touched, 3),
    (Happening::Switched, 4),
    (Happening::SubscriptionRemoved, 2),
];

impl ApiUsage {
    pub fn new(shape: &Shape, random: Rng) -> ApiUsage {
        let tenants = Picker::new(shape.entities, shape.skew);
        let (requests, subscriptions) = (Vec::new(), Vec::new());
        ApiUsage { random, tenants, poison_percent: shape.poison_percent, requests, subscriptions }
    }

    pub fn next(&mut self, number: u64, now: Timestamp) -> Change {
        if self.random.f64() * 100.0 < self.poison_percent {
            return self.poisoned(number, now);
        }
        let mut at = self.random.u8(0..100);
        let happening = CHANCES.iter().find(|(_, chance)| {
            let is_it = at < *chance;
            at = at.saturating_sub(*chance);
            is_it
        });
        let happening = happening.map_or(Happening::Requested, |(happening, _)| *happening);
        let changed = match happening {
            Happening::Requested => None,
            Happening::Subscribed => Some(self.subscribed(number)),
            Happening::Corrected | Happening::RequestRemoved => self.request_changed(number, happening, now),
            _ => self.subscription_changed(number, happening),
        };
        changed.unwrap_or_else(|| self.requested(number, now))
    }

    fn tenant(&mut self) -> String {
        format!("tenant-{}", self.tenants.pick(&mut self.random))
    }

    fn plan(&mut self) -> &'static str {
        self.random.choice(PLANS).unwrap_or("free")
    }

    fn requested(&mut self, number: u64, now: Timestamp) -> Change {
        let delay = request::usual_delay(&mut self.random);
        let request = self.request(number, request::before(now, delay));
        let change = Change { number, write: request.put(None), meaning: request.requested() };
        keep(&mut self.requests, request, &mut self.random);
        change
    }

    /// A request that is written too late to count in the windows of its time.
    fn poisoned(&mut self, number: u64, now: Timestamp) -> Change {
        let delay = request::delay_beyond_the_bound(&mut self.random);
        let request = self.request(number, request::before(now, delay));
        Change { number, write: request.put(None), meaning: request.rejected() }
    }

    fn request(&mut self, number: u64, requested_at: Timestamp) -> Request {
        let is_error = self.random.u8(0..100) < 3;
        Request {
            number,
            tenant: self.tenant(),
            endpoint: self.random.choice(ENDPOINTS).unwrap_or("/v1/orders"),
            plan: self.plan(),
            status: if is_error { 503 } else { 200 },
            // 10 ms to 20 s, most of them short.
            latency_ms: 10 << self.random.u32(0..11),
            bytes: self.random.i64(100..100_000),
            user: (self.random.u8(0..10) > 0).then(|| format!("user-{}", self.random.u32(1..500))),
            requested_at,
            state: number,
        }
    }

    fn request_changed(&mut self, number: u64, happening: Happening, now: Timestamp) -> Option<Change> {
        let index = self.random.choice(0..self.requests.len())?;
        if matches!(happening, Happening::RequestRemoved) {
            let request = self.requests.swap_remove(index);
            let write = Write::Delete { key: key(request.names()), replaces: request.state };
            return Some(Change { number, write, meaning: request.meaning(&[]) });
        }
        let more = self.random.i64(1..1_000);
        let request = self.requests.get_mut(index).filter(|request| request.is_correctable(now))?;
        let replaces = request.state;
        (request.bytes, request.state) = (request.bytes + more, number);
        let meaning = request.meaning(&[("bytes", more.to_string())]);
        Some(Change { number, write: request.put(Some(replaces)), meaning })
    }

    fn subscribed(&mut self, number: u64) -> Change {
        let (tenant, plan, seats) = (self.tenant(), self.plan(), self.random.i64(1..50));
        let subscription = Subscription { number, tenant, plan, seats, active: true, state: number };
        let change = Change { number, write: subscription.put(None), meaning: subscription.meaning(None) };
        keep(&mut self.subscriptions, subscription, &mut self.random);
        change
    }

    fn subscription_changed(&mut self, number: u64, happening: Happening) -> Option<Change> {
        let index = self.random.choice(0..self.subscriptions.len())?;
        let (seats, plan) = (self.random.i64(1..50), self.plan());
        let before = self.subscriptions.get(index)?.clone();
        // Only what was canceled before is removed: until when an active one stood, only the stream knows.
        if matches!(happening, Happening::SubscriptionRemoved) && !before.active {
            self.subscriptions.swap_remove(index);
            let write = Write::Delete { key: key(before.names()), replaces: before.state };
            let gone = Subscription { state: number, ..before.clone() };
            return Some(Change { number, write, meaning: gone.meaning(Some(&before)) });
        }
        let subscription = self.subscriptions.get_mut(index)?;
        subscription.state = number;
        match happening {
            Happening::Resized => subscription.seats = seats,
            Happening::Upgraded => subscription.plan = plan,
            Happening::Touched => {}
            _ => subscription.active = !before.active,
        }
        let meaning = subscription.meaning(Some(&before));
        Some(Change { number, write: subscription.put(Some(before.state)), meaning })
    }
}

/// Adds an item, and forgets another one if there are too many.
fn keep<T>(items: &mut Vec<T>, item: T, random: &mut Rng) {
    if items.len() >= LIVE_ITEMS {
        items.swap_remove(random.usize(0..items.len()));
    }
    items.push(item);
}

fn meaning(record_type: &str, [pk, sk]: [&str; 2], adds: Vec<Add>) -> Meaning {
    let (key, archived) = (texts([("pk", pk), ("sk", sk)]), Some(record_type.to_owned()));
    Meaning { record_type: record_type.to_owned(), key, adds, event_time: None, poison: false, archived }
}

fn key([pk, sk]: [String; 2]) -> LoadItem {
    item([("pk", Attribute::text(pk)), ("sk", Attribute::text(sk))])
}

fn group(entity: &str, resource: &str) -> BTreeMap<String, String> {
    texts([("entity", entity), ("resource", resource)])
}
