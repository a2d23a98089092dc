//! Tests of reading the settings of the function from environment variables.

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigMistakes> {
    Config::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn everything_but_pipeline_tables_and_bucket_has_a_default() {
    let variables =
        [("PIPELINE", "orders"), ("USAGE_TABLE", "usage"), ("CLAIMS_TABLE", "claims"), ("ARCHIVE_BUCKET", "lake")];
    let config = read(&variables).unwrap();
    assert_eq!(config.tables, Some(Tables { usage: "usage".into(), claims: "claims".into() }));
    assert_eq!(config.archive.unwrap().prefix, "data-pipeline");
    assert_eq!((config.horizon_days, config.deadline_margin_ms, config.concurrency), (18, 1000, 8));
    assert_eq!(config.metrics, MetricsConfig { sink: Sink::Emf, namespace: "UsageAggregator".into() });
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
        ("CLAIMS_TABLE", "same"),
        ("ARCHIVE_PREFIX", "../elsewhere"),
        ("ARCHIVE_CODEC", "lzma"),
        ("METRICS_SINK", "graphite"),
        ("METRICS_NAMESPACE", "AWS/Lambda"),
        ("HORIZON_DAYS", "0"),
        ("CONCURRENCY", "many"),
    ]);
    insta::assert_snapshot!(mistakes.unwrap_err());
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
