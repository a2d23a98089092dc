//! A request of the load, and when it is written after its time.

use std::collections::BTreeMap;

use fastrand::Rng;
use stream_types::Timestamp;

use super::super::change::{Add, Attribute, CHANGE_ATTRIBUTE, Meaning, Write};
use super::{group, key, meaning};

const SECOND_MILLIS: i64 = 1_000;
const MINUTE_MILLIS: i64 = 60 * SECOND_MILLIS;
const HOUR_MILLIS: i64 = 60 * MINUTE_MILLIS;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// The pipeline rejects what is written more than 7 days after its time. Older requests stay as they are, with a day to spare.
const CORRECTABLE_MILLIS: i64 = 6 * DAY_MILLIS;

#[derive(Debug, Clone)]
pub(super) struct Request {
    /// The number of the change that created it.
    pub number: u64,
    pub tenant: String,
    pub endpoint: &'static str,
    pub plan: &'static str,
    pub status: u16,
    pub latency_ms: u32,
    pub bytes: i64,
    pub user: Option<String>,
    pub requested_at: Timestamp,
    /// The number of its last change.
    pub state: u64,
}

/// How long after its time a request is written, in milliseconds: usually at once, sometimes minutes or hours later because a
/// client was offline, and rarely before it because the clock of the client is ahead.
pub(super) fn usual_delay(random: &mut Rng) -> i64 {
    match random.u8(0..100) {
        0..70 => random.i64(0..2 * SECOND_MILLIS),
        70..90 => random.i64(MINUTE_MILLIS..45 * MINUTE_MILLIS),
        90..98 => random.i64(HOUR_MILLIS..26 * HOUR_MILLIS),
        _ => random.i64(-2 * MINUTE_MILLIS..0),
    }
}

/// A delay with which the pipeline rejects a request.
pub(super) fn delay_beyond_the_bound(random: &mut Rng) -> i64 {
    random.i64(8 * DAY_MILLIS..40 * DAY_MILLIS)
}

/// The time that lies this many milliseconds before `now`, in whole milliseconds.
pub(super) fn before(now: Timestamp, delay_millis: i64) -> Timestamp {
    let millis = now.micros().div_euclid(1_000) - delay_millis;
    Timestamp::from_micros(millis * 1_000).unwrap_or(now)
}

impl Request {
    pub(super) fn names(&self) -> [String; 2] {
        [format!("TENANT#{}", self.tenant), format!("REQUEST#{}", self.number)]
    }

    pub(super) fn put(&self, replaces: Option<u64>) -> Write {
        let mut item = key(self.names());
        let attributes = [
            ("endpoint", Attribute::text(self.endpoint)),
            ("plan", Attribute::text(self.plan)),
            ("status", Attribute::number(self.status)),
            ("latency_ms", Attribute::number(self.latency_ms)),
            ("bytes", Attribute::number(self.bytes)),
            ("requested_at", Attribute::number(self.requested_at.micros() / 1_000)),
            (CHANGE_ATTRIBUTE, Attribute::number(self.state)),
        ];
        item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
        item.extend(self.user.as_ref().map(|user| ("user_id".to_owned(), Attribute::text(user))));
        Write::Put { item, replaces }
    }

    /// Whether a change of it still counts.
    pub(super) fn is_correctable(&self, now: Timestamp) -> bool {
        now.micros() - self.requested_at.micros() < CORRECTABLE_MILLIS * 1_000
    }

    /// What its insertion means.
    pub(super) fn requested(&self) -> Meaning {
        let mut sums = vec![("requests", "1".to_owned()), ("bytes", self.bytes.to_string())];
        sums.extend((self.status >= 500).then(|| ("errors", "1".to_owned())));
        self.meaning(&sums)
    }

    /// What its insertion means if it is too late.
    pub(super) fn rejected(&self) -> Meaning {
        Meaning { event_time: None, poison: true, archived: None, ..self.meaning(&[]) }
    }

    /// What a change means that adds these sums to each of the request's counters.
    pub(super) fn meaning(&self, sums: &[(&str, String)]) -> Meaning {
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
        Meaning { event_time: Some(self.requested_at), ..meaning("api_request", [&pk, &sk], adds) }
    }
}
