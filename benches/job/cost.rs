//! What a batch costs in DynamoDB and S3: the handler's writes, reads and PUTs against the embedded services, in the capacity
//! that DynamoDB reports for each call. For comparison, the usual design is executed too: one UpdateItem per delta and window.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use laptop::emulators::{Services, TableSpec, ensure_bucket, ensure_tables, sdk_config, table_specs};
use tokio::runtime::Runtime;
use usage_aggregator::clients::Clients;
use usage_aggregator::handler::Handler;
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::plan::Plan;

use crate::jobs;
use crate::workloads::Workload;

/// What one batch consumed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    pub write_units: f64,
    pub read_units: f64,
    pub puts: usize,
    /// Write units of one UpdateItem per delta and window.
    pub one_by_one: f64,
}

/// The embedded services, with a DynamoDB that reports the capacity each call consumes.
pub struct Till {
    runtime: Runtime,
    services: Services,
    units: Units,
}

impl Till {
    pub fn open() -> Till {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Till { runtime, services: Services::start(None).expect("embedded services"), units: Units::default() }
    }

    /// Handles a batch, then writes the same deltas one by one to separate tables.
    pub fn bill(&self, workload: Workload, event: &[u8], name: &str) -> Cost {
        self.runtime.block_on(async {
            let clients = self.clients();
            let handler = self.handler(workload, clients.clone(), name).await;
            self.units.take();
            let outcome = handler.handle(event, &jobs::invocation()).await.expect("an outcome");
            assert_eq!(outcome.applied, outcome.records, "{:?}", outcome.rejected);
            let [write_units, read_units] = self.units.take();
            let pipeline = workload.pipeline();
            let one_by_one = self.one_by_one(&clients.dynamodb, &jobs::plan(event, &pipeline), &pipeline, name).await;
            Cost { write_units, read_units, puts: outcome.files.len(), one_by_one }
        })
    }

    fn clients(&self) -> Clients {
        let config = sdk_config(None);
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(self.services.dynamodb_url());
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.interceptor(self.units.clone()).build()),
            s3: self.services.s3_client(&config),
            cloudwatch: self.services.cloudwatch_client(&config),
        }
    }

    async fn handler(&self, workload: Workload, clients: Clients, name: &str) -> Handler {
        let config = jobs::config(workload, name);
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
            for (measure, amount) in group.effects.iter().flat_map(|effect| &effect.amounts) {
                for window in windows {
                    let update = client.update_item().table_name(&table);
                    let update = update.key("pk", AttributeValue::S(format!("{entity}#{}", window.name())));
                    let update = update.update_expression("ADD #measure :amount");
                    let update = update.expression_attribute_names("#measure", measure.to_string());
                    let amount = AttributeValue::N(amount.to_string());
                    update.expression_attribute_values(":amount", amount).send().await.expect("an update");
                }
            }
        }
        let [write_units, _] = self.units.take();
        write_units
    }
}

/// Write and read units so far. Requests the consumed capacity of every call.
#[derive(Debug, Clone, Default)]
struct Units(Arc<Mutex<[f64; 2]>>);

impl Units {
    fn take(&self) -> [f64; 2] {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn add(&self, kind: usize, consumed: &[ConsumedCapacity]) {
        assert!(!consumed.is_empty(), "DynamoDB doesn't say what a call consumed");
        self.0.lock().unwrap()[kind] += consumed.iter().filter_map(ConsumedCapacity::capacity_units).sum::<f64>();
    }
}

impl Intercept for Units {
    fn name(&self) -> &'static str {
        "units"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (input, total) = (context.input_mut(), Some(ReturnConsumedCapacity::Total));
        if let Some(input) = input.downcast_mut::<TransactWriteItemsInput>() {
            input.return_consumed_capacity = total;
        } else if let Some(input) = input.downcast_mut::<BatchGetItemInput>() {
            input.return_consumed_capacity = total;
        } else if let Some(input) = input.downcast_mut::<UpdateItemInput>() {
            input.return_consumed_capacity = total;
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(output) = context.output_or_error() else { return Ok(()) };
        if let Some(output) = output.downcast_ref::<TransactWriteItemsOutput>() {
            self.add(0, output.consumed_capacity());
        } else if let Some(output) = output.downcast_ref::<BatchGetItemOutput>() {
            self.add(1, output.consumed_capacity());
        } else if let Some(output) = output.downcast_ref::<UpdateItemOutput>() {
            self.add(0, output.consumed_capacity().map(std::slice::from_ref).unwrap_or_default());
        }
        Ok(())
    }
}
