//! The ledger of a drill: its stream, which may lose notices, and pages that no batch of the load has.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use event_source_mapping::sources::MemoryStream;
use event_source_mapping::{Clock, SequenceNumber, SourceRecord};
use laptop::emulators::in_process;
use usage_aggregator::decimal::Decimal;
use usage_aggregator::ledger::{LedgerTable, Page, PageKind, pages};
use usage_aggregator::record::RecordId;
use usage_aggregator::time::{DAY_SECONDS, Timestamp};
use usage_aggregator::usage::{Addition, CounterKey, Effect, Group, Segment};

use super::drill::{LEDGER, SHARD};
use crate::simulation::ledger_stream::page_of;
use crate::world::{PageKey, ledger_in, notice};

/// The pages of the ledger, each of which is a record of its stream when it is put for the first time.
#[derive(Clone)]
pub struct Pages {
    stream: Arc<MemoryStream>,
    clock: Clock,
    put: Arc<Mutex<HashSet<PageKey>>>,
    /// Whether the stream loses its records.
    pub are_lost: Arc<AtomicBool>,
}

impl Pages {
    pub fn new(stream: Arc<MemoryStream>, clock: Clock) -> Pages {
        Pages { stream, clock, put: Arc::default(), are_lost: Arc::default() }
    }

    fn put(&self, page: PageKey) {
        let mut put = self.put.lock().unwrap();
        if put.insert(page.clone()) && !self.are_lost.load(Ordering::Relaxed) {
            let (sequence, now) = ((500_000_000_000_000_000_000 + put.len() as u128).to_string(), self.clock.now());
            let json = notice(LEDGER, &page, &sequence, now.seconds()).to_string();
            let sequence = SequenceNumber::parse(sequence).unwrap();
            self.stream.push(SHARD, SourceRecord { sequence, item: 1, created_at: now, json });
        }
    }
}

/// The same client, which puts a record into the stream for each new page.
pub fn observed(http: SharedHttpClient, pages: Pages) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(Observer { inner: http.http_connector(settings, components), pages: pages.clone() })
    })
}

struct Observer {
    inner: SharedHttpConnector,
    pages: Pages,
}

impl HttpConnector for Observer {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (page, pages, call) = (page_of(&request), self.pages.clone(), self.inner.call(request));
        HttpConnectorFuture::new(async move {
            let response = call.await?;
            if let Some(page) = page.filter(|_| response.status().is_success()) {
                pages.put(page);
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

/// A page with orders that can't come from the load.
pub struct Orders<'o> {
    pub entity: &'o str,
    pub days_ago: i64,
    /// The amounts of the records 1, 2, …
    pub amounts: &'o [&'o str],
}

impl Orders<'_> {
    fn pages(&self, now: Timestamp) -> Vec<Page> {
        let effect = |(number, amount): (usize, &&str)| {
            let amounts = vec![
                Addition::sum("orders", Decimal::from(1)),
                Addition::sum("amount", Decimal::parse(amount).unwrap()),
            ];
            let id = blake3::hash(format!("{} {number}", self.entity).as_bytes());
            Effect { record: number, id: RecordId(id.as_bytes().first_chunk().copied().unwrap()), amounts }
        };
        let at = Timestamp::from_seconds(now.seconds() - self.days_ago * DAY_SECONDS).unwrap();
        let group = Group {
            key: CounterKey(vec![self.entity.to_owned(), "orders".to_owned()]),
            segment: Segment::containing(at),
            event_hour: None,
            effects: self.amounts.iter().enumerate().map(effect).collect(),
        };
        pages(&[group], 1, 8)
    }
}

/// The ledger table, for pages that no function appends.
pub struct Ledger {
    table: LedgerTable,
    clock: Clock,
}

impl Ledger {
    pub fn new(http: SharedHttpClient, clock: Clock) -> Ledger {
        Ledger { table: ledger_in(in_process::clients(http).dynamodb, LEDGER), clock }
    }

    /// Puts the pages of these orders soon.
    pub fn put(&self, orders: &Orders<'_>) {
        for page in orders.pages(self.clock.now()) {
            let table = self.table.clone();
            tokio::spawn(async move { table.put_page(&page, &PageKind::Usage, None).await.unwrap() });
        }
    }
}
