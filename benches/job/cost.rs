//! What a batch costs in DynamoDB and S3: appending it, and folding it alone, without a batching window, against the embedded
//! services, in the capacity that DynamoDB reports for each call. For comparison, the usual design is executed too: one
//! UpdateItem per delta and window.

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{
    ConsumedUnits, Services, TableSpec, Units, ensure_bucket, ensure_tables, sdk_config, table_specs,
};
use tokio::runtime::Runtime;
use usage_aggregator::clients::Clients;
use usage_aggregator::config::Config;
use usage_aggregator::handler::Handler;
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::plan::Plan;

use crate::jobs;
use crate::workloads::Workload;

/// What one batch consumed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Write units of appending the batch.
    pub append_units: f64,
    /// Write units of appending the batch and folding it.
    pub write_units: f64,
    /// Read units of folding it.
    pub read_units: f64,
    pub puts: usize,
    /// Write units of one UpdateItem per delta and window.
    pub one_by_one: f64,
}

/// The embedded services, with a DynamoDB that reports the capacity each call consumes.
pub struct Till {
    runtime: Runtime,
    services: Services,
    units: ConsumedUnits,
}

impl Till {
    pub fn open() -> Till {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Till { runtime, services: Services::start(None).expect("embedded services"), units: ConsumedUnits::default() }
    }

    /// Handles a batch, then writes the same deltas one by one to separate tables.
    pub fn bill(&self, workload: Workload, event: &[u8], name: &str) -> Cost {
        self.runtime.block_on(async {
            let clients = self.clients();
            let (append_units, _, _) = self.append(workload, event, &format!("{name}-stream"), "stream").await;
            let (write_units, read_units, puts) = self.append(workload, event, name, "now").await;
            let pipeline = workload.pipeline();
            let one_by_one = self.one_by_one(&clients.dynamodb, &jobs::plan(event, &pipeline), &pipeline, name).await;
            Cost { append_units, write_units, read_units, puts, one_by_one }
        })
    }

    /// Appends a batch to new tables, and with the freshness `now` folds it. Returns write units, read units and PUTs.
    async fn append(&self, workload: Workload, event: &[u8], name: &str, freshness: &str) -> (f64, f64, usize) {
        let config = jobs::config(workload, name, freshness);
        let handler = self.handler(config, self.clients()).await;
        self.units.take();
        let outcome = handler.append(event, &jobs::invocation()).await.expect("an outcome");
        assert_eq!(outcome.durable, outcome.records, "{:?}", outcome.rejected);
        let Units { write, read } = self.units.take();
        (write, read, outcome.files.len())
    }

    fn clients(&self) -> Clients {
        let config = sdk_config(None);
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(self.services.dynamodb_url());
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.interceptor(self.units.clone()).build()),
            s3: self.services.s3_client(&config),
            cloudwatch: self.services.cloudwatch_client(&config),
            ..Clients::new(&config)
        }
    }

    async fn handler(&self, config: Config, clients: Clients) -> Handler {
        ensure_tables(&clients.dynamodb, &table_specs(&config)).await.expect("tables");
        ensure_bucket(&clients.s3, &config.archive.as_ref().expect("workloads archive").bucket)
            .await
            .expect("a bucket");
        Handler::new(config, clients)
    }

    async fn one_by_one(&self, client: &aws_sdk_dynamodb::Client, plan: &Plan, pipeline: &Pipeline, name: &str) -> f64 {
        let table = format!("naive-{name}");
        let spec = TableSpec { name: &table, partition_key: "pk", sort_key: None, ttl_attribute: None, stream: None };
        ensure_tables(client, &[spec]).await.expect("a table");
        self.units.take();
        let windows = &pipeline.snapshot.as_ref().expect("workloads count").windows;
        for (entity, group) in plan.groups.iter().enumerate() {
            for addition in group.effects.iter().flat_map(|effect| &effect.amounts) {
                let Some(amount) = addition.amount() else { continue };
                for window in windows {
                    let update = client.update_item().table_name(&table);
                    let update = update.key("pk", AttributeValue::S(format!("{entity}#{}", window.name())));
                    let update = update.update_expression("ADD #measure :amount");
                    let update = update.expression_attribute_names("#measure", addition.measure.to_string());
                    let amount = AttributeValue::N(amount.to_string());
                    update.expression_attribute_values(":amount", amount).send().await.expect("an update");
                }
            }
        }
        self.units.take().write
    }
}
