//! A panic over one record, from the event to the outcome. The services accept everything at the HTTP connector.

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

use super::*;
use crate::plan::tests::panicking_at;
use crate::record::Code;

#[derive(Debug, Clone)]
struct Accepting;

impl HttpConnector for Accepting {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Ok(HttpResponse::new(200_u16.try_into().unwrap(), SdkBody::from("{}"))))
    }
}

fn accepting() -> SharedHttpClient {
    http_client_fn(|_, _| SharedHttpConnector::new(Accepting))
}

fn handler() -> Handler {
    let variables = [
        ("PIPELINE", "orders"),
        ("USAGE_TABLE", "usage"),
        ("LEDGER_TABLE", "ledger"),
        ("ARCHIVE_BUCKET", "lake"),
        ("REJECTED_RECORDS", "quarantine"),
        ("FAILURE_BUCKET", "failures"),
        ("METRICS_SINK", "none"),
    ];
    let config =
        Config::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()));
    macro_rules! client {
        ($service:ident) => {
            $service::Client::from_conf(
                $service::Config::builder()
                    .behavior_version($service::config::BehaviorVersion::latest())
                    .region($service::config::Region::new("eu-west-1"))
                    .credentials_provider($service::config::Credentials::for_tests())
                    .http_client(accepting())
                    .build(),
            )
        };
    }
    let clients = Clients {
        dynamodb: client!(aws_sdk_dynamodb),
        s3: client!(aws_sdk_s3),
        cloudwatch: client!(aws_sdk_cloudwatch),
    };
    Handler::new(config.unwrap(), clients)
}

#[tokio::test]
async fn a_panic_over_one_record_of_a_thousand_leaves_999_counted_and_the_sandbox_usable() {
    let event = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/events/batch-1000.json")).unwrap();
    let now = Timestamp::parse("2026-11-21T00:00:00Z").unwrap();
    let invocation = Invocation { request_id: "test".to_owned(), now, deadline: None };
    let handler = handler();
    let whole = handler.append(&event, &invocation).await.unwrap();
    assert_eq!((whole.durable, whole.tally.effective.len(), whole.quarantined.len()), (1_000, 1_000, 0));

    let sequence = Event::read(&event).unwrap().records()[500].sequence.to_string();
    let outcome = panicking_at(std::slice::from_ref(&sequence), handler.append(&event, &invocation)).await.unwrap();
    assert_eq!((outcome.durable, outcome.tally.effective.len(), outcome.rejected.len()), (1_000, 999, 0));
    assert_eq!(outcome.quarantined.len(), 1);
    assert_eq!(
        (outcome.quarantined[0].sequence.as_str(), outcome.quarantined[0].fault.code),
        (&*sequence, Code::Panicked)
    );
    assert!(outcome.response().batch_item_failures.is_empty());

    let after = handler.append(&event, &invocation).await.unwrap();
    assert_eq!((after.durable, after.quarantined.len()), (1_000, 0), "the same sandbox goes on");
}
