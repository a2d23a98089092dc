//! Items like the samples: keys by the templates of their record type, numbers near those of a sample, and texts that samples have,
//! because a pipeline may accept only these.

use std::collections::{BTreeMap, HashMap};

use fastrand::Rng;
use stream_types::time::Unit;
use stream_types::{Decimal, Timestamp};
use usage_aggregator::pipeline::template::Part;

use super::super::change::{Attribute, CHANGE_ATTRIBUTE, LoadItem};

/// For each key attribute, what a record type fixes in it, and what it leaves open.
pub(super) type Patterns = Vec<Vec<Part>>;

/// An item of a record type.
#[derive(Debug)]
pub(super) struct Sample {
    pub record_type: String,
    pub patterns: Patterns,
    pub item: LoadItem,
}

/// Samples, and the values that they have.
#[derive(Debug)]
pub(super) struct Variety {
    keys: Vec<String>,
    samples: Vec<Sample>,
    /// The texts by record type and attribute.
    texts: BTreeMap<(String, String), Vec<String>>,
}

impl Variety {
    pub(super) fn new(keys: &[String], samples: Vec<Sample>) -> Variety {
        let mut texts: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for Sample { record_type, item, .. } in &samples {
            for (name, value) in item {
                if let Attribute::S(text) = value {
                    texts.entry((record_type.clone(), name.clone())).or_default().push(text.clone());
                }
            }
        }
        Variety { keys: keys.to_vec(), samples, texts }
    }

    /// A new item of one of the entities. Its key is distinct because of the number.
    pub(super) fn inserted(&self, entity: u32, number: u64, random: &mut Rng) -> LoadItem {
        let Some(sample) = random.choice(&self.samples) else { return LoadItem::new() };
        let names = self.names(sample, entity, number);
        let pattern =
            |name: &String| self.keys.iter().position(|key| key == name).and_then(|at| sample.patterns.get(at));
        // An attribute that repeats a part of the key repeats the new one.
        let repeated = |value: &Attribute| match value {
            Attribute::S(text) => names.get(text).cloned().map(Attribute::S),
            _ => None,
        };
        let vary = |(name, value): (&String, &Attribute)| {
            let new = match (pattern(name), value) {
                (Some(pattern), Attribute::S(text)) => Some(Attribute::S(renamed(text, pattern, &names))),
                (Some(pattern), Attribute::N(text)) => Some(Attribute::N(renamed(text, pattern, &names))),
                _ => repeated(value),
            };
            (name.clone(), new.unwrap_or_else(|| self.varied(&sample.record_type, name, value, random)))
        };
        sample.item.iter().map(vary).collect()
    }

    /// The item with the same key and other values.
    pub(super) fn changed(&self, record_type: &str, item: &LoadItem, random: &mut Rng) -> LoadItem {
        let vary = |(name, value): (&String, &Attribute)| {
            let is_kept = name == CHANGE_ATTRIBUTE || self.keys.contains(name);
            let value = if is_kept { value.clone() } else { self.varied(record_type, name, value, random) };
            (name.clone(), value)
        };
        item.iter().map(vary).collect()
    }

    fn varied(&self, record_type: &str, name: &str, value: &Attribute, random: &mut Rng) -> Attribute {
        match value {
            Attribute::N(number) => Attribute::N(near(number, random)),
            Attribute::S(text) => {
                let known = self.texts.get(&(record_type.to_owned(), name.to_owned()));
                // A text that no sample has was made from the key, and stays.
                let other = known.filter(|texts| texts.contains(text)).and_then(|texts| random.choice(texts));
                Attribute::S(other.unwrap_or(text).clone())
            }
            other => other.clone(),
        }
    }

    /// The new text for each captured text of a sample's key. The first one is the entity's, unless it alone makes the key distinct.
    fn names(&self, sample: &Sample, entity: u32, number: u64) -> HashMap<String, String> {
        let keys = self.keys.iter().zip(&sample.patterns);
        let captured: Vec<&str> = keys
            .filter_map(|(key, pattern)| Some(pieces(sample.item.get(key)?.as_text()?, pattern)))
            .flatten()
            .filter_map(|(is_open, text)| is_open.then_some(text))
            .collect();
        let mut names = HashMap::new();
        for (index, text) in captured.iter().enumerate() {
            let is_entity = index == 0 && captured.iter().any(|other| other != text);
            let number = if is_entity { u64::from(entity) } else { number };
            names.entry((*text).to_owned()).or_insert_with(|| numbered(text, number));
        }
        names
    }
}

/// `text` with `number` in place of the digits at its end. A time moves that many seconds ahead.
fn numbered(text: &str, number: u64) -> String {
    if let Some(later) = later(text, i64::try_from(number).unwrap_or_default()) {
        return later;
    }
    let start = text.trim_end_matches(|c: char| c.is_ascii_digit());
    match (start.is_empty(), start.len() < text.len()) {
        (true, _) => number.to_string(),
        (false, true) => format!("{start}{number}"),
        (false, false) => format!("{start}-{number}"),
    }
}

/// The time in `text`, in the same form, but this much later; `None` if it is not a time.
fn later(text: &str, seconds: i64) -> Option<String> {
    if let Some((_, unit)) = Decimal::parse(text).ok().and_then(Timestamp::recognize) {
        let units_per_second = match unit {
            Unit::Seconds => 1,
            Unit::Milliseconds => 1_000,
            Unit::Microseconds => 1_000_000,
        };
        return Some(text.parse::<i64>().ok()?.checked_add(seconds.checked_mul(units_per_second)?)?.to_string());
    }
    let time = Timestamp::parse(text)?;
    Some(Timestamp::from_seconds(time.seconds().checked_add(seconds)?)?.to_string())
}

/// A number between 0 and twice `text`, with as many decimals. A time stays as it is.
fn near(text: &str, random: &mut Rng) -> String {
    let is_time = Decimal::parse(text).ok().and_then(Timestamp::recognize).is_some();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    match text.parse::<f64>() {
        Ok(number) if !is_time && !text.contains(['e', 'E']) => {
            let most = if number == 0.0 { 10.0 } else { number * 2.0 };
            format!("{:.decimals$}", most * random.f64())
        }
        _ => text.to_owned(),
    }
}

/// The text of a key attribute with new names in the places that the pattern leaves open.
fn renamed(text: &str, pattern: &[Part], names: &HashMap<String, String>) -> String {
    let name = |(is_open, piece): (bool, &str)| match names.get(piece).filter(|_| is_open) {
        Some(name) => name.clone(),
        None => piece.to_owned(),
    };
    pieces(text, pattern).into_iter().map(name).collect()
}

/// The parts of a text that matches the pattern, and whether the pattern leaves each open.
fn pieces<'t>(text: &'t str, pattern: &[Part]) -> Vec<(bool, &'t str)> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    for (index, part) in pattern.iter().enumerate() {
        let end = match (part, pattern.get(index + 1)) {
            (Part::Text(literal), _) => rest.starts_with(literal.as_str()).then_some(literal.len()),
            (Part::Anything, Some(Part::Text(literal))) => rest.find(literal.as_str()),
            (Part::Anything, _) => Some(rest.len()),
        };
        let Some((piece, after)) = end.and_then(|end| rest.split_at_checked(end)) else { return Vec::new() };
        pieces.push((matches!(part, Part::Anything), piece));
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_apart_by_their_template() {
        let pattern = [Part::Text("CUSTOMER#".to_owned()), Part::Anything, Part::Text("#X".to_owned())];
        assert_eq!(pieces("CUSTOMER#7#X", &pattern), [(false, "CUSTOMER#"), (true, "7"), (false, "#X")]);
        assert!(pieces("ORDER#7", &pattern).is_empty());
    }

    #[test]
    fn names_are_numbered_and_times_move_on() {
        assert_eq!(["7", "device-7", "berlin"].map(|text| numbered(text, 12)), ["12", "device-12", "berlin-12"]);
        assert_eq!(numbered("2026-11-21T03:30:00Z", 12), "2026-11-21T03:30:12Z");
        assert_eq!(["1795000000", "1795000000000"].map(|text| numbered(text, 12)), ["1795000012", "1795000012000"]);
    }

    #[test]
    fn numbers_keep_their_decimals_and_their_sign() {
        let mut random = Rng::with_seed(1);
        for _ in 0..100 {
            let price = near("12.50", &mut random);
            assert!(price.split_once('.').unwrap().1.len() == 2 && !price.starts_with('-'), "{price}");
            assert!(near("5", &mut random).parse::<u32>().unwrap() <= 10);
        }
        assert_eq!(near("1795000000", &mut random), "1795000000", "a time");
    }
}
