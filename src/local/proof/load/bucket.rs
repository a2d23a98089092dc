//! Rate-limiter buckets in zae-limiter's wire format: an item per entity and resource, `b_{limit}_{field}` per limit.
//!
//! Usage is the growth of `b_{limit}_tc`, which is in millitokens, in whole tokens, as the client counts.

use std::collections::{BTreeMap, HashMap};

use fastrand::Rng;

use super::change::{Add, Attribute, CHANGE_ATTRIBUTE, Change, LoadItem, Meaning, Write, item, texts};
use super::profile::Shape;
use super::skew::Picker;

/// A namespace id: 11 characters of `[A-Za-z0-9_-]`.
const NAMESPACE: &str = "simulated01";
const RESOURCES: [&str; 2] = ["gpt-4", "gpt-3.5"];
/// Requests and tokens per minute, and the capacity of a bucket for each.
const LIMITS: [(&str, i64); 2] = [("rpm", 600), ("tpm", 200_000)];
/// Every bucket's internal limit, one token per write. It never counts as usage.
const INTERNAL_LIMIT: (&str, i64) = ("wcu", 1_000);
/// Amounts are stored in thousandths of a token.
const MILLITOKENS: i64 = 1_000;
/// Refills are a minute apart.
const REFILL_PERIOD_MS: i64 = 60_000;
/// The percentage of changes that return tokens.
const REFUND_PERCENT: u8 = 8;

/// The load.
#[derive(Debug)]
pub struct Bucket {
    pub(super) random: Rng,
    entities: Picker,
    /// By partition key.
    states: HashMap<String, State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// The number of its last change, if there was one.
    change: Option<u64>,
    /// Whole tokens by limit.
    consumed: BTreeMap<String, i64>,
}

impl Bucket {
    pub fn new(shape: &Shape, random: Rng) -> Bucket {
        Bucket { random, entities: Picker::new(shape.entities, shape.skew), states: HashMap::new() }
    }

    /// Restores the state that an earlier run left.
    pub fn resume(&mut self, write: &Write) {
        let Write::Put { item, .. } = write else { return };
        let number = |name: &str| item.get(name).and_then(Attribute::as_text).and_then(|text| text.parse::<i64>().ok());
        let Some(pk) = item.get("PK").and_then(Attribute::as_text) else { return };
        let limits = LIMITS.iter().map(|(limit, _)| *limit).chain([INTERNAL_LIMIT.0]);
        let consumed = |limit: &str| Some((limit.to_owned(), number(&attribute(limit, "tc"))? / MILLITOKENS));
        let change = number(CHANGE_ATTRIBUTE).and_then(|number| u64::try_from(number).ok());
        self.states.insert(pk.to_owned(), State { change, consumed: limits.filter_map(consumed).collect() });
    }

    pub fn next(&mut self, number: u64) -> Change {
        let entity = format!("user-{}", self.entities.pick(&mut self.random));
        let resource = *self.random.choice(&RESOURCES).unwrap_or(&"gpt-4");
        let pk = format!("{NAMESPACE}/BUCKET#{entity}#{resource}#0");
        let mut state = self.states.get(&pk).cloned().unwrap_or_default();
        let tokens = self.tokens(&state);
        for (limit, tokens) in &tokens {
            *state.consumed.entry((*limit).to_owned()).or_default() += tokens;
        }
        *state.consumed.entry(INTERNAL_LIMIT.0.to_owned()).or_default() += 1;
        let replaces = state.change.replace(number);
        let item = bucket_item(&entity, resource, &pk, &state, &tokens, number);
        self.states.insert(pk.clone(), state);

        let group = texts([("entity", &entity), ("resource", resource), ("namespace", NAMESPACE)]);
        let add = |(limit, tokens): &(&str, i64)| {
            let amount = tokens.to_string();
            (*tokens != 0).then(|| Add { group: group.clone(), measure: (*limit).to_owned(), amount })
        };
        // Every call changes a limit, and so counts as an event.
        let event = Add { group: group.clone(), measure: "total_events".to_owned(), amount: "1".to_owned() };
        let meaning = Meaning {
            record_type: "bucket".to_owned(),
            key: texts([("PK", &pk), ("SK", "#STATE")]),
            adds: tokens.iter().filter_map(add).chain([event]).collect(),
            event_time: None,
            poison: false,
            archived: None,
        };
        Change { number, write: Write::Put { item, replaces }, meaning }
    }

    /// The tokens that one call takes from each limit, or returns.
    fn tokens(&mut self, state: &State) -> Vec<(&'static str, i64)> {
        let taken = self.random.i64(1..2_000);
        let had = state.consumed.get("tpm").copied().unwrap_or(0);
        if self.random.u8(0..100) < REFUND_PERCENT && had > 0 {
            return vec![("rpm", 0), ("tpm", -taken.min(had))];
        }
        vec![("rpm", 1), ("tpm", taken)]
    }
}

fn attribute(limit: &str, field: &str) -> String {
    format!("b_{limit}_{field}")
}

fn bucket_item(entity: &str, resource: &str, pk: &str, state: &State, tokens: &[(&str, i64)], number: u64) -> LoadItem {
    let mut item = item([
        ("PK", Attribute::text(pk)),
        ("SK", Attribute::text("#STATE")),
        ("entity_id", Attribute::text(entity)),
        ("resource", Attribute::text(resource)),
        // As if every change followed a refill, so that the same seed gives the same items.
        ("rf", Attribute::number(number)),
        ("shard_count", Attribute::number(1)),
        ("cascade", Attribute::Bool(false)),
        ("GSI2PK", Attribute::text(format!("{NAMESPACE}/RESOURCE#{resource}"))),
        ("GSI2SK", Attribute::text(format!("BUCKET#{entity}#0"))),
        ("GSI3PK", Attribute::text(format!("{NAMESPACE}/ENTITY#{entity}"))),
        ("GSI3SK", Attribute::text(format!("BUCKET#{resource}#0"))),
        ("GSI4PK", Attribute::text(NAMESPACE)),
        ("GSI4SK", Attribute::text(format!("BUCKET#{entity}#{resource}#0"))),
        (CHANGE_ATTRIBUTE, Attribute::number(number)),
    ]);
    for (limit, capacity) in LIMITS.into_iter().chain([INTERNAL_LIMIT]) {
        let consumed = state.consumed.get(limit).copied().unwrap_or(0);
        let taken = tokens.iter().find(|(name, _)| *name == limit).map_or(1, |(_, tokens)| *tokens);
        let refill_period_ms = if limit == INTERNAL_LIMIT.0 { 1_000 } else { REFILL_PERIOD_MS };
        for (field, value) in [
            ("tk", (capacity - taken) * MILLITOKENS),
            ("tc", consumed * MILLITOKENS),
            ("cp", capacity * MILLITOKENS),
            ("ra", capacity * MILLITOKENS),
            ("rp", refill_period_ms),
        ] {
            item.insert(attribute(limit, field), Attribute::number(value));
        }
    }
    item
}
