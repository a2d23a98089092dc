//! Opens the services that commands work on, embedded or already running, and for a pipeline its tables, bucket and handler.

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use laptop::emulators::{Ports, Services, ensure_bucket, ensure_tables, http_client, sdk_config, table_specs};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::{ArchivePlace, Tables};
use usage_aggregator::handler::{Handler, folder};
use usage_aggregator::ledger::LedgerTable;

use crate::shell::console;
use crate::shell::folder::Folder;
use crate::shell::options::{Endpoint, Options};
use crate::shell::pipeline_choice::Variables;
use crate::shell::running::Running;

/// The services a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uses {
    /// All services.
    Everything,
    /// DynamoDB.
    Tables,
    /// S3.
    Objects,
}

/// What to do with the data of earlier commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Keep it.
    Continue,
    /// Delete it.
    Fresh,
}

/// The services of a command. Embedded ones stop when this is dropped.
pub struct Workplace {
    /// The clients that the function uses.
    pub clients: Clients,
    /// How to make further clients.
    pub connections: Connections,
    dynamodb: Endpoint,
    s3: Endpoint,
    cloudwatch: Endpoint,
    // Fields are dropped in this order: the services stop before the lock is released.
    services: Option<Services>,
    _folder: Option<Folder>,
}

/// The function with one pipeline, and where it writes.
pub struct Site {
    /// The function.
    pub handler: Handler,
    /// Its tables, if the pipeline counts.
    pub tables: Option<Tables>,
    /// Its archive, if the pipeline archives.
    pub archive: Option<ArchivePlace>,
    /// Its ledger, if the pipeline counts.
    pub ledger: Option<LedgerTable>,
}

impl Workplace {
    /// Starts the embedded services, unless the command uses running ones only.
    pub async fn open(options: &Options, uses: Uses, start: Start) -> anyhow::Result<Workplace> {
        Workplace::open_on(options, uses, start, Ports::default()).await
    }

    /// Like [`Workplace::open`], on given ports.
    pub async fn open_on(options: &Options, uses: Uses, start: Start, ports: Ports) -> anyhow::Result<Workplace> {
        let (dynamodb, s3, cloudwatch) = (options.dynamodb()?, options.s3()?, options.cloudwatch()?);
        let eventbridge = options.eventbridge()?;
        let embedded = match uses {
            Uses::Everything => dynamodb == Endpoint::Embedded || s3 == Endpoint::Embedded,
            Uses::Tables => dynamodb == Endpoint::Embedded,
            Uses::Objects => s3 == Endpoint::Embedded,
        };
        if start == Start::Fresh && !embedded {
            bail!(not_fresh(options));
        }
        let folder = if embedded { Some(Folder::lock(&options.data)?) } else { None };
        if let (Some(folder), Start::Fresh) = (&folder, start) {
            folder.clear()?;
        }
        let services = match &folder {
            Some(folder) => Some(start_services(folder, ports)?),
            None => None,
        };
        let connections = Connections::new(services.as_ref(), [&dynamodb, &s3, &cloudwatch, &eventbridge]).await;
        let clients = connections.clients();
        Ok(Workplace { clients, connections, dynamodb, s3, cloudwatch, services, _folder: folder })
    }

    /// Opens the services of earlier commands, and fails instead of creating a data folder.
    pub async fn open_existing(options: &Options, uses: Uses) -> anyhow::Result<Workplace> {
        let endpoint = match uses {
            Uses::Objects => options.s3()?,
            Uses::Everything | Uses::Tables => options.dynamodb()?,
        };
        if endpoint == Endpoint::Embedded && !options.data.exists() {
            let data = options.data.display();
            bail!("there is no data folder {data} yet: invoke an event first, or set --data DIR or an endpoint");
        }
        Workplace::open(options, uses, Start::Continue).await
    }

    /// Starts the embedded services on these ports, and ignores the endpoints in the options.
    pub async fn serve(options: &Options, ports: Ports) -> anyhow::Result<Workplace> {
        let folder = Folder::lock(&options.data)?;
        let services = Some(start_services(&folder, ports)?);
        let embedded = || Endpoint::Embedded;
        let connections =
            Connections::new(services.as_ref(), [&embedded(), &embedded(), &embedded(), &embedded()]).await;
        let clients = connections.clients();
        let (dynamodb, s3, cloudwatch) = (embedded(), embedded(), embedded());
        Ok(Workplace { clients, connections, dynamodb, s3, cloudwatch, services, _folder: Some(folder) })
    }

    /// The embedded services, if this process runs them.
    pub fn services(&self) -> Option<&Services> {
        self.services.as_ref()
    }

    /// The handler of a pipeline. Missing tables and buckets are created, except on another machine.
    pub async fn site(&self, variables: Variables) -> anyhow::Result<Site> {
        let config = variables.with_metrics_sink(self.metrics_sink()).config()?;
        if !matches!(self.dynamodb, Endpoint::Remote(_)) {
            let hint = || format!("prepare the tables in {}", shown(&self.dynamodb));
            ensure_tables(&self.clients.dynamodb, &table_specs(&config)).await.with_context(hint)?;
        }
        if let (Some(place), false) = (&config.archive, matches!(self.s3, Endpoint::Remote(_))) {
            let hint = || format!("prepare the bucket in {}", shown(&self.s3));
            ensure_bucket(&self.clients.s3, &place.bucket).await.with_context(hint)?;
        }
        let (tables, archive) = (config.tables.clone(), config.archive.clone());
        let ledger = folder(&config, &self.clients.dynamodb).map(|folder| folder.ledger);
        Ok(Site { handler: Handler::new(config, self.clients.clone()), tables, archive, ledger })
    }

    /// The metrics sink that works with these services.
    pub fn metrics_sink(&self) -> &'static str {
        match (&self.cloudwatch, &self.services) {
            (Endpoint::Embedded, None) => "none",
            _ => "cloudwatch",
        }
    }

    /// Where the metrics went, if this process can't show them.
    pub fn metrics_note(&self) -> Option<String> {
        match (&self.cloudwatch, &self.services) {
            (Endpoint::Embedded, None) => Some("not sent: running services need --cloudwatch-endpoint".to_owned()),
            (Endpoint::Embedded, Some(_)) => None,
            (Endpoint::Loopback(url) | Endpoint::Remote(url), _) => Some(format!("sent to {url}")),
        }
    }
}

/// Why the data can't be deleted first: the services are those of another process.
fn not_fresh(options: &Options) -> console::UsageError {
    let joined = |running: &Running| options.dynamodb_endpoint.as_ref() == Some(&running.dynamodb);
    let message = match Running::read(&options.data).filter(joined) {
        Some(running) => {
            let command = if running.control.is_some() { "local" } else { "serve" };
            let data = options.data.display();
            format!("--fresh: `usagectl {command}` is running in {data}; stop it first, or use another --data DIR")
        }
        None => "--fresh clears the embedded services, but this command uses none".to_owned(),
    };
    console::UsageError(message)
}

/// A client for the Kinesis that the options name.
///
/// # Errors
/// If they name none: an embedded Kinesis would stop with the command.
pub async fn kinesis_client(options: &Options) -> anyhow::Result<aws_sdk_kinesis::Client> {
    let (config, url) = match options.kinesis()? {
        Endpoint::Embedded => {
            let remedy = "start `usagectl local` first, or set --kinesis-endpoint URL";
            bail!(console::UsageError(format!("no Kinesis is running: {remedy}")));
        }
        Endpoint::Remote(url) => {
            (aws_config::defaults(BehaviorVersion::latest()).http_client(https()).load().await, url)
        }
        Endpoint::Loopback(url) if url.starts_with("https") => (sdk_config(Some(https())), url),
        Endpoint::Loopback(url) => (sdk_config(None), url),
    };
    Ok(aws_sdk_kinesis::Client::new(&config.into_builder().endpoint_url(url).build()))
}

/// A client for the endpoint in a queue's URL.
pub fn queue_client(url: &str) -> anyhow::Result<aws_sdk_sqs::Client> {
    let uri: axum::http::Uri = url.parse().with_context(|| format!("`{url}` is not a valid queue URL"))?;
    let (scheme, authority) = uri.scheme_str().zip(uri.authority()).context("the queue URL has no host")?;
    let config = aws_sdk_sqs::config::Builder::from(&sdk_config(None)).endpoint_url(format!("{scheme}://{authority}"));
    Ok(aws_sdk_sqs::Client::from_conf(config.build()))
}

fn start_services(folder: &Folder, ports: Ports) -> anyhow::Result<Services> {
    Services::start_on(Some(folder.path()), ports).context("start the embedded services")
}

fn shown(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Embedded => "the data folder".to_owned(),
        Endpoint::Loopback(url) | Endpoint::Remote(url) => {
            format!("{url} (is it running? it was set by an --…-endpoint option or AWS_ENDPOINT_URL_…)")
        }
    }
}

/// How to reach each service.
#[derive(Debug, Clone)]
pub struct Connections {
    /// The HTTP client that all of them share.
    pub http: SharedHttpClient,
    dynamodb: SdkConfig,
    s3: SdkConfig,
    cloudwatch: SdkConfig,
    eventbridge: SdkConfig,
}

impl Connections {
    async fn new(services: Option<&Services>, endpoints: [&Endpoint; 4]) -> Connections {
        let secure = |endpoint: &&Endpoint| match endpoint {
            Endpoint::Embedded => false,
            Endpoint::Loopback(url) => url.starts_with("https"),
            Endpoint::Remote(_) => true,
        };
        let http = if endpoints.iter().any(secure) { https() } else { http_client() };
        let local = sdk_config(Some(http.clone()));
        let remote = if endpoints.iter().any(|endpoint| matches!(endpoint, Endpoint::Remote(_))) {
            Some(aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone()).load().await)
        } else {
            None
        };
        let config = |endpoint: &Endpoint, embedded: fn(&Services) -> &str| -> SdkConfig {
            match (endpoint, services, &remote) {
                (Endpoint::Embedded, Some(services), _) => local.to_builder().endpoint_url(embedded(services)).build(),
                (Endpoint::Embedded, None, _) => local.clone(),
                (Endpoint::Remote(url), _, Some(remote)) => remote.to_builder().endpoint_url(url).build(),
                (Endpoint::Loopback(url) | Endpoint::Remote(url), _, _) => local.to_builder().endpoint_url(url).build(),
            }
        };
        let [dynamodb, s3, cloudwatch, eventbridge] = endpoints;
        Connections {
            dynamodb: config(dynamodb, Services::dynamodb_url),
            s3: config(s3, Services::s3_url),
            cloudwatch: config(cloudwatch, Services::cloudwatch_url),
            eventbridge: config(eventbridge, Services::eventbridge_url),
            http,
        }
    }

    /// The same services, reached through another HTTP client.
    #[must_use]
    pub fn through(&self, http: &SharedHttpClient) -> Connections {
        let through = |config: &SdkConfig| config.to_builder().http_client(http.clone()).build();
        Connections {
            http: http.clone(),
            dynamodb: through(&self.dynamodb),
            s3: through(&self.s3),
            cloudwatch: through(&self.cloudwatch),
            eventbridge: through(&self.eventbridge),
        }
    }

    /// Clients for the services.
    pub fn clients(&self) -> Clients {
        let s3 = aws_sdk_s3::config::Builder::from(&self.s3).force_path_style(true).build();
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::new(&self.dynamodb),
            s3: aws_sdk_s3::Client::from_conf(s3),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&self.cloudwatch),
            eventbridge: aws_sdk_eventbridge::Client::new(&self.eventbridge),
            // Nothing embedded stands for SNS.
            ..Clients::new(&self.eventbridge)
        }
    }

    /// A client for DynamoDB Streams, at DynamoDB's endpoint.
    pub fn streams(&self) -> aws_sdk_dynamodbstreams::Client {
        aws_sdk_dynamodbstreams::Client::new(&self.dynamodb)
    }
}

/// An HTTP client with TLS.
pub fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}
