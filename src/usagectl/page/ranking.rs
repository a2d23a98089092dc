//! The largest groups by each measure, from snapshots that are read one after the other. However many groups there are, only
//! the largest are kept.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use laptop::proof::counters::{Counters, Place, share_records};
use laptop::proof::rows::Row;
use serde::Serialize;
use stream_types::Decimal;
use usage_aggregator::pipeline::{Aggregate, Limit, Route, Snapshot};
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::{Span, Window};

/// How many groups are listed by measure.
pub(crate) const TOP: usize = 8;
/// How many measures are ranked; those with a limit come first.
pub(crate) const MEASURES: usize = 6;
/// The share of a window that must have passed before its end is projected.
const PROJECTED_FROM: f64 = 0.001;

/// The usage of the current windows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// When the table was read to its end, in UTC.
    pub read_at: String,
    /// How many items it had.
    pub items: u64,
    /// Each measure, those with a limit first.
    pub measures: Vec<MeasureUsage>,
    /// How many measures are left out.
    pub more_measures: usize,
}

/// The largest groups by a measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct MeasureUsage {
    pub measure: String,
    /// The length of the window.
    pub window: &'static str,
    /// Its start and its end.
    pub start: String,
    pub end: String,
    /// The share of it that has passed.
    pub elapsed: f64,
    /// How many groups have the measure.
    pub groups: u64,
    /// Their sum, if it has a meaning and contains no record more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// Whether groups of several counters count the same records, so that their sum isn't the usage.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shares_records: bool,
    pub top: Vec<GroupUsage>,
}

/// What one group has used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GroupUsage {
    /// The texts of the group: the entity, the resource, then any others.
    pub group: Vec<String>,
    /// The exact value.
    pub value: String,
    #[serde(skip)]
    number: f64,
    /// The limit, if the pipeline has an alert for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// What the value will be at the end of the window, at the rate of the window so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projected: Option<f64>,
}

/// Collects the largest groups of the windows that contain one instant.
pub(crate) struct Ranking<'s> {
    snapshot: &'s Snapshot,
    counters: Counters<'s>,
    now: Timestamp,
    items: u64,
    /// By whether a measure has no alert, and by name.
    measures: BTreeMap<(bool, String), Ranked>,
}

struct Ranked {
    span: Span,
    is_sum: bool,
    groups: u64,
    total: f64,
    /// The counters of the groups, if the measure is a sum.
    places: BTreeSet<Place>,
    top: Vec<GroupUsage>,
}

impl<'s> Ranking<'s> {
    /// Without a row so far, of a pipeline with these record types.
    pub(crate) fn new(snapshot: &'s Snapshot, routes: &'s [Route], now: Timestamp) -> Ranking<'s> {
        let counters = Counters::new(&snapshot.group_variables, routes.iter().map(|route| route.counters.as_slice()));
        Ranking { snapshot, counters, now, items: 0, measures: BTreeMap::new() }
    }

    /// Adds an item, which is a snapshot if it has a row.
    pub(crate) fn add(&mut self, row: Option<&Row>) {
        self.items += 1;
        let Some(row) = row else { return };
        let counters = &self.counters;
        let places = LazyCell::new(|| counters.places(row));
        for (measure, text) in &row.measures {
            let (window, has_alert) = self.window_of(measure);
            if row.variable("window") != window.name() {
                continue;
            }
            let span = window.containing(self.now, self.snapshot.zone);
            if window != Window::Total && row.start() != span.start_text() {
                continue;
            }
            let Some(number) = row.number(measure).map(Decimal::to_f64) else { continue };
            let is_sum = row.aggregate(measure) == Aggregate::Sum;
            let ranked = self.measures.entry((!has_alert, measure.clone()));
            let ranked = ranked.or_insert_with(|| Ranked::new(span, is_sum));
            ranked.groups += 1;
            ranked.total += number;
            if is_sum {
                ranked.places.extend(places.iter().copied());
            }
            let group = || self.snapshot.group_variables.iter().map(|name| row.variable(name).to_owned()).collect();
            ranked.place(number, || GroupUsage {
                group: group(),
                value: text.clone(),
                number,
                limit: None,
                projected: None,
            });
        }
    }

    /// The window in which a measure is compared with its limit, or else the longest one that ends.
    fn window_of(&self, measure: &str) -> (Window, bool) {
        let alert = self.snapshot.alerts.iter().find(|alert| alert.rule.measure == measure);
        let ending = self.snapshot.windows.iter().copied().filter(|window| *window != Window::Total).max();
        (alert.map_or(ending.unwrap_or(Window::Total), |alert| alert.window), alert.is_some())
    }

    /// The result, with limits and projections.
    pub(crate) fn finish(self) -> Usage {
        let (snapshot, now) = (self.snapshot, self.now);
        let more_measures = self.measures.len().saturating_sub(MEASURES);
        let measures = self.measures.into_iter().take(MEASURES);
        let measures = measures.map(|((_, measure), ranked)| ranked.finish(measure, snapshot, now)).collect();
        Usage { read_at: now.to_string(), items: self.items, measures, more_measures }
    }
}

impl Ranked {
    /// Without a group so far.
    fn new(span: Span, is_sum: bool) -> Ranked {
        Ranked { span, is_sum, groups: 0, total: 0.0, places: BTreeSet::new(), top: Vec::new() }
    }

    /// Keeps a group if it is one of the largest.
    fn place(&mut self, number: f64, group: impl FnOnce() -> GroupUsage) {
        let place = self.top.partition_point(|other| other.number >= number);
        if place < TOP {
            self.top.insert(place, group());
            self.top.truncate(TOP);
        }
    }

    fn finish(mut self, measure: String, snapshot: &Snapshot, now: Timestamp) -> MeasureUsage {
        let (start, end) = (seconds(self.span.start), seconds(self.span.end()));
        let elapsed = ((seconds(now.seconds()) - start) / (end - start)).clamp(0.0, 1.0);
        let ends = self.span.window != Window::Total;
        let shares_records = share_records(&self.places);
        for of in &mut self.top {
            of.limit = limit(snapshot, &measure, self.span.window, &of.group);
            of.projected = (self.is_sum && ends && elapsed > PROJECTED_FROM).then(|| of.number / elapsed);
        }
        MeasureUsage {
            measure,
            window: self.span.window.name(),
            start: self.span.start_text(),
            end: self.span.end_text(),
            elapsed,
            groups: self.groups,
            total: (self.is_sum && !shares_records).then_some(self.total),
            shares_records,
            top: self.top,
        }
    }
}

/// The limit that is the same for all groups of a counter. Others are in items of their own.
fn limit(snapshot: &Snapshot, measure: &str, window: Window, group: &[String]) -> Option<f64> {
    let mut alerts = snapshot.alerts.iter();
    alerts.find_map(|alert| match &alert.rule.limit {
        Limit::Number(limit) if alert.rule.measure == measure && alert.window == window && alert.is_for(group) => {
            Some(limit.to_f64())
        }
        _ => None,
    })
}

fn seconds(second: i64) -> f64 {
    // Seconds of the years 2000 to 2100 fit.
    u32::try_from(second).map_or(0.0, f64::from)
}

#[cfg(test)]
mod tests {
    use usage_aggregator::pipeline::{Pipeline, shipped};

    use super::*;

    fn row(entity: &str, resource: &str, window: &str, start: &str, measures: &[(&str, &str)]) -> Row {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let variables = [("entity", entity), ("resource", resource), ("window", window), ("window_start", start)];
        Row {
            variables: variables.map(owned).into(),
            measures: measures.iter().copied().map(owned).collect(),
            ..Row::default()
        }
    }

    fn noon() -> Timestamp {
        Timestamp::parse("2026-11-16T00:00:00Z").unwrap()
    }

    #[test]
    fn the_largest_groups_of_the_current_window_are_projected_to_its_end() {
        let pipeline = Pipeline::parse(&shipped("orders").unwrap()).unwrap();
        let mut ranking = Ranking::new(pipeline.snapshot.as_ref().unwrap(), &pipeline.routes, noon());
        let month = "2026-11-01T00:00:00Z";
        ranking.add(Some(&row("7", "orders", "month", month, &[("amount", "150.5")])));
        ranking.add(Some(&row("8", "orders", "month", month, &[("amount", "900")])));
        ranking.add(Some(&row("8", "orders", "month", "2026-10-01T00:00:00Z", &[("amount", "5000")])));
        ranking.add(Some(&row("8", "orders", "day", "2026-11-16T00:00:00Z", &[("amount", "7000")])));
        ranking.add(None);
        let usage = ranking.finish();
        let [amount] = usage.measures.as_slice() else { panic!("{usage:#?}") };
        assert_eq!((usage.items, amount.groups, amount.total, amount.elapsed), (5, 2, Some(1_050.5), 0.5));
        let top: Vec<_> = amount.top.iter().map(|of| (of.value.as_str(), of.projected, of.limit)).collect();
        assert_eq!(top, [("900", Some(1_800.0), None), ("150.5", Some(301.0), None)]);
    }

    #[test]
    fn a_measure_with_a_limit_comes_first_in_the_window_of_its_alert() {
        let pipeline = Pipeline::parse(&shipped("api-usage").unwrap()).unwrap();
        let mut ranking = Ranking::new(pipeline.snapshot.as_ref().unwrap(), &pipeline.routes, noon());
        let measures = [("bytes", "20000"), ("a_count", "3")];
        for (window, start) in [("day", "2026-11-16T00:00:00Z"), ("month", "2026-11-01T00:00:00Z")] {
            ranking.add(Some(&row("acme", "endpoint:/v1", window, start, &measures)));
            ranking.add(Some(&row("acme", "requests", window, start, &measures)));
        }
        let usage = ranking.finish();
        let [bytes, count] = usage.measures.as_slice() else { panic!("{usage:#?}") };
        assert_eq!((bytes.measure.as_str(), bytes.window, count.window), ("bytes", "day", "month"));
        let limits: Vec<Option<f64>> = bytes.top.iter().map(|of| of.limit).collect();
        assert_eq!(limits, [Some(25_000.0), None], "the limit is that of an endpoint");
    }

    #[test]
    fn regression_counters_of_the_same_records_have_no_total() {
        let pipeline = Pipeline::parse(&shipped("api-usage").unwrap()).unwrap();
        let usage_of = |groups: &[(&str, &str)]| {
            let mut ranking = Ranking::new(pipeline.snapshot.as_ref().unwrap(), &pipeline.routes, noon());
            for (entity, resource) in groups {
                ranking.add(Some(&row(entity, resource, "month", "2026-11-01T00:00:00Z", &[("requests", "1000")])));
            }
            let usage = ranking.finish();
            let [requests] = usage.measures.as_slice() else { panic!("{usage:#?}") };
            (requests.groups, requests.total, requests.shares_records)
        };
        let (tenant, endpoint, plan) = (("acme", "requests"), ("acme", "endpoint:/v1"), ("plan:free", "requests"));
        // Each of the three counts the same 1,000 requests.
        assert_eq!(usage_of(&[tenant, endpoint, plan]), (3, None, true));
        assert_eq!(usage_of(&[tenant, plan]), (2, None, true));
        assert_eq!(usage_of(&[tenant, ("globex", "requests")]), (2, Some(2_000.0), false), "two tenants");
        assert_eq!(usage_of(&[endpoint, ("acme", "endpoint:/v2")]), (2, Some(2_000.0), false), "each has one endpoint");
    }

    #[test]
    fn of_80_000_entities_the_largest_are_kept() {
        let pipeline = Pipeline::parse(&shipped("orders").unwrap()).unwrap();
        let mut ranking = Ranking::new(pipeline.snapshot.as_ref().unwrap(), &pipeline.routes, noon());
        for entity in 0..80_000 {
            let value = (entity * 7_919 % 80_000).to_string();
            let names = ["amount", "orders", "changes", "d", "e", "f", "g", "h"].map(|name| (name, value.as_str()));
            ranking.add(Some(&row(&entity.to_string(), "orders", "month", "2026-11-01T00:00:00Z", &names)));
        }
        let usage = ranking.finish();
        assert_eq!((usage.measures.len(), usage.more_measures), (MEASURES, 2));
        let [amount, ..] = usage.measures.as_slice() else { panic!() };
        assert_eq!((amount.groups, amount.top.len(), amount.top[0].value.as_str()), (80_000, TOP, "79999"));
        assert!(serde_json::to_string(&usage).unwrap().len() < 8_000);
    }
}
