//! The patterns of keys: which words are constants and which are values.

use std::collections::{BTreeMap, BTreeSet};

use usage_aggregator::record::{Item, Value};

use super::Sample;
use super::names::snake;

/// What the attributes of a record type match: attribute and pattern.
pub(super) type Match = Vec<(String, String)>;

/// Separators between the parts of a composite key.
const SEPARATORS: [char; 4] = ['#', '/', '|', ':'];

/// How many different words are likely constants, at the start of a key and as a whole sort key. More words than that are
/// constants only if each occurs in two items on average: ticker symbols, for example, are values.
const PREFIXES: usize = 8;
const WHOLE: usize = 3;

/// The words at each place: the key attribute, its separators, and the number of the word.
pub(super) struct Words<'s>(BTreeMap<(&'s str, String, usize), BTreeMap<&'s str, usize>>);

impl<'s> Words<'s> {
    /// Counts the words in the keys of all samples.
    pub(super) fn of(samples: &'s [Sample<'_>]) -> Words<'s> {
        let mut words: BTreeMap<_, BTreeMap<&str, usize>> = BTreeMap::new();
        for sample in samples {
            for (name, text) in keys(sample) {
                for (place, (word, _)) in parts(text).enumerate() {
                    *words.entry((name, separators(text), place)).or_default().entry(word).or_default() += 1;
                }
            }
        }
        Words(words)
    }

    /// What the keys of a sample match. Keys that are binary can't be matched.
    pub(super) fn matches(&self, sample: &'s Sample<'_>) -> Match {
        let mut used = BTreeSet::new();
        let mut matches = Match::new();
        for (index, name) in sample.keys.iter().enumerate() {
            match sample.item.attribute(name) {
                Some(Value::S(text)) => matches.push((name.clone(), self.pattern(name, index == 0, text, &mut used))),
                Some(Value::N(_)) => matches.push((name.clone(), format!("{{{}}}", variable(name, &mut used)))),
                _ => {}
            }
        }
        matches
    }

    /// For the key `pk`, `CUSTOMER#7` becomes `CUSTOMER#{pk}`.
    fn pattern(&self, key: &str, is_partition: bool, text: &str, used: &mut BTreeSet<String>) -> String {
        let mut out = String::new();
        for (place, (word, separator)) in parts(text).enumerate() {
            let others = self.0.get(&(key, separators(text), place));
            let is_whole = separators(text).is_empty();
            if word.is_empty() || others.is_some_and(|all| is_constant(word, separator, (is_partition, is_whole), all))
            {
                out.push_str(word);
            } else {
                out.push_str(&format!("{{{}}}", variable(key, used)));
            }
            out.push_str(separator);
        }
        out
    }
}

/// Whether a word is the name of a kind of item, judging by all words at its place.
fn is_constant(
    word: &str,
    separator: &str,
    (is_partition, is_whole): (bool, bool),
    all: &BTreeMap<&str, usize>,
) -> bool {
    let (items, distinct) = (all.values().sum::<usize>(), all.len());
    let is_upper = word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && word.contains(|c: char| c != '_');
    if !is_upper {
        let is_word = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_uppercase());
        return is_word && !separator.is_empty() && distinct == 1 && items > 1;
    }
    match (is_whole, is_partition) {
        (true, true) => distinct == 1 && items > 1,
        (true, false) => distinct <= WHOLE || distinct * 2 <= items,
        (false, _) => distinct <= PREFIXES || distinct * 2 <= items,
    }
}

/// The key attributes that are texts.
fn keys<'s>(sample: &'s Sample<'_>) -> impl Iterator<Item = (&'s str, &'s str)> {
    sample.keys.iter().filter_map(|name| match sample.item.attribute(name) {
        Some(Value::S(text)) => Some((name.as_str(), text.as_ref())),
        _ => None,
    })
}

/// The words of a key, each with the separator that follows it.
fn parts(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_inclusive(SEPARATORS).map(|part| match part.strip_suffix(SEPARATORS) {
        Some(word) => (word, part.get(word.len()..).unwrap_or_default()),
        None => (part, ""),
    })
}

fn separators(text: &str) -> String {
    text.chars().filter(|c| SEPARATORS.contains(c)).collect()
}

/// A variable with the name of the key that `used` doesn't have yet.
pub(super) fn variable(key: &str, used: &mut BTreeSet<String>) -> String {
    let name = snake(key);
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let base = if name.is_empty() { "key" } else { name };
    let mut unused = base.to_owned();
    let mut number = 1;
    while !used.insert(unused.clone()) {
        number += 1;
        unused = format!("{base}_{number}");
    }
    unused
}

/// The variables of patterns, in order.
pub(super) fn variables(matches: &Match) -> Vec<&str> {
    let pieces = matches.iter().flat_map(|(_, pattern)| pattern.split('{').skip(1));
    pieces.filter_map(|piece| piece.split_once('}').map(|(name, _)| name)).collect()
}

/// The constant words of patterns, in order.
pub(super) fn constants(matches: &Match) -> impl Iterator<Item = &str> {
    let words = matches.iter().flat_map(|(_, pattern)| pattern.split(SEPARATORS));
    words.filter(|word| !word.is_empty() && !word.contains('{'))
}

/// How much a match requires: more specific matches have more constants, more other text, and more attributes.
pub(super) fn specificity(matches: &Match) -> (usize, usize, usize) {
    let length: usize = matches.iter().map(|(_, pattern)| pattern.len()).sum();
    let captured: usize = variables(matches).iter().map(|name| name.len() + 2).sum();
    (constants(matches).count(), length - captured, matches.len())
}

/// The attributes of items without keys that a pattern can match, those that most items have first.
pub(super) fn common_attributes<'s>(items: &[&'s Item<'_>]) -> Vec<&'s str> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for (name, value) in items.iter().flat_map(|item| &item.0) {
        let can_match = match value {
            Value::S(text) => !text.is_empty(),
            value => matches!(value, Value::N(_)),
        };
        match counts.iter_mut().find(|(known, _)| *known == name) {
            _ if !can_match => {}
            Some((_, count)) => *count += 1,
            None => counts.push((name.as_ref(), 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(name, _)| name).collect()
}
