//! API requests and subscriptions in one table, as `schemas/api-usage` describes them.
//!
//! A request counts for its tenant, its tenant's endpoint and its plan; a later correction adds the difference in bytes. A
//! subscription's seats count while it is active, and so do the hours for which they stood. There is no other arithmetic.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::change::{Add, Attribute, CHANGE_ATTRIBUTE, Change, LoadItem, Meaning, Write, hundredths, item, texts};
use super::profile::Shape;
use super::skew::Picker;

/// Requests and subscriptions that may still change. Older ones stay as they are, which bounds the memory.
const LIVE_ITEMS: usize = 10_000;
/// 2026-01-01T00:00:00Z. Items are dated by their number, so that the same seed gives the same items.
const FIRST_SECOND: u64 = 1_767_225_600;
/// The time between two changes: a hundredth of an hour, so that seat-hours have two decimals.
const SECONDS_PER_CHANGE: u64 = 36;
const ENDPOINTS: [&str; 4] = ["/v1/orders", "/v1/invoices", "/v1/search", "/v1/reports"];
const PLANS: [&str; 3] = ["free", "team", "business"];

/// The load.
#[derive(Debug)]
pub struct ApiUsage {
    pub(super) random: Rng,
    tenants: Picker,
    requests: Vec<Request>,
    subscriptions: Vec<Subscription>,
}

#[derive(Debug, Clone)]
struct Request {
    /// The number of the change that created it.
    number: u64,
    tenant: String,
    endpoint: &'static str,
    plan: &'static str,
    status: u16,
    latency_ms: u32,
    bytes: i64,
    user: Option<String>,
    /// The number of its last change.
    state: u64,
}

#[derive(Debug, Clone)]
struct Subscription {
    /// The number of the change that created it.
    number: u64,
    tenant: String,
    plan: &'static str,
    seats: i64,
    active: bool,
    /// The number of its last change, which is also its time.
    state: u64,
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
        ApiUsage { random, tenants, requests: Vec::new(), subscriptions: Vec::new() }
    }

    pub fn next(&mut self, number: u64) -> Change {
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
            Happening::Corrected | Happening::RequestRemoved => self.request_changed(number, happening),
            _ => self.subscription_changed(number, happening),
        };
        changed.unwrap_or_else(|| self.requested(number))
    }

    fn tenant(&mut self) -> String {
        format!("tenant-{}", self.tenants.pick(&mut self.random))
    }

    fn plan(&mut self) -> &'static str {
        self.random.choice(PLANS).unwrap_or("free")
    }

    fn requested(&mut self, number: u64) -> Change {
        let is_error = self.random.u8(0..100) < 3;
        let request = Request {
            number,
            tenant: self.tenant(),
            endpoint: self.random.choice(ENDPOINTS).unwrap_or("/v1/orders"),
            plan: self.plan(),
            status: if is_error { 503 } else { 200 },
            // 10 ms to 20 s, most of them short.
            latency_ms: 10 << self.random.u32(0..11),
            bytes: self.random.i64(100..100_000),
            user: (self.random.u8(0..10) > 0).then(|| format!("user-{}", self.random.u32(1..500))),
            state: number,
        };
        let mut sums = vec![("requests", "1".to_owned()), ("bytes", request.bytes.to_string())];
        sums.extend(is_error.then(|| ("errors", "1".to_owned())));
        let change = Change { number, write: request.put(None), meaning: request.meaning(&sums) };
        keep(&mut self.requests, request, &mut self.random);
        change
    }

    fn request_changed(&mut self, number: u64, happening: Happening) -> Option<Change> {
        let index = self.random.choice(0..self.requests.len())?;
        if matches!(happening, Happening::RequestRemoved) {
            let request = self.requests.swap_remove(index);
            let write = Write::Delete { key: key(request.names()), replaces: request.state };
            return Some(Change { number, write, meaning: request.meaning(&[]) });
        }
        let more = self.random.i64(1..1_000);
        let request = self.requests.get_mut(index)?;
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

/// The second of a change.
fn second(number: u64) -> u64 {
    FIRST_SECOND.saturating_add(number.saturating_mul(SECONDS_PER_CHANGE))
}

fn meaning(record_type: &str, [pk, sk]: [&str; 2], adds: Vec<Add>) -> Meaning {
    let (key, archived) = (texts([("pk", pk), ("sk", sk)]), Some(record_type.to_owned()));
    Meaning { record_type: record_type.to_owned(), key, adds, poison: false, archived }
}

fn key([pk, sk]: [String; 2]) -> LoadItem {
    item([("pk", Attribute::text(pk)), ("sk", Attribute::text(sk))])
}

fn group(entity: &str, resource: &str) -> BTreeMap<String, String> {
    texts([("entity", entity), ("resource", resource)])
}

impl Request {
    fn names(&self) -> [String; 2] {
        [format!("TENANT#{}", self.tenant), format!("REQUEST#{}", self.number)]
    }

    fn put(&self, replaces: Option<u64>) -> Write {
        let mut item = key(self.names());
        let attributes = [
            ("endpoint", Attribute::text(self.endpoint)),
            ("plan", Attribute::text(self.plan)),
            ("status", Attribute::number(self.status)),
            ("latency_ms", Attribute::number(self.latency_ms)),
            ("bytes", Attribute::number(self.bytes)),
            ("requested_at", Attribute::number(second(self.number).saturating_mul(1_000))),
            (CHANGE_ATTRIBUTE, Attribute::number(self.state)),
        ];
        item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
        item.extend(self.user.as_ref().map(|user| ("user_id".to_owned(), Attribute::text(user))));
        Write::Put { item, replaces }
    }

    /// What a change means that adds these sums to each of the request's counters.
    fn meaning(&self, sums: &[(&str, String)]) -> Meaning {
        let groups = [
            group(&self.tenant, "requests"),
            group(&self.tenant, &format!("endpoint:{}", self.endpoint)),
            group(&format!("plan:{}", self.plan), "requests"),
        ];
        let add = |group: &BTreeMap<String, String>, (measure, amount): &(&str, String)| Add {
            group: group.clone(),
            measure: (*measure).to_owned(),
            amount: amount.clone(),
        };
        let adds = groups.iter().flat_map(|group| sums.iter().map(move |sum| add(group, sum))).collect();
        let [pk, sk] = self.names();
        meaning("api_request", [&pk, &sk], adds)
    }
}

impl Subscription {
    fn names(&self) -> [String; 2] {
        [format!("TENANT#{}", self.tenant), format!("SUBSCRIPTION#{}", self.number)]
    }

    fn put(&self, replaces: Option<u64>) -> Write {
        let mut item = key(self.names());
        let attributes = [
            ("plan", Attribute::text(self.plan)),
            ("seats", Attribute::number(self.seats)),
            ("active", Attribute::Bool(self.active)),
            ("updated_at", Attribute::number(second(self.state))),
            (CHANGE_ATTRIBUTE, Attribute::number(self.state)),
        ];
        item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
        Write::Put { item, replaces }
    }

    /// The seats that count.
    fn worth(&self) -> i64 {
        if self.active { self.seats } else { 0 }
    }

    /// What the change from `before` to this means.
    fn meaning(&self, before: Option<&Subscription>) -> Meaning {
        let mut sums: BTreeMap<[String; 2], (i64, i64)> = BTreeMap::new();
        let groups = |of: &Subscription| [of.tenant.clone(), format!("plan:{}", of.plan)];
        for entity in groups(self) {
            sums.entry([entity, "subscriptions".to_owned()]).or_default().0 += self.worth();
        }
        for entity in before.into_iter().flat_map(groups) {
            let (seats, centihours) = sums.entry([entity, "subscriptions".to_owned()]).or_default();
            let worth = before.map_or(0, Subscription::worth);
            let stood = self.state - before.map_or(self.state, |before| before.state);
            *seats -= worth;
            *centihours += worth.saturating_mul(i64::try_from(stood).unwrap_or(i64::MAX));
        }
        let adds = sums.iter().flat_map(|([entity, resource], (seats, centihours))| {
            let add = |measure: &str, amount: String| Add {
                group: group(entity, resource),
                measure: measure.to_owned(),
                amount,
            };
            let seats = (*seats != 0).then(|| add("seats", seats.to_string()));
            seats.into_iter().chain((*centihours != 0).then(|| add("seat_hours", hundredths(*centihours))))
        });
        let [pk, sk] = self.names();
        meaning("subscription", [&pk, &sk], adds.collect())
    }
}
