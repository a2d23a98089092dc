//! The calls that the page makes, and what they cost. Everything here is counted, from the same lists that the calls are made from.

use serde::Serialize;

use super::failures::{LISTINGS, SHOWN};
use super::metrics::Metrics;
use crate::deployment::cost::prices::{PriceItem, Prices};
use crate::page::usage::most_limits;
use crate::shell::numbers::dollars;
use crate::stack::Names;
use usage_aggregator::pipeline::Snapshot;

/// How many units of the usage table are read per minute, at most.
pub(super) const USAGE_UNITS: u32 = 1_500;
/// A page of a scan is 1 MB, which is 128 units. The last page of a pass may be shorter.
const SCAN_PAGES: u32 = USAGE_UNITS / 128 + 1;
/// Alerts that are read of a window that is open, at most: 50 of less than 1 KB, of which 8 KB cost a unit.
pub(super) const ALERTS: i32 = 50;
const ALERT_UNITS: u32 = 7;
/// The units of a limit that is an item of its own, rounded up.
const LIMIT_UNITS: u32 = 1;

/// The calls of one minute while somebody looks at the page, at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Calls {
    /// Metrics that one GetMetricData request asks for.
    pub metrics: u32,
    /// DescribeAlarms.
    pub alarms: u32,
    /// GetEventSourceMapping, which is free.
    pub mappings: u32,
    /// ListObjectsV2 of the failure bucket.
    pub listings: u32,
    /// GetObject of documents in the failure bucket.
    pub documents: u32,
    /// Query of the ledger.
    pub queries: u32,
    /// Scan of the usage table.
    pub scans: u32,
    /// GetItem of limits.
    pub limits: u32,
    /// Read units of all three.
    pub units: u32,
}

impl Calls {
    /// The calls for a stack with these metrics and names, whose pipeline has this layout of snapshots. `reads_usage` is whether the
    /// usage table is read.
    pub(super) fn of(metrics: &Metrics, names: &Names, snapshot: Option<&Snapshot>, reads_usage: bool) -> Calls {
        let whole = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let bucket = u32::from(names.failure_bucket.is_some());
        let usage = snapshot.filter(|_| reads_usage);
        let limits = usage.map_or(0, |snapshot| whole(most_limits(snapshot)));
        let queries = snapshot.filter(|snapshot| !snapshot.alerts.is_empty());
        let queries = queries.map_or(0, |snapshot| whole(snapshot.windows.len()));
        let (scans, scan_units) = if usage.is_some() { (SCAN_PAGES, USAGE_UNITS) } else { (0, 0) };
        Calls {
            metrics: whole(metrics.len()),
            alarms: 1,
            mappings: 1 + u32::from(names.ledger_mapping.is_some()),
            listings: bucket * LISTINGS,
            documents: bucket * whole(SHOWN),
            queries,
            scans,
            limits,
            units: scan_units + limits * LIMIT_UNITS + queries * ALERT_UNITS,
        }
    }

    /// How many calls these are.
    pub(super) fn per_minute(&self) -> u32 {
        let Calls { metrics: _, alarms, mappings, listings, documents, queries, scans, limits, units: _ } = self;
        1 + alarms + mappings + listings + documents + queries + scans + limits
    }

    /// What they cost in an hour.
    pub(super) fn dollars_per_hour(&self, prices: &Prices) -> f64 {
        60.0 * self.dollars(prices)
    }

    /// What they cost once.
    fn dollars(&self, prices: &Prices) -> f64 {
        let items = [
            (PriceItem::MetricRead, self.metrics),
            (PriceItem::MetricCall, self.alarms),
            (PriceItem::Put, self.listings),
            (PriceItem::Get, self.documents),
            (PriceItem::ReadUnit, self.units),
        ];
        items.into_iter().map(|(item, count)| f64::from(count) * prices.of(item)).sum()
    }

    /// In words.
    pub(super) fn sentence(&self, prices: &Prices) -> String {
        format!(
            "At most {} calls per minute and {} per hour while somebody looks at the page, at the list prices of {} of {}. None while \
             nobody does.",
            self.per_minute(),
            dollars(self.dollars_per_hour(prices)),
            prices.region,
            prices.as_of,
        )
    }
}

#[cfg(test)]
mod tests {
    use usage_aggregator::pipeline::{Pipeline, shipped};

    use super::super::tests::names;
    use super::*;

    fn calls(pipeline: &str) -> Calls {
        let pipeline = Pipeline::parse(&shipped(pipeline).unwrap()).unwrap();
        Calls::of(&Metrics::of(&names()), &names(), pipeline.snapshot.as_ref(), true)
    }

    #[test]
    fn the_cost_follows_from_the_calls_and_is_what_help_and_document_say() {
        let prices = Prices::read(None).unwrap();
        let orders = calls("orders");
        assert_eq!(
            orders,
            Calls {
                metrics: 24,
                alarms: 1,
                mappings: 2,
                listings: 3,
                documents: 5,
                queries: 0,
                scans: 12,
                limits: 0,
                units: 1_500
            }
        );
        // 24 metrics and an alarm request at $0.01 per 1,000, 3 listings at $0.005, 5 reads at $0.0004, 1,500 units at $0.125 per million.
        let by_hand = 60.0 * (25.0 * 1e-5 + 3.0 * 5e-6 + 5.0 * 4e-7 + 1_500.0 * 1.25e-7);
        assert!((orders.dollars_per_hour(&prices) - by_hand).abs() < 1e-12);
        let help = crate::deployment::watch::EXAMPLES.replace('\n', " ");
        let document = include_str!("../../../../docs/live.md").replace('\n', " ");
        let stated = format!("at most {} calls per minute", orders.per_minute());
        let cost = format!("{} per hour", dollars(orders.dollars_per_hour(&prices)));
        for text in [&help, &document] {
            assert!(text.contains(&stated) && text.contains(&cost), "{stated}, {cost}: {text}");
        }
        assert!(orders.sentence(&prices).contains(&cost));
    }

    #[test]
    fn limits_and_alerts_are_counted_and_what_a_stack_does_not_have_is_not() {
        let api_usage = calls("api-usage");
        assert!(api_usage.queries > 0 && api_usage.per_minute() > calls("orders").per_minute(), "{api_usage:?}");
        let bare = Names { failure_bucket: None, fold_function: None, ledger_mapping: None, ..names() };
        let archive_only = Calls::of(&Metrics::of(&bare), &bare, None, false);
        let expected = Calls { metrics: 15, alarms: 1, mappings: 1, ..Calls::default() };
        assert_eq!((archive_only, archive_only.per_minute()), (expected, 3));
    }
}
