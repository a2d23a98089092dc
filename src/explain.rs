//! A plan as JSON, for people, tools and golden tests. The keys of every object are sorted and every list is in the
//! plan's order, so that the same plan always gives the same text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::archive::Codec;
use crate::decimal::Decimal;
use crate::error::Error;
use crate::indicator::Cause;
use crate::pipeline::Pipeline;
use crate::plan::{Plan, Tally, Target};
use crate::record::Rejection;
use crate::usage::{Addition, Aggregate, Cell, Effect, Group, totals};

impl Plan {
    /// Describes everything this plan will do: records, counters by group and window, files as they would be sealed
    /// under `prefix` with `codec`, and the rejection. Record IDs are shortened to their first half.
    ///
    /// # Errors
    /// If a file can't be compressed.
    pub fn describe(&self, pipeline: &Pipeline, prefix: &str, codec: Codec) -> Result<Value, Error> {
        let counters: Vec<Value> = self.groups.iter().map(|group| counter(pipeline, group)).collect();
        let mut files = Vec::new();
        for ((record_type, _), draft) in &self.files {
            let schema = pipeline.schemas().find(|(name, _)| name == record_type);
            let Some((_, schema)) = schema else { continue };
            let sealed = draft.seal(schema, codec, prefix, self.records)?;
            files.extend(sealed.map(|file| {
                json!({
                    "key": file.key,
                    "record_type": file.record_type,
                    "partition_date": file.date.to_string(),
                    "rows": file.rows(),
                    "bytes": file.body.len(),
                })
            }));
        }
        let quarantined: Vec<Value> =
            self.quarantined.iter().map(|quarantined| rejected(&quarantined.rejection)).collect();
        let mut described = json!({
            "pipeline": pipeline.name,
            "records": self.records,
            "tally": tally(&self.tally),
            "counters": counters,
            "files": files,
            "rejected": self.rejected.as_ref().map(rejected),
            "quarantined": quarantined,
        });
        if let (Value::Object(fields), false) = (&mut described, pipeline.indicators.is_empty()) {
            let targets = self.targets.iter().filter_map(|target| described_target(pipeline, target));
            fields.insert("targets".to_owned(), targets.collect());
            let source_table = self.targets.first().map(|target| &*target.table);
            fields.insert("source_table".to_owned(), source_table.into());
            let refused: Vec<Value> = self.refused.iter().map(|refused| rejected(&refused.rejection)).collect();
            fields.extend((!refused.is_empty()).then(|| ("refused".to_owned(), refused.into())));
        }
        Ok(described)
    }
}

/// A target that will be recomputed: what is read for it, and which records ask for it.
fn described_target(pipeline: &Pipeline, target: &Target) -> Option<Value> {
    let indicator = pipeline.indicators.get(target.indicator)?;
    let key: Map<String, Value> = target.key.iter().map(|(name, text)| (name.clone(), text.as_str().into())).collect();
    let text = |name: &str| target.key.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
    let variables = indicator.target_variables(text)?;
    let (partition, prefix) = indicator.query_key(&variables.iter().map(String::as_str).collect::<Vec<_>>());
    let mut query: Map<String, Value> = [(indicator.query.partition.0.clone(), partition.into())].into_iter().collect();
    if let Some(((name, _), prefix)) = indicator.query.sort.as_ref().zip(prefix) {
        query.insert(name.clone(), json!({ "prefix": prefix }));
    }
    let because = |cause: Cause| match cause {
        Cause::Item => "item",
        Cause::Target => "target",
    };
    let records = target.records.iter();
    let records: Vec<Value> =
        records.map(|(record, cause)| json!({ "record": record, "because": because(*cause) })).collect();
    Some(json!({
        "indicator": indicator.name,
        "key": key,
        "query": query,
        "index": indicator.query.index,
        // The target and one unit of its items; each 4 KB of them is another.
        "minimum_read_units": if indicator.query.index.is_some() { 1.5 } else { 2.0 },
        "records": records,
    }))
}

fn tally(tally: &Tally) -> Value {
    let events: Map<String, Value> =
        tally.events.iter().map(|(event, count)| (event.name().to_owned(), (*count).into())).collect();
    json!({
        "events": events,
        "effective": tally.effective.len(),
        "skipped": tally.skipped,
        "repeated": tally.repeated,
        "oldest": tally.oldest_created_at.map(|oldest| oldest.to_string()),
    })
}

fn counter(pipeline: &Pipeline, group: &Group) -> Value {
    let names = pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.group_variables);
    let key: Map<String, Value> =
        names.zip(&group.key.0).map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let mut described = json!({
        "key": key,
        "minute": group.segment.text(),
        "records": group.effects.iter().map(record).collect::<Vec<_>>(),
        "windows": windows(pipeline, group),
    });
    if let (Value::Object(fields), Some(hour)) = (&mut described, group.event_hour) {
        fields.insert("event_hour".to_owned(), hour.text().into());
    }
    described
}

/// What one record adds: its position in the batch, its id, its amounts, and its values for measures that aren't sums.
fn record(effect: &Effect) -> Value {
    let described = json!({ "record": effect.record, "id": format!("{:016x}", effect.id.short()), "adds": amounts(effect.amounts.iter().filter_map(|addition| Some((&*addition.measure, addition.amount()?)))) });
    with_taken(described, std::slice::from_ref(effect))
}

/// What is added in each window, or the record at which a sum would need more than 38 digits.
fn windows(pipeline: &Pipeline, group: &Group) -> Value {
    let Some(snapshot) = &pipeline.snapshot else { return Value::Null };
    match totals(snapshot, group.effects.iter().map(|effect| (group, effect))) {
        Ok(totals) => totals
            .iter()
            .map(|((_, span), sums)| {
                let described = json!({ "window": span.window.name(), "start": span.start_text(), "adds": amounts(sums.iter().map(|(measure, amount)| (measure.as_str(), *amount))) });
                with_taken(described, &group.effects)
            })
            .collect(),
        Err((record, error)) => json!({ "record": record, "error": error.to_string() }),
    }
}

/// Adds what records say about measures that aren't sums, if they say anything.
fn with_taken(mut described: Value, effects: &[Effect]) -> Value {
    let mut by_measure: BTreeMap<(&str, Aggregate), Vec<&Cell>> = BTreeMap::new();
    for Addition { measure, aggregate, cell } in effects.iter().flat_map(|effect| &effect.amounts) {
        if *aggregate != Aggregate::Sum {
            by_measure.entry((measure, *aggregate)).or_default().push(cell);
        }
    }
    let text = |((measure, aggregate), cells): ((&str, Aggregate), Vec<&Cell>)| {
        (measure.to_owned(), taken(aggregate, &cells).into())
    };
    let taken: Map<String, Value> = by_measure.into_iter().map(text).collect();
    if let (Value::Object(fields), false) = (&mut described, taken.is_empty()) {
        fields.insert("takes".to_owned(), taken.into());
    }
    described
}

/// What records give together, for example `max 2.5` or `3 values from 80 to 2500`.
fn taken(aggregate: Aggregate, cells: &[&Cell]) -> String {
    let numbers = || cells.iter().filter_map(|cell| cell.number());
    let moments = || {
        cells.iter().filter_map(|cell| match cell {
            Cell::Moment(moment) => Some(moment),
            Cell::Number(_) | Cell::Hash(_) => None,
        })
    };
    let named = |value: String| format!("{} {value}", aggregate.name());
    let value = match aggregate {
        Aggregate::Max => numbers().max().map(|number| named(number.to_string())),
        Aggregate::Min => numbers().min().map(|number| named(number.to_string())),
        Aggregate::First => moments().min().map(|moment| named(moment.value.to_string())),
        Aggregate::Latest => moments().max().map(|moment| named(moment.value.to_string())),
        Aggregate::Distinct { .. } => {
            let hashes = cells.iter().filter_map(|cell| match cell {
                Cell::Hash(hash) => Some(hash),
                Cell::Number(_) | Cell::Moment(_) => None,
            });
            Some(counted(hashes.collect::<BTreeSet<_>>().len(), "different value"))
        }
        Aggregate::Sum | Aggregate::Quantile => Some(match (cells, numbers().min(), numbers().max()) {
            ([_], Some(only), _) => format!("value {only}"),
            (_, Some(least), Some(greatest)) => {
                format!("{} from {least} to {greatest}", counted(cells.len(), "value"))
            }
            _ => String::new(),
        }),
    };
    value.unwrap_or_default()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn amounts<'a>(amounts: impl Iterator<Item = (&'a str, Decimal)>) -> Map<String, Value> {
    amounts.map(|(measure, amount)| (measure.to_owned(), amount.to_string().into())).collect()
}

/// The rejected record and the reason, without the contents of its item.
fn rejected(rejection: &Rejection) -> Value {
    let Rejection { sequence, user_record, fault, .. } = rejection;
    let mut described = json!({
        "sequence_number": sequence.as_str(),
        "code": fault.code.name(),
        "field": fault.field,
        "reason": fault.message,
    });
    if let (Value::Object(fields), Some(index)) = (&mut described, user_record) {
        fields.insert("user_record".to_owned(), (*index).into());
    }
    described
}
