//! Reads metrics from CloudWatch: many metrics in one request, over one period.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy};

use super::{FunctionName, Point};

const MINUTE: Duration = Duration::from_secs(60);
/// 500: the GetMetricData limit.
const QUERIES: usize = 500;

/// How the data points of a period are aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statistic {
    /// Their sum.
    Sum,
    /// The highest.
    Maximum,
    /// The 99th percentile.
    P99,
}

impl Statistic {
    /// Its name in CloudWatch's API.
    pub fn name(self) -> &'static str {
        match self {
            Statistic::Sum => "Sum",
            Statistic::Maximum => "Maximum",
            Statistic::P99 => "p99",
        }
    }
}

/// A metric to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Figure {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub metric: String,
    /// Its dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// How to aggregate it.
    pub statistic: Statistic,
}

impl Figure {
    /// A metric.
    pub fn new(namespace: &str, metric: &str, dimensions: &[(&str, &str)], statistic: Statistic) -> Figure {
        let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Figure { namespace: namespace.to_owned(), metric: metric.to_owned(), dimensions, statistic }
    }

    /// A metric of a function in Lambda's namespace, over all its versions, whichever of them an alias invokes.
    pub fn of_function(function: &str, metric: &str, statistic: Statistic) -> Figure {
        let name = FunctionName::parse(function).name;
        Figure::new("AWS/Lambda", metric, &[("FunctionName", name)], statistic)
    }

    fn query(&self, id: String, period_seconds: i32) -> MetricDataQuery {
        let dimension = |(name, value): (&String, &String)| Dimension::builder().name(name).value(value).build();
        let dimensions = self.dimensions.iter().map(dimension).collect();
        let metric = Metric::builder().namespace(&self.namespace).metric_name(&self.metric);
        let stat = MetricStat::builder()
            .metric(metric.set_dimensions(Some(dimensions)).build())
            .period(period_seconds)
            .stat(self.statistic.name());
        MetricDataQuery::builder().id(id).metric_stat(stat.build()).build()
    }
}

/// The values of some metrics: one for each period that has data, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    values: BTreeMap<Figure, Vec<f64>>,
    /// The start of each period, in seconds since the epoch.
    times: BTreeMap<Figure, Vec<i64>>,
}

impl Figures {
    /// Reads `figures` over the last `span` from CloudWatch.
    ///
    /// # Errors
    /// When CloudWatch can't be read.
    pub async fn read(
        client: &Client,
        figures: &[Figure],
        span: Duration,
        period_seconds: i32,
    ) -> anyhow::Result<Figures> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(event_source_mapping::now()?.micros().unsigned_abs());
        let mut read = Figures::default();
        for some in figures.chunks(QUERIES) {
            let queries =
                some.iter().enumerate().map(|(index, figure)| figure.query(format!("q{index}"), period_seconds));
            let mut pages = client
                .get_metric_data()
                .set_metric_data_queries(Some(queries.collect()))
                .start_time(DateTime::from(now - span))
                // The end is exclusive: in the first second of a minute, that minute would be left out.
                .end_time(DateTime::from(now + MINUTE))
                .scan_by(ScanBy::TimestampAscending)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let page = page.context("read metrics from CloudWatch (cloudwatch:GetMetricData)")?;
                read.add(some, page.metric_data_results.unwrap_or_default());
            }
        }
        Ok(read)
    }

    /// Adds a page of an answer. Its ids are those of a request for `figures`, in order.
    pub fn add(&mut self, figures: &[Figure], results: Vec<MetricDataResult>) {
        for result in results {
            let index = result.id.as_deref().and_then(|id| id.strip_prefix('q')?.parse::<usize>().ok());
            let Some(figure) = index.and_then(|index| figures.get(index)) else { continue };
            let times = result.timestamps().iter().map(DateTime::secs);
            self.times.entry(figure.clone()).or_default().extend(times);
            self.values.entry(figure.clone()).or_default().extend(result.values.unwrap_or_default());
        }
    }

    /// The values of the periods that have data.
    pub fn values(&self, figure: &Figure) -> &[f64] {
        self.values.get(figure).map_or(&[], Vec::as_slice)
    }

    /// The start of each period that has data, in seconds since the epoch, and its value, oldest first.
    pub fn points(&self, figure: &Figure) -> Vec<Point> {
        let times = self.times.get(figure).map_or(&[][..], Vec::as_slice);
        times.iter().copied().zip(self.values(figure).iter().copied()).collect()
    }

    /// The sum over all periods; `None` if there is no data.
    pub fn sum(&self, figure: &Figure) -> Option<f64> {
        let values = self.values(figure);
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The highest value of any period.
    pub fn highest(&self, figure: &Figure) -> Option<f64> {
        self.values(figure).iter().copied().reduce(f64::max)
    }

    /// The start of the last period with a value above 0, in seconds since the epoch.
    pub fn last_above_zero(&self, figure: &Figure) -> Option<i64> {
        let times = self.times.get(figure)?.iter();
        times.zip(self.values(figure)).filter(|(_, value)| **value > 0.0).map(|(time, _)| *time).max()
    }
}
