//! A stack whose tables and bucket are embedded. moto has the outputs of its stack, and a server its function's variables.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use laptop::emulators::{self, TableSpec, sdk_config};
use serde_json::{Value, json};
use usage_aggregator::error::Error;
use usage_aggregator::handler::Invocation;
use usage_aggregator::outcome::FoldOutcome;
use usage_aggregator::time::{DAY_SECONDS, Timestamp};

use crate::fixture::{Fixture, Run};
use crate::prefix::event;
use crate::redrive::lambda::{Variables, serve_variables};
use crate::redrive::moto::Moto;
use crate::world::{PageKey, StoredItem, World, notices, page_keys, services};

pub struct Stack {
    world: World,
    moto: Moto,
    lambda_url: String,
    variables: Variables,
    /// Yesterday.
    pub day: String,
    /// 10:00 of that day, in seconds.
    pub start: u64,
}

fn now_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn day_of(seconds: i64) -> String {
    Timestamp::from_seconds(seconds).unwrap().date().to_string()
}

impl Stack {
    pub async fn new(name: &str) -> Stack {
        let world = World::new(name, "orders").await;
        let names = ["USAGE_TABLE", "LEDGER_TABLE", "ARCHIVE_BUCKET", "ARCHIVE_PREFIX"];
        let outputs = ["UsageTableName", "LedgerTableName", "ArchiveBucketName", "ArchiveKeyPrefix"];
        let named = outputs.iter().zip(names).map(|(output, name)| ((*output).to_owned(), world.variable(name)));
        let others = [("PipelineName", "orders"), ("FunctionName", "append")];
        let others = others.map(|(output, value)| (output.to_owned(), value.to_owned()));
        let outputs: serde_json::Map<String, Value> =
            named.chain(others).map(|(output, value)| (output, json!({ "Value": value }))).collect();
        let template = json!({ "Resources": { "Topic": { "Type": "AWS::SNS::Topic" } }, "Outputs": outputs });
        let moto = Moto::start();
        let config = sdk_config(None).into_builder().endpoint_url(&moto.url).build();
        let create = aws_sdk_cloudformation::Client::new(&config).create_stack().stack_name("counted");
        create.template_body(template.to_string()).send().await.unwrap();

        let variables: Variables = Arc::new(Mutex::new(BTreeMap::from([("FOLD_EPOCH".to_owned(), "0".to_owned())])));
        let lambda_url = serve_variables(variables.clone()).await;
        let yesterday = now_seconds() / DAY_SECONDS * DAY_SECONDS - DAY_SECONDS;
        let start = u64::try_from(yesterday).unwrap() + 10 * 3_600;
        Stack { world, moto, lambda_url, variables, day: day_of(yesterday), start }
    }

    /// `aws lambda update-function-configuration --environment`, for both functions.
    pub fn configure(mut self, name: &'static str, value: &str) -> Stack {
        self.variables.lock().unwrap().insert(name.to_owned(), value.to_owned());
        self.world = self.world.with(name, value);
        self
    }

    /// The first day of the month after this one, and its first second.
    pub fn next_month(&self) -> (String, u64) {
        let days = (0..=31).map(|days| now_seconds() / DAY_SECONDS * DAY_SECONDS + days * DAY_SECONDS);
        let first = days.skip(1).find(|second| day_of(*second).ends_with("-01")).unwrap();
        (day_of(first), first.try_into().unwrap())
    }

    /// Creates a table with these items, as a restore does, and returns its name.
    pub async fn create(&self, name: &str, items: &[StoredItem]) -> String {
        let name = format!("{}-{name}", self.world.name);
        let spec =
            TableSpec { name: &name, partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream: None };
        emulators::ensure_tables(&self.world.dynamodb, &[spec]).await.unwrap();
        self.put(&name, items).await;
        name
    }

    /// Loses a table, `usage` or `ledger`, and puts these items in its place.
    pub async fn replace(&self, table: &str, items: &[StoredItem]) {
        let name = format!("{}-{table}", self.world.name);
        self.world.dynamodb.delete_table().table_name(&name).send().await.unwrap();
        self.create(table, items).await;
    }

    async fn put(&self, table: &str, items: &[StoredItem]) {
        for item in items {
            let put = self.world.dynamodb.put_item().table_name(table).set_item(Some(item.clone()));
            put.send().await.unwrap();
        }
    }

    pub async fn items(&self, table: &str) -> Vec<StoredItem> {
        self.world.items(table).await
    }

    async fn pages(&self) -> Vec<PageKey> {
        let table = self.world.variable("LEDGER_TABLE");
        let scan = self.world.dynamodb.scan().table_name(table).consistent_read(true).into_paginator();
        page_keys(&scan.items().send().collect::<Result<Vec<_>, _>>().await.unwrap())
    }

    /// What the source's mapping delivers. Returns the new pages.
    pub async fn append(&self, records: &[Value]) -> Vec<PageKey> {
        self.append_at(records, now_seconds()).await
    }

    async fn append_at(&self, records: &[Value], second: i64) -> Vec<PageKey> {
        let before = self.pages().await;
        let outcome = self.world.function().handler.append(&event(records), &at(second)).await.unwrap();
        assert_eq!(outcome.durable, records.len());
        self.pages().await.into_iter().filter(|page| !before.contains(page)).collect()
    }

    /// What the ledger's mapping delivers.
    pub async fn fold(&self, pages: &[PageKey]) -> Result<FoldOutcome, Error> {
        self.fold_at(pages, now_seconds()).await
    }

    async fn fold_at(&self, pages: &[PageKey], second: i64) -> Result<FoldOutcome, Error> {
        let event = notices(&self.world.variable("LEDGER_TABLE"), pages);
        self.world.function().handler.fold(&event, &at(second)).await
    }

    pub async fn count(&self, records: &[Value]) {
        self.count_at(records, now_seconds().try_into().unwrap()).await;
    }

    pub async fn count_at(&self, records: &[Value], second: u64) {
        let second = second.try_into().unwrap();
        let pages = self.append_at(records, second).await;
        let outcome = self.fold_at(&pages, second).await.unwrap();
        assert_eq!(outcome.failed, None, "{:?}", outcome.folded.error);
    }

    /// `usagectl ledger sweep --windows` over the minutes of the changes, instead of the whole horizon.
    pub async fn sweep(&self, options: &[&str]) -> Value {
        let (from, to) = (format!("{}T10:00", self.day), format!("{}T10:02", self.day));
        let arguments = [&["ledger", "sweep", &from, &to, "--windows", "--json"], options].concat();
        let run = self.usagectl(&arguments).await;
        assert_eq!(run.code, Some(0), "{run:?}");
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// Each window of the changes agrees with the archive.
    pub async fn reconciles(&self) {
        for at in [&format!("{}T10", self.day), &*self.day, &self.day[..7]] {
            let run = self.usagectl(&["reconcile", "--at", at]).await;
            assert_eq!(run.code, Some(0), "{at}: {run:?}");
        }
    }

    /// Runs a command with `--stack`.
    pub async fn usagectl(&self, arguments: &[&str]) -> Run {
        let fixture = Fixture::new();
        let mut command = fixture.command(&[arguments, &["--stack", "counted"]].concat());
        command.envs([
            ("AWS_ENDPOINT_URL", self.moto.url.as_str()),
            ("AWS_ENDPOINT_URL_LAMBDA", &self.lambda_url),
            ("AWS_ENDPOINT_URL_DYNAMODB", services().dynamodb_url()),
            ("AWS_ENDPOINT_URL_S3", services().s3_url()),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_REGION", "us-east-1"),
        ]);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
    }
}

fn at(second: i64) -> Invocation {
    Invocation { request_id: "test".to_owned(), now: Timestamp::from_seconds(second).unwrap(), deadline: None }
}
