//! Tests of reading the settings of the function from environment variables.

use super::*;
use crate::window::{Window, Zone};

fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigMistakes> {
    Config::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn everything_but_pipeline_tables_and_bucket_has_a_default() {
    let variables =
        [("PIPELINE", "orders"), ("USAGE_TABLE", "usage"), ("LEDGER_TABLE", "ledger"), ("ARCHIVE_BUCKET", "lake")];
    let config = read(&variables).unwrap();
    let tables = config.tables.unwrap();
    assert_eq!(
        (tables.usage.as_str(), tables.ledger.as_str(), tables.buckets, tables.epoch),
        ("usage", "ledger", 1, 0)
    );
    assert_eq!(tables.id_bytes, 8);
    assert_eq!((tables.freshness, tables.count_from, tables.keep_days), (Freshness::Stream, None, 18));
    assert_eq!(config.archive.unwrap().prefix, "data-pipeline");
    assert_eq!((config.horizon_days, config.deadline_margin_ms, config.concurrency), (18, 1000, 8));
    assert_eq!(config.metrics, MetricsConfig { sink: Sink::Emf, namespace: "UsageAggregator".into() });
}

#[test]
fn the_key_for_different_values_is_derived_from_the_text_of_the_deployment() {
    let key = |text: &str| {
        let variables = [
            ("PIPELINE", "orders"),
            ("USAGE_TABLE", "usage"),
            ("LEDGER_TABLE", "ledger"),
            ("ARCHIVE_BUCKET", "lake"),
            ("DISTINCT_KEY", text),
        ];
        let pipeline = read(&variables).unwrap().pipeline;
        (pipeline.distinct_key, pipeline.definition())
    };
    assert_eq!(key("").0, None);
    assert_eq!(key("none").0, None);
    assert_ne!(key("one").0, None);
    assert_eq!(key("one"), key("one"));
    assert_ne!(key("one").0, key("two").0);
    assert_ne!(key("one").1, key("two").1, "what was counted with another key isn't compared by the daily proof");
}

#[test]
fn a_pipeline_that_only_archives_needs_no_tables() {
    let config =
        read(&[("PIPELINE", "demand"), ("ARCHIVE_BUCKET", "lake"), ("ARCHIVE_PREFIX", "data-pipeline/test")]).unwrap();
    assert_eq!(config.tables, None);
    assert_eq!(config.archive.unwrap().prefix, "data-pipeline/test");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let mistakes = read(&[
        ("PIPELINE", "orders"),
        ("USAGE_TABLE", "same"),
        ("LEDGER_TABLE", "same"),
        ("ARCHIVE_PREFIX", "../elsewhere"),
        ("ARCHIVE_CODEC", "lzma"),
        ("ARCHIVE_UNIT", "day"),
        ("METRICS_SINK", "graphite"),
        ("METRICS_NAMESPACE", "AWS/Lambda"),
        ("HORIZON_DAYS", "0"),
        ("CONCURRENCY", "many"),
    ]);
    insta::assert_snapshot!(mistakes.unwrap_err());
}

#[test]
fn names_that_cloudwatch_refuses_are_mistakes() {
    let base = [("PIPELINE", "orders"), ("USAGE_TABLE", "u"), ("LEDGER_TABLE", "l"), ("ARCHIVE_BUCKET", "b")];
    for namespace in [":shop", " ", "AWS/Lambda", "größe"] {
        let mistakes = read(&[&base[..], &[("METRICS_NAMESPACE", namespace)]].concat()).unwrap_err().to_string();
        assert!(mistakes.starts_with("METRICS_NAMESPACE must have"), "{namespace}: {mistakes}");
    }
    for (name, valid) in [("shop", true), ("my shop", true), (":shop", false), ("größe", false), (" ", false)] {
        assert_eq!(reader::is_dimension(name), valid, "{name}");
    }
}

#[test]
fn an_unknown_pipeline_is_reported_with_its_variable() {
    for variables in [
        &[][..],
        &[("PIPELINE", "order")],
        &[("PIPELINE", "orders"), ("PIPELINE_DIR", "x")],
        &[("PIPELINE_DIR", "/nowhere")],
    ] {
        let mistakes = read(variables).unwrap_err().to_string();
        assert!(mistakes.contains("PIPELINE"), "{mistakes}");
    }
}

#[test]
fn counting_begins_at_the_start_of_every_window() {
    let of = |count_from: &str| {
        let variables = [
            ("PIPELINE", "orders"),
            ("USAGE_TABLE", "usage"),
            ("LEDGER_TABLE", "ledger"),
            ("ARCHIVE_BUCKET", "lake"),
            ("COUNT_FROM", count_from),
        ];
        read(&variables)
            .map(|config| config.tables.unwrap().count_from.unwrap().to_string())
            .map_err(|mistakes| mistakes.to_string())
    };
    assert_eq!(of("2026-12-01T00:00"), Ok("2026-12-01T00:00:00Z".to_owned()));
    for (text, mistake) in [
        ("2026-12-01", "must be a minute in UTC"),
        ("2026-12-01T00:01", "isn't the start of an hour"),
        ("2026-12-01T01:00", "isn't the start of a day"),
        ("2026-12-02T00:00", "isn't the start of a month"),
    ] {
        assert!(of(text).unwrap_err().contains(mistake), "{text}");
    }
}

#[test]
fn counting_begins_at_the_start_of_every_window_of_the_time_zone_but_the_total() {
    let mut pipeline = Pipeline::parse(&crate::pipeline::shipped("orders").unwrap()).unwrap();
    let snapshot = pipeline.snapshot.as_mut().unwrap();
    snapshot.windows = vec![Window::Week, Window::Month, Window::Total];
    snapshot.zone = Zone::named("Europe/Berlin").unwrap();
    let mistakes = |text: &str| {
        let value = |name: &str| (name == "COUNT_FROM").then(|| text.to_owned());
        let mut reader = EnvReader { value: &value, mistakes: Vec::new() };
        reader.count_from(&pipeline);
        reader.mistakes.join(", ")
    };
    // 2027-02-01 and 2027-03-01 are Mondays; 2026-12-01 is a Tuesday.
    assert_eq!(mistakes("2027-01-31T23:00"), "");
    assert!(
        mistakes("2026-11-30T23:00")
            .starts_with("COUNT_FROM 2026-11-30T23:00 isn't the start of a week in Europe/Berlin;")
    );
    assert!(mistakes("2026-12-06T23:00").contains("isn't the start of a month in Europe/Berlin"));
    assert!(mistakes("2027-02-01T00:00").contains("isn't the start of a month in Europe/Berlin"));
}

#[test]
fn the_ledger_is_kept_for_the_horizon_at_least() {
    let of = |keep: &str| {
        let variables = [
            ("PIPELINE", "orders"),
            ("USAGE_TABLE", "usage"),
            ("LEDGER_TABLE", "ledger"),
            ("ARCHIVE_BUCKET", "lake"),
            ("HORIZON_DAYS", "20"),
            ("KEEP_DAYS", keep),
        ];
        read(&variables).unwrap().tables.unwrap().keep_days
    };
    assert_eq!(["", "10", "30"].map(of), [20, 20, 30]);
}

#[test]
fn alerts_go_to_the_default_bus_unless_another_bus_or_a_topic_is_set() {
    let base = [("PIPELINE", "orders"), ("USAGE_TABLE", "u"), ("LEDGER_TABLE", "l"), ("ARCHIVE_BUCKET", "b")];
    let read = |more: &[(&'static str, &'static str)]| read(&[&base[..], more].concat());
    let topic = "arn:aws:sns:eu-west-1:123456789012:usage";
    let cases = [
        (vec![], AlertDestination::Bus("default".to_owned())),
        (vec![("ALERT_BUS", "billing")], AlertDestination::Bus("billing".to_owned())),
        (vec![("ALERT_BUS", "billing"), ("ALERT_TOPIC", topic)], AlertDestination::Topic(topic.to_owned())),
    ];
    for (variables, expected) in cases {
        assert_eq!(read(&variables).unwrap().alerts, expected);
    }
    for (topic, mistake) in [
        ("usage", "ALERT_TOPIC must be the ARN of an SNS topic"),
        ("arn:aws:sns:eu-west-1:123456789012:usage.fifo", "ALERT_TOPIC must be a standard topic, not a FIFO topic"),
    ] {
        assert_eq!(read(&[("ALERT_TOPIC", topic)]).unwrap_err().to_string(), mistake);
    }
}
