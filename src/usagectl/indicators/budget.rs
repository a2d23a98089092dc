//! The share of a table's capacity that a command uses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::TableDescription;
use tokio::time::Instant;

/// Holds back what would be more than a share of the capacity.
#[derive(Debug)]
pub(super) struct Budget {
    start: Instant,
    reads: Limit,
    writes: Limit,
}

#[derive(Debug, Default)]
struct Limit {
    /// Units per second; `None` for no limit.
    per_second: Option<u64>,
    /// Thousandths of units that have been taken.
    taken: AtomicU64,
}

impl Budget {
    /// This percentage of what a table can read and write per second: what is provisioned, the maximum of an on-demand table, or
    /// else its warm throughput. Tables of the embedded DynamoDB have none of them, and no limit.
    pub(super) fn share(table: &TableDescription, percent: u8) -> Budget {
        let positive =
            |units: Option<i64>| units.and_then(|units| u64::try_from(units).ok()).filter(|units| *units > 0);
        let (provisioned, on_demand) = (table.provisioned_throughput(), table.on_demand_throughput());
        let warm = table.warm_throughput();
        let reads = positive(provisioned.and_then(|throughput| throughput.read_capacity_units))
            .or_else(|| positive(on_demand.and_then(|throughput| throughput.max_read_request_units)))
            .or_else(|| positive(warm.and_then(|throughput| throughput.read_units_per_second)));
        let writes = positive(provisioned.and_then(|throughput| throughput.write_capacity_units))
            .or_else(|| positive(on_demand.and_then(|throughput| throughput.max_write_request_units)))
            .or_else(|| positive(warm.and_then(|throughput| throughput.write_units_per_second)));
        let limit = |units: Option<u64>| {
            let per_second = units.map(|units| (units * u64::from(percent) / 100).max(1));
            Limit { per_second, taken: AtomicU64::new(0) }
        };
        Budget { start: Instant::now(), reads: limit(reads), writes: limit(writes) }
    }

    /// Waits until this many read units may be used.
    pub(super) async fn read(&self, units: f64) {
        self.take(&self.reads, units).await;
    }

    /// Waits until this many write units may be used.
    pub(super) async fn write(&self, units: f64) {
        self.take(&self.writes, units).await;
    }

    async fn take(&self, limit: &Limit, units: f64) {
        let Some(per_second) = limit.per_second else { return };
        // As many milliseconds as units are thousandths.
        let thousandths = Duration::try_from_secs_f64(units).unwrap_or_default().as_millis();
        let thousandths = u64::try_from(thousandths).unwrap_or(u64::MAX);
        let before = limit.taken.fetch_add(thousandths, Ordering::Relaxed);
        tokio::time::sleep_until(self.start + Duration::from_millis(before / per_second)).await;
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{
        OnDemandThroughput, ProvisionedThroughputDescription, TableWarmThroughputDescription,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reads_keep_to_their_share_of_the_capacity() {
        let provisioned =
            ProvisionedThroughputDescription::builder().read_capacity_units(400).write_capacity_units(0).build();
        let table = TableDescription::builder().provisioned_throughput(provisioned).build();
        let budget = Budget::share(&table, 25);
        for _ in 0..11 {
            budget.read(50.0).await;
        }
        assert_eq!(Instant::now() - budget.start, Duration::from_secs(5));
        budget.write(1e9).await;
        budget.write(1.0).await;
        assert_eq!(Instant::now() - budget.start, Duration::from_secs(5), "nothing is known of its writes");
    }

    #[test]
    fn an_on_demand_table_has_its_maximum_or_its_warm_throughput() {
        let warm = TableWarmThroughputDescription::builder().read_units_per_second(12_000).build();
        let most = OnDemandThroughput::builder().max_read_request_units(1_000).build();
        let table = TableDescription::builder().warm_throughput(warm);
        assert_eq!(Budget::share(&table.clone().build(), 25).reads.per_second, Some(3_000));
        assert_eq!(Budget::share(&table.on_demand_throughput(most).build(), 10).reads.per_second, Some(100));
        assert_eq!(Budget::share(&TableDescription::builder().build(), 10).reads.per_second, None);
    }
}
