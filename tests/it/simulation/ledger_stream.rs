//! The stream of the ledger: a record for each page or alert when it is put for the first time. An HTTP client watches for that.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use event_source_mapping::SourceRecord;
use serde::Deserialize;
use usage_aggregator::ledger::{ALERTS, PAGES};
use usage_aggregator::record::SequenceNumber;

use super::bench::LEDGER;
use super::feed::Shards;
use super::lambda::Watch;
use crate::world::{PageKey, ledger_stream, notice};

const FIRST_SEQUENCE_NUMBER: u128 = 500_000_000_000_000_000_000;

/// The stream, and all its records in order.
pub struct LedgerStream {
    pub shards: Arc<Mutex<Shards>>,
    watch: Watch,
    pages: Vec<PageKey>,
    records: Vec<serde_json::Value>,
}

/// The stream of the current run, if it has one.
pub type Observed = Arc<Mutex<Option<LedgerStream>>>;

impl LedgerStream {
    pub fn new(watch: Watch, shards: usize) -> LedgerStream {
        let shards = Arc::new(Mutex::new(Shards::new(&ledger_stream(LEDGER), shards)));
        LedgerStream { shards, watch, pages: Vec::new(), records: Vec::new() }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// The page or alert of a record.
    pub fn page(&self, number: usize) -> PageKey {
        self.pages[number].clone()
    }

    /// The position in the stream of the record with this sequence number.
    pub fn number(&self, sequence: &str) -> usize {
        usize::try_from(sequence.parse::<u128>().unwrap() - FIRST_SEQUENCE_NUMBER).unwrap()
    }

    /// The event with these records.
    pub fn event(&self, numbers: &[usize]) -> Vec<u8> {
        let records: Vec<_> = numbers.iter().map(|number| &self.records[*number]).collect();
        serde_json::to_vec(&serde_json::json!({ "Records": records })).unwrap()
    }

    fn put(&mut self, page: PageKey) {
        if self.pages.contains(&page) {
            return;
        }
        let sequence = (FIRST_SEQUENCE_NUMBER + self.pages.len() as u128).to_string();
        let now = self.watch.now();
        let record = notice(LEDGER, &page, &sequence, now.seconds());
        self.shards.lock().unwrap().push(SourceRecord {
            sequence: SequenceNumber::parse(sequence).unwrap(),
            item: page.0.bytes().fold(0, |hash, byte| u64::wrapping_add(u64::wrapping_mul(hash, 31), byte.into())),
            created_at: now,
            json: record.to_string(),
        });
        self.pages.push(page);
        self.records.push(record);
    }
}

/// The same client, which reports new pages and alerts to the stream.
pub fn observed(http: SharedHttpClient, stream: Observed) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        let (inner, stream) = (http.http_connector(settings, components), Arc::clone(&stream));
        SharedHttpConnector::new(Observer { inner, stream })
    })
}

struct Observer {
    inner: SharedHttpConnector,
    stream: Observed,
}

impl HttpConnector for Observer {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (page, stream) = (put_of(&request), Arc::clone(&self.stream));
        let call = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            // The services never wait, so nothing can come between the put and its record.
            let response = call.await?;
            if let (Some(page), Some(stream)) = (page, stream.lock().unwrap().as_mut())
                && response.status().is_success()
            {
                stream.put(page);
            }
            Ok(response)
        })
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct PutItem {
    #[serde(rename = "Item")]
    item: Keys,
}

#[derive(Deserialize)]
struct Keys {
    pk: Text,
    sk: Text,
}

#[derive(Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

/// The page that a request puts, if any.
pub fn page_of(request: &HttpRequest) -> Option<PageKey> {
    put_of(request).filter(|(key, _)| key.starts_with(PAGES))
}

/// The page or alert that a request puts, if any.
fn put_of(request: &HttpRequest) -> Option<PageKey> {
    let target = request.headers().get("x-amz-target")?;
    let body = request.body().bytes().filter(|_| target.ends_with(".PutItem"))?;
    let PutItem { item: Keys { pk, sk } } = serde_json::from_slice(body).ok()?;
    [PAGES, ALERTS].iter().any(|kind| pk.text.starts_with(kind)).then_some((pk.text, sk.text))
}
