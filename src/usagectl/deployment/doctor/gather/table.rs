//! DynamoDB: the tables that the function writes to.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{BillingMode, PointInTimeRecoveryStatus, TimeToLiveStatus};

use super::super::facts::{Fact, Part, Table, Unavailable};
use super::{named, seen};

/// A table with all its settings, if the pipeline counts usage.
pub(super) async fn of(
    client: &Client,
    counts: &Result<(), Unavailable>,
    name: &Option<String>,
    option: &'static str,
) -> Fact<Table> {
    counts.clone()?;
    let name = named(name, option)?;
    let (described, time_to_live, backups) =
        futures::join!(described(client, name), time_to_live(client, name), point_in_time_recovery(client, name));
    Ok(Table { time_to_live, point_in_time_recovery: backups, ..described? })
}

/// A table without its time to live and backups.
pub(super) async fn described(client: &Client, name: &str) -> Fact<Table> {
    let described = client.describe_table().table_name(name).send().await;
    let described = seen("dynamodb:DescribeTable", || Part::Table(name.to_owned()), described)?;
    let table = described.table();
    let billing = table.and_then(|table| table.billing_mode_summary()).and_then(|summary| summary.billing_mode());
    let stream = table.and_then(|table| table.stream_specification()).filter(|stream| stream.stream_enabled());
    let left_out = Unavailable::NotApplicable("it isn't read here");
    Ok(Table {
        name: name.to_owned(),
        on_demand: billing == Some(&BillingMode::PayPerRequest),
        stream_view: stream.map(|stream| stream.stream_view_type().map_or("unknown", |view| view.as_str()).to_owned()),
        stream_arn: stream.and(table.and_then(|table| table.latest_stream_arn())).map(str::to_owned),
        time_to_live: Err(left_out.clone()),
        point_in_time_recovery: Err(left_out),
        deletion_protection: table.and_then(|table| table.deletion_protection_enabled()).unwrap_or(false),
    })
}

pub(super) async fn time_to_live(client: &Client, name: &str) -> Fact<Option<String>> {
    let described = client.describe_time_to_live().table_name(name).send().await;
    let described = seen("dynamodb:DescribeTimeToLive", || Part::Other(format!("time to live of {name}")), described)?;
    let found = described.time_to_live_description.filter(|found| {
        matches!(found.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
    });
    Ok(found.and_then(|found| found.attribute_name))
}

async fn point_in_time_recovery(client: &Client, name: &str) -> Fact<bool> {
    let described = client.describe_continuous_backups().table_name(name).send().await;
    let described =
        seen("dynamodb:DescribeContinuousBackups", || Part::Other(format!("the backups of {name}")), described)?;
    let backups =
        described.continuous_backups_description.and_then(|backups| backups.point_in_time_recovery_description);
    let status = backups.and_then(|recovery| recovery.point_in_time_recovery_status);
    Ok(status == Some(PointInTimeRecoveryStatus::Enabled))
}
