//! From the event to the outcome. The services give every request the same status at the HTTP connector.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

use super::*;
use crate::plan::tests::panicking_at;
use crate::record::Code;

mod alerts;
#[cfg(feature = "otel")]
mod telemetry;

/// What the services answer to an operation with this body.
type Answer = fn(&str, &str) -> String;

/// All services: their status and answers, and the URI and body of each request.
#[derive(Debug, Clone)]
struct Services {
    status: u16,
    answer: Answer,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Services {
    fn answering(status: u16) -> Services {
        Services { status, answer: |_, _| "{}".to_owned(), requests: Arc::default() }
    }

    fn client(&self) -> SharedHttpClient {
        let services = self.clone();
        http_client_fn(move |_, _| SharedHttpConnector::new(services.clone()))
    }
}

impl HttpConnector for Services {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let operation = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let answer = (self.answer)(operation.unwrap_or_default(), &body);
        self.requests.lock().unwrap().push((request.uri().to_owned(), body));
        HttpConnectorFuture::ready(Ok(HttpResponse::new(self.status.try_into().unwrap(), SdkBody::from(answer))))
    }
}

fn handler(services: &Services) -> Handler {
    handler_with(services, &[])
}

fn handler_with(services: &Services, more: &[(&'static str, &'static str)]) -> Handler {
    let variables = [
        ("PIPELINE", "orders"),
        ("USAGE_TABLE", "usage"),
        ("LEDGER_TABLE", "ledger"),
        ("ARCHIVE_BUCKET", "lake"),
        ("REJECTED_RECORDS", "quarantine"),
        ("FAILURE_BUCKET", "failures"),
        ("METRICS_SINK", "none"),
    ];
    let config = Config::read(|name| {
        variables.iter().chain(more).find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    macro_rules! client {
        ($service:ident) => {
            $service::Client::from_conf(
                $service::Config::builder()
                    .behavior_version($service::config::BehaviorVersion::latest())
                    .region($service::config::Region::new("eu-west-1"))
                    .credentials_provider($service::config::Credentials::for_tests())
                    .http_client(services.client())
                    .build(),
            )
        };
    }
    let clients = Clients {
        dynamodb: client!(aws_sdk_dynamodb),
        s3: client!(aws_sdk_s3),
        cloudwatch: client!(aws_sdk_cloudwatch),
        eventbridge: client!(aws_sdk_eventbridge),
        sns: client!(aws_sdk_sns),
    };
    Handler::new(config.unwrap(), clients)
}

#[tokio::test]
async fn a_panic_over_one_record_of_a_thousand_leaves_999_counted_and_the_sandbox_usable() {
    let event = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/events/batch-1000.json")).unwrap();
    let now = Timestamp::parse("2026-11-21T00:00:00Z").unwrap();
    let invocation = Invocation { request_id: "test".to_owned(), now, deadline: None };
    let handler = handler(&Services::answering(200));
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
    assert_eq!((after.durable, after.quarantined.len()), (1_000, 0), "the same sandbox handles the next batch");
}

/// An event with the notice of one page, of the minute 08:57 on 2026-10-01.
const TOO_OLD: &[u8] = br#"{"Records":[{"eventName":"INSERT","eventSourceARN":"arn:aws:dynamodb:eu-west-1:1:table/ledger/stream/1",
    "dynamodb":{"SequenceNumber":"7","Keys":{"pk":{"S":"p#orders#2026-10-01T08:57#3"},"sk":{"S":"00ff00ff00ff00ff"}}}}]}"#;

#[tokio::test]
async fn a_notice_that_is_too_old_is_settled_once_the_failure_bucket_names_its_page() {
    let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
    let invocation = Invocation { request_id: "test".to_owned(), now, deadline: None };
    let services = Services::answering(200);
    let Outcome::Folded(outcome) = handler(&services).handle(TOO_OLD, &invocation).await.unwrap() else {
        panic!("the event is of the ledger");
    };
    assert_eq!((outcome.notices, outcome.too_old, outcome.failed), (0, 1, None));
    let requests = services.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].0.contains("failures") && requests[0].0.contains("/notices/orders/"), "{}", requests[0].0);
    let named = r#"{"bucket":3,"minute":"2026-10-01T08:57","page":"00ff00ff00ff00ff"}"#;
    assert!(requests[0].1.contains(named), "{}", requests[0].1);

    let refused = handler(&Services::answering(403)).handle(TOO_OLD, &invocation).await;
    assert!(refused.is_err(), "Lambda delivers it again");
}

#[tokio::test]
async fn events_of_the_ledger_that_are_no_inserts_are_ignored() {
    let now = Timestamp::parse("2026-11-28T00:00:00Z").unwrap();
    let invocation = Invocation { request_id: "test".to_owned(), now, deadline: None };
    let page = ("p#orders#2026-11-27T08:57#3", "00ff00ff00ff00ff");
    // That of a page which has expired. As an INSERT, it would be too old.
    let old_page = ("p#orders#2026-10-01T08:57#3", "00ff00ff00ff00ff");
    let alert = ("a#orders#2026-11", "hash#000001");
    for (name, (key, sort_key)) in
        [("REMOVE", page), ("REMOVE", old_page), ("REMOVE", alert), ("MODIFY", page), ("MODIFY", alert)]
    {
        let event = format!(
            r#"{{"Records":[{{"eventName":"{name}","eventSourceARN":"arn:aws:dynamodb:eu-west-1:1:table/ledger/stream/1",
                "dynamodb":{{"SequenceNumber":"7","Keys":{{"pk":{{"S":"{key}"}},"sk":{{"S":"{sort_key}"}}}}}}}}]}}"#
        );
        let services = Services::answering(200);
        let Outcome::Folded(outcome) = handler(&services).handle(event.as_bytes(), &invocation).await.unwrap() else {
            panic!("the event is of the ledger");
        };
        let counted = (outcome.records, outcome.ignored, outcome.notices, outcome.too_old, outcome.alerts_failed);
        assert_eq!(counted, (1, 1, 0, 0, 0), "{name} of {key}");
        assert!(outcome.response().batch_item_failures.is_empty(), "{name} of {key}: {outcome:?}");
        assert_eq!(services.requests.lock().unwrap().len(), 0, "{name} of {key}");
    }
}
