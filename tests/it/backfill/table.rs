//! A table whose items existed before its stream was attached, its stream, and the function that reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, StreamSpecification, StreamViewType};
use event_source_mapping::sources::RemoteStream;
use event_source_mapping::{Position, Source, SourceRecord, event_of};
use laptop::emulators::{TableSpec, ensure_tables, sdk_config};
use stream_types::Decimal;
use usage_aggregator::handler::Invocation;

use crate::fixture::{Fixture, Run};
use crate::world::{StoredItem, World, at, services, text};

const PIPELINE: &str = r##"
[snapshot]
windows = ["total"]
partition_key = { name = "pk", value = "OWNER#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window_key}" }

[[record]]
type = "item"
match = { pk = "OWNER#{owner}", sk = "ITEM#{item}" }
entity = "{owner}"
resource = "stock"

[[record.measure]]
name = "units"
kind = "delta"
attribute = "units"
baseline = true

[[record.measure]]
name = "items"
kind = "delta"
baseline = true

[[record.measure]]
name = "changes"
kind = "count"

[record.archive]
schema = "item.avsc"
"##;

const SCHEMA: &str = include_str!("../../stock/item.avsc");

/// The table, the function, and a folder to run commands in.
pub struct Table {
    pub world: World,
    pub fixture: Fixture,
    pub name: String,
    pub random: fastrand::Rng,
    pipeline: PathBuf,
}

impl Table {
    /// A table with items, to which no stream is attached.
    pub async fn new(name: &str, items: u32) -> Table {
        Table::with_windows(name, items, r#"["total"]"#).await
    }

    /// The same, counted in these windows.
    pub async fn with_windows(name: &str, items: u32, windows: &str) -> Table {
        let fixture = Fixture::new();
        let pipeline = fixture.0.path().join("stock");
        std::fs::create_dir(&pipeline).unwrap();
        std::fs::write(pipeline.join("pipeline.toml"), PIPELINE.replace(r#"["total"]"#, windows)).unwrap();
        std::fs::write(pipeline.join("item.avsc"), SCHEMA).unwrap();
        let world = World::new(name, "").await.with("PIPELINE_DIR", pipeline.to_str().unwrap());
        let table = format!("{name}-stock");
        let spec = TableSpec {
            name: &table,
            partition_key: "pk",
            sort_key: Some("sk"),
            ttl_attribute: Some("gone_at"),
            stream: None,
        };
        ensure_tables(&world.dynamodb, &[spec]).await.unwrap();
        let mut table = Table { world, fixture, name: table, random: fastrand::Rng::with_seed(19), pipeline };
        for item in 0..items {
            let units = table.random.u32(1..100);
            table.put(item, &units.to_string()).await;
        }
        table
    }

    /// Puts an item. Each owner has every fifth one.
    pub async fn put(&self, item: u32, units: &str) {
        self.put_with(item, units, None).await;
    }

    /// Puts an item with another attribute.
    pub async fn put_with(&self, item: u32, units: &str, other: Option<(&str, AttributeValue)>) {
        let text = |text: String| AttributeValue::S(text);
        let units =
            units.parse::<u32>().map_or_else(|_| text(units.to_owned()), |units| AttributeValue::N(units.to_string()));
        let put = self.world.dynamodb.put_item().table_name(&self.name).item("units", units);
        let put = put.item("pk", text(format!("OWNER#{}", item % 5))).item("sk", text(format!("ITEM#{item}")));
        let put = other.into_iter().fold(put, |put, (name, value)| put.item(name, value));
        put.send().await.unwrap();
    }

    /// Puts an item that expires at once, and has time to live delete it.
    pub async fn expire(&self, item: u32) {
        self.put_with(item, "3", Some(("gone_at", AttributeValue::N("1000000000".to_owned())))).await;
        services().database().sweep_ttl().unwrap();
    }

    pub async fn delete(&self, item: u32) {
        let text = |text: String| AttributeValue::S(text);
        let delete = self.world.dynamodb.delete_item().table_name(&self.name);
        let delete = delete.key("pk", text(format!("OWNER#{}", item % 5))).key("sk", text(format!("ITEM#{item}")));
        delete.send().await.unwrap();
    }

    /// Puts items, deletes them, and lets them expire, at random.
    pub async fn change(&mut self, changes: u32, items: u32) {
        for _ in 0..changes {
            let (item, units) = (self.random.u32(0..items), self.random.u32(0..100));
            match self.random.u32(0..8) {
                0 | 1 => self.delete(item).await,
                2 => self.expire(item).await,
                _ => self.put(item, &units.to_string()).await,
            }
        }
    }

    pub async fn attach_stream(&self) {
        let stream = StreamSpecification::builder().stream_enabled(true);
        let stream = stream.stream_view_type(StreamViewType::NewAndOldImages).build().unwrap();
        let update = self.world.dynamodb.update_table().table_name(&self.name).stream_specification(stream);
        update.send().await.unwrap();
    }

    /// Every record that the stream has.
    pub async fn records(&self) -> Vec<Arc<SourceRecord>> {
        let described = self.world.dynamodb.describe_table().table_name(&self.name).send().await.unwrap();
        let arn = described.table.unwrap().latest_stream_arn.unwrap();
        let config = sdk_config(None).into_builder().endpoint_url(services().dynamodb_url()).build();
        let stream = RemoteStream::new(aws_sdk_dynamodbstreams::Client::new(&config), &arn);
        let shard = stream.shards().await.unwrap().remove(0).id;
        let (mut position, mut records) = (Position::TrimHorizon, Vec::new());
        loop {
            let page = stream.read(&shard, &position, 1_000).await.unwrap();
            if page.records.is_empty() {
                return records;
            }
            position = page.next;
            records.extend(page.records);
        }
    }

    /// The items that were archived because they existed, by the ids of their records.
    pub async fn backfilled_rows(&self) -> BTreeMap<String, String> {
        let rows = self.world.rows().await;
        let backfilled = rows.iter().filter(|row| text(row, "event_id") == "backfill");
        backfilled.map(|row| (text(row, "record_id"), text(row, "sk"))).collect()
    }

    /// The function reads the stream, in batches of any size, some of them twice.
    pub async fn deliver(&mut self) -> usize {
        let records = self.records().await;
        let handler = self.world.function().handler;
        let mut start = 0;
        while start < records.len() {
            let end = (start + self.random.usize(1..40)).min(records.len());
            let times = self.random.usize(1..3);
            for _ in 0..times {
                let outcome = handler.append(event_of(&records[start..end]).as_bytes(), &today()).await.unwrap();
                assert_eq!(outcome.durable, end - start);
            }
            start = end;
        }
        records.len()
    }

    /// What the table has now: items and units by owner.
    pub async fn present(&self) -> BTreeMap<String, (u64, u64)> {
        let scan = self.world.dynamodb.scan().table_name(&self.name).consistent_read(true);
        let items: Vec<StoredItem> = scan.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap();
        let mut present = BTreeMap::new();
        for item in items {
            let Ok(units) = item["units"].as_n() else { continue };
            let entry: &mut (u64, u64) = present.entry(item["pk"].as_s().unwrap().clone()).or_default();
            *entry = (entry.0 + 1, entry.1 + units.parse::<u64>().unwrap());
        }
        present
    }

    /// What the function has counted, after every page was folded: the same, and the number of changes.
    pub async fn counted(&self) -> (BTreeMap<String, (u64, u64)>, u64) {
        self.world.fold_all(&today()).await;
        let (mut counted, mut changes) = (BTreeMap::new(), 0);
        for item in self.world.items("usage").await {
            let number = |name: &str| -> u64 {
                let text = item.get(name).map_or("0", |value| value.as_n().unwrap());
                Decimal::parse(text).unwrap().to_string().parse().unwrap_or_else(|_| panic!("{name} is {text}"))
            };
            changes += number("changes");
            if number("items") > 0 {
                counted.insert(item["pk"].as_s().unwrap().clone(), (number("items"), number("units")));
            }
        }
        (counted, changes)
    }

    /// A command that works on these tables.
    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        self.other_command(&[&["backfill", "--local", "--table", &self.name], arguments].concat())
    }

    /// Any other command that works on them.
    pub fn other_command(&self, arguments: &[&str]) -> std::process::Command {
        let pipeline = self.pipeline.to_str().unwrap();
        let mut command = self.fixture.command(&[arguments, &["--pipeline-dir", pipeline]].concat());
        command.envs([
            ("AWS_ENDPOINT_URL_DYNAMODB", services().dynamodb_url()),
            ("AWS_ENDPOINT_URL_S3", services().s3_url()),
        ]);
        for name in ["USAGE_TABLE", "LEDGER_TABLE", "ARCHIVE_BUCKET", "ARCHIVE_PREFIX", "ARCHIVE_CODEC"] {
            command.env(name, self.world.variable(name));
        }
        command
    }

    /// Runs the command to its end.
    pub async fn backfill(&self, arguments: &[&str]) -> Run {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
    }

    /// Runs another command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.other_command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
    }

    /// The folder of the pipeline.
    pub fn pipeline(&self) -> &Path {
        &self.pipeline
    }
}

/// An invocation now.
pub fn today() -> Invocation {
    at(&jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
