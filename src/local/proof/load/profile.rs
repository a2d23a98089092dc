//! The kinds of load. Each has a file with the same functions: `new`, `resume` from what an earlier run wrote, `next`. `Load` is a shipped
//! one, or that of your own table.

use std::sync::Arc;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use stream_types::Timestamp;

use super::alleycat::Alleycat;
use super::api_usage::ApiUsage;
use super::bucket::Bucket;
use super::change::{Change, Write};
use super::findings::Findings;
use super::orders::Orders;
use super::own::{Own, OwnTable};
use crate::emulators::{StreamView, TableSpec};

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// The single-table design of the pipeline `orders`.
    Orders,
    /// Rate-limiter buckets in the format of zae-limiter.
    Bucket,
    /// Racers' messages to a Kinesis stream.
    Alleycat,
    /// The requests and subscriptions of the pipeline `api-usage`.
    #[serde(rename = "api-usage")]
    ApiUsage,
    /// The groups, findings and vulnerabilities of the pipeline `findings`.
    Findings,
}

/// What to write.
#[derive(Debug, Clone)]
pub enum Load {
    /// The load of a shipped pipeline.
    Shipped(ProfileName),
    /// Items of your own table.
    Own(Arc<OwnTable>),
}

/// The entities of a load, and its seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Customers, limited entities, racers, tenants or groups.
    pub entities: u32,
    /// Zipf exponent; 0 for uniform.
    pub skew: f64,
    /// The same seed gives the same changes.
    pub seed: u64,
    /// Percentage of changes that the function must reject. Orders and API requests only.
    pub poison_percent: f64,
}

/// A load in progress.
#[derive(Debug)]
pub enum Profile {
    /// Customers, orders and order lines.
    Orders(Orders),
    /// Rate-limiter buckets.
    Bucket(Bucket),
    /// Racers' messages.
    Alleycat(Alleycat),
    /// Requests and subscriptions.
    ApiUsage(ApiUsage),
    /// Groups, findings and vulnerabilities.
    Findings(Findings),
    /// Items of your own table.
    Own(Own),
}

impl ProfileName {
    /// All profiles.
    pub const ALL: [ProfileName; 5] =
        [ProfileName::Orders, ProfileName::Bucket, ProfileName::Alleycat, ProfileName::ApiUsage, ProfileName::Findings];

    /// Whether it has records that can be poison.
    pub fn has_poison(self) -> bool {
        matches!(self, ProfileName::Orders | ProfileName::ApiUsage)
    }

    /// The name on the command line and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            ProfileName::Orders => "orders",
            ProfileName::Bucket => "bucket",
            ProfileName::Alleycat => "alleycat",
            ProfileName::ApiUsage => "api-usage",
            ProfileName::Findings => "findings",
        }
    }

    /// The record type that most of its records have in the pipeline that is made for it.
    pub fn record_type(self) -> &'static str {
        match self {
            ProfileName::Orders => "order",
            ProfileName::Bucket => "bucket",
            ProfileName::Alleycat => "racer",
            ProfileName::ApiUsage => "api_request",
            ProfileName::Findings => "vulnerability",
        }
    }

    /// The table or stream that it writes to by default.
    pub fn target(self) -> &'static str {
        match self {
            ProfileName::Orders => "orders",
            ProfileName::Bucket => "rate-limits",
            ProfileName::Alleycat => "alleycat",
            ProfileName::ApiUsage => "api-usage",
            ProfileName::Findings => "findings",
        }
    }

    /// The specification of the table `name`; `None` for a profile that writes to a Kinesis stream.
    pub fn table(self, name: &str) -> Option<TableSpec<'_>> {
        let (partition_key, sort_key, ttl_attribute) = match self {
            ProfileName::Orders | ProfileName::ApiUsage | ProfileName::Findings => ("pk", "sk", None),
            ProfileName::Bucket => ("PK", "SK", Some("ttl")),
            ProfileName::Alleycat => return None,
        };
        Some(TableSpec {
            name,
            partition_key,
            sort_key: Some(sort_key),
            ttl_attribute,
            stream: Some(StreamView::Images),
        })
    }

    /// The default number of entities.
    pub fn entities(self) -> u32 {
        match self {
            ProfileName::Orders => 100,
            ProfileName::Bucket => 50,
            // A race has a thousand bikes.
            ProfileName::Alleycat => 1_000,
            ProfileName::ApiUsage | ProfileName::Findings => 20,
        }
    }
}

impl Load {
    /// The name on the command line and in the ledger.
    pub fn name(&self) -> &'static str {
        match self {
            Load::Shipped(profile) => profile.name(),
            Load::Own(_) => "own",
        }
    }

    /// Whether it has records that can be poison.
    pub fn has_poison(&self) -> bool {
        matches!(self, Load::Shipped(profile) if profile.has_poison())
    }

    /// The table or stream that it writes to by default.
    pub fn target(&self) -> &str {
        match self {
            Load::Shipped(profile) => profile.target(),
            Load::Own(table) => table.name(),
        }
    }

    /// The specification of the table `name`; `None` for a load that is written to a Kinesis stream.
    pub fn table<'n>(&'n self, name: &'n str) -> Option<TableSpec<'n>> {
        match self {
            Load::Shipped(profile) => profile.table(name),
            Load::Own(table) => {
                let mut keys = table.keys().iter().map(String::as_str);
                Some(TableSpec {
                    name,
                    partition_key: keys.next()?,
                    sort_key: keys.next(),
                    ttl_attribute: None,
                    stream: Some(StreamView::Images),
                })
            }
        }
    }
}

impl Profile {
    /// A load before its first change.
    pub fn new(load: &Load, shape: &Shape) -> Profile {
        let random = Rng::with_seed(shape.seed);
        match load {
            Load::Shipped(ProfileName::Orders) => Profile::Orders(Orders::new(shape, random)),
            Load::Shipped(ProfileName::Bucket) => Profile::Bucket(Bucket::new(shape, random)),
            Load::Shipped(ProfileName::Alleycat) => Profile::Alleycat(Alleycat::new(shape, random)),
            Load::Shipped(ProfileName::ApiUsage) => Profile::ApiUsage(ApiUsage::new(shape, random)),
            Load::Shipped(ProfileName::Findings) => Profile::Findings(Findings::new(shape, random)),
            Load::Own(table) => Profile::Own(Own::new(table.clone(), shape, random)),
        }
    }

    /// Continues from the seed and the number of the next change, so that another run doesn't repeat the first one.
    pub fn reseed(&mut self, seed: u64, next_number: u64) {
        // The golden ratio's bits: consecutive numbers give unrelated seeds.
        let seed = seed ^ next_number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let random = match self {
            Profile::Orders(orders) => &mut orders.random,
            Profile::Bucket(bucket) => &mut bucket.random,
            Profile::Alleycat(alleycat) => &mut alleycat.random,
            Profile::ApiUsage(usage) => &mut usage.random,
            Profile::Findings(findings) => &mut findings.random,
            Profile::Own(own) => &mut own.random,
        };
        *random = Rng::with_seed(seed);
    }

    /// Restores the state after a write of an earlier run.
    pub fn resume(&mut self, write: &Write) {
        match self {
            Profile::Orders(orders) => orders.resume(write),
            Profile::Bucket(bucket) => bucket.resume(write),
            Profile::Findings(findings) => findings.resume(write),
            Profile::Own(own) => own.resume(write),
            // A message has no state, and each run has new requests and subscriptions.
            Profile::Alleycat(_) | Profile::ApiUsage(_) => {}
        }
    }

    /// Changes how many orders or API requests are poison from here on; other loads have none.
    pub fn set_poison_percent(&mut self, percent: f64) {
        match self {
            Profile::Orders(orders) => orders.poison_percent = percent,
            Profile::ApiUsage(usage) => usage.poison_percent = percent,
            Profile::Bucket(_) | Profile::Alleycat(_) | Profile::Findings(_) | Profile::Own(_) => {}
        }
    }

    /// The next change, if it is made `now`. Only items with a time that decides where they count depend on it.
    ///
    /// # Errors
    /// If no change of your own table is found that the pipeline accepts.
    pub fn next(&mut self, number: u64, now: Timestamp) -> anyhow::Result<Change> {
        Ok(match self {
            Profile::Orders(orders) => orders.next(number),
            Profile::Bucket(bucket) => bucket.next(number),
            Profile::Alleycat(alleycat) => alleycat.next(number),
            Profile::ApiUsage(usage) => usage.next(number, now),
            Profile::Findings(findings) => findings.next(number),
            Profile::Own(own) => own.next(number)?,
        })
    }
}
