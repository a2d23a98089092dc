//! One shard of a stack is blocked, while millions of records are processed in the others: `doctor` and `tune` read that from
//! the metrics of the last minutes.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};
use laptop::emulators::{Services, sdk_config};
use serde_json::{Value, json};

use super::place::{Place, front};
use super::{healthy, unwrapped};

/// Puts one value for each of these minutes before now.
pub async fn put(cloudwatch: &Services, namespace: &str, metric: &str, dimension: (&str, &str), values: &[(u64, f64)]) {
    let (name, value) = dimension;
    let dimension = Dimension::builder().name(name).value(value).build();
    let datum = |(minutes, value): &(u64, f64)| {
        let at = SystemTime::now() - Duration::from_secs(minutes * 60);
        let datum = MetricDatum::builder().metric_name(metric).dimensions(dimension.clone());
        datum.timestamp(at.into()).value(*value).build()
    };
    let data = values.iter().map(datum).collect();
    let client = cloudwatch.cloudwatch_client(&sdk_config(None));
    client.put_metric_data().namespace(namespace).set_metric_data(Some(data)).send().await.unwrap();
}

/// Issue 14: `tune` proposed more concurrency, and the doctor found nothing.
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_shard_that_is_blocked_now_is_reported_however_many_good_batches_came_before() {
    let mut place = Place::new(
        &["Pipeline=orders", "RejectedRecords=fail"],
        front("Terminate", 10, env!("CARGO_PKG_VERSION")),
        healthy(),
    )
    .await;
    let cloudwatch = Services::start(None).unwrap();
    place.environment.insert("AWS_ENDPOINT_URL_CLOUDWATCH", cloudwatch.cloudwatch_url().to_owned());
    let function = ("FunctionName", place.output("FunctionName"));
    let mapping = ("EventSourceMappingUUID", place.output("EventSourceMappingId"));
    let minutes = |value: f64| -> Vec<(u64, f64)> { (1..=30).map(|minute| (minute, value)).collect() };
    // 100 invocations a minute; one batch has been failing for 8 minutes, in part, once a minute.
    for (metric, value) in [("Invocations", 100.0), ("Duration", 20_000.0), ("Errors", 0.0)] {
        put(&cloudwatch, "AWS/Lambda", metric, function, &minutes(value)).await;
    }
    put(&cloudwatch, "AWS/Lambda", "InvokedEventCount", mapping, &minutes(60_000.0)).await;
    let age = |minute: u64| if minute > 8 { 900.0 } else { f64::from(u32::try_from(9 - minute).unwrap()) * 60_000.0 };
    let ages: Vec<(u64, f64)> = (1..=30).map(|minute| (minute, age(minute))).collect();
    put(&cloudwatch, "AWS/Lambda", "IteratorAge", function, &ages).await;
    let failed: Vec<(u64, f64)> = (1..=8).map(|minute| (minute, 3.0)).collect();
    put(&cloudwatch, "AWS/Lambda", "FailedInvokeEventCount", mapping, &failed).await;

    let doctor = place.doctor(&["--stack", "moto", "iterator-age"]).await;
    assert_eq!(doctor.code, Some(2), "{doctor:?}");
    let stdout = unwrapped(&doctor.stdout);
    let found =
        "problem  blocked-shard       a shard is blocked now: deliveries fail, and the iterator age has been growing";
    assert!(stdout.contains(found), "{stdout}");
    assert!(stdout.contains("First step: blocked-shard: a failing batch blocks its shard now"), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains("parallelization"), "{}", doctor.stdout);

    let tune = place.run(&["tune", "--stack", "moto", "--span", "1h", "--json"]).await;
    let plan: Value = serde_json::from_str(&tune.stdout).unwrap_or_else(|error| panic!("{error}: {tune:?}"));
    assert_eq!(plan["seen"]["failed_deliveries"], json!(24.0), "{plan:#}");
    assert!(plan["seen"]["blocked"]["age_seconds"].as_f64() >= Some(420.0), "{plan:#}");
    let more = ["ParallelizationFactor", "ReservedConcurrency"];
    let proposed = plan["proposals"].as_array().unwrap().iter();
    assert!(proposed.clone().all(|proposal| !more.iter().any(|name| proposal["parameter"] == *name)), "{plan:#}");
    assert!(plan["notes"][0].as_str().unwrap().starts_with("a shard is blocked now: "), "{plan:#}");
}
