//! A span for each request to DynamoDB, S3 and the other services, as a child of what asked for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aws_sdk_dynamodb::operation::get_item::{GetItemError, GetItemInput};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemInput};
use aws_sdk_dynamodb::operation::query::{QueryError, QueryInput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsInput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemInput};
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectInput};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, Error,
    FinalizerInterceptorContextRef, Input,
};
use aws_smithy_runtime_api::client::orchestrator::{Metadata, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute as name;

use crate::backoff;

/// Errors that are part of the protocol: another delivery was faster.
const EXPECTED: [&str; 4] =
    ["ConditionalCheckFailedException", "PreconditionFailed", "TransactionCanceledException", "412"];

/// The attribute that names an expected error. One with an `error.type` has failed.
const EXPECTED_ERROR: &str = "usage_aggregator.expected_error";
/// The headers with the ID of a request, and the attributes for it.
const REQUEST_IDS: [(&str, &str); 4] = [
    ("x-amzn-requestid", name::AWS_REQUEST_ID),
    ("x-amzn-request-id", name::AWS_REQUEST_ID),
    ("x-amz-request-id", name::AWS_REQUEST_ID),
    ("x-amz-id-2", name::AWS_EXTENDED_REQUEST_ID),
];

/// Makes the spans.
#[derive(Debug)]
pub(super) struct Calls {
    pub tracer: SdkTracer,
}

/// A request that has begun.
struct Call {
    /// Has its span.
    context: Context,
    attempts: AtomicU32,
    is_done: AtomicBool,
}

impl Storable for Call {
    type Storer = StoreReplace<Self>;
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

impl Call {
    fn fail(&self, kind: String) {
        let span = self.context.span();
        if EXPECTED.contains(&kind.as_str()) {
            span.set_attribute(KeyValue::new(EXPECTED_ERROR, kind));
        } else {
            span.set_status(Status::error(""));
            span.set_attribute(KeyValue::new(name::ERROR_TYPE, kind));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // The caller gave up waiting.
        if !self.is_done.load(Ordering::Relaxed) {
            self.fail("timeout".to_owned());
        }
        self.context.span().end();
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    // Before the execution, the operation isn't known yet.
    fn read_before_serialization(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let parent = Context::current();
        // Connections that are opened during the init phase belong to no invocation.
        let Some(metadata) = config.load::<Metadata>().filter(|_| parent.has_active_span()) else { return Ok(()) };
        let (service, operation) = (metadata.service(), metadata.name());
        let mut attributes = vec![
            KeyValue::new(name::RPC_SYSTEM_NAME, "aws-api"),
            KeyValue::new(name::RPC_METHOD, format!("{service}/{operation}")),
        ];
        if service == "DynamoDB" {
            attributes.push(KeyValue::new(name::DB_SYSTEM_NAME, "aws.dynamodb"));
            attributes.push(KeyValue::new(name::DB_OPERATION_NAME, operation.to_owned()));
        }
        attributes.extend(target(context.input()));
        let builder = self.tracer.span_builder(format!("{service}.{operation}"));
        let builder = builder.with_kind(SpanKind::Client).with_attributes(attributes);
        let span = builder.start_with_context(&self.tracer, &parent);
        let call =
            Call { context: parent.with_span(span), attempts: AtomicU32::new(0), is_done: AtomicBool::new(false) };
        config.interceptor_state().store_put(call);
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(call) = config.load::<Call>() {
            call.attempts.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(call) = config.load::<Call>() else { return Ok(()) };
        let span = call.context.span();
        // The function's own loop counts its attempts, the SDK those of one call.
        let attempts = backoff::attempt().saturating_sub(1) + call.attempts.load(Ordering::Relaxed).max(1);
        span.set_attribute(KeyValue::new("usage_aggregator.attempts", i64::from(attempts)));
        if attempts > 1 {
            span.set_attribute(KeyValue::new(name::HTTP_REQUEST_RESEND_COUNT, i64::from(attempts - 1)));
        }
        let status = context.response().map(|response| response.status().as_u16());
        if let Some(response) = context.response() {
            span.set_attribute(KeyValue::new(name::HTTP_RESPONSE_STATUS_CODE, i64::from(response.status().as_u16())));
            for (header, attribute) in REQUEST_IDS {
                let id = response.headers().get(header);
                id.iter().for_each(|id| span.set_attribute(KeyValue::new(attribute, (*id).to_owned())));
            }
        }
        if let Some(Err(error)) = context.output_or_error() {
            call.fail(error_type(error, status));
        }
        call.is_done.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// What a request is about: tables, or a bucket. A key of an item or of an object may contain what is in an item.
fn target(input: &Input) -> Vec<KeyValue> {
    macro_rules! table {
        ($($input:ty),*) => {
            [$(input.downcast_ref::<$input>().and_then(|input| input.table_name())),*].into_iter().flatten().collect()
        };
    }
    if let Some(put) = input.downcast_ref::<PutObjectInput>() {
        let prefix = key_prefix(put.key().unwrap_or_default()).to_owned();
        let bucket = put.bucket().map(|bucket| KeyValue::new(name::AWS_S3_BUCKET, bucket.to_owned()));
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        return bucket
            .into_iter()
            .chain(prefix.map(|prefix| KeyValue::new("usage_aggregator.key_prefix", prefix)))
            .collect();
    }
    let mut tables: Vec<&str> = table!(GetItemInput, PutItemInput, QueryInput, UpdateItemInput);
    if let Some(transaction) = input.downcast_ref::<TransactWriteItemsInput>() {
        let puts = transaction.transact_items().iter().filter_map(|item| item.put());
        tables.extend(puts.map(|put| put.table_name()));
        tables.dedup();
    }
    if tables.is_empty() {
        return Vec::new();
    }
    let names: Vec<StringValue> = tables.iter().map(|table| StringValue::from((*table).to_owned())).collect();
    let mut attributes = vec![KeyValue::new(name::AWS_DYNAMODB_TABLE_NAMES, Value::Array(Array::String(names)))];
    if let [table] = tables.as_slice() {
        attributes.push(KeyValue::new(name::DB_COLLECTION_NAME, (*table).to_owned()));
    }
    attributes
}

/// The beginning of an object's key, up to its partition: what follows is derived from items.
fn key_prefix(key: &str) -> &str {
    let end = key.find('=').unwrap_or(key.len());
    key.get(..end).and_then(|start| start.rsplit_once('/')).map_or("", |(prefix, _)| prefix)
}

/// The type of an error: the service's code, else the status, else how the request failed.
fn error_type(error: &OrchestratorError<Error>, status: Option<u16>) -> String {
    macro_rules! code {
        ($error:expr, $($kind:ty),*) => {
            [$($error.downcast_ref::<$kind>().and_then(|error| error.code())),*].into_iter().flatten().next()
        };
    }
    let code = error.as_operation_error().and_then(|error| {
        code!(error, GetItemError, PutItemError, QueryError, TransactWriteItemsError, UpdateItemError, PutObjectError)
    });
    match (code, status) {
        (Some(code), _) => code.to_owned(),
        (None, Some(status)) if status >= 300 => status.to_string(),
        _ if error.is_timeout_error() => "timeout".to_owned(),
        _ if error.is_connector_error() => "connection".to_owned(),
        _ => "_OTHER".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::key_prefix;

    #[test]
    fn a_key_prefix_ends_before_the_partition() {
        assert_eq!(key_prefix("data/avro/order/date=2026-11-28/abc.avro"), "data/avro/order");
        assert_eq!(key_prefix("quarantine/orders/5e0c.json"), "quarantine/orders");
        assert_eq!(key_prefix("date=2026-11-28/abc.avro"), "");
        assert_eq!(key_prefix("abc"), "");
    }
}
