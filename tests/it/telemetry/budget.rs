//! What an export may cost: the budget at most, and an endpoint that doesn't respond only once a minute.

use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use tokio::time::Instant;

use super::receiver::{Behavior, Receiver, text};
use super::site::Site;
use crate::prefix::{NOW, event, orders};
use crate::world::at;

const MINUTE: Duration = Duration::from_secs(60);

/// Invokes the function, and returns how long it took in virtual time. The services don't take any.
async fn invoke(site: &Site) -> Duration {
    let began = Instant::now();
    let outcome = site.handler.handle(&event(&orders(3)), &at(NOW)).await.unwrap();
    assert!(outcome.response().batch_item_failures.is_empty(), "the batch isn't affected");
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_costs_the_budget_once_a_minute() {
    let receiver = Receiver::start(Behavior::Silent);
    let site = Site::new(&receiver.url, &[("TELEMETRY_BUDGET_MS", "100")]);
    let budget = Duration::from_millis(100);
    for _ in 0..2 {
        let first = invoke(&site).await;
        // Timers have a resolution of a millisecond.
        assert!(first >= budget && first <= budget + Duration::from_millis(1), "{first:?}");
        for _ in 0..3 {
            assert_eq!(invoke(&site).await, Duration::ZERO);
        }
        tokio::time::advance(MINUTE).await;
    }
}

#[tokio::test]
async fn a_dead_endpoint_is_not_tried_again_within_a_minute_and_what_it_did_not_get_is_counted() {
    let receiver = Receiver::start(Behavior::Closed);
    let site = Site::new(&receiver.url, &[]);
    invoke(&site).await;
    let connections = receiver.connections();
    assert!(connections > 0);
    site.telemetry.flush().await;
    for _ in 0..3 {
        invoke(&site).await;
    }
    assert_eq!(receiver.connections(), connections);
    // Outside an invocation, so that the function doesn't count it itself.
    tracing::warn!(target: "usage_aggregator", "a line");
    assert_eq!(site.telemetry.flush().await, 1);
}

#[tokio::test]
async fn an_endpoint_that_refuses_one_signal_still_gets_the_others() {
    let (traces, logs) = (Receiver::start(Behavior::Status(200)), Receiver::start(Behavior::Status(404)));
    let logs_url: &'static str = Box::leak(format!("{}/v1/logs", logs.url).into_boxed_str());
    let site = Site::new(&traces.url, &[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", logs_url)]);
    for _ in 0..3 {
        invoke(&site).await;
    }
    assert_eq!((traces.exports().len(), logs.exports().len()), (3, 1));
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
    let receiver = Receiver::start(Behavior::Status(200));
    let site = Site::new(&receiver.url, &[("OTEL_BSP_MAX_QUEUE_SIZE", "2")]);
    (0..5).for_each(|number| tracing::warn!(target: "usage_aggregator", number, "a line"));
    assert_eq!((site.telemetry.flush().await, receiver.records().len()), (3, 2));
}

#[tokio::test]
async fn an_unsampled_trace_is_not_exported_but_its_log_records_are() {
    let receiver = Receiver::start(Behavior::Status(200));
    let site = Site::new(&receiver.url, &[("OTEL_TRACES_EXPORTER", "none")]);
    invoke(&site).await;
    assert_eq!((receiver.spans().len(), receiver.records().len()), (0, 1));
}

#[tokio::test]
async fn metrics_over_otlp_have_the_names_and_the_dimension_of_those_in_cloudwatch() {
    let receiver = Receiver::start(Behavior::Status(200));
    let site = Site::new(&receiver.url, &[("METRICS_SINK", "otlp")]);
    invoke(&site).await;
    let metrics = receiver.metrics();
    let counted = |name: &str| {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
        let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        let [point] = sum.data_points.as_slice() else { panic!("{sum:?}") };
        assert_eq!(text(&point.attributes, "Pipeline"), "orders");
        point.value.unwrap()
    };
    assert_eq!(counted("RecordsProcessed"), Value::AsDouble(3.0));
    assert_eq!(counted("ProcessingErrors"), Value::AsDouble(0.0));
    let duration = metrics.iter().find(|metric| metric.name == "ProcessingDuration").unwrap();
    assert!(matches!(duration.data, Some(Data::Histogram(_))) && duration.unit == "ms");
    // Each value is exported once.
    invoke(&site).await;
    let processed = receiver.metrics().into_iter().filter(|metric| metric.name == "RecordsProcessed").count();
    assert_eq!(processed, 2);
}
