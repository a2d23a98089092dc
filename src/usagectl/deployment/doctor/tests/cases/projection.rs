//! Athena's tables whose partitions don't include all dates.

use super::super::super::check::Check::Projection;
use super::super::super::facts::Facts;
use super::super::super::finding::Verdict::{Problem, Warning};
use super::super::good::ago;
use super::Case;
use usage_aggregator::pipeline::PartitionDate;
use usage_aggregator::time::{Date, Timestamp, Unit};

fn date(text: &str) -> Date {
    Timestamp::parse(&format!("{text}T00:00:00Z")).unwrap().date()
}

/// Gives a table, or all whose names start with this, a range.
fn set_range(facts: &mut Facts, name: &str, range: &str) {
    for table in facts.glue.as_mut().unwrap().iter_mut().filter(|table| table.name.starts_with(name)) {
        table.parameters.insert("projection.partition_date.range".into(), range.into());
    }
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        ("no projection", Projection, Problem, |f| {
            drop(f.glue.as_mut().unwrap()[0].parameters.remove("projection.enabled"))
        }),
        ("no projection of compacted rows", Projection, Problem, |f| {
            drop(f.glue.as_mut().unwrap()[1].parameters.remove("projection.enabled"))
        }),
        ("no table of compacted rows", Projection, Problem, |f| {
            drop(f.glue.as_mut().unwrap().remove(1));
        }),
        ("partitions start after today", Projection, Warning, |f| set_range(f, "", "2027-01-01,NOW+1DAYS")),
        ("partitions end before today", Projection, Warning, |f| set_range(f, "order_c", "2026-01-01,2026-11-25")),
        ("partitions of an own date end before today", Projection, Warning, |f| {
            let archive = f.pipeline.routes.iter_mut().find(|route| route.record_type == "order").unwrap();
            archive.archive.as_mut().unwrap().partition_date =
                PartitionDate::Attribute { path: "ship_on".into(), unit: Unit::Seconds };
            set_range(f, "order", "2026-01-01,2026-11-25");
        }),
        ("a file of a date beyond the partitions", Projection, Warning, |f| {
            f.partition_dates = Ok(vec![("order".into(), ago(86_400).date(), date("2026-12-31"))]);
        }),
        ("a file of a date before the partitions", Projection, Warning, |f| {
            f.partition_dates = Ok(vec![("order".into(), date("2025-12-31"), ago(0).date())]);
        }),
        ("a file of a date before the partitions of compacted rows", Projection, Warning, |f| {
            f.partition_dates = Ok(vec![("order".into(), date("2025-06-01"), ago(0).date())]);
            f.glue.as_mut().unwrap()[0]
                .parameters
                .insert("projection.partition_date.range".into(), "2025-06-01,NOW+1DAYS".into());
        }),
    ]
}
