//! An HTTP client without a network: every write of an append succeeds immediately, and every target of an indicator exists and has
//! no items. It is for timing the function itself, including the SDK's work on requests and responses.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;

use super::faults::{Call, Service};
use super::sdk_config;
use usage_aggregator::clients::Clients;

/// Clients whose calls are answered immediately: every page is put, every object is new, every target is written.
pub fn instant_clients() -> Clients {
    Clients::new(&sdk_config(Some(SharedHttpClient::new(InstantHttp))))
}

#[derive(Debug, Clone)]
struct InstantHttp;

impl HttpClient for InstantHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InstantHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(answer(&Call::of(&request, 1)))
    }
}

fn answer(call: &Call) -> Result<HttpResponse, ConnectorError> {
    let body = match (call.service, call.operation.as_str()) {
        (Service::DynamoDb, "PutItem" | "UpdateItem") => "{}",
        (Service::DynamoDb, "GetItem") => r#"{"Item":{}}"#,
        (Service::DynamoDb, "Query") => r#"{"Items":[],"Count":0}"#,
        (Service::S3, "PutObject") => "",
        (service, operation) => {
            let message =
                format!("the instant client supports the function's calls only, not {operation} of {service:?}");
            return Err(ConnectorError::user(message.into()));
        }
    };
    let status = StatusCode::try_from(200).map_err(|error| ConnectorError::other(error.into(), None))?;
    Ok(HttpResponse::new(status, body.into()))
}
