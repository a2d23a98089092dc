//! A source table with findings and their group, the changes that an application makes, and what a plain model gives.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use dynoxide::Database;
use laptop::emulators::in_process::{self, Objects};
use serde_json::{Value, json};
use tokio::sync::Notify;
use usage_aggregator::indicator::{Recomputed, Recomputer, SourceTable, TargetKey};
use usage_aggregator::pipeline::{Folder, Pipeline};
use usage_aggregator::plan::{Plan, PlanContext, plan_event};

use crate::gate::{Access, Gate};

pub type Item = HashMap<String, AttributeValue>;
/// An item before and after a change.
pub type Images = (Option<Item>, Option<Item>);

pub const PIPELINE: &str = r##"
[[record]]
type = "finding"
match = { pk = "GROUP#{group}", sk = "FINDING#{finding}" }

[[indicator]]
name = "findings"
records = ["finding"]
target = { pk = "GROUP#{group}", sk = "GROUP" }
query = { pk = "GROUP#{group}", sk = { prefix = "FINDING#" } }
missing_target = "skip"

[[indicator.value]]
name = "open"
kind = "count"
where = { status = "open" }

[[indicator.value]]
name = "worst"
kind = "max"
attribute = "score"
where = { status = "open" }
"##;

/// The pipeline, which creates missing targets or skips them.
pub fn pipeline(creates: bool) -> Arc<Pipeline> {
    let text = if creates { PIPELINE.replace("\"skip\"", "\"create\"") } else { PIPELINE.to_owned() };
    let files = [("pipeline.toml".to_owned(), text)].into();
    let parsed = Pipeline::parse(&Folder { name: "findings".to_owned(), files });
    Arc::new(parsed.unwrap_or_else(|mistakes| panic!("{mistakes}")))
}

pub fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub fn finding(number: usize, status: &str, score: i64) -> Item {
    let score = AttributeValue::N(score.to_string());
    [("pk", text("GROUP#7")), ("sk", text(&format!("FINDING#{number}"))), ("status", text(status)), ("score", score)]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// The group, with a map that someone has read before.
pub fn group(map: Option<AttributeValue>) -> Item {
    let map = map.map(|map| ("indicators", map));
    let all = [("pk", text("GROUP#7")), ("sk", text("GROUP"))].into_iter().chain(map);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What an application does.
#[derive(Debug, Clone)]
pub enum Op {
    /// It puts an item.
    Put(Item),
    /// It deletes the item with this sort key.
    Delete(String),
}

/// The table, without gates.
#[derive(Clone)]
pub struct Source {
    pub http: SharedHttpClient,
    /// The function's writes that no one has taken from the stream yet.
    stream: Arc<Mutex<Vec<Images>>>,
    /// A client without a gate.
    client: Client,
    /// The table itself, which can be read without a request.
    database: Database,
    pub pipeline: Arc<Pipeline>,
}

impl Source {
    pub fn new(pipeline: &Arc<Pipeline>) -> Source {
        Source::with(pipeline, false)
    }

    /// A table of which reads that aren't consistent lack the last write.
    pub fn lagging(pipeline: &Arc<Pipeline>) -> Source {
        Source::with(pipeline, true)
    }

    fn with(pipeline: &Arc<Pipeline>, lags: bool) -> Source {
        let table = || {
            let database = Database::memory().unwrap();
            let keys = [("pk", "HASH"), ("sk", "RANGE")];
            let request = json!({
                "TableName": "source",
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": keys.map(|(name, _)| json!({ "AttributeName": name, "AttributeType": "S" })),
                "KeySchema": keys.map(|(name, kind)| json!({ "AttributeName": name, "KeyType": kind })),
            });
            database.create_table(serde_json::from_value(request).unwrap()).unwrap();
            database
        };
        let (database, stream) = (table(), Arc::default());
        let connector = |database: Database| in_process::client(database, Objects::default());
        let http = lagging(connector(database.clone()), lags.then(|| connector(table())), &stream);
        let client = client_over(http.clone());
        Source { http, stream, client, database, pipeline: Arc::clone(pipeline) }
    }

    /// The records of the function's writes since the last call.
    pub fn take_stream(&self) -> Vec<Images> {
        std::mem::take(&mut self.stream.lock().unwrap())
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A client whose requests pass a gate.
    pub fn gated(&self, gate: &Gate) -> Client {
        client_over(gate.client(&self.http))
    }

    /// A client that passes a gate and dies after this many requests.
    pub fn mortal(&self, gate: &Gate, requests: usize) -> (Client, Arc<Notify>) {
        let death = Arc::new(Notify::new());
        let left = Arc::new(AtomicUsize::new(requests));
        let http = gate.client(&self.http);
        let client = {
            let death = Arc::clone(&death);
            http_client_fn(move |settings, components| {
                let inner = http.http_connector(settings, components);
                SharedHttpConnector::new(Mortal { left: Arc::clone(&left), death: Arc::clone(&death), inner })
            })
        };
        (client_over(client), death)
    }

    /// All items by sort key.
    pub async fn items(&self) -> BTreeMap<String, Item> {
        let pages = self.client().scan().table_name("source").consistent_read(true).into_paginator();
        let items: Vec<Item> = pages.items().send().try_collect().await.unwrap();
        items.into_iter().map(|item| (item["sk"].as_s().unwrap().clone(), item)).collect()
    }

    /// The map of the group.
    pub fn map(&self) -> Option<AttributeValue> {
        let key = json!({ "pk": { "S": "GROUP#7" }, "sk": { "S": "GROUP" } });
        let request = serde_json::from_value(json!({ "TableName": "source", "Key": key })).unwrap();
        let map = self.database.get_item(request).unwrap().item?.remove("indicators")?;
        Some(read_value(&serde_json::to_value(map).unwrap()))
    }

    /// What the group has and what a plain model gives; nothing if there is no group.
    pub async fn compared(&self) -> (Option<Value>, Option<Value>) {
        let items = self.items().await;
        let open = || {
            let findings = items.values().filter(|item| item["sk"].as_s().unwrap().starts_with("FINDING#"));
            findings.filter(|item| item["status"] == text("open"))
        };
        let number = |item: &Item| item["score"].as_n().unwrap().parse::<i64>().unwrap();
        let mut expected = json!({ "open": { "N": open().count().to_string() } });
        if let Some(worst) = open().map(number).max() {
            expected["worst"] = json!({ "N": worst.to_string() });
        }
        let Some(group) = items.get("GROUP") else { return (None, None) };
        let stored = group.get("indicators").and_then(|map| map.as_m().ok()).map(|map| {
            let mut map = described(map);
            map.as_object_mut().unwrap().retain(|name, _| name != "version" && name != "previous");
            map
        });
        (stored, Some(expected))
    }

    /// Makes a change and returns the plan of its record.
    pub async fn change(&self, client: &Client, op: &Op) -> Option<Plan> {
        let (old, new) = self.make(client, op).await?;
        Some(self.plan(old.as_ref(), new.as_ref()))
    }

    /// Makes a change and returns the images before and after, if they differ.
    pub async fn make(&self, client: &Client, op: &Op) -> Option<Images> {
        let images = match op {
            Op::Put(item) => {
                let put = client.put_item().table_name("source").set_item(Some(item.clone()));
                (put.return_values(ReturnValue::AllOld).send().await.unwrap().attributes, Some(item.clone()))
            }
            Op::Delete(sort_key) => {
                let delete = client.delete_item().table_name("source").key("pk", text("GROUP#7"));
                let delete = delete.key("sk", text(sort_key)).return_values(ReturnValue::AllOld);
                (delete.send().await.unwrap().attributes, None)
            }
        };
        Some(images).filter(|(old, new)| old != new)
    }

    /// The plan of a record with these images.
    pub fn plan(&self, old: Option<&Item>, new: Option<&Item>) -> Plan {
        let event = batch(&[(old.cloned(), new.cloned())]);
        let (_, plan) = plan_event(event.as_bytes(), &self.pipeline, &PlanContext::default()).unwrap();
        assert_eq!(plan.rejected, None);
        plan
    }

    /// Recomputes targets until all of them are done, as if their records were delivered again.
    pub async fn recompute(&self, client: &Client, plan: &Plan) -> Recomputed {
        let mut sum = Recomputed::default();
        let targets: Vec<(&str, usize, &TargetKey)> =
            plan.targets.iter().map(|target| (&*target.table, target.indicator, &target.key)).collect();
        loop {
            let table = SourceTable { client, name: "source", deadline: None };
            let recomputer = Recomputer { pipeline: &self.pipeline, table, concurrency: 1 };
            let mut done = true;
            for (written, recomputed) in recomputer.all(&targets).await {
                sum.add(recomputed);
                done &= written.is_ok();
            }
            if done {
                return sum;
            }
        }
    }
}

/// A client that sends its requests to `http`. Copies of one configuration: to make it takes longer than a short history.
fn client_over(http: SharedHttpClient) -> Client {
    static FIRST: OnceLock<Client> = OnceLock::new();
    let first = FIRST.get_or_init(|| {
        // Making it draws random numbers, and what a history draws must not depend on whether it is the first one.
        let before = fastrand::get_seed();
        let client = in_process::clients(http.clone()).dynamodb;
        fastrand::seed(before);
        client
    });
    Client::from_conf(first.config().to_builder().http_client(http).build())
}

/// What a request accesses: the group, or its findings, which a recomputation doesn't write.
pub fn access(request: &HttpRequest) -> Option<Access> {
    let operation = request.headers().get("x-amz-target")?.rsplit('.').next()?;
    let body: Value = serde_json::from_slice(request.body().bytes()?).ok()?;
    let sort_key = [&body["Key"], &body["Item"]].into_iter().find_map(|key| key["sk"]["S"].as_str());
    let of = if sort_key == Some("GROUP") { "the group" } else { "the findings" };
    Some(Access { of, writes: !matches!(operation, "GetItem" | "Query") })
}

/// An event with a record for each of these changes, from sequence number 100.
pub fn batch(changes: &[Images]) -> String {
    let records =
        changes.iter().enumerate().map(|(number, (old, new))| record(100 + number, old.as_ref(), new.as_ref()));
    json!({ "Records": records.collect::<Vec<_>>() }).to_string()
}

fn record(sequence: usize, old: Option<&Item>, new: Option<&Item>) -> Value {
    let name = match (old, new) {
        (None, _) => "INSERT",
        (_, None) => "REMOVE",
        _ => "MODIFY",
    };
    let key = old.or(new).unwrap();
    let mut change = json!({
        "ApproximateCreationDateTime": 1_795_856_220, "SequenceNumber": sequence.to_string(), "StreamViewType": "NEW_AND_OLD_IMAGES",
        "Keys": { "pk": value(&key["pk"]), "sk": value(&key["sk"]) },
    });
    for (name, image) in [("OldImage", old), ("NewImage", new)] {
        if let Some(image) = image {
            change[name] = described(image);
        }
    }
    json!({
        "eventID": sequence.to_string(), "eventName": name, "eventSource": "aws:dynamodb", "dynamodb": change,
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/source/stream/1",
    })
}

/// DynamoDB's JSON of attributes.
fn described(item: &Item) -> Value {
    Value::Object(item.iter().map(|(name, attribute)| (name.clone(), value(attribute))).collect())
}

fn value(attribute: &AttributeValue) -> Value {
    match attribute {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(text) => json!({ "N": text }),
        AttributeValue::M(map) => json!({ "M": described(map) }),
        other => panic!("{other:?}"),
    }
}

/// A client that dies: a request beyond the last one never ends.
#[derive(Debug)]
struct Mortal {
    left: Arc<AtomicUsize>,
    death: Arc<Notify>,
    inner: SharedHttpConnector,
}

impl HttpConnector for Mortal {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let lives = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if lives {
            return self.inner.call(request);
        }
        self.death.notify_one();
        HttpConnectorFuture::new(std::future::pending())
    }
}

/// DynamoDB as two copies of a table: what isn't read consistently is read from the copy that lacks the last write.
fn lagging(
    first: SharedHttpClient,
    behind: Option<SharedHttpClient>,
    stream: &Arc<Mutex<Vec<Images>>>,
) -> SharedHttpClient {
    let (pending, stream) = (Arc::new(Mutex::new(None)), Arc::clone(stream));
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(Lagging {
            pending: Arc::clone(&pending),
            stream: Arc::clone(&stream),
            first: first.http_connector(settings, components),
            behind: behind.as_ref().map(|behind| behind.http_connector(settings, components)),
        })
    })
}

#[derive(Debug)]
struct Lagging {
    /// The last write.
    pending: Arc<Mutex<Option<HttpRequest>>>,
    /// The images of each UpdateItem.
    stream: Arc<Mutex<Vec<Images>>>,
    first: SharedHttpConnector,
    behind: Option<SharedHttpConnector>,
}

impl HttpConnector for Lagging {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let reads = target.ends_with(".GetItem") || target.ends_with(".Query") || target.ends_with(".Scan");
        if reads {
            let behind = self.behind.as_ref().filter(|_| body["ConsistentRead"] != true);
            return behind.unwrap_or(&self.first).call(request);
        }
        let (first, behind, pending) = (self.first.clone(), self.behind.clone(), Arc::clone(&self.pending));
        let stream = Arc::clone(&self.stream);
        HttpConnectorFuture::new(async move {
            let copy = request.try_clone().unwrap();
            let read = target.ends_with(".UpdateItem").then(|| get(&copy, &body));
            let image = async || match &read {
                Some(read) => item_of(&first.call(read.try_clone().unwrap()).await.unwrap()),
                None => None,
            };
            // Nothing comes in between, because no call in this process waits.
            let old = image().await;
            let response = first.call(request).await?;
            if response.status().is_success() {
                let new = image().await;
                if read.is_some() {
                    stream.lock().unwrap().push((old, new));
                }
                let before = pending.lock().unwrap().replace(copy);
                if let (Some(before), Some(behind)) = (before, behind) {
                    behind.call(before).await?;
                }
            }
            Ok(response)
        })
    }
}

/// The read of the item that a write is for.
fn get(write: &HttpRequest, body: &Value) -> HttpRequest {
    let mut read = write.try_clone().unwrap();
    read.headers_mut().insert("x-amz-target", "DynamoDB_20120810.GetItem");
    let request = json!({ "TableName": body["TableName"], "Key": body["Key"], "ConsistentRead": true });
    *read.body_mut() = request.to_string().into();
    read
}

fn item_of(response: &HttpResponse) -> Option<Item> {
    let body: Value = serde_json::from_slice(response.body().bytes().unwrap()).unwrap();
    body["Item"].as_object().map(read)
}

fn read(item: &serde_json::Map<String, Value>) -> Item {
    item.iter().map(|(name, value)| (name.clone(), read_value(value))).collect()
}

fn read_value(value: &Value) -> AttributeValue {
    match value.as_object().and_then(|value| value.iter().next()).unwrap() {
        (tag, Value::String(text)) if tag == "S" => AttributeValue::S(text.clone()),
        (tag, Value::String(text)) if tag == "N" => AttributeValue::N(text.clone()),
        (tag, Value::Object(map)) if tag == "M" => AttributeValue::M(read(map)),
        other => panic!("{other:?}"),
    }
}
