//! DynamoDB, S3, CloudWatch, Kinesis and EventBridge inside this process, SDK clients for them, and an HTTP client that loses requests
//! and responses. The function's code runs against them unchanged, over real HTTP.
//!
//! The tests beside each service pin the behavior that the project relies on.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use dynoxide::Database;
use kinesis::Streams;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

mod alarms;
mod clients;
mod cloudwatch;
mod consumed;
mod dynamodb;
mod embedded;
mod event_bus;
mod faults;
mod instant;
mod lambda_metrics;
mod port;
mod programs_only;
mod s3;
mod service_metrics;
mod tables;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod in_process;
pub mod kinesis;

pub use alarms::{AlarmStatus, Alarms, Severity, Stack, State, Transition};
pub use clients::{http_client, retry_config, sdk_config};
pub use cloudwatch::{DataPoint, Metrics};
pub use consumed::{ConsumedUnits, Units};
pub use embedded::EmbeddedStream;
pub use event_bus::{BusEvent, EventBus};
pub use faults::{Call, Fault, FaultPlan, FaultyHttp, Service};
pub use instant::instant_clients;
pub use lambda_metrics::{MappingMetrics, MeasuredFunction};
pub use port::unavailable;
pub use programs_only::programs_only;
pub use service_metrics::{MeasuredSource, measured_http};
pub use tables::{StreamView, TableSpec, ensure_bucket, ensure_tables, table_specs};

/// The region of the services, and of the clients made for them.
const REGION: &str = "us-east-1";
/// The account that owns everything in the services.
const ACCOUNT: &str = "000000000000";
/// The file of the events that EventBridge received, in the data folder.
pub const ALERTS: &str = "alerts.jsonl";

/// The ports of the services. 0, the default, picks a free port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    /// DynamoDB and DynamoDB Streams.
    pub dynamodb: u16,
    /// S3.
    pub s3: u16,
    /// CloudWatch.
    pub cloudwatch: u16,
    /// Kinesis.
    pub kinesis: u16,
    /// EventBridge.
    pub eventbridge: u16,
}

/// The embedded services, each on a port of the loopback interface. They stop when this is dropped.
pub struct Services {
    database: Database,
    metrics: Metrics,
    streams: Streams,
    events: EventBus,
    dynamodb_url: String,
    s3_url: String,
    cloudwatch_url: String,
    kinesis_url: String,
    eventbridge_url: String,
    // Fields are dropped in this order: the servers stop before the folder that they write to is deleted.
    _servers: Servers,
    _temporary: Option<TempDir>,
}

impl Services {
    /// Starts the services on free ports. Their data is kept in `folder`; without one, it is in memory and in a temporary
    /// folder that is deleted on drop.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn start(folder: Option<&Path>) -> anyhow::Result<Services> {
        Services::start_on(folder, Ports::default())
    }

    /// Starts the services on these ports.
    ///
    /// # Errors
    /// When the folder can't be written, or a port is in use.
    pub fn start_on(folder: Option<&Path>, ports: Ports) -> anyhow::Result<Services> {
        let (files, temporary) = match folder {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let temporary = tempfile::tempdir().context("create a temporary folder")?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let servers = Servers::new()?;
        let database = dynamodb::open(folder)?;
        let metrics = Metrics::default();
        let streams = Streams::open(&files.join("kinesis"))?;
        let events = EventBus::open(&files.join(ALERTS))?;

        let (listener, dynamodb_url) = servers.listen(ports.dynamodb, "--dynamodb-port")?;
        servers.spawn(dynamodb::serve(listener, database.clone()));
        let (listener, s3_url) = servers.listen(ports.s3, "--s3-port")?;
        servers.spawn(s3::serve(listener, s3::open(&files.join("s3"))?));
        let (listener, cloudwatch_url) = servers.listen(ports.cloudwatch, "--cloudwatch-port")?;
        servers.spawn(cloudwatch::serve(listener, metrics.clone()));
        let (listener, kinesis_url) = servers.listen(ports.kinesis, "--kinesis-port")?;
        servers.spawn(kinesis::serve(listener, streams.clone()));
        let (listener, eventbridge_url) = servers.listen(ports.eventbridge, "--eventbridge-port")?;
        servers.spawn(event_bus::serve(listener, events.clone()));

        let (_servers, _temporary) = (servers, temporary);
        Ok(Services {
            database,
            metrics,
            streams,
            events,
            dynamodb_url,
            s3_url,
            cloudwatch_url,
            kinesis_url,
            eventbridge_url,
            _servers,
            _temporary,
        })
    }

    /// The endpoint of DynamoDB and DynamoDB Streams.
    pub fn dynamodb_url(&self) -> &str {
        &self.dynamodb_url
    }

    /// The endpoint of S3, which supports only path-style addresses.
    pub fn s3_url(&self) -> &str {
        &self.s3_url
    }

    /// The endpoint of CloudWatch, which supports PutMetricData, GetMetricData and ListMetrics.
    pub fn cloudwatch_url(&self) -> &str {
        &self.cloudwatch_url
    }

    /// The endpoint of Kinesis.
    pub fn kinesis_url(&self) -> &str {
        &self.kinesis_url
    }

    /// The endpoint of EventBridge, which supports PutEvents.
    pub fn eventbridge_url(&self) -> &str {
        &self.eventbridge_url
    }

    /// The database behind the DynamoDB endpoint, for reading its streams in this process.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The streams behind the Kinesis endpoint, for reading them in this process.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The events that EventBridge received.
    pub fn events(&self) -> &EventBus {
        &self.events
    }

    /// The metrics that CloudWatch received.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// The servers' own threads: SQLite blocks the thread that calls it, which must not be the caller's.
struct Servers(Option<Runtime>);

impl Servers {
    fn new() -> anyhow::Result<Servers> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("local-services").enable_all().build();
        Ok(Servers(Some(runtime.context("start the threads of the embedded services")?)))
    }

    /// Listens on a port of the loopback interface, which an option of the tool chooses, and returns the listener and its URL.
    fn listen(&self, port: u16, option: &str) -> anyhow::Result<(TcpListener, String)> {
        // With std's listener, because the caller may be in a runtime, which mustn't block on another one.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| unavailable(error, port, option))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let _inside = self.0.as_ref().map(Runtime::enter);
        Ok((TcpListener::from_std(listener)?, url))
    }

    fn spawn(&self, server: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(server);
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let Some(runtime) = self.0.take() else { return };
        // On a thread of its own, because a runtime can't be shut down from within another. A request that has started
        // finishes; everything else is dropped, including every handle to the database.
        let shutdown = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
        if shutdown.join().is_err() {
            tracing::warn!("the embedded services did not shut down cleanly");
        }
    }
}

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod destination_tests;
#[cfg(test)]
mod tests;
