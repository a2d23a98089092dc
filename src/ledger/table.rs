//! The ledger table: puts and reads of pages and states. All reads are strongly consistent, and every call is retried until
//! the deadline.

mod alerts;
mod attempts;
mod cuts;
mod definition;
mod register;
mod states;
mod swap;

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::Instant;

use super::page::{Page, PageContent, PageKind};
use super::window_key::{WindowKey, page_expires_at};
use crate::connect::Opening;
use crate::error::Error;
use crate::usage::Segment;
use crate::window::{Window, Zone};
pub use alerts::AlertItem;
use attempts::{never_poison, no_retries, retried};
pub use cuts::{CUT, CUTS, SHOWN};
pub use definition::DEFINITIONS;
pub use register::{Audit, Registered};
pub use swap::Swap;

/// The ledger of one pipeline.
#[derive(Debug, Clone)]
pub struct LedgerTable {
    /// The SDK client for DynamoDB.
    pub client: Client,
    /// The name of the table.
    pub name: String,
    /// The name of the pipeline, which is part of all keys.
    pub pipeline: String,
    /// The number of partitions into which the pages of a minute are spread.
    pub buckets: u32,
    /// How many bytes of a record's id a page holds.
    pub id_bytes: u8,
    /// Days that pages and states are kept, apart from the grace.
    pub keep_days: i64,
    /// Days by which a record may be later than the window that it counts in.
    pub late_days: i64,
    /// The windows that the pipeline counts.
    pub windows: Vec<Window>,
    /// The time zone of the windows.
    pub zone: Zone,
}

/// A page within its minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageRef {
    /// The partition that it is in.
    pub bucket: u32,
    /// Its name.
    pub name: u64,
}

/// A page that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPage {
    /// Where it is.
    pub reference: PageRef,
    /// What it is for.
    pub kind: PageKind,
    /// Its content.
    pub content: PageContent,
}

/// An item of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateItem {
    /// The window.
    pub window: WindowKey,
    /// The binary digits of the part; empty for a whole state.
    pub part: String,
    /// How often it was written; rises with each write.
    pub version: u64,
    /// The content as a frame; `None` if the part was split into two.
    pub data: Option<Vec<u8>>,
}

type Item = HashMap<String, AttributeValue>;

/// Which sort keys of a partition are read.
#[derive(Debug, Clone, Copy)]
enum SortKeys<'k> {
    All,
    Prefix(&'k str),
    /// From the first to the last, both included.
    Between(&'k str, &'k str),
}

const KEY: &str = "pk";
const SORT_KEY: &str = "sk";
const VERSION: &str = "version";
const DATA: &str = "data";
const SPLIT: &str = "split";
const EXPIRES_AT: &str = "expires_at";
const KIND: &str = "kind";
const AUTHOR: &str = "author";
const REASON: &str = "reason";

/// The most buckets that there can be: the bucket of a page follows from the first byte of its name.
pub const MAX_BUCKETS: u32 = 256;

/// The prefix of the keys of pages.
pub const PAGES: &str = "p#";
/// The prefix of the keys of states.
pub const STATES: &str = "s#";
/// The prefix of the keys of alerts.
pub const ALERTS: &str = "a#";

impl LedgerTable {
    /// Opens a connection. The GetItem call is sent as a health check, which needs no permission; any response opens the
    /// connection.
    ///
    /// # Errors
    /// If there is no response at all.
    pub async fn connect(&self) -> Result<(), Error> {
        let missing = [(KEY, "connect"), (SORT_KEY, "connect")];
        let key = missing.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())));
        let call = self.client.get_item().table_name(&self.name).set_key(Some(key.into())).customize();
        let call = call.interceptor(Opening::HealthCheck);
        match call.config_override(no_retries()).send().await {
            Err(error) if error.raw_response().is_none() => {
                Err(Error::from_sdk(&format!("connect to {}", self.name), &error))
            }
            _ => Ok(()),
        }
    }

    /// Puts a page. Putting the same page again changes nothing.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn put_page(&self, page: &Page, kind: &PageKind, deadline: Option<Instant>) -> Result<PageRef, Error> {
        let reference = PageRef { bucket: self.bucket_of(page.name), name: page.name };
        let doing = format!("put a page into {} (dynamodb:PutItem)", self.name);
        let mut item = self.page_key(page.minute, reference);
        item.insert(DATA.to_owned(), AttributeValue::B(Blob::new(page.data.clone())));
        item.insert(EXPIRES_AT.to_owned(), number(page_expires_at(page.minute, self.keep_days)));
        for (name, text) in [KIND, AUTHOR, REASON].into_iter().zip(kind.texts()).filter(|(_, text)| !text.is_empty()) {
            item.insert(name.to_owned(), AttributeValue::S(text.to_owned()));
        }
        retried(deadline, &doing, || async {
            let put = self.client.put_item().table_name(&self.name).set_item(Some(item.clone()));
            let sent = put.customize().config_override(no_retries()).send().await;
            sent.map(|_| reference).map_err(|error| never_poison(Error::from_sdk(&doing, &error)))
        })
        .await
    }

    /// The bucket of the page with this name, by its first byte.
    fn bucket_of(&self, name: u64) -> u32 {
        let [first, ..] = name.to_be_bytes();
        u32::from(first) % self.buckets.max(1)
    }

    /// The pages of a minute in these buckets.
    ///
    /// # Errors
    /// If the table can't be read, or if a page is damaged or was written by a newer release.
    pub async fn pages(
        &self,
        minute: Segment,
        buckets: Range<u32>,
        deadline: Option<Instant>,
    ) -> Result<Vec<ReadPage>, Error> {
        let reads: Vec<_> = buckets.map(|bucket| self.pages_of(minute, bucket, deadline)).collect();
        Ok(futures::future::try_join_all(reads).await?.into_iter().flatten().collect())
    }

    async fn pages_of(&self, minute: Segment, bucket: u32, deadline: Option<Instant>) -> Result<Vec<ReadPage>, Error> {
        let key = self.page_partition(minute, bucket);
        let items = self.query(&key, SortKeys::All, deadline).await?;
        let damaged = |name: &str, what: &dyn std::fmt::Display| {
            Error::config(format!("read the page {key} {name} of {}: {what}", self.name))
        };
        let mut pages = Vec::with_capacity(items.len());
        for item in items {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str);
            let name = text(SORT_KEY);
            let reference = page_name(name).map(|name| PageRef { bucket, name });
            let kind = match text(KIND) {
                "" => Some(PageKind::Usage),
                "correction" => Some(PageKind::Correction(text(AUTHOR).to_owned(), text(REASON).to_owned())),
                "void" => Some(PageKind::Void(text(AUTHOR).to_owned(), text(REASON).to_owned())),
                _ => None,
            };
            let data = item.get(DATA).and_then(|data| data.as_b().ok());
            let (Some(reference), Some(kind), Some(data)) = (reference, kind, data) else {
                return Err(damaged(name, &"it isn't a page of this release"));
            };
            let content = PageContent::read(data.as_ref(), &kind, reference.name);
            pages.push(ReadPage { reference, kind, content: content.map_err(|what| damaged(name, &what))? });
        }
        Ok(pages)
    }

    /// The names of the pages of a minute in these buckets.
    ///
    /// # Errors
    /// If the table can't be read.
    pub async fn page_names(
        &self,
        minute: Segment,
        buckets: Range<u32>,
        deadline: Option<Instant>,
    ) -> Result<Vec<PageRef>, Error> {
        let names = async |bucket: u32| {
            let items = self.query(&self.page_partition(minute, bucket), SortKeys::All, deadline).await?;
            let name = |item: &Item| page_name(item.get(SORT_KEY)?.as_s().ok()?);
            Ok::<_, Error>(items.iter().filter_map(name).map(|name| PageRef { bucket, name }).collect::<Vec<_>>())
        };
        Ok(futures::future::try_join_all(buckets.map(names)).await?.into_iter().flatten().collect())
    }

    /// All items with this partition key and these sort keys.
    async fn query(&self, key: &str, sort_keys: SortKeys<'_>, deadline: Option<Instant>) -> Result<Vec<Item>, Error> {
        let doing = format!("read {key} of {} (dynamodb:Query)", self.name);
        let (condition, texts) = match sort_keys {
            SortKeys::All => ("#pk = :pk", vec![]),
            SortKeys::Prefix(prefix) => ("#pk = :pk AND begins_with(#sk, :sk)", vec![(":sk", prefix)]),
            SortKeys::Between(first, last) => {
                ("#pk = :pk AND #sk BETWEEN :first AND :last", vec![(":first", first), (":last", last)])
            }
        };
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let page = retried(deadline, &doing, || async {
                let mut query = self
                    .client
                    .query()
                    .table_name(&self.name)
                    .consistent_read(true)
                    .key_condition_expression(condition)
                    .expression_attribute_names("#pk", KEY)
                    .expression_attribute_values(":pk", AttributeValue::S(key.to_owned()))
                    .set_exclusive_start_key(start.clone());
                for (name, text) in &texts {
                    query = query
                        .expression_attribute_names("#sk", SORT_KEY)
                        .expression_attribute_values(*name, AttributeValue::S((*text).to_owned()));
                }
                let sent = query.customize().config_override(no_retries()).send().await;
                sent.map_err(|error| never_poison(Error::from_sdk(&doing, &error)))
            })
            .await?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    fn page_key(&self, minute: Segment, PageRef { bucket, name }: PageRef) -> Item {
        [(KEY, self.page_partition(minute, bucket)), (SORT_KEY, format!("{name:016x}"))]
            .map(|(name, text)| (name.to_owned(), AttributeValue::S(text)))
            .into()
    }

    fn page_partition(&self, minute: Segment, bucket: u32) -> String {
        format!("{PAGES}{}#{}#{bucket}", self.pipeline, minute.text())
    }
}

/// The name of a page in a sort key.
pub(crate) fn page_name(text: &str) -> Option<u64> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
