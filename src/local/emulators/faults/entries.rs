//! Throttling as EventBridge does it: by entry. The first half of a request's entries is taken, and the others fail within an
//! answer of status 200.

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use serde_json::{Value, json};

use super::answers;

/// Sends the first half of the entries, and adds the failure of the others to the answer. Of a single entry nothing is sent.
pub(super) async fn throttled(
    mut request: HttpRequest,
    inner: &SharedHttpConnector,
) -> Result<HttpResponse, ConnectorError> {
    let mut body = parsed(request.body().bytes())?;
    let refused = body.get_mut("Entries").and_then(Value::as_array_mut);
    let (taken, refused) = refused.map_or((0, 0), |entries| {
        let all = entries.len();
        entries.truncate(all / 2);
        (entries.len(), all - entries.len())
    });
    let mut answer = json!({ "FailedEntryCount": 0, "Entries": [] });
    if taken > 0 {
        let body = body.to_string();
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        let response = inner.call(request).await?;
        if !response.status().is_success() {
            return Ok(response);
        }
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
        answer = parsed(Some(&body))?;
    }
    let failure = json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "injected: Rate exceeded" });
    if let Some(entries) = answer.get_mut("Entries").and_then(Value::as_array_mut) {
        entries.extend(std::iter::repeat_n(failure, refused));
    }
    let failed = answer.get("FailedEntryCount").and_then(Value::as_u64).unwrap_or_default();
    let failed = failed.saturating_add(u64::try_from(refused).unwrap_or(u64::MAX));
    if let Some(count) = answer.get_mut("FailedEntryCount") {
        *count = failed.into();
    }
    answers::events(200, &answer)
}

fn parsed(body: Option<&[u8]>) -> Result<Value, ConnectorError> {
    serde_json::from_slice(body.unwrap_or_default()).map_err(|error| ConnectorError::user(error.into()))
}
