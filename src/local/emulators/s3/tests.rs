//! The behavior that the archive relies on, over real HTTP with the SDK.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::auth::AuthSchemeId;

use crate::emulators::{Services, ensure_bucket, sdk_config};

async fn bucket(services: &Services) -> Client {
    let client = services.s3_client(&sdk_config(None));
    ensure_bucket(&client, "archive").await.unwrap();
    client
}

#[tokio::test]
async fn one_of_many_conditional_writers_succeeds() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    for round in 0..5 {
        let writers = (0..20).map(|writer| {
            let body = ByteStream::from(vec![b'x'; 1000 * writer]);
            let put = client.put_object().bucket("archive").key(format!("round={round}/a.avro")).if_none_match("*");
            tokio::spawn(put.body(body).send())
        });
        let mut won = 0;
        for result in futures::future::join_all(writers).await {
            match result.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error.code(), Some("PreconditionFailed"), "{error:?}"),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn a_get_during_overwrites_returns_one_whole_object() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    let put = |byte: u8| client.put_object().bucket("archive").key("a").body(vec![byte; 100_000].into()).send();
    put(0).await.unwrap();
    let writes = async {
        for byte in 1..30 {
            put(byte).await.unwrap();
        }
    };
    let reads = async {
        for _ in 0..30 {
            let object = client.get_object().bucket("archive").key("a").send().await.unwrap();
            let body = object.body.collect().await.unwrap().into_bytes();
            assert!(body.len() == 100_000 && body.iter().all(|byte| Some(byte) == body.first()));
        }
    };
    tokio::join!(writes, reads);
}

#[tokio::test]
async fn objects_are_listed_in_pages_by_prefix() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    for number in 0..25 {
        let key = format!("orders/partition_date=2026-09-{:02}/{number:03}.avro", 1 + number % 2);
        client.put_object().bucket("archive").key(key).body(ByteStream::from_static(b"x")).send().await.unwrap();
    }
    let list =
        |prefix: &str| client.list_objects_v2().bucket("archive").prefix(prefix).max_keys(10).into_paginator().send();
    let mut pages = list("orders/");
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
    }
    assert_eq!(keys.len(), 25);
    assert!(keys.is_sorted());
    let first = list("orders/partition_date=2026-09-02/").next().await.unwrap().unwrap();
    assert_eq!((first.contents().len(), first.is_truncated()), (10, Some(true)));
}

#[tokio::test]
async fn keys_are_stored_unchanged_or_refused_without_effect() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    let (longest, too_long, long_part) = ("k".repeat(161), "part/".repeat(33), "k".repeat(256));
    let cases = [
        ("orders/partition_date=2026-09-17/a b%2F+\u{e9}?#&.avro", None),
        (longest.as_str(), None),
        (&too_long, Some("KeyTooLongError")),
        (&long_part, Some("KeyTooLongError")),
        ("x//y", Some("InvalidArgument")),
        ("x/./y", Some("InvalidArgument")),
        ("../y", Some("InvalidArgument")),
        ("orders", Some("InternalError")),
    ];
    for (key, code) in cases {
        let put = client.put_object().bucket("archive").key(key).body(ByteStream::from_static(b"x")).send().await;
        assert_eq!(put.err().as_ref().map(|error| error.code().unwrap()), code, "{key}");
        let get = client.get_object().bucket("archive").key(key).send().await;
        assert_eq!(get.is_ok(), code.is_none(), "{key}");
    }
    let listed = client.list_objects_v2().bucket("archive").send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, [longest.as_str(), cases[0].0]);
}

#[tokio::test]
async fn a_missing_bucket_or_object_and_a_failed_condition_are_errors_as_in_s3() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    let body = || ByteStream::from_static(b"x");
    let missing = client.put_object().bucket("missing").key("a").body(body()).send().await.unwrap_err();
    assert_eq!(missing.code(), Some("NoSuchBucket"));
    let missing = client.get_object().bucket("archive").key("a").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("NoSuchKey"));
    client.put_object().bucket("archive").key("a").body(body()).send().await.unwrap();
    let again =
        client.put_object().bucket("archive").key("a").if_none_match("*").body(body()).send().await.unwrap_err();
    assert_eq!(again.raw_response().unwrap().status().as_u16(), 412);
}

#[tokio::test]
async fn any_credentials_are_accepted_and_unsigned_requests_refused() {
    let services = Services::start(None).unwrap();
    let client = bucket(&services).await;
    let stranger = aws_sdk_s3::config::Credentials::new("stranger", "x", None, None, "test");
    let config = client.config().to_builder().credentials_provider(stranger).build();
    let put = Client::from_conf(config).put_object().bucket("archive").key("a").body(ByteStream::from_static(b"x"));
    put.send().await.unwrap();
    let unsigned = client.config().to_builder().allow_no_auth().auth_scheme_preference([AuthSchemeId::new("noAuth")]);
    let refused = Client::from_conf(unsigned.build()).get_object().bucket("archive").key("a").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDenied"), "{refused:?}");
}
