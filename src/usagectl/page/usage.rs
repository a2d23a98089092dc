//! Reads the usage table for the page, page by page and with pauses, so that a large table neither slows a run down nor costs much.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use laptop::proof::rows::{Item, RowReader};
use usage_aggregator::error::{Error, ErrorKind};
use usage_aggregator::pipeline::{Route, Snapshot};
use usage_aggregator::time::Timestamp;

use super::ranking::{MEASURES, MeasureUsage, Ranking, TOP, Usage};

/// The read units of a page of 1 MB, the longest, with eventually consistent reads.
const UNITS_PER_PAGE: f64 = 128.0;

/// How fast the table is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// So many items at once, with a pause after each page.
    Items { page: i32, pause: Duration },
    /// So many read units per minute.
    Units { per_minute: f64 },
}

/// The usage table, and how to read it.
#[derive(Debug)]
pub(crate) struct UsageTable<'t> {
    pub client: &'t Client,
    pub name: &'t str,
    pub snapshot: &'t Snapshot,
    /// The record types of the pipeline.
    pub routes: &'t [Route],
    pub pace: Pace,
}

/// A pass through the table.
pub(crate) struct Pass<'t> {
    table: &'t UsageTable<'t>,
    reader: RowReader<'t>,
    ranking: Ranking<'t>,
    next: Option<Item>,
    is_started: bool,
    /// The read units that were used, if the pace is measured in them.
    pub units: f64,
}

impl UsageTable<'_> {
    /// Starts to read the windows that contain `now`.
    pub(crate) fn pass(&self, now: Timestamp) -> Pass<'_> {
        let (reader, ranking) = (RowReader::new(self.snapshot), Ranking::new(self.snapshot, self.routes, now));
        Pass { table: self, reader, ranking, next: None, is_started: false, units: 0.0 }
    }
}

impl Pass<'_> {
    /// Reads a page, and returns how long to pause after it; `None` if there are no more pages.
    pub(crate) async fn read_page(&mut self) -> anyhow::Result<Option<Duration>> {
        if self.is_started && self.next.is_none() {
            return Ok(None);
        }
        self.is_started = true;
        let UsageTable { client, name, pace, .. } = self.table;
        let scan = client.scan().table_name(*name).set_exclusive_start_key(self.next.take());
        let scan = match pace {
            Pace::Items { page, .. } => scan.limit(*page),
            Pace::Units { .. } => scan.return_consumed_capacity(ReturnConsumedCapacity::Total),
        };
        let scan = scan.send().await.with_context(|| format!("scan the usage table {name} (dynamodb:Scan)"))?;
        scan.items().iter().for_each(|item| self.ranking.add(self.reader.read(item).as_ref()));
        let used = scan.consumed_capacity().and_then(|consumed| consumed.capacity_units()).unwrap_or(UNITS_PER_PAGE);
        self.units += used;
        self.next = scan.last_evaluated_key;
        Ok(Some(match pace {
            _ if self.next.is_none() => Duration::ZERO,
            Pace::Items { pause, .. } => *pause,
            Pace::Units { per_minute } => Duration::from_secs_f64(used * 60.0 / per_minute),
        }))
    }

    /// The usage, with the limits of the largest groups.
    pub(crate) async fn finish(self) -> anyhow::Result<Usage> {
        let mut usage = self.ranking.finish();
        read_limits(self.table.client, self.table.snapshot, &mut usage).await?;
        Ok(usage)
    }
}

/// How many limits a pass reads that are items of their own, at most.
pub(crate) fn most_limits(snapshot: &Snapshot) -> usize {
    let with_item = snapshot.alerts.iter().filter(|alert| alert.item.is_some());
    let measures: BTreeSet<&str> = with_item.map(|alert| alert.rule.measure.as_str()).collect();
    measures.len().min(MEASURES) * TOP
}

/// Reads the limits that the largest groups have in items of their own.
async fn read_limits(client: &Client, snapshot: &Snapshot, usage: &mut Usage) -> anyhow::Result<()> {
    for MeasureUsage { measure, window, top, .. } in &mut usage.measures {
        let alerts = || snapshot.alerts.iter().filter(|alert| alert.rule.measure == *measure);
        for of in top.iter_mut().filter(|of| of.limit.is_none()) {
            let alert = alerts().find(|alert| alert.window.name() == *window && alert.is_for(&of.group));
            let Some((item, key)) = alert.and_then(|alert| alert.item.as_ref().zip(alert.limit_key(&of.group))) else {
                continue;
            };
            let key = key.into_iter().map(|(name, text)| (name, AttributeValue::S(text))).collect();
            let read = client.get_item().table_name(&item.table).set_key(Some(key)).send().await;
            let doing = || format!("read a limit from {} (dynamodb:GetItem)", item.table);
            let read = match read {
                // The key of this group is longer than a key can be, so no item has it, and the group has no limit. The fold
                // decides it in the same way.
                Err(error) if Error::from_sdk(&doing(), &error).kind == ErrorKind::Poison => continue,
                read => read.with_context(doing)?,
            };
            let number = read.item.and_then(|found| found.get(&item.attribute)?.as_n().ok()?.parse::<f64>().ok());
            of.limit = number.filter(|limit| *limit > 0.0);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dynoxide::Database;
    use laptop::emulators::in_process::{self, Objects};
    use laptop::proof::rows::Row;
    use usage_aggregator::pipeline::{Pipeline, shipped};

    use super::*;

    /// The orders pipeline, with a limit per customer in an item whose sort key is the customer.
    fn with_limits() -> Pipeline {
        let mut folder = shipped("orders").unwrap();
        let limit = r#"{ table = "limits", key = { pk = "LIMIT", sk = "{customer}" }, attribute = "orders" }"#;
        let alert = format!("[[record.alert]]\nmeasure = \"orders\"\nwindow = \"month\"\nlimit = {limit}\n\n");
        let measure = "[[record.measure]]\nname = \"orders\"";
        let text = folder.files.get_mut("pipeline.toml").unwrap();
        *text = text.replacen(measure, &format!("{alert}{measure}"), 1);
        Pipeline::parse(&folder).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn database() -> Database {
        let database = Database::memory().unwrap();
        let request = serde_json::json!({
            "TableName": "limits",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "sk", "AttributeType": "S" },
            ],
            "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" }],
        });
        database.create_table(serde_json::from_value(request).unwrap()).unwrap();
        let item = serde_json::json!({ "pk": { "S": "LIMIT" }, "sk": { "S": "a" }, "orders": { "N": "5" } });
        let request = serde_json::json!({ "TableName": "limits", "Item": item });
        database.put_item(serde_json::from_value(request).unwrap()).unwrap();
        database
    }

    fn client_of(database: Database) -> Client {
        in_process::clients(in_process::client(database, Objects::default())).dynamodb
    }

    #[tokio::test]
    async fn regression_an_entity_that_is_too_long_for_the_key_of_a_limit_has_none_and_the_page_shows_all_others() {
        let pipeline = with_limits();
        let snapshot = pipeline.snapshot.as_ref().unwrap();
        let now = Timestamp::parse("2026-11-16T00:00:00Z").unwrap();
        let mut ranking = Ranking::new(snapshot, &pipeline.routes, now);
        // A snapshot has the entity in its partition key, which may have 2,048 bytes. A sort key may have 1,024.
        for (entity, value) in [("x".repeat(1_500), "9"), ("a".to_owned(), "3")] {
            let owned = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
            let group = [("entity", &*entity), ("resource", "orders"), ("window", "month")];
            let start = [("window_start", "2026-11-01T00:00:00Z")];
            let variables: BTreeMap<String, String> = group.into_iter().chain(start).map(owned).collect();
            let measures = [owned(("orders", value))].into();
            ranking.add(Some(&Row { variables, measures, ..Row::default() }));
        }
        let mut usage = ranking.finish();
        read_limits(&client_of(database()), snapshot, &mut usage).await.unwrap();
        let limits: Vec<Option<f64>> = usage.measures[0].top.iter().map(|of| of.limit).collect();
        assert_eq!(limits, [None, Some(5.0)]);
        usage.measures[0].top[1].limit = None;
        let refused = read_limits(&client_of(Database::memory().unwrap()), snapshot, &mut usage).await;
        assert!(refused.is_err(), "a missing table is reported");
    }
}
