//! Opens what commands work on: embedded services in a folder, or running ones; then, for a pipeline, its tables and
//! bucket and the function's own handler.

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use laptop::emulators::{Ports, Services, ensure_bucket, ensure_tables, http_client, sdk_config, table_specs};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::{ArchivePlace, Tables};
use usage_aggregator::handler::Handler;

use crate::shell::console;
use crate::shell::folder::Folder;
use crate::shell::options::{Endpoint, Options};
use crate::shell::pipeline_choice::Variables;

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uses {
    Everything,
    Tables,
    Objects,
}

/// What becomes of the embedded services' data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Continue,
    Fresh,
}

/// The services of a command, until this is dropped.
pub struct Workplace {
    pub clients: Clients,
    /// For clients of one's own.
    pub connections: Connections,
    dynamodb: Endpoint,
    s3: Endpoint,
    cloudwatch: Endpoint,
    // Fields drop in this order: the services end before the folder's lock does.
    services: Option<Services>,
    _folder: Option<Folder>,
}

/// The function with one pipeline, and where its effects are.
pub struct Site {
    pub handler: Handler,
    pub tables: Option<Tables>,
    pub archive: Option<ArchivePlace>,
}

impl Workplace {
    /// Starts the embedded services, unless all that the command needs is running elsewhere.
    pub async fn open(options: &Options, uses: Uses, start: Start) -> anyhow::Result<Workplace> {
        Workplace::open_on(options, uses, start, Ports::default()).await
    }

    /// The same on chosen ports.
    pub async fn open_on(options: &Options, uses: Uses, start: Start, ports: Ports) -> anyhow::Result<Workplace> {
        let (dynamodb, s3, cloudwatch) = (options.dynamodb()?, options.s3()?, options.cloudwatch()?);
        let embedded = match uses {
            Uses::Everything => dynamodb == Endpoint::Embedded || s3 == Endpoint::Embedded,
            Uses::Tables => dynamodb == Endpoint::Embedded,
            Uses::Objects => s3 == Endpoint::Embedded,
        };
        if start == Start::Fresh && !embedded {
            bail!(console::UsageError("--fresh is for the embedded services, and none is used here".to_owned()));
        }
        let folder = if embedded { Some(Folder::lock(&options.data)?) } else { None };
        if let (Some(folder), Start::Fresh) = (&folder, start) {
            folder.clear()?;
        }
        let services = match &folder {
            Some(folder) => Some(start_services(folder, ports)?),
            None => None,
        };
        let connections = Connections::new(services.as_ref(), [&dynamodb, &s3, &cloudwatch]).await;
        let clients = connections.clients();
        Ok(Workplace { clients, connections, dynamodb, s3, cloudwatch, services, _folder: folder })
    }

    /// Opens what earlier commands have made, without making a folder where there is none.
    pub async fn open_existing(options: &Options, uses: Uses) -> anyhow::Result<Workplace> {
        let endpoint = match uses {
            Uses::Objects => options.s3()?,
            Uses::Everything | Uses::Tables => options.dynamodb()?,
        };
        if endpoint == Endpoint::Embedded && !options.data.exists() {
            let data = options.data.display();
            bail!("there is no data folder {data} yet: invoke an event first, or give --data DIR or an endpoint");
        }
        Workplace::open(options, uses, Start::Continue).await
    }

    /// Starts the embedded services on these ports, whatever endpoints the options name.
    pub async fn serve(options: &Options, ports: Ports) -> anyhow::Result<Workplace> {
        let folder = Folder::lock(&options.data)?;
        let services = Some(start_services(&folder, ports)?);
        let embedded = || Endpoint::Embedded;
        let connections = Connections::new(services.as_ref(), [&embedded(), &embedded(), &embedded()]).await;
        let clients = connections.clients();
        let (dynamodb, s3, cloudwatch) = (embedded(), embedded(), embedded());
        Ok(Workplace { clients, connections, dynamodb, s3, cloudwatch, services, _folder: Some(folder) })
    }

    /// The embedded services.
    pub fn services(&self) -> Option<&Services> {
        self.services.as_ref()
    }

    /// The handler of a pipeline, its tables and bucket created unless they are another machine's.
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
        Ok(Site { handler: Handler::new(config, self.clients.clone()), tables, archive })
    }

    /// The metrics' sink that there is.
    pub fn metrics_sink(&self) -> &'static str {
        match (&self.cloudwatch, &self.services) {
            (Endpoint::Embedded, None) => "none",
            _ => "cloudwatch",
        }
    }

    /// Where metrics went, if they can't be shown.
    pub fn metrics_note(&self) -> Option<String> {
        match (&self.cloudwatch, &self.services) {
            (Endpoint::Embedded, None) => {
                Some("none are sent to running services without --cloudwatch-endpoint".to_owned())
            }
            (Endpoint::Embedded, Some(_)) => None,
            (Endpoint::Loopback(url) | Endpoint::Remote(url), _) => Some(format!("sent to {url}")),
        }
    }
}

/// A client of the Kinesis that is running somewhere.
pub async fn kinesis_client(options: &Options) -> anyhow::Result<aws_sdk_kinesis::Client> {
    let (config, url) = match options.kinesis()? {
        Endpoint::Embedded => {
            let remedy = "start `usagectl local` first and give its --kinesis-endpoint URL";
            bail!(console::UsageError(format!("there is no Kinesis to write to: {remedy}")));
        }
        Endpoint::Remote(url) => {
            (aws_config::defaults(BehaviorVersion::latest()).http_client(https()).load().await, url)
        }
        Endpoint::Loopback(url) if url.starts_with("https") => (sdk_config(Some(https())), url),
        Endpoint::Loopback(url) => (sdk_config(None), url),
    };
    Ok(aws_sdk_kinesis::Client::new(&config.into_builder().endpoint_url(url).build()))
}

/// A client of the endpoint that a queue's URL is of.
pub fn queue_client(url: &str) -> anyhow::Result<aws_sdk_sqs::Client> {
    let uri: axum::http::Uri = url.parse().with_context(|| format!("{url} is no URL of a queue"))?;
    let (scheme, authority) = uri.scheme_str().zip(uri.authority()).context("the queue's URL names no host")?;
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
            format!("{url} (is it running? it comes from an --…-endpoint option or AWS_ENDPOINT_URL_…)")
        }
    }
}

/// How each service is reached.
#[derive(Debug, Clone)]
pub struct Connections {
    /// One HTTP client, with its connections, for all of them.
    pub http: SharedHttpClient,
    dynamodb: SdkConfig,
    s3: SdkConfig,
    cloudwatch: SdkConfig,
}

impl Connections {
    async fn new(services: Option<&Services>, endpoints: [&Endpoint; 3]) -> Connections {
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
        let [dynamodb, s3, cloudwatch] = endpoints;
        Connections {
            dynamodb: config(dynamodb, Services::dynamodb_url),
            s3: config(s3, Services::s3_url),
            cloudwatch: config(cloudwatch, Services::cloudwatch_url),
            http,
        }
    }

    /// The same by way of another HTTP client.
    #[must_use]
    pub fn through(&self, http: &SharedHttpClient) -> Connections {
        let through = |config: &SdkConfig| config.to_builder().http_client(http.clone()).build();
        let (dynamodb, s3, cloudwatch) = (through(&self.dynamodb), through(&self.s3), through(&self.cloudwatch));
        Connections { http: http.clone(), dynamodb, s3, cloudwatch }
    }

    /// Clients of the services.
    pub fn clients(&self) -> Clients {
        let s3 = aws_sdk_s3::config::Builder::from(&self.s3).force_path_style(true).build();
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::new(&self.dynamodb),
            s3: aws_sdk_s3::Client::from_conf(s3),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&self.cloudwatch),
        }
    }

    /// A client of DynamoDB's streams, which are where the tables are.
    pub fn streams(&self) -> aws_sdk_dynamodbstreams::Client {
        aws_sdk_dynamodbstreams::Client::new(&self.dynamodb)
    }
}

/// An HTTP client for services elsewhere.
pub fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}
