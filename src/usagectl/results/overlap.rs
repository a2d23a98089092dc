//! Sums over snapshots that contain a record more than once, because they are of several counters of its record type.

use std::collections::{BTreeMap, BTreeSet};

use laptop::proof::counters::{Counters, Place};
use laptop::proof::rows::Row;
use usage_aggregator::pipeline::Aggregate;

use crate::results::snapshot_items::Counting;
use crate::shell::console;
use crate::shell::options::Options;

/// How many resources or entities a note names.
const NAMED: usize = 4;

/// Notes on stderr that the sums of these measures over all rows contain records more than once. JSON is for programs, which
/// get no note.
pub(super) fn note(counting: &Counting, rows: &[Row], measures: &BTreeSet<&str>, options: &Options) {
    let counters = Counters::new(&counting.snapshot.group_variables, counting.counters.iter().map(Vec::as_slice));
    if let Some(text) = text(&counters, rows, measures).filter(|_| !options.json) {
        console::note(&text);
    }
}

/// The rows of one counter.
#[derive(Default)]
struct Counted<'r> {
    entities: BTreeSet<&'r str>,
    resources: BTreeSet<&'r str>,
    measures: BTreeSet<&'r str>,
}

fn text(counters: &Counters<'_>, rows: &[Row], measures: &BTreeSet<&str>) -> Option<String> {
    let counted = counted(counters, rows, measures);
    let (mut resources, mut entities) = (BTreeSet::new(), BTreeSet::new());
    for ((route, index), one) in &counted {
        for other in counted.range((*route, index + 1)..(route + 1, 0)).map(|(_, other)| other) {
            if one.measures.is_disjoint(&other.measures) {
                continue;
            }
            if one.resources == other.resources {
                entities.extend([one, other].into_iter().filter_map(|counted| counted.entities.first().copied()));
            } else {
                resources.extend(one.resources.union(&other.resources).copied());
            }
        }
    }
    if !resources.is_empty() {
        let (number, names) = (resources.len(), named(&resources));
        let remedy = "choose one with --resource";
        return Some(format!("note: adds {number} resources ({names}) that may count the same records; {remedy}"));
    }
    let names = named(&entities);
    (!entities.is_empty()).then(|| {
        format!("note: adds entities that may count the same records ({names}); only the usage of each one is exact")
    })
}

/// The rows with sums of these measures, by record type and counter.
fn counted<'r>(counters: &Counters<'_>, rows: &'r [Row], measures: &BTreeSet<&str>) -> BTreeMap<Place, Counted<'r>> {
    let mut all: BTreeMap<Place, Counted<'r>> = BTreeMap::new();
    for row in rows {
        let is_added = |name: &&str| measures.contains(name) && row.aggregate(name) == Aggregate::Sum;
        let added: Vec<&str> = row.measures.keys().map(String::as_str).filter(is_added).collect();
        if added.is_empty() {
            continue;
        }
        for place in counters.places(row) {
            let counted = all.entry(place).or_default();
            counted.entities.insert(row.variable("entity"));
            counted.resources.insert(row.variable("resource"));
            counted.measures.extend(&added);
        }
    }
    all
}

fn named(names: &BTreeSet<&str>) -> String {
    let shown = names.iter().take(NAMED).map(|name| console::plain(name));
    let more = (names.len() > NAMED).then(|| "…".to_owned());
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sums;
    use usage_aggregator::pipeline::{Pipeline, shipped};

    /// The note about rows of `api-usage`: entity, resource, and measure of each.
    fn noted(rows: &[(&str, &str, &str)]) -> Option<String> {
        let pipeline = Pipeline::parse(&shipped("api-usage").unwrap()).unwrap();
        let snapshot = pipeline.snapshot.unwrap();
        let counters =
            Counters::new(&snapshot.group_variables, pipeline.routes.iter().map(|route| route.counters.as_slice()));
        let kinds = snapshot.kinds.iter().map(|(name, kind)| (name.clone(), kind.aggregate));
        let aggregates = std::sync::Arc::new(kinds.collect::<BTreeMap<_, _>>());
        let row = |(entity, resource, measure): &(&str, &str, &str)| Row {
            variables: [("entity", *entity), ("resource", *resource)]
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .into(),
            measures: [((*measure).to_owned(), "1".to_owned())].into(),
            aggregates: aggregates.clone(),
            ..Row::default()
        };
        let rows: Vec<Row> = rows.iter().map(row).collect();
        text(&counters, &rows, &sums::measures(&rows))
    }

    #[test]
    fn counters_of_one_record_type_are_added_only_with_a_note() {
        let endpoints = ["a", "b", "c", "d"].map(|name| format!("endpoint:/{name}"));
        let mut rows = vec![("acme", "requests", "bytes")];
        rows.extend(endpoints.iter().map(|endpoint| ("acme", endpoint.as_str(), "bytes")));
        let note = "note: adds 5 resources (endpoint:/a, endpoint:/b, endpoint:/c, endpoint:/d, …) that may count the same \
                    records; choose one with --resource";
        assert_eq!(noted(&rows).as_deref(), Some(note));
        assert_eq!(noted(&rows[1..]), None, "each request has one endpoint");
        assert_eq!(noted(&[("acme", "requests", "latency_ms_max"), ("plan:pro", "requests", "latency_ms_max")]), None);
        assert_eq!(noted(&[("acme", "requests", "bytes"), ("acme", "subscriptions", "seats")]), None);
        let note = "note: adds entities that may count the same records (acme, plan:pro); only the usage of each one is \
                    exact";
        let rows = [
            ("globex", "subscriptions", "seats"),
            ("acme", "subscriptions", "seats"),
            ("plan:pro", "subscriptions", "seats"),
        ];
        assert_eq!(noted(&rows).as_deref(), Some(note));
        assert_eq!(noted(&rows[..2]), None, "two tenants");
        assert_eq!(noted(&[("plan:pro", "requests", "bytes"), ("plan:free", "requests", "bytes")]), None);
    }
}
