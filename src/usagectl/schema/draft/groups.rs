//! Groups items by the record type that the drafted pipeline routes them to, which is the first that matches.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use usage_aggregator::pipeline::{Folder, Pipeline, Routed};
use usage_aggregator::record::{Image, Item};

use super::Sample;
use super::names::key_text;
use super::pattern::{Match, Words, common_attributes, specificity, variable};

/// The items of a record type.
pub(super) struct Group<'s> {
    /// What they match.
    pub matches: Match,
    /// The items.
    pub items: Vec<&'s Item<'s>>,
}

/// The record types for these samples, the most specific first, because the first match wins. Items that no pattern can match are
/// in none.
pub(super) fn groups<'s>(samples: &'s [Sample<'s>]) -> Vec<Group<'s>> {
    let words = Words::of(samples);
    let mut matches: Vec<Match> = samples.iter().map(|sample| words.matches(sample)).collect();
    matches.sort();
    matches.dedup();
    matches.retain(|matched| !matched.is_empty());
    matches.sort_by_key(|matched| Reverse(specificity(matched)));
    matches.extend(without_keys(samples, &words));
    // If the patterns can't be a pipeline, the drafted one says why.
    let Some(pipeline) = pipeline(&matches) else { return by_pattern(matches, samples, &words) };
    let mut groups: Vec<Group<'s>> = matches.into_iter().map(|matches| Group { matches, items: Vec::new() }).collect();
    for sample in samples {
        let keys = sample.keys.iter().filter_map(|name| Some((Cow::from(name), sample.item.attribute(name)?.clone())));
        let image = Image::Carried(sample.item.clone());
        if let Routed::To(route, _) = pipeline.route(&Item(keys.collect()), &image)
            && let Some(group) = number(&route.record_type).and_then(|number| groups.get_mut(number))
        {
            group.items.push(&sample.item);
        }
    }
    groups.retain(|group| !group.items.is_empty());
    groups
}

/// Each item in the record type of its own pattern.
fn by_pattern<'s>(matches: Vec<Match>, samples: &'s [Sample<'s>], words: &Words<'s>) -> Vec<Group<'s>> {
    let group = |matches: Match| {
        let own = samples.iter().filter(|sample| words.matches(sample) == matches);
        Group { items: own.map(|sample| &sample.item).collect(), matches: matches.clone() }
    };
    matches.into_iter().map(group).filter(|group| !group.items.is_empty()).collect()
}

/// Messages without keys, and items whose keys are binary, are matched by an attribute that they have.
fn without_keys(samples: &[Sample<'_>], words: &Words<'_>) -> Vec<Match> {
    let items: Vec<&Item<'_>> =
        samples.iter().filter(|sample| words_match_nothing(words, sample)).map(|sample| &sample.item).collect();
    let attributes = common_attributes(&items);
    let mut left: Vec<&Item<'_>> = items;
    let mut chosen = Vec::new();
    for name in attributes {
        let before = left.len();
        left.retain(|item| item.attribute(name).is_none());
        if left.len() < before {
            chosen.push(vec![(name.to_owned(), format!("{{{}}}", variable(name, &mut BTreeSet::new())))]);
        }
    }
    chosen
}

fn words_match_nothing<'s>(words: &Words<'s>, sample: &'s Sample<'_>) -> bool {
    words.matches(sample).is_empty()
}

/// A pipeline that only routes: record type `t0` for the first match, and so on.
fn pipeline(matches: &[Match]) -> Option<Pipeline> {
    let mut text = String::new();
    for (number, matched) in matches.iter().enumerate() {
        let wanted: Vec<String> =
            matched.iter().map(|(key, pattern)| format!("{} = {}", key_text(key), json!(pattern))).collect();
        text.push_str(&format!("[[record]]\ntype = \"t{number}\"\nmatch = {{ {} }}\n", wanted.join(", ")));
    }
    let files = BTreeMap::from([("pipeline.toml".to_owned(), text)]);
    Pipeline::parse(&Folder { name: "draft".to_owned(), files }).ok()
}

fn number(record_type: &str) -> Option<usize> {
    record_type.strip_prefix('t')?.parse().ok()
}
