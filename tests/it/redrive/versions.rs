//! A failure bucket that keeps versions, as the template's does: nothing is left of a document that was redriven, because the
//! alarms on the bucket's number of objects count old versions and delete markers, too.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use laptop::emulators::sdk_config;

use super::Output;
use super::stack::{RejectedRecords, Stack};
use crate::fixture::Run;

const BUCKET: &str = "versioned";

/// moto's S3, which keeps versions. The embedded one doesn't.
async fn versioned(stack: &Stack) -> Client {
    let config = sdk_config(None).into_builder().endpoint_url(&stack.moto.url).build();
    let s3 = Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
    s3.create_bucket().bucket(BUCKET).send().await.unwrap();
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    s3.put_bucket_versioning().bucket(BUCKET).versioning_configuration(enabled).send().await.unwrap();
    s3
}

async fn put(s3: &Client, key: &str, body: &str) {
    let put = s3.put_object().bucket(BUCKET).key(key).body(body.to_owned().into_bytes().into());
    put.send().await.unwrap();
}

/// The keys of all versions and of all delete markers.
async fn versions(s3: &Client) -> (Vec<String>, Vec<String>) {
    let listed = s3.list_object_versions().bucket(BUCKET).send().await.unwrap();
    let versions = listed.versions().iter().map(|version| version.key().unwrap().to_owned());
    let markers = listed.delete_markers().iter().map(|marker| marker.key().unwrap().to_owned());
    (versions.collect(), markers.collect())
}

async fn redrive(stack: &Stack) -> Output {
    let mut command = stack.command(&["--failure-bucket", BUCKET]);
    command.env("AWS_ENDPOINT_URL_S3", &stack.moto.url);
    Run::from(tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()).into()
}

/// Issue 16: documents were deleted by key. Old versions and delete markers kept FailureObjects and FailureObjectsOld firing
/// for 90 days.
#[tokio::test(flavor = "multi_thread")]
async fn regression_nothing_is_left_of_a_redriven_document_in_a_bucket_that_keeps_versions() {
    let stack = Stack::with("rd-versions", &[], RejectedRecords::Quarantine).await;
    let records = stack.orders(&["1", "2", "free", "4"]).await;
    stack.quarantine(&records[..1]).await;
    stack.discard(&records[1..2], 1).await;
    stack.discard(&records[2..], 2).await;
    let s3 = versioned(&stack).await;
    for (key, document) in stack.documents().await {
        // Written, deleted by key, and written twice more.
        put(&s3, &key, &document.to_string()).await;
        s3.delete_object().bucket(BUCKET).key(&key).send().await.unwrap();
        put(&s3, &key, &document.to_string()).await;
        put(&s3, &key, &document.to_string()).await;
    }
    // Its key starts with that of another document.
    let keys = stack.keys().await;
    let longer = format!("{}-kept", keys.iter().find(|key| key.starts_with("aws/lambda/")).unwrap());
    put(&s3, &longer, "not a document").await;
    assert_eq!(versions(&s3).await.0.len(), 3 * 3 + 1);

    let output = redrive(&stack).await;
    let sums = ["deleted", "narrowed", "skipped", "records_redriven"].map(|name| output.sum(name));
    assert_eq!((output.code, sums), (Some(1), [2, 1, 1, 3]), "{}", output.stderr);
    let (left, markers) = versions(&s3).await;
    assert_eq!(
        (left.len(), markers),
        (2, Vec::<String>::new()),
        "the narrowed document and the one that was skipped: {left:?}"
    );
    assert!(left.contains(&longer) && !left.iter().any(|key| keys.contains(key)), "{left:?}");
    assert_eq!(stack.counted().await, ["3", "3", "3"]);
}
