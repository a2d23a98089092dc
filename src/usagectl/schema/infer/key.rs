//! The key attributes of items that don't name them, as in the output of a scan.

use usage_aggregator::record::{Item, Value};

/// Names of partition and sort keys that are what they are called, in lower case and without `_`.
const USUAL: [(&str, &str); 5] =
    [("pk", "sk"), ("partitionkey", "sortkey"), ("hashkey", "rangekey"), ("id", "sk"), ("key", "sk")];

/// How many names a question lists.
const SHOWN: usize = 8;

/// The names of the key attributes, partition key first: those in `given`, or those with a usual name. Adds a note if they were
/// recognized by name.
///
/// # Errors
/// If they can't be recognized, or don't fit the items.
pub(super) fn names(items: &[Item<'_>], given: &[String], notes: &mut Vec<String>) -> Result<Vec<String>, String> {
    if given.len() > 2 {
        return Err("a table has one or two key attributes; write --key PARTITION or --key PARTITION,SORT".to_owned());
    }
    for name in given {
        if let Some(index) = items.iter().position(|item| !item.attribute(name).is_some_and(is_key_value)) {
            let number = index + 1;
            return Err(format!(
                "item {number} has no attribute `{name}` that can be a key; --key names the key attributes of the table"
            ));
        }
    }
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let candidates = candidates(items);
    let named = |wanted: &str| candidates.iter().find(|name| name.to_lowercase().replace('_', "") == wanted);
    let found = USUAL.iter().find_map(|(partition, sort)| {
        let partition = named(partition)?;
        // Two items with the same `id` have a sort key of another name.
        let names: Vec<String> = std::iter::once(partition).chain(named(sort)).map(|name| (*name).to_owned()).collect();
        are_distinct(items, &names).then_some(names)
    });
    match (found, candidates.as_slice()) {
        (Some(names), _) => {
            let shown = names.join(" and ");
            notes.push(format!("the key of the table is taken to be {shown}; if it isn't, use --key"));
            Ok(names)
        }
        (None, []) => {
            Err("no attribute is a string, number or binary value in all items, so none can be the key: use \
                           items of one table"
                .to_owned())
        }
        (None, candidates) => {
            let shown = candidates.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
            let more = if candidates.len() > SHOWN { ", …" } else { "" };
            Err(format!(
                "the items don't show which attributes are the key of their table; use --key PARTITION or --key \
                 PARTITION,SORT with one or two of {shown}{more}"
            ))
        }
    }
}

/// The attributes that all items have and that can be keys.
fn candidates<'i>(items: &'i [Item<'_>]) -> Vec<&'i str> {
    let Some((first, others)) = items.split_first() else { return Vec::new() };
    let in_all = |name: &str| others.iter().all(|item| item.attribute(name).is_some_and(is_key_value));
    let names = first.0.iter().filter(|(_, value)| is_key_value(value)).map(|(name, _)| name.as_ref());
    names.filter(|name| in_all(name)).collect()
}

fn is_key_value(value: &Value<'_>) -> bool {
    match value {
        Value::S(text) => !text.is_empty(),
        Value::N(_) | Value::B(_) => true,
        _ => false,
    }
}

fn are_distinct(items: &[Item<'_>], names: &[String]) -> bool {
    let key = |item: &Item<'_>| format!("{:?}", names.iter().map(|name| item.attribute(name)).collect::<Vec<_>>());
    let mut keys: Vec<String> = items.iter().map(key).collect();
    keys.sort_unstable();
    keys.windows(2).all(|pair| !matches!(pair, [one, other] if one == other))
}
