//! Each fault with the embedded services: what the SDK returns, and what is stored.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_s3::primitives::ByteStream;

use super::*;
use crate::emulators::{Services, TableSpec, ensure_bucket, ensure_tables, http_client, sdk_config};

const TABLE: TableSpec<'_> =
    TableSpec { name: "counters", partition_key: "pk", sort_key: None, ttl_attribute: None, stream: None };

/// Embedded services, a client with faults, and one without.
struct Bench {
    services: Services,
    faulty: FaultyHttp,
    suffering: Client,
    sound: Client,
}

impl Bench {
    async fn start(retries: RetryConfig) -> Bench {
        let services = Services::start(None).unwrap();
        let sound = services.dynamodb_client(&sdk_config(None));
        ensure_tables(&sound, &[TABLE]).await.unwrap();
        let faulty = FaultyHttp::new(http_client(), FaultPlan::none());
        let config = sdk_config(Some(faulty.client())).into_builder().retry_config(retries).build();
        let suffering = services.dynamodb_client(&config);
        Bench { services, faulty, suffering, sound }
    }

    /// Adds 1 to the counter through the faults of `plan`.
    async fn add(&self, plan: FaultPlan) -> Result<(), UpdateItemError> {
        self.faulty.set_plan(plan);
        let request = self.suffering.update_item().table_name("counters").key("pk", string("a"));
        let request = request.update_expression("ADD amount :one").expression_attribute_values(":one", number("1"));
        request.send().await.map(drop).map_err(|error| match error {
            error if error.as_service_error().is_some() => error.into_service_error(),
            error => UpdateItemError::unhandled(error),
        })
    }

    async fn amount(&self) -> u64 {
        let item = self.sound.get_item().table_name("counters").key("pk", string("a")).consistent_read(true);
        let item: HashMap<_, _> = item.send().await.unwrap().item.unwrap_or_default();
        item.get("amount").map_or(0, |amount| amount.as_n().unwrap().parse().unwrap())
    }

    fn log(&self) -> Vec<Fault> {
        self.faulty.calls().into_iter().map(|(_, fault)| fault).collect()
    }
}

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(digits: &str) -> AttributeValue {
    AttributeValue::N(digits.into())
}

fn local_retries() -> RetryConfig {
    crate::emulators::retry_config()
}

#[tokio::test]
async fn a_lost_request_is_an_error_without_effect() {
    let bench = Bench::start(RetryConfig::disabled()).await;
    assert!(bench.add(FaultPlan::at(1, Fault::LoseRequest)).await.is_err());
    assert_eq!(bench.amount().await, 0);
}

#[tokio::test]
async fn a_lost_response_is_an_error_with_the_effect() {
    let bench = Bench::start(RetryConfig::disabled()).await;
    assert!(bench.add(FaultPlan::at(1, Fault::LoseResponse)).await.is_err());
    assert_eq!(bench.amount().await, 1);
}

/// Why the function doesn't count with ADD.
#[tokio::test]
async fn the_sdks_own_retry_of_a_lost_response_adds_twice_and_shows_no_error() {
    let bench = Bench::start(local_retries()).await;
    bench.add(FaultPlan::at(1, Fault::LoseResponse)).await.unwrap();
    assert_eq!(bench.amount().await, 2);
    assert_eq!(bench.log(), [Fault::LoseResponse, Fault::None]);
}

/// The SDK gives every transaction a token and repeats it in its retries; a later transaction with the same content has
/// another one.
#[tokio::test]
async fn the_sdks_own_retry_of_a_transaction_applies_it_once() {
    let bench = Bench::start(local_retries()).await;
    bench.faulty.set_plan(FaultPlan::at(1, Fault::LoseResponse));
    let add = Update::builder().table_name("counters").key("pk", string("a")).update_expression("ADD amount :one");
    let add = add.expression_attribute_values(":one", number("1")).build().unwrap();
    let transaction = bench.suffering.transact_write_items();
    let transaction = transaction.transact_items(TransactWriteItem::builder().update(add).build());
    transaction.clone().send().await.unwrap();
    assert_eq!(bench.log(), [Fault::LoseResponse, Fault::None]);
    assert_eq!(bench.amount().await, 1);
    transaction.send().await.unwrap();
    assert_eq!(bench.amount().await, 2);
}

#[tokio::test]
async fn the_sdk_retries_what_had_no_effect_and_adds_once() {
    let bench = Bench::start(local_retries()).await;
    for (already, fault) in [Fault::LoseRequest, Fault::Status503, Fault::Throttle].into_iter().enumerate() {
        bench.add(FaultPlan::at(1, fault)).await.unwrap();
        assert_eq!(bench.log(), [fault, Fault::None]);
        assert_eq!(bench.amount().await, u64::try_from(already).unwrap() + 1, "{fault:?}");
    }
}

#[tokio::test]
async fn throttling_is_the_sdks_provisioned_throughput_exceeded() {
    let bench = Bench::start(local_retries()).await;
    let error = bench.add(FaultPlan::always("UpdateItem", Fault::Throttle)).await.unwrap_err();
    assert!(error.is_provisioned_throughput_exceeded_exception(), "{error:?}");
    assert_eq!(bench.log(), [Fault::Throttle; 3]);
}

#[tokio::test]
async fn a_conflict_outside_of_transactions_is_the_sdks_transaction_conflict() {
    let bench = Bench::start(RetryConfig::disabled()).await;
    let error = bench.add(FaultPlan::at(1, Fault::TransactionConflict)).await.unwrap_err();
    assert!(error.is_transaction_conflict_exception(), "{error:?}");
    assert_eq!(bench.amount().await, 0);
}

#[tokio::test]
async fn a_conflict_cancels_a_transaction_with_a_reason_for_every_action() {
    let bench = Bench::start(RetryConfig::disabled()).await;
    bench.faulty.set_plan(FaultPlan::on("TransactWriteItems", 1, Fault::TransactionConflict));
    let put = |key| Put::builder().table_name("counters").item("pk", string(key)).build().unwrap();
    let puts = ["a", "b"].map(|key| TransactWriteItem::builder().put(put(key)).build());
    let request = bench.suffering.transact_write_items().set_transact_items(Some(puts.to_vec()));
    let error = request.send().await.unwrap_err().into_service_error();
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { panic!("{error:?}") };
    let codes: Vec<_> = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
    assert_eq!(codes, ["TransactionConflict", "None"]);
    assert_eq!(bench.amount().await, 0);
}

#[tokio::test]
async fn a_crash_never_returns_and_is_reported() {
    for (fault, effect) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
        let bench = Bench::start(local_retries()).await;
        tokio::select! {
            result = bench.add(FaultPlan::at(1, fault)) => panic!("the dead process went on: {result:?}"),
            () = bench.faulty.crashed() => {}
        }
        assert_eq!(bench.amount().await, effect, "{fault:?}");
        assert_eq!(bench.log(), [fault]);
        bench.faulty.revive();
        bench.add(FaultPlan::none()).await.unwrap();
        assert_eq!(bench.amount().await, effect + 1);
    }
}

#[tokio::test]
async fn a_dead_process_makes_no_calls() {
    let bench = Bench::start(local_retries()).await;
    let crash = bench.add(FaultPlan::at(1, Fault::CrashBefore));
    tokio::select! {
        biased;
        _ = crash => panic!("the dead process went on"),
        () = bench.faulty.crashed() => {}
    }
    // The plan stays, because no fault may be decided for this call.
    let call = bench.suffering.get_item().table_name("counters").key("pk", string("a")).send();
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    assert_eq!(bench.log(), [Fault::CrashBefore]);
}

#[tokio::test]
async fn a_delay_only_delays() {
    let bench = Bench::start(RetryConfig::disabled()).await;
    let delay = Duration::from_millis(20);
    let start = std::time::Instant::now();
    bench.add(FaultPlan::at(1, Fault::Delay(delay))).await.unwrap();
    assert!(start.elapsed() >= delay);
    assert_eq!(bench.amount().await, 1);
}

#[tokio::test]
async fn s3_calls_are_named_and_have_errors_of_s3() {
    let bench = Bench::start(RetryConfig::disabled()).await;
    let config = sdk_config(Some(bench.faulty.client())).into_builder().retry_config(RetryConfig::disabled()).build();
    ensure_bucket(&bench.services.s3_client(&sdk_config(None)), "archive").await.unwrap();
    let bucket = bench.services.s3_client(&config);
    let put = || bucket.put_object().bucket("archive").key("a/b=c.avro").body(ByteStream::from_static(b"x")).send();
    for (fault, code) in [(Fault::Throttle, "SlowDown"), (Fault::TransactionConflict, "ConditionalRequestConflict")] {
        bench.faulty.set_plan(FaultPlan::on("PutObject", 1, fault));
        let error = put().await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        let (call, _) = bench.faulty.calls().remove(0);
        assert_eq!((call.service, call.path.as_str()), (Service::S3, "/archive/a/b%3Dc.avro"));
    }
    bench.faulty.set_plan(FaultPlan::at(1, Fault::LoseResponse));
    put().await.unwrap_err();
    bucket.get_object().bucket("archive").key("a/b=c.avro").send().await.unwrap();
    let operations: Vec<_> = bench.faulty.calls().into_iter().map(|(call, _)| call.operation).collect();
    assert_eq!(operations, ["PutObject", "GetObject"]);
}

#[tokio::test]
async fn the_sdk_reads_throttling_of_cloudwatch() {
    let bench = Bench::start(RetryConfig::disabled()).await;
    let config = sdk_config(Some(bench.faulty.client())).into_builder().retry_config(RetryConfig::disabled()).build();
    bench.faulty.set_plan(FaultPlan::on("PutMetricData", 1, Fault::Throttle));
    let error = bench.services.cloudwatch_client(&config).put_metric_data().namespace("n").send().await.unwrap_err();
    assert_eq!(error.code(), Some("Throttling"));
    assert_eq!(bench.faulty.calls().remove(0).0.service, Service::CloudWatch);
}

/// The first half of the entries is taken, and the answer says which ones aren't.
#[tokio::test]
async fn eventbridge_throttles_by_entry_and_loses_answers() {
    let bench = Bench::start(RetryConfig::disabled()).await;
    let config = sdk_config(Some(bench.faulty.client())).into_builder().retry_config(RetryConfig::disabled()).build();
    let client = bench.services.eventbridge_client(&config);
    let put = |ids: &'static [&'static str]| {
        let entry = |id: &&str| {
            let entry = PutEventsRequestEntry::builder().source("usage").detail_type("alert");
            entry.detail(format!(r#"{{"id":"{id}"}}"#)).build()
        };
        client.put_events().set_entries(Some(ids.iter().map(entry).collect())).send()
    };
    bench.faulty.set_plan(FaultPlan::on("PutEvents", 1, Fault::Throttle));
    let answer = put(&["a", "b", "c"]).await.unwrap();
    let codes: Vec<Option<&str>> = answer.entries().iter().map(|entry| entry.error_code()).collect();
    assert_eq!(
        (answer.failed_entry_count(), codes),
        (2, vec![None, Some("ThrottlingException"), Some("ThrottlingException")])
    );
    assert_eq!(bench.faulty.calls().remove(0).0.service, Service::EventBridge);
    bench.faulty.set_plan(FaultPlan::at(1, Fault::Throttle));
    assert_eq!(put(&["d"]).await.unwrap().failed_entry_count(), 1);
    for fault in [Fault::LoseResponse, Fault::LoseRequest, Fault::Status503, Fault::AccessDenied] {
        bench.faulty.set_plan(FaultPlan::at(1, fault));
        assert!(put(&["e"]).await.is_err(), "{fault:?}");
    }
    put(&["f"]).await.unwrap();
    let details: Vec<String> = bench.services.events().events().iter().map(|event| event.detail.to_string()).collect();
    assert_eq!(details, [r#"{"id":"a"}"#, r#"{"id":"e"}"#, r#"{"id":"f"}"#]);
}

#[tokio::test]
async fn a_late_request_has_its_effect_after_the_sdk_has_seen_a_timeout() {
    let bench = Bench::start(RetryConfig::disabled()).await;
    assert!(bench.add(FaultPlan::at(1, Fault::ArriveLate(Duration::from_millis(50)))).await.is_err());
    while bench.amount().await == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.amount().await, 1);
}

#[test]
fn the_same_seed_and_calls_give_the_same_faults() {
    let faults = |seed| {
        let mut plan = FaultPlan::seeded(seed, 30, &Fault::ALL);
        let call = |number| Call { number, service: Service::S3, operation: "PutObject".into(), path: "/a".into() };
        (1..=1000).map(|number| plan.fault(&call(number))).collect::<Vec<_>>()
    };
    assert_eq!(faults(7), faults(7));
    assert_ne!(faults(7), faults(8));
    let suffered = faults(7).into_iter().filter(|fault| *fault != Fault::None).count();
    assert!((250..350).contains(&suffered), "{suffered} of 1000 at 30 percent");
}
