//! An in-process ledger and usage table, and what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use dynoxide::Database;
use dynoxide::actions::scan::ScanRequest;
use laptop::emulators::in_process::{self, Objects};
use laptop::emulators::{FaultPlan, FaultyHttp};
use serde_json::json;
use usage_aggregator::decimal::Decimal;
use usage_aggregator::fold::{Alert, Folded, Folder, Limits, MAX_STATE_BYTES, Notice, UsageTable};
use usage_aggregator::ledger::{LedgerTable, Page, PageContent, PageKind, WindowKey, pages};
use usage_aggregator::pipeline::{Closing, LateRecords, Pipeline, shipped};
use usage_aggregator::record::RecordId;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::{Addition, CounterKey, Effect, Group, Segment};
use usage_aggregator::window::{Window, Zone};

use crate::kinds::kinds;

/// 2026-11-28T08:57:00Z.
pub const MINUTE: i64 = 1_795_856_220;

pub struct Place {
    pub database: Database,
    pub objects: Objects,
    pub http: FaultyHttp,
    pub folder: Folder,
    pub pipeline: Arc<Pipeline>,
}

/// A record: its number, entity, minutes after [`MINUTE`], and amount in cents.
pub type Counted<'n> = (u64, &'n str, i64, i64);

/// A snapshot: orders, cents, and the version of the state.
pub type Values = (i64, i64, u64);

/// Creates a table with the keys `pk` and `sk`.
pub fn create_table(database: &Database, table: &str) {
    let keys = [("pk", "HASH"), ("sk", "RANGE")];
    let attribute = |(name, _): &(&str, &str)| json!({ "AttributeName": name, "AttributeType": "S" });
    let key = |(name, kind): &(&str, &str)| json!({ "AttributeName": name, "KeyType": kind });
    let request = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": keys.iter().map(attribute).collect::<Vec<_>>(),
        "KeySchema": keys.iter().map(key).collect::<Vec<_>>(),
    });
    database.create_table(serde_json::from_value(request).unwrap()).unwrap();
}

impl Place {
    pub fn new() -> Place {
        Place::with_windows(&Window::DEFAULT)
    }

    /// A place whose snapshots have these windows.
    pub fn with_windows(windows: &[Window]) -> Place {
        let database = Database::memory().unwrap();
        ["usage", "ledger", "orders"].iter().for_each(|table| create_table(&database, table));
        let objects = Objects::default();
        objects.create_bucket("archive");
        let http = FaultyHttp::new(in_process::client(database.clone(), objects.clone()), FaultPlan::none());
        let client = in_process::clients(http.client()).dynamodb;
        let folder = Folder {
            ledger: LedgerTable {
                client: client.clone(),
                name: "ledger".to_owned(),
                pipeline: "orders".to_owned(),
                buckets: 1,
                id_bytes: 8,
                keep_days: 18,
                late_days: 0,
                windows: windows.to_vec(),
                zone: Zone::UTC,
            },
            usage: UsageTable { client, name: "usage".to_owned() },
            limits: Limits::default(),
            epoch: 0,
            horizon_days: 18,
            max_state_bytes: MAX_STATE_BYTES,
            concurrency: 8,
        };
        let mut pipeline = Pipeline::parse(&shipped("orders").unwrap()).unwrap();
        let snapshot = pipeline.snapshot.as_mut().unwrap();
        snapshot.windows = windows.to_vec();
        snapshot.kinds = kinds();
        let pipeline = Arc::new(pipeline);
        Place { database, objects, http, folder, pipeline }
    }

    /// Counts these windows from now on.
    pub fn count(&mut self, windows: &[Window]) {
        self.folder.ledger.windows = windows.to_vec();
        Arc::get_mut(&mut self.pipeline).unwrap().snapshot.as_mut().unwrap().windows = windows.to_vec();
    }

    /// Reports what this `[[record.alert]]` says from now on; an empty text reports nothing.
    pub fn alert(&mut self, alert: &str) {
        let mut folder = shipped("orders").unwrap();
        let text = folder.files.get_mut("pipeline.toml").unwrap();
        *text = text.replace(r#"["hour", "day", "month"]"#, r#"["hour", "day", "week", "month", "total"]"#);
        if !alert.is_empty() {
            let measure = "[[record.measure]]\nname = \"orders\"";
            *text = text.replacen(measure, &format!("[[record.alert]]\n{alert}\n\n{measure}"), 1);
        }
        let parsed = Pipeline::parse(&folder).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let alerts = parsed.snapshot.unwrap().alerts;
        Arc::get_mut(&mut self.pipeline).unwrap().snapshot.as_mut().unwrap().alerts = alerts;
    }

    /// The alerts in the ledger, in the order of their keys.
    pub fn alerts(&self) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self
            .items("ledger")
            .iter()
            .filter(|item| text(item, "pk").starts_with("a#"))
            .map(|item| {
                let alert: Alert = serde_json::from_str(&text(item, "detail")).unwrap();
                assert_eq!(alert.id, format!("{}/{}", text(item, "pk"), text(item, "sk")));
                alert
            })
            .collect();
        alerts.sort_by(|a, b| a.id.cmp(&b.id));
        alerts
    }

    /// What the alerts say: entity, fraction, crossing, and what happened.
    pub fn alerted(&self) -> Vec<String> {
        let said = |alert: &Alert| format!("{} {} {} {}", alert.entity, alert.at, alert.crossing, alert.state.name());
        self.alerts().iter().map(said).collect()
    }

    /// Whether the ledger has exactly the alerts that its states have counted.
    pub async fn has_all_alerts(&self) -> bool {
        let (mut counted, mut there) = (Vec::new(), Vec::new());
        let window =
            |(_, sort_key): (String, String)| WindowKey::parse(sort_key.strip_suffix('/')?, self.folder.ledger.zone);
        for window in self.states().into_keys().filter_map(window).collect::<BTreeSet<_>>() {
            let shown = self.folder.show(None, window, None).await.unwrap();
            counted.extend(shown.states.into_iter().flat_map(|state| state.alerts));
            let read = self.folder.ledger.alerts(window, None).await.unwrap();
            there.extend(read.into_iter().map(|alert| alert.name));
        }
        counted.sort();
        there.sort();
        counted == there && there.len() == self.alerts().len()
    }

    /// Closes windows so many seconds after their end.
    pub fn close_after(&mut self, grace_seconds: i64) {
        let closing = Closing { grace_seconds, late: LateRecords::Restate, window: None };
        Arc::get_mut(&mut self.pipeline).unwrap().snapshot.as_mut().unwrap().closing = Some(closing);
    }

    /// Counts in this time zone from now on.
    pub fn set_zone(&mut self, zone: Zone) {
        self.folder.ledger.zone = zone;
        Arc::get_mut(&mut self.pipeline).unwrap().snapshot.as_mut().unwrap().zone = zone;
    }

    /// Puts the pages of these records as one batch.
    pub async fn append(&self, records: &[Counted<'_>], generation: u64) -> Vec<Notice> {
        let mut notices = Vec::new();
        for page in pages(&groups(records), generation, self.folder.ledger.id_bytes) {
            notices.push(self.put(&page, &PageKind::Usage).await);
        }
        notices
    }

    /// Puts the pages of these records, which count at other times, in minutes after [`MINUTE`], as one batch.
    pub async fn append_late(&self, records: &[(Counted<'_>, i64)], generation: u64) -> Vec<Notice> {
        let mut notices = Vec::new();
        for page in pages(&late_groups(records, self.folder.ledger.zone), generation, self.folder.ledger.id_bytes) {
            notices.push(self.put(&page, &PageKind::Usage).await);
        }
        notices
    }

    /// Puts a page with one record of "a" that has these measures.
    pub async fn append_measures(&self, number: u64, minute: i64, measures: &[(&str, i64)]) -> Vec<Notice> {
        let amounts = measures.iter().map(|(name, amount)| Addition::sum(*name, Decimal::from(*amount))).collect();
        let group = Group {
            key: CounterKey(vec!["a".to_owned(), "orders".to_owned()]),
            segment: minute_of(minute),
            event_hour: None,
            effects: vec![Effect { record: 0, id: id(number), amounts }],
        };
        let mut notices = Vec::new();
        for page in pages(&[group], 1, 8) {
            notices.push(self.put(&page, &PageKind::Usage).await);
        }
        notices
    }

    /// Puts the pages that take these groups back.
    pub async fn take_back(&self, groups: &[Group]) -> Vec<Notice> {
        let kind = taken_back();
        let mut notices = Vec::new();
        for page in pages(groups, 1, 8) {
            notices.push(self.put(&as_kind(&page, &kind), &kind).await);
        }
        notices
    }

    pub async fn put(&self, page: &Page, kind: &PageKind) -> Notice {
        let reference = self.folder.ledger.put_page(page, kind, None).await.unwrap();
        Notice { minute: page.minute, page: reference }
    }

    pub async fn fold(&self, notices: &[Notice]) -> Folded {
        self.try_fold(notices).await.unwrap()
    }

    pub async fn try_fold(&self, notices: &[Notice]) -> Result<Folded, usage_aggregator::error::Error> {
        let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
        self.folder.fold(self.pipeline.snapshot.as_ref().unwrap(), notices, now, None).await
    }

    /// The snapshots by entity and window.
    pub fn snapshots(&self) -> BTreeMap<(String, String), Values> {
        let items = self.items("usage");
        items.iter().map(|item| ((text(item, "entity"), text(item, "window")), values(item))).collect()
    }

    /// The values of all snapshots of a window.
    pub fn snapshots_of(&self, window: &str) -> Vec<Values> {
        self.items("usage").iter().filter(|item| text(item, "window") == window).map(values).collect()
    }

    /// The orders and cents of an entity in the month.
    pub fn month(&self, entity: &str) -> (i64, i64) {
        let (orders, cents, _) =
            self.snapshots().get(&(entity.to_owned(), "month".to_owned())).copied().unwrap_or_default();
        (orders, cents)
    }

    pub fn items(&self, table: &str) -> Vec<Item> {
        items(&self.database, table)
    }

    pub fn delete(&self, table: &str, key: &str, sort_key: &str) {
        let request = json!({ "TableName": table, "Key": { "pk": { "S": key }, "sk": { "S": sort_key } } });
        self.database.delete_item(serde_json::from_value(request).unwrap()).unwrap();
    }

    /// Deletes what has expired in the ledger so many minutes after [`MINUTE`].
    pub fn expire(&self, minutes: i64) {
        let now = MINUTE + 60 * minutes;
        for item in self.items("ledger") {
            let expires_at = item.get("expires_at").map(|at| at.as_n().unwrap().parse::<i64>().unwrap());
            if expires_at.is_some_and(|at| at < now) {
                self.delete("ledger", &text(&item, "pk"), &text(&item, "sk"));
            }
        }
    }

    /// The state of a window.
    pub fn state(&self, window: &str) -> Item {
        let is_it = |item: &Item| {
            text(item, "pk").starts_with("s#") && text(item, "sk").split_once('/').is_some_and(|(own, _)| own == window)
        };
        self.items("ledger").into_iter().find(is_it).unwrap_or_else(|| panic!("{window} has no state"))
    }

    /// The partition and sort keys of the states, with their versions.
    pub fn states(&self) -> BTreeMap<(String, String), u64> {
        let items = self.items("ledger");
        let states = items.iter().filter(|item| text(item, "pk").starts_with("s#"));
        states
            .map(|item| ((text(item, "pk"), text(item, "sk")), item["version"].as_n().unwrap().parse().unwrap()))
            .collect()
    }
}

pub fn items(database: &Database, table: &str) -> Vec<Item> {
    let item = |item: dynoxide::Item| item.into_iter().map(|(name, value)| (name, attribute(value))).collect();
    let mut start = None;
    let mut items = Vec::new();
    loop {
        let request =
            ScanRequest { table_name: table.to_owned(), exclusive_start_key: start, ..ScanRequest::default() };
        let page = database.scan(request).unwrap();
        items.extend(page.items.unwrap_or_default().into_iter().map(item));
        start = page.last_evaluated_key;
        if start.is_none() {
            return items;
        }
    }
}

/// The pages of 80 records of "a", each of 1 cent, which were folded while 64 buckets were configured; now it is one.
pub async fn lowered() -> (Place, Vec<Notice>) {
    let mut place = Place::new();
    place.folder.ledger.buckets = 64;
    let mut notices = Vec::new();
    for number in 0..80 {
        notices.extend(place.append(&[(number, "a", 0, 1)], 1).await);
    }
    assert_eq!(place.fold(&notices).await.settled, 80);
    assert!(notices.iter().any(|notice| notice.page.bucket > 16));
    place.folder.ledger.buckets = 1;
    (place, notices)
}

/// The orders, cents, and version of a snapshot.
pub fn values(item: &Item) -> Values {
    let number = |name: &str| item.get(name).map_or("0".to_owned(), |value| value.as_n().unwrap().clone());
    let version = <[u8; 8]>::try_from(item["usage_version"].as_b().unwrap().as_ref()).unwrap();
    let cents = Decimal::parse(&number("amount")).unwrap().units(2).unwrap() as i64;
    (number("orders").parse().unwrap(), cents, u64::from_be_bytes(version))
}

pub type Item = std::collections::HashMap<String, AttributeValue>;

/// An attribute that is a string.
pub fn text(item: &Item, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

pub fn id(number: u64) -> RecordId {
    RecordId(blake3::hash(&number.to_be_bytes()).as_bytes().first_chunk().copied().unwrap())
}

/// The kind of a page that takes records back.
pub fn taken_back() -> PageKind {
    PageKind::Void("operator".to_owned(), "counted by mistake".to_owned())
}

/// A page with the records of this page of usage, as another kind.
pub fn as_kind(page: &Page, kind: &PageKind) -> Page {
    let content = PageContent::read(&page.data, &PageKind::Usage, page.name).unwrap();
    content.into_page(page.minute, kind)
}

/// The groups of these records, as a plan has them.
pub fn groups(records: &[Counted<'_>]) -> Vec<Group> {
    let records: Vec<_> = records.iter().map(|record| (*record, record.2)).collect();
    late_groups(&records, Zone::UTC)
}

/// The same for records that count at other times, in minutes after [`MINUTE`].
pub fn late_groups(records: &[(Counted<'_>, i64)], zone: Zone) -> Vec<Group> {
    let mut groups: BTreeMap<(String, i64, Option<Segment>), Vec<Effect>> = BTreeMap::new();
    for (position, ((number, entity, minute, cents), counts_at)) in records.iter().enumerate() {
        let [hour, home] = [counts_at, minute].map(|at| Window::Hour.at(minute_of(*at).start(), zone).start);
        let event_hour = (hour != home).then(|| Segment::at(hour));
        let amounts = vec![
            Addition::sum("orders", Decimal::from(1)),
            Addition::sum("amount", Decimal::from_parts((*cents).into(), -2).unwrap()),
        ];
        let effect = Effect { record: position, id: id(*number), amounts };
        groups.entry(((*entity).to_owned(), *minute, event_hour)).or_default().push(effect);
    }
    let group = |((entity, minute, event_hour), effects): ((String, i64, Option<Segment>), Vec<Effect>)| Group {
        key: CounterKey(vec![entity, "orders".to_owned()]),
        segment: minute_of(minute),
        event_hour,
        effects,
    };
    groups.into_iter().map(group).collect()
}

pub fn minute_of(minute: i64) -> Segment {
    Segment::containing(Timestamp::from_seconds(MINUTE + 60 * minute).unwrap())
}

fn attribute(value: dynoxide::AttributeValue) -> AttributeValue {
    match value {
        dynoxide::AttributeValue::S(text) => AttributeValue::S(text),
        dynoxide::AttributeValue::N(digits) => AttributeValue::N(digits),
        dynoxide::AttributeValue::B(bytes) => AttributeValue::B(bytes.into()),
        dynoxide::AttributeValue::BOOL(flag) => AttributeValue::Bool(flag),
        other => panic!("the function never writes {other:?}"),
    }
}
