//! The function with telemetry, on services in this process, which need no sockets: the only connections are the exports'.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use dynoxide::Database;
use laptop::emulators::in_process::{self, Objects};
use laptop::emulators::{FaultPlan, FaultyHttp};
use serde_json::json;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Level};
use usage_aggregator::config::Config;
use usage_aggregator::handler::Handler;
use usage_aggregator::logs;
use usage_aggregator::telemetry::{Settings, Telemetry};

/// tracing remembers for each place in the code whether a subscriber wants it. While the process has a single subscriber, the
/// thread that comes there first decides, and that may be one of another test, without any. This is a second one.
pub static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// A sandbox of the function. While it exists, this thread's spans and log lines go to its telemetry.
pub struct Site {
    pub handler: Handler,
    pub telemetry: Arc<Telemetry>,
    pub http: FaultyHttp,
    _collecting: DefaultGuard,
}

impl Site {
    /// A sandbox that exports to `url`, with these variables in addition to the usual ones.
    pub fn new(url: &str, more: &[(&'static str, &'static str)]) -> Site {
        let mut variables = HashMap::from([
            ("PIPELINE", "orders"),
            ("USAGE_TABLE", "usage"),
            ("LEDGER_TABLE", "ledger"),
            ("ARCHIVE_BUCKET", "archive"),
            ("ARCHIVE_CODEC", "null"),
            ("FAILURE_BUCKET", "failures"),
            ("METRICS_SINK", "none"),
            ("AWS_LAMBDA_FUNCTION_NAME", "usage-append"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
            ("AWS_REGION", "eu-central-1"),
            // No test depends on how fast this machine is.
            ("TELEMETRY_BUDGET_MS", "10000"),
            ("DEADLINE_MARGIN_MS", "20000"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
        ]);
        variables.extend(more.iter().copied());
        let value = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let telemetry = Telemetry::new(Settings::read(value).unwrap().unwrap()).unwrap();
        LazyLock::force(&SECOND);
        let collecting =
            tracing::subscriber::set_default(logs::observed(Level::INFO, std::io::sink, telemetry.layers()));
        let http = FaultyHttp::new(services(), FaultPlan::none());
        let clients = in_process::clients(http.client());
        let config = Config::read(value).unwrap();
        let handler = Handler::with_telemetry(config, clients, Some(telemetry.clone()));
        Site { handler, telemetry, http, _collecting: collecting }
    }
}

fn services() -> aws_sdk_dynamodb::config::SharedHttpClient {
    let (database, objects) = (Database::memory().unwrap(), Objects::default());
    for table in ["usage", "ledger"] {
        let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
        let request = json!({
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [attribute("pk"), attribute("sk")],
            "KeySchema": [
                { "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" },
            ],
        });
        database.create_table(serde_json::from_value(request).unwrap()).unwrap();
    }
    ["archive", "failures"].iter().for_each(|bucket| objects.create_bucket(bucket));
    in_process::client(database, objects)
}
