//! DynamoDB's operations on an embedded database, from JSON to JSON.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ServiceResponse;

/// Answers the operation that `target` names, such as `DynamoDB_20120810.BatchGetItem`.
pub(super) fn answer(database: &Database, target: &str, body: &[u8]) -> ServiceResponse {
    let operation = target.rsplit('.').next().unwrap_or(target);
    let (status, body) = match perform(database, operation, body) {
        Ok(body) => (200, body),
        Err(error) => (error.status_code(), error.to_json().into_bytes()),
    };
    ServiceResponse { status, content_type: "application/x-amz-json-1.0", body }
}

fn perform(database: &Database, operation: &str, body: &[u8]) -> Result<Vec<u8>, DynoxideError> {
    match operation {
        "GetItem" => run(body, |request| database.get_item(request)),
        "PutItem" => run(body, |request| database.put_item(request)),
        "UpdateItem" => run(body, |request| database.update_item(request)),
        "Query" => run(body, |request| database.query(request)),
        "BatchGetItem" => run(body, |request| database.batch_get_item(request)),
        "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
        "CreateTable" => run(body, |request| database.create_table(request)),
        "DescribeTable" => run(body, |request| database.describe_table(request)),
        "DescribeTimeToLive" => run(body, |request| database.describe_time_to_live(request)),
        "UpdateTimeToLive" => run(body, |request| database.update_time_to_live(request)),
        "DeleteItem" => run(body, |request| database.delete_item(request)),
        "DeleteTable" => run(body, |request| database.delete_table(request)),
        "Scan" => run(body, |request| database.scan(request)),
        _ => Err(DynoxideError::UnsupportedCapability(format!(
            "the in-process DynamoDB doesn't support {operation}: use the embedded services"
        ))),
    }
}

fn run<Request: DeserializeOwned, Reply: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Reply, DynoxideError>,
) -> Result<Vec<u8>, DynoxideError> {
    let request = serde_json::from_slice(body);
    let reply = operation(request.map_err(|error| DynoxideError::SerializationException(error.to_string()))?)?;
    serde_json::to_vec(&reply).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
