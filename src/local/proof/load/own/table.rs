//! A table of your own: its pipeline, its keys, and samples of its items.
//!
//! Unlike for other loads, what a change adds to usage is computed by the pipeline's own rules, because nothing else knows them. So
//! this load checks delivery, sums, and archive, but not whether the pipeline counts what its author meant; `usagectl explain` shows that.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use stream_types::{SequenceNumber, Timestamp};
use usage_aggregator::decode::attribute;
use usage_aggregator::pipeline::template::Part;
use usage_aggregator::pipeline::{Pipeline, Route, Routed, Stream};
use usage_aggregator::record::{Change as Recorded, Image, Item, Remover};
use usage_aggregator::usage::{CounterAdditions, additions};

use super::super::change::{Add, CHANGE_ATTRIBUTE, LoadItem, Meaning};
use super::vary::{Patterns, Sample, Variety};
use crate::proof::counted_record::counted_record;

/// A time at which the load's changes could have been made. No amount depends on it.
const SOME_TIME_SECONDS: i64 = 1_795_000_000;

/// The table.
#[derive(Debug)]
pub struct OwnTable {
    name: String,
    pipeline: Pipeline,
    keys: Vec<String>,
    pub(super) variety: Variety,
}

impl OwnTable {
    /// The table `name` with the key attributes `keys`, partition key first, and these samples of its items.
    ///
    /// # Errors
    /// If no load can be made from the samples, or none that can be checked.
    pub fn new(name: &str, pipeline: Pipeline, keys: Vec<String>, samples: Vec<LoadItem>) -> anyhow::Result<OwnTable> {
        check(&pipeline)?;
        let mut routed = Vec::new();
        for item in samples {
            let Some((record_type, patterns)) = routed_to(&pipeline, &item, &keys)? else { continue };
            if item.contains_key(CHANGE_ATTRIBUTE) {
                bail!("its items have an attribute `{CHANGE_ATTRIBUTE}`, which the load needs to number its changes");
            }
            if keys.iter().any(|key| item.get(key).and_then(|value| value.as_text()).is_none()) {
                bail!("the key attributes ({}) of an item aren't all strings or numbers", keys.join(", "));
            }
            routed.push(Sample { record_type, patterns, item });
        }
        if routed.is_empty() {
            bail!("none of its items has a record type of the pipeline {}", pipeline.name);
        }
        let variety = Variety::new(&keys, routed);
        Ok(OwnTable { name: name.to_owned(), pipeline, keys, variety })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key attributes, partition key first.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The key of an item.
    pub(super) fn key(&self, item: &LoadItem) -> LoadItem {
        self.keys.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect()
    }

    /// The record type of an item.
    pub(super) fn record_type(&self, item: &LoadItem) -> Option<String> {
        routed_to(&self.pipeline, item, &self.keys).ok().flatten().map(|(record_type, _)| record_type)
    }

    /// What the change adds to usage and archive. `None` if the pipeline rejects it.
    pub(super) fn meaning(
        &self,
        old: Option<&LoadItem>,
        new: Option<&LoadItem>,
        number: u64,
    ) -> anyhow::Result<Option<Meaning>> {
        let newest = new.or(old).context("find the item of a change")?;
        let key = self.key(newest).into_iter().filter_map(|(name, value)| Some((name, value.as_text()?.to_owned())));
        let mut meaning = Meaning {
            record_type: String::new(),
            key: key.collect(),
            adds: Vec::new(),
            event_time: None,
            poison: false,
            archived: None,
        };
        let (old, new) = (old.map(serde_json::to_string).transpose()?, new.map(serde_json::to_string).transpose()?);
        let sequence = SequenceNumber::parse(number.to_string()).context("number a change")?;
        let created_at = Timestamp::from_seconds(SOME_TIME_SECONDS).context("time a change")?;
        let record = counted_record(recorded(old.as_deref(), new.as_deref())?, sequence, created_at);
        let Routed::To(route, bindings) = self.pipeline.route(&record.keys, record.newest_image()) else {
            return Ok(Some(meaning));
        };
        meaning.record_type.clone_from(&route.record_type);
        if !route.events.contains(&record.change.event()) {
            return Ok(Some(meaning));
        }
        let Ok(additions) = additions(&self.pipeline, &record, (route, &bindings), None) else { return Ok(None) };
        meaning.adds = additions.iter().flat_map(|addition| self.adds(addition)).collect();
        meaning.archived = route.archive.as_ref().map(|_| route.record_type.clone());
        Ok(Some(meaning))
    }

    fn adds<'a>(&self, addition: &'a CounterAdditions) -> impl Iterator<Item = Add> + use<'a> {
        let variables = self.pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.group_variables);
        let group: BTreeMap<_, _> = variables.cloned().zip(addition.key.0.iter().cloned()).collect();
        addition.amounts.iter().filter_map(move |added| {
            let (measure, amount) = (added.measure.to_string(), added.amount()?.to_string());
            Some(Add { group: group.clone(), measure, amount })
        })
    }
}

/// The change between two items in DynamoDB JSON.
fn recorded<'t>(old: Option<&'t str>, new: Option<&'t str>) -> anyhow::Result<Recorded<'t>> {
    let [old, new] = [old, new].map(|text| text.map(read).transpose());
    Ok(match (old?.map(Image::Carried), new?.map(Image::Carried)) {
        (None, Some(new)) => Recorded::Insert { new },
        (Some(old), Some(new)) => Recorded::Modify { old, new },
        (Some(old), None) => Recorded::Remove { old, by: Remover::Caller },
        (None, None) => bail!("a change has no item"),
    })
}

fn check(pipeline: &Pipeline) -> anyhow::Result<()> {
    let name = &pipeline.name;
    if pipeline.stream == Stream::Kinesis {
        bail!("{name} reads Kinesis messages; this load makes changes to a table only");
    }
    if let Some(route) = pipeline.routes.iter().find(|route| route.window_time.is_some()) {
        let record_type = &route.record_type;
        bail!(
            "{name} counts {record_type} by the time in an attribute (window_time), for which the sample's times are too old; write to the table yourself and check with `usagectl reconcile --archive`"
        );
    }
    Ok(())
}

fn read(text: &str) -> anyhow::Result<Item<'_>> {
    attribute::item(text).map_err(|fault| anyhow::anyhow!("read an item: {fault}"))
}

/// The record type of an item, and what it fixes in the key attributes.
fn routed_to(pipeline: &Pipeline, item: &LoadItem, keys: &[String]) -> anyhow::Result<Option<(String, Patterns)>> {
    let text = serde_json::to_string(item)?;
    let image = Image::Carried(read(&text)?);
    Ok(match pipeline.route(&Item::default(), &image) {
        Routed::To(route, _) => Some((route.record_type.clone(), patterns(route, keys))),
        _ => None,
    })
}

fn patterns(route: &Route, keys: &[String]) -> Patterns {
    let matched = route.items_of(&[], &[]).unwrap_or_default();
    let pattern = |key: &String| matched.iter().find(|(name, _)| name == key).map(|(_, parts)| parts.clone());
    keys.iter().map(|key| pattern(key).unwrap_or_else(|| vec![Part::Anything])).collect()
}
