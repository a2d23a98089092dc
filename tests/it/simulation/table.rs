//! The source table of a pipeline with an indicator. Whatever is written to it gets a record in its stream: the changes of the
//! history, what an application does to the targets, and the function's own writes, which an HTTP client watches for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use dynoxide::Database;
use event_source_mapping::SourceRecord;
use serde_json::{Value, json};
use usage_aggregator::record::SequenceNumber;

use super::feed::{SOURCE, Shards};
use super::lambda::Watch;
use crate::model::history::{Change, What};
use crate::model::indicators::{Missing, Model, TARGET};
use crate::model::invariants::ensure;
use crate::world;

/// The name of the table, as the stream's ARN has it.
const TABLE: &str = "orders";
/// The table of the current run, if its pipeline has an indicator.
pub type Watched = Arc<Mutex<Option<SourceTable>>>;

/// The table and its stream.
pub struct SourceTable {
    database: Database,
    shards: Arc<Mutex<Shards>>,
    watch: Watch,
    missing: Missing,
    model: Model,
    /// How many changes the history has. The other records are numbered from here.
    changes: usize,
    records: Vec<Written>,
    /// The last sequence number.
    sequence: u128,
    numbers: HashMap<String, usize>,
    /// The maps that each customer's target has had.
    maps: BTreeMap<String, Vec<Value>>,
    /// A write of the function that it must not make.
    violation: Option<String>,
}

/// A record that isn't of the history.
struct Written {
    json: Value,
    /// The name in the row that the archive must have, if any.
    archived: Option<String>,
    is_archived: bool,
}

/// What an application does to a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Touch {
    /// The pause before.
    pub after: Duration,
    pub customer: usize,
    pub what: TouchOf,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TouchOf {
    /// It is put under another name, without a map.
    Put,
    /// It is put again, without its map.
    DropMap,
    /// It is put with one of the maps that it has had.
    OldMap(usize),
    /// Only its name changes.
    Rename,
    Delete,
    Expire,
}

impl Touch {
    /// A few touches of a few customers. Most targets exist from the beginning.
    pub fn random(random: &mut fastrand::Rng) -> Vec<Touch> {
        let first = |customer| Touch { after: Duration::ZERO, customer, what: TouchOf::Put };
        let mut touches: Vec<Touch> = (0..3).filter(|_| random.u8(0..4) > 0).map(first).collect();
        for _ in 0..random.usize(0..8) {
            let longest = [1, 50, 500, 5_000][random.usize(0..4)];
            let what = match random.u8(0..11) {
                0..=2 => TouchOf::Put,
                3 => TouchOf::DropMap,
                4..=5 => TouchOf::OldMap(random.usize(0..100)),
                6..=7 => TouchOf::Rename,
                8..=9 => TouchOf::Delete,
                _ => TouchOf::Expire,
            };
            let after = Duration::from_millis(random.u64(0..longest));
            touches.push(Touch { after, customer: random.usize(0..3), what });
        }
        touches
    }
}

impl SourceTable {
    /// An empty table whose records go to `shards`.
    pub fn new(
        database: Database,
        shards: &Arc<Mutex<Shards>>,
        watch: Watch,
        changes: &[Change],
        missing: Missing,
    ) -> SourceTable {
        let first = changes.first().map_or(0, |change| change.sequence.parse::<u128>().unwrap());
        SourceTable {
            database,
            shards: Arc::clone(shards),
            watch,
            missing,
            model: Model::default(),
            changes: changes.len(),
            records: Vec::new(),
            // What comes before the first change has smaller numbers.
            sequence: first.saturating_sub(1_000),
            numbers: HashMap::new(),
            maps: BTreeMap::new(),
            violation: None,
        }
    }

    /// The number of records, and of the changes that have none yet.
    pub fn len(&self) -> usize {
        self.changes + self.records.len()
    }

    /// The number of the record with this sequence number, if it isn't of the history.
    pub fn number(&self, sequence: &str) -> usize {
        self.numbers[sequence]
    }

    /// A record that isn't of the history.
    pub fn record(&self, number: usize) -> Value {
        self.records[number - self.changes].json.clone()
    }

    /// A change of the history takes place. Whoever calls this writes its record.
    pub fn change(&mut self, number: usize, change: &Change) {
        let record = change.record();
        match change.what {
            What::Remove(_) | What::Expire(_) => self.delete(&record["dynamodb"]["Keys"]),
            _ => self.put(&record["dynamodb"]["NewImage"]),
        }
        self.sequence = change.sequence.parse().unwrap();
        self.model.change(change, number);
    }

    /// The application touches a target. Returns whether that changes anything.
    pub fn touch(&mut self, Touch { customer, what, .. }: Touch) -> bool {
        let customer = format!("c{customer}");
        let key = self.key(&customer);
        let old = self.item(&key);
        let known = old.as_ref().and_then(|item| item["name"]["S"].as_str()).map(str::to_owned);
        let other = format!("name {}", self.records.len());
        let with = |name: &str, map: Option<&Value>| {
            let mut item = key.clone();
            item["name"] = json!({ "S": name });
            map.into_iter().for_each(|map| item["indicators"] = map.clone());
            Some(item)
        };
        let new = match what {
            TouchOf::Put => with(&other, None),
            TouchOf::DropMap => with(known.as_ref().unwrap_or(&other), None),
            TouchOf::OldMap(number) => {
                let maps = self.maps.get(&customer).map_or(&[][..], Vec::as_slice);
                let map = (!maps.is_empty()).then(|| &maps[number % maps.len()]);
                with(known.as_ref().unwrap_or(&other), map)
            }
            TouchOf::Rename => old.as_ref().and_then(|old| with(&other, old.get("indicators"))),
            TouchOf::Delete | TouchOf::Expire => None,
        };
        if old == new {
            return false;
        }
        match &new {
            Some(item) => self.put(item),
            None => self.delete(&key),
        }
        let name = |item: &Option<Value>| item.as_ref().and_then(|item| Some(item["name"]["S"].as_str()?.to_owned()));
        // What has only another map isn't archived. Deleted items are archived as they were, unless only the function wrote them.
        let is_archived = without_map(old.as_ref()) != without_map(new.as_ref());
        let archived = name(&new).or_else(|| name(&old)).filter(|_| is_archived);
        self.model.touch(&customer, name(&new).as_deref(), self.len());
        self.push(&key, old, new, archived, what == TouchOf::Expire);
        true
    }

    /// The function has changed an item.
    fn wrote(&mut self, key: &Value, old: Option<Value>, new: Option<Value>) {
        let is_allowed = match (&old, &new) {
            (Some(_), Some(_)) => without_map(old.as_ref()) == without_map(new.as_ref()),
            (None, Some(new)) => self.missing == Missing::Created && without_map(Some(new)).as_ref() == Some(key),
            (_, None) => false,
        };
        if key["sk"]["S"] != TARGET || !is_allowed {
            self.violation.get_or_insert(format!("the function made {new:?} of {old:?}"));
        }
        let customer = key["pk"]["S"].as_str().unwrap_or_default().trim_start_matches("CUSTOMER#").to_owned();
        if old.is_none() {
            self.model.created(&customer, self.len());
        }
        if let Some(map) = new.as_ref().and_then(|new| new.get("indicators")) {
            self.maps.entry(customer).or_default().push(map.clone());
        }
        self.push(key, old, new, None, false);
    }

    fn push(&mut self, key: &Value, old: Option<Value>, new: Option<Value>, archived: Option<String>, expires: bool) {
        self.sequence += 1;
        let (sequence, now) = (self.sequence.to_string(), self.watch.now());
        let name = match (&old, &new) {
            (None, _) => "INSERT",
            (_, None) => "REMOVE",
            _ => "MODIFY",
        };
        let mut record = json!({
            "eventID": format!("{sequence:0>32}"), "eventName": name, "eventVersion": "1.1",
            "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": now.seconds() as f64,
                "Keys": key, "SequenceNumber": sequence, "SizeBytes": 100, "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": SOURCE,
        });
        for (field, image) in [("NewImage", new), ("OldImage", old)] {
            image.into_iter().for_each(|image| record["dynamodb"][field] = image);
        }
        if expires {
            record["userIdentity"] = json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" });
        }
        let key = key.to_string();
        self.shards.lock().unwrap().push(SourceRecord {
            sequence: SequenceNumber::parse(sequence.clone()).unwrap(),
            item: key.bytes().fold(0, |hash, byte| u64::wrapping_add(u64::wrapping_mul(hash, 31), byte.into())),
            created_at: now,
            json: record.to_string(),
        });
        self.numbers.insert(sequence, self.len());
        self.records.push(Written { json: record, archived, is_archived: false });
    }

    /// Checks the targets and their rows in the archive, given the records that have been acknowledged.
    ///
    /// # Errors
    /// The first one that is wrong.
    pub fn check(
        &mut self,
        objects: &BTreeMap<String, Arc<[u8]>>,
        acknowledged: &BTreeSet<usize>,
    ) -> Result<(), String> {
        self.check_targets(acknowledged)?;
        for (key, body) in objects.iter().filter(|(key, _)| key.contains("/customer/")) {
            for row in world::rows(body) {
                let (sequence, name) = (world::text(&row, "sequence_number"), world::text(&row, "name"));
                let number = self.numbers.get(&sequence).map(|number| number - self.changes);
                let written = number
                    .map(|number| &mut self.records[number])
                    .filter(|written| written.archived.as_ref() == Some(&name));
                let written = written.ok_or_else(|| format!("{key} has a row that it must not have: {row:?}"))?;
                written.is_archived = true;
            }
        }
        let is_lost = |(number, written): &(usize, &Written)| {
            written.archived.is_some() && !written.is_archived && acknowledged.contains(&(number + self.changes))
        };
        let lost = self.records.iter().enumerate().find(is_lost).map(|(_, written)| &written.json);
        ensure(lost.is_none(), || format!("acknowledged but not archived: {lost:?}"))
    }

    /// Checks the targets only.
    ///
    /// # Errors
    /// The first one that is wrong.
    pub fn check_targets(&self, acknowledged: &BTreeSet<usize>) -> Result<(), String> {
        self.violation.clone().map_or(Ok(()), Err)?;
        self.model.check(self.missing, |customer| self.item(&self.key(customer)), acknowledged)
    }

    fn key(&self, customer: &str) -> Value {
        json!({ "pk": { "S": format!("CUSTOMER#{customer}") }, "sk": { "S": TARGET } })
    }

    fn item(&self, key: &Value) -> Option<Value> {
        let request = json!({ "TableName": TABLE, "Key": key });
        let found = self.database.get_item(serde_json::from_value(request).unwrap()).unwrap();
        found.item.map(|item| serde_json::to_value(item).unwrap())
    }

    fn put(&self, item: &Value) {
        let request = json!({ "TableName": TABLE, "Item": item });
        self.database.put_item(serde_json::from_value(request).unwrap()).unwrap();
    }

    fn delete(&self, key: &Value) {
        let request = json!({ "TableName": TABLE, "Key": key });
        self.database.delete_item(serde_json::from_value(request).unwrap()).unwrap();
    }
}

fn without_map(item: Option<&Value>) -> Option<Value> {
    let mut item = item.cloned()?;
    item.as_object_mut().unwrap().remove("indicators");
    Some(item)
}

/// The same client, which reports what the function changes in the source table.
pub fn watched(http: SharedHttpClient, table: Watched) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        let (inner, table) = (http.http_connector(settings, components), Arc::clone(&table));
        SharedHttpConnector::new(Watcher { inner, table })
    })
}

struct Watcher {
    inner: SharedHttpConnector,
    table: Watched,
}

impl HttpConnector for Watcher {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let is_watched = self.table.lock().unwrap().is_some();
        let Some(key) = is_watched.then(|| updated(&request)).flatten() else { return self.inner.call(request) };
        let (table, inner) = (Arc::clone(&self.table), self.inner.clone());
        HttpConnectorFuture::new(async move {
            let item = || table.lock().unwrap().as_ref().and_then(|table| table.item(&key));
            // The services never wait, so nothing can come between the two reads but the write.
            let old = item();
            let response = inner.call(request).await?;
            let new = item();
            if old != new
                && let Some(table) = table.lock().unwrap().as_mut()
            {
                table.wrote(&key, old, new);
            }
            Ok(response)
        })
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

/// The key of the item of the source table that a request updates, if any.
fn updated(request: &HttpRequest) -> Option<Value> {
    let target = request.headers().get("x-amz-target")?;
    let body = request.body().bytes().filter(|_| target.ends_with(".UpdateItem"))?;
    let mut body: Value = serde_json::from_slice(body).ok()?;
    (body["TableName"] == TABLE).then(|| body["Key"].take())
}
