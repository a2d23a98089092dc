//! How much there is to read: the sizes of the tables, which DynamoDB updates every six hours, and that of the archive, which S3 reports
//! once a day. Read when the command starts.

use std::time::Duration;

use anyhow::Context;
use usage_aggregator::clients::Clients;

use crate::stack::{Figure, Figures, Names, Statistic};

/// S3 reports the sizes of a bucket a day or two late.
const SPAN: Duration = Duration::from_hours(72);
const DAY_SECONDS: i32 = 86_400;
/// The storage classes that the template's lifecycle rules use.
const CLASSES: [&str; 2] = ["StandardStorage", "GlacierInstantRetrievalStorage"];
/// A strongly consistent read of 4 KB costs a read unit; an eventually consistent one, half.
const UNIT_BYTES: f64 = 4_096.0;
/// A page of a listing.
const LISTED: f64 = 1_000.0;

/// The sizes, as far as they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sizes {
    pub usage_bytes: Option<f64>,
    pub archive_bytes: Option<f64>,
    pub archive_objects: Option<f64>,
}

/// What a command would read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reads {
    pub units: f64,
    pub objects: f64,
    pub listings: f64,
}

impl Sizes {
    /// Reads what the credentials are allowed to read.
    pub(super) async fn read(clients: &Clients, names: &Names) -> Sizes {
        let table = async {
            let described = clients.dynamodb.describe_table().table_name(names.usage_table.as_deref()?).send().await;
            let bytes = described.ok()?.table?.table_size_bytes?;
            u32::try_from(bytes / 1_024).ok().map(|kilobytes| f64::from(kilobytes) * 1_024.0)
        };
        let (usage_bytes, archive) = futures::join!(table, archive(clients, names));
        let (archive_bytes, archive_objects) = archive.unwrap_or_default();
        Sizes { usage_bytes, archive_bytes, archive_objects }
    }

    /// The read units of reading the usage table once, eventually consistent.
    pub(super) fn usage_units(&self) -> Option<f64> {
        self.usage_bytes.map(|bytes| (bytes / UNIT_BYTES / 2.0).ceil())
    }

    /// What `usagectl reconcile --stack` reads at most; `None` if a size isn't known.
    pub(super) fn reconcile(&self) -> Option<Reads> {
        let (bytes, objects) = (self.usage_bytes?, self.archive_objects?);
        Some(Reads { units: (bytes / UNIT_BYTES).ceil(), objects, listings: (objects / LISTED).ceil() })
    }
}

/// The bytes and the objects of the archive.
async fn archive(clients: &Clients, names: &Names) -> anyhow::Result<(Option<f64>, Option<f64>)> {
    let bucket = Names::need(&names.archive_bucket, "--archive-bucket")?;
    let of = |metric, class| {
        Figure::new("AWS/S3", metric, &[("BucketName", bucket), ("StorageType", class)], Statistic::Maximum)
    };
    let (bytes, objects) =
        (CLASSES.map(|class| of("BucketSizeBytes", class)), of("NumberOfObjects", "AllStorageTypes"));
    let all: Vec<Figure> = bytes.iter().chain([&objects]).cloned().collect();
    let read = Figures::read(&clients.cloudwatch, &all, SPAN, DAY_SECONDS).await.context("read the archive's size")?;
    let latest = |figure: &Figure| read.values(figure).last().copied();
    Ok((bytes.iter().filter_map(latest).reduce(|all, one| all + one), latest(&objects)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_reads_the_usage_table_strongly_and_each_object_once() {
        let sizes = Sizes { usage_bytes: Some(40_960.0), archive_bytes: Some(5e9), archive_objects: Some(2_500.0) };
        assert_eq!(sizes.usage_units(), Some(5.0));
        assert_eq!(sizes.reconcile(), Some(Reads { units: 10.0, objects: 2_500.0, listings: 3.0 }));
        assert_eq!(Sizes { archive_objects: None, ..sizes }.reconcile(), None);
    }
}
