//! How putting a file reacts to responses. They are scripted at the HTTP connector, where a real response would get
//! lost.

use std::time::Duration;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ErrorMetadata;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

use aws_sdk_s3::primitives::SdkBody;

use super::*;
use crate::archive::AvroFile;
use crate::time::Timestamp;

/// Gives one response after the other, repeats the last one, and records the requests. Status 0 means no response at
/// all.
#[derive(Debug, Clone)]
struct Script {
    responses: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.requests.lock().unwrap().push(request);
        let mut responses = self.responses.lock().unwrap();
        let (status, code) = if responses.len() > 1 { responses.pop_front().unwrap() } else { responses[0] };
        if status == 0 {
            return HttpConnectorFuture::new(std::future::pending());
        }
        let body = if code.is_empty() { String::new() } else { format!("<Error><Code>{code}</Code></Error>") };
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))))
    }
}

fn file() -> AvroFile {
    AvroFile {
        key: "prefix/avro/order/partition_date=2026-09-17/00.avro".to_owned(),
        body: b"Obj".as_slice().into(),
        records: vec![0],
        record_type: "order".to_owned(),
        date: Timestamp::parse("2026-09-17").unwrap().date(),
    }
}

async fn put(responses: &[(u16, &'static str)], deadline: Option<Duration>) -> (Result<Put, Error>, Vec<HttpRequest>) {
    let script = Script { responses: Arc::new(Mutex::new(responses.to_vec().into())), requests: Arc::default() };
    let connector = script.clone();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::for_tests())
        .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(connector.clone())))
        .build();
    let bucket = Bucket::new(Client::from_conf(config), "archive", 2);
    let deadline = deadline.map(|deadline| Instant::now() + deadline);
    let mut results = bucket.put_all(&[file().object()], deadline).await;
    (results.remove(0), script.requests.lock().unwrap().drain(..).collect())
}

#[tokio::test]
async fn a_file_is_put_on_the_condition_that_it_does_not_exist() {
    let (result, requests) = put(&[(200, "")], None).await;
    assert_eq!(result.unwrap(), Put::Created);
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.method(), "PUT");
    assert_eq!(request.headers().get("if-none-match"), Some("*"));
    assert_eq!(request.headers().get("content-type"), Some("avro/binary"));
    assert!(request.uri().contains("/prefix/avro/order/partition_date%3D2026-09-17/"), "{}", request.uri());
}

#[tokio::test]
async fn a_failed_condition_is_success() {
    for responses in
        [vec![(412, "PreconditionFailed")], vec![(412, "")], vec![(503, "SlowDown"), (412, "PreconditionFailed")]]
    {
        assert_eq!(put(&responses, None).await.0.unwrap(), Put::AlreadyThere, "{responses:?}");
    }
}

#[tokio::test]
async fn transient_errors_are_retried_with_the_same_content() {
    let responses = [(500, "InternalError"), (409, "ConditionalRequestConflict"), (503, ""), (200, "")];
    let (result, requests) = put(&responses, Some(Duration::from_secs(60))).await;
    assert_eq!((result.unwrap(), requests.len()), (Put::Created, 4));
    let bodies: Vec<_> = requests.iter().map(|request| request.body().content_length()).collect();
    assert!(bodies == [Some(3); 4], "{bodies:?}");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_repeated_until_the_deadline() {
    let (result, requests) = put(&[(503, "SlowDown")], Some(Duration::from_millis(500))).await;
    assert_eq!(result.unwrap_err().kind, ErrorKind::Transient);
    assert!(requests.len() > 1);
    let (result, requests) = put(&[(503, "SlowDown")], Some(Duration::ZERO)).await;
    assert_eq!((result.unwrap_err().kind, requests.len()), (ErrorKind::Transient, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_request_ends_at_the_deadline() {
    let start = Instant::now();
    let error = put(&[(0, "")], Some(Duration::from_secs(5))).await.0.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(error.message.contains("put s3://archive/prefix/avro/order/"), "{error}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn configuration_errors_are_not_retried() {
    for (status, code) in [(403, "AccessDenied"), (403, ""), (404, "NoSuchBucket"), (301, "PermanentRedirect")] {
        let (result, requests) = put(&[(status, code)], None).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind, requests.len()), (ErrorKind::Config, 1), "{error}");
        assert!(error.message.contains("s3://archive/") && error.message.contains("s3:PutObject"), "{error}");
    }
}

fn response(status: u16, code: Option<&str>) -> SdkError<PutObjectError> {
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = code {
        metadata = metadata.code(code);
    }
    let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
    SdkError::service_error(PutObjectError::generic(metadata.build()), response)
}

#[test]
fn errors_are_classified_by_what_the_caller_must_do() {
    let cases = [
        (403, None, ErrorKind::Config),
        (403, Some("AccessDenied"), ErrorKind::Config),
        (404, None, ErrorKind::Config),
        (404, Some("NoSuchBucket"), ErrorKind::Config),
        (409, Some("ConditionalRequestConflict"), ErrorKind::Transient),
        (409, None, ErrorKind::Transient),
        (400, Some("KMS.DisabledException"), ErrorKind::Config),
        (400, Some("KMS.KMSInvalidStateException"), ErrorKind::Config),
        (400, Some("KMS.ThrottlingException"), ErrorKind::Transient),
        (400, Some("ExpiredToken"), ErrorKind::Config),
        (400, Some("RequestTimeout"), ErrorKind::Transient),
        (400, Some("EntityTooLarge"), ErrorKind::Poison),
        (500, Some("InternalError"), ErrorKind::Transient),
        (503, None, ErrorKind::Transient),
        (503, Some("SlowDown"), ErrorKind::Transient),
    ];
    for (status, code, kind) in cases {
        let error = classified("put s3://bucket/key (s3:PutObject)", &response(status, code));
        assert_eq!(error.kind, kind, "{status} {code:?}");
        assert!(error.message.starts_with("put s3://bucket/key (s3:PutObject): "), "{error}");
    }
}
