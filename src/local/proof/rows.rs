//! Items of the usage table as rows. Entity, resource and window are parsed from the keys that the pipeline's templates
//! rendered, and every other number is a measure, as is the text of a first or latest value. Other items of the table are
//! skipped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use stream_types::Decimal;
use usage_aggregator::pipeline::template::Template;
use usage_aggregator::pipeline::{Aggregate, RESTATED_ATTRIBUTE, Snapshot, WINDOW_VARIABLES};
use usage_aggregator::usage::snapshot_of;

/// An item as the SDK returns it.
pub type Item = HashMap<String, AttributeValue>;

/// One snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// By the pipeline's names: `entity`, `resource`, and whatever else the keys contain.
    pub variables: BTreeMap<String, String>,
    /// Exact decimals, and texts.
    pub measures: BTreeMap<String, String>,
    /// The measures that are stored as texts. Some of them may read like numbers, such as the price code `007`.
    pub texts: BTreeSet<String>,
    /// How the measures that aren't sums combine values.
    pub aggregates: Arc<BTreeMap<String, Aggregate>>,
    /// When the values changed last after the window was closed, if they did.
    pub restated_at: Option<String>,
}

impl Row {
    /// A variable's value; empty if the row doesn't have it.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// How a measure combines values.
    pub fn aggregate(&self, measure: &str) -> Aggregate {
        self.aggregates.get(measure).copied().unwrap_or(Aggregate::Sum)
    }

    /// A measure as a number; `None` if it is a text, or not there.
    pub fn number(&self, measure: &str) -> Option<Decimal> {
        let number = self.measures.get(measure).filter(|_| !self.texts.contains(measure))?;
        Decimal::parse(number).ok()
    }

    /// When the window starts.
    pub fn start(&self) -> &str {
        self.variable("window_start")
    }
}

/// Reads the rows of one pipeline.
#[derive(Debug)]
pub struct RowReader<'s> {
    snapshot: &'s Snapshot,
    reserved: Vec<&'s str>,
    aggregates: Arc<BTreeMap<String, Aggregate>>,
}

impl<'s> RowReader<'s> {
    /// A reader of the pipeline's snapshots.
    pub fn new(snapshot: &'s Snapshot) -> RowReader<'s> {
        let attributes = snapshot
            .kinds
            .iter()
            .flat_map(|(name, kind)| kind.attributes(name).into_iter().map(|attribute| (attribute, kind.aggregate)));
        let aggregates = Arc::new(attributes.collect());
        RowReader { snapshot, reserved: snapshot.reserved().collect(), aggregates }
    }

    /// The names of the group's variables.
    pub fn group_variables(&self) -> impl Iterator<Item = &'s str> {
        self.snapshot.group_variables.iter().map(String::as_str)
    }

    /// The partition key of all rows with these variables, as attribute and value; `None` if it depends on others too.
    pub fn partition_of(&self, known: &[(&str, &str)]) -> Option<(String, String)> {
        let (attribute, template) = &self.snapshot.partition_key;
        let value = |slot: usize| {
            let name = self.snapshot.group_variables.get(slot)?;
            known.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
        };
        template.slots().all(|slot| value(slot).is_some()).then(|| {
            let text = template.render(|slot| value(slot).unwrap_or_default());
            (attribute.clone(), text)
        })
    }

    /// The row of a snapshot; `None` for any other item of the table.
    pub fn read(&self, item: &Item) -> Option<Row> {
        let names = [Some(&self.snapshot.partition_key), self.snapshot.sort_key.as_ref()].into_iter().flatten();
        let key = |(name, _): &'s (String, Template)| Some((name.as_str(), item.get(name)?.as_s().ok()?.as_str()));
        let keys: Vec<(&str, &str)> = names.map(key).collect::<Option<_>>()?;
        let (counter, span) = snapshot_of(self.snapshot, &keys)?;
        let group = self.snapshot.group_variables.iter().cloned().zip(counter.0);
        let window = [span.window.name().to_owned(), span.start_text(), span.end_text(), span.key()];
        let window = WINDOW_VARIABLES.map(str::to_owned).into_iter().zip(window);
        let measure = |(name, value): (&String, &AttributeValue)| {
            let text = || value.as_s().ok().filter(|_| self.aggregates.contains_key(name));
            let number = value.as_n().ok().or_else(text).filter(|_| !self.reserved.contains(&name.as_str()))?;
            Some((name.clone(), self.exact(item, name, number)))
        };
        let measures: BTreeMap<String, String> = item.iter().filter_map(measure).collect();
        let is_text = |name: &&String| item.get(*name).is_some_and(AttributeValue::is_s);
        let texts = measures.keys().filter(is_text).cloned().collect();
        let aggregates = Arc::clone(&self.aggregates);
        let restated_at = item.get(RESTATED_ATTRIBUTE).and_then(|at| at.as_s().ok()).cloned();
        Some(Row { variables: group.chain(window).collect(), measures, texts, aggregates, restated_at })
    }

    /// A counter with the fraction that is stored beside it.
    fn exact(&self, item: &Item, name: &str, whole: &str) -> String {
        let attribute = self.snapshot.fraction_of(name);
        let fraction =
            attribute.and_then(|attribute| item.get(&attribute)?.as_s().ok()).map(|text| Decimal::parse(text));
        match (Decimal::parse(whole), fraction) {
            (Ok(whole), Some(Ok(fraction))) => {
                whole.checked_add(fraction).map_or_else(|_| whole.to_string(), |exact| exact.to_string())
            }
            _ => whole.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usage_aggregator::pipeline::{MeasureKind, Pipeline, shipped};

    #[test]
    fn the_text_of_a_latest_value_is_a_measure_and_other_texts_are_not() {
        let mut snapshot = Pipeline::parse(&shipped("orders").unwrap()).unwrap().snapshot.unwrap();
        let kind = MeasureKind { aggregate: Aggregate::Latest, quantiles: Vec::new() };
        snapshot.kinds.insert("status".to_owned(), kind);
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = [
            ("pk", text("CUSTOMER#7")),
            ("sk", text("USAGE#orders#hour#2026-11-21T03:00:00Z")),
            ("status", text("007")),
            ("note", text("by hand")),
            ("orders", AttributeValue::N("2".to_owned())),
        ];
        let item: Item = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let row = RowReader::new(&snapshot).read(&item).unwrap();
        let measures: Vec<(&str, &str)> =
            row.measures.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(measures, [("orders", "2"), ("status", "007")]);
        assert_eq!([row.number("orders"), row.number("status")], [Decimal::parse("2").ok(), None]);
        assert_eq!([row.aggregate("orders"), row.aggregate("status")], [Aggregate::Sum, Aggregate::Latest]);
    }

    #[test]
    fn a_partition_is_known_if_its_key_has_only_known_variables() {
        let partition = |name: &str, known: &[(&str, &str)]| {
            let snapshot = Pipeline::parse(&shipped(name).unwrap()).unwrap().snapshot.unwrap();
            RowReader::new(&snapshot).partition_of(known)
        };
        let entity = ("entity", "7");
        assert_eq!(partition("orders", &[entity]), Some(("pk".to_owned(), "CUSTOMER#7".to_owned())));
        assert_eq!(partition("zae-limiter", &[entity]), None);
        let both = partition("zae-limiter", &[entity, ("namespace", "default")]);
        assert_eq!(both, Some(("PK".to_owned(), "default/ENTITY#7".to_owned())));
    }
}
