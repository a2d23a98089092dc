//! Formats an estimate: tables, a chart of the shares, a comparison with simpler designs; or one JSON object.

use std::time::Duration;

use serde_json::{Value, json};
use usage_aggregator::decimal::Decimal;

use super::fixed::Fixed;
use super::model::{Line, Load, MILLION, MeasuredTotals, total};
use super::prices::{PriceItem, Prices};
use crate::shell::numbers::{dollars, number, percent, seconds as duration};
use crate::shell::paragraph::paragraph;
use crate::shell::plot::{self, Bar};
use crate::shell::table;

/// Where the load comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Basis {
    Assumed {
        /// The most records that a batch may have, if fewer arrive within its window.
        fewer_arrive: Option<f64>,
    },
    Measured {
        span: Duration,
        records: f64,
        invocations: f64,
    },
}

/// What a load costs.
#[derive(Debug)]
pub(super) struct Bill {
    load: Load,
    basis: Basis,
    per_million: Vec<Line>,
    fixed: Vec<Line>,
    growth: Vec<Line>,
    /// One UpdateItem per counter and window, for a million records.
    naive: Line,
    /// One PutMetricData per record, for a million records.
    metric_calls: Line,
    prices: String,
}

impl Bill {
    pub(super) fn new(load: Load, fixed: Fixed, prices: &Prices, totals: Option<MeasuredTotals>, basis: Basis) -> Bill {
        let line =
            |what, quantity: f64, item| Line { what, quantity, dollars: quantity * prices.of(item), measured: false };
        Bill {
            per_million: load.per_million(prices, totals.as_ref()),
            fixed: fixed.lines(prices),
            growth: load.growth(prices),
            naive: line("one UpdateItem per counter and window", load.naive_write_units(), PriceItem::WriteUnit),
            metric_calls: line("one PutMetricData per record", MILLION, PriceItem::MetricCall),
            prices: format!("list prices in {} as of {}, without free tier and discounts", prices.region, prices.as_of),
            load,
            basis,
        }
    }

    /// Millions of records per month.
    fn millions(&self) -> f64 {
        self.load.records_per_month() / MILLION
    }

    fn month(&self) -> f64 {
        total(&self.per_million) * self.millions() + total(&self.fixed) + total(&self.growth)
    }

    pub(super) fn text(&self) -> String {
        let parts = [self.basis(), self.million(), self.shares(), self.a_month(), self.instead(), self.prices.clone()];
        parts.join("\n\n")
    }

    fn basis(&self) -> String {
        let Load { rate, batch, groups, windows, memory_gb, seconds, fold_seconds, .. } = &self.load;
        let folded = if *windows > 0.0 { format!(", fold window {}", duration(*fold_seconds)) } else { String::new() };
        let recomputed = match self.load.indicators {
            indicators if indicators.targets > 0.0 => {
                let (targets, items) = (indicators.per_batch(*batch), indicators.items);
                format!(", {} targets of indicators with {} items each", number(targets.round()), number(items))
            }
            _ => String::new(),
        };
        let load = format!(
            "{} records/s, batches of {} records with {} counters in {} windows{folded}{recomputed}; {:.0} ms at {:.0} MB",
            number(*rate),
            number(*batch),
            number(*groups),
            number(*windows),
            seconds * 1_000.0,
            memory_gb * 1_024.0,
        );
        match &self.basis {
            Basis::Assumed { fewer_arrive: None } => paragraph(&format!("assumed: {load}"), ""),
            Basis::Assumed { fewer_arrive: Some(most) } => {
                let limit = format!("a batch can hold {} records, but fewer arrive within its window", number(*most));
                paragraph(&format!("assumed: {load}; {limit}"), "")
            }
            Basis::Measured { span, records, invocations } => format!(
                "measured over {} h: {} records in {} invocations\n{}",
                number(span.as_secs_f64() / 3_600.0),
                number(*records),
                number(*invocations),
                paragraph(&load, "")
            ),
        }
    }

    fn million(&self) -> String {
        let mut rows = table::titled(["per million records", "quantity", "dollars", ""]);
        for line in &self.per_million {
            let source = if line.measured { "measured" } else { "modeled" };
            rows.add_row([
                table::text(line.what),
                table::number(&number(line.quantity)),
                table::number(&dollars(line.dollars)),
                table::text(source),
            ]);
        }
        let sum = dollars(total(&self.per_million));
        rows.add_row([table::text("total"), table::number(""), table::number(&sum), table::text("")]);
        rows.to_string()
    }

    /// Each line's share of the cost per million records.
    fn shares(&self) -> String {
        let all = total(&self.per_million);
        let bar = |line: &Line| Bar {
            label: line.what.to_owned(),
            number: Decimal::parse(&percent(line.dollars, all)).unwrap_or_default(),
        };
        let bars: Vec<Bar> = self.per_million.iter().map(bar).collect();
        format!("share of this cost in percent\n{}", plot::chart(&bars, plot::width()))
    }

    fn a_month(&self) -> String {
        let millions = self.millions();
        let title = format!("per month with {} records", number(self.load.records_per_month()));
        let mut rows = table::titled([title.as_str(), "quantity", "dollars"]);
        let mut row = |what: &str, quantity: &str, sum: f64| {
            rows.add_row([table::text(what), table::number(quantity), table::number(&dollars(sum))]);
        };
        row("records, in millions", &number(millions), total(&self.per_million) * millions);
        for line in self.fixed.iter().chain(&self.growth) {
            row(line.what, &number(line.quantity), line.dollars);
        }
        row("total", "", self.month());
        format!("{rows}\nStorage covers what one month adds; keeping it costs the same again each month.")
    }

    fn instead(&self) -> String {
        let ours = total(&self.per_million);
        let mut rows = table::titled(["alternatives, per million records", "quantity", "dollars", "factor"]);
        for line in [&self.naive, &self.metric_calls] {
            let times = if ours > 0.0 { number(line.dollars / ours) } else { String::new() };
            rows.add_row([
                table::text(line.what),
                table::number(&number(line.quantity)),
                table::number(&dollars(line.dollars)),
                table::number(&times),
            ]);
        }
        format!("{rows}\nThe first covers write units only, and counts a record again with every retry.")
    }

    pub(super) fn json(&self) -> String {
        let line = |line: &Line| json!({ "what": line.what, "quantity": line.quantity, "dollars": line.dollars, "measured": line.measured });
        let lines = |of: &[Line]| of.iter().map(line).collect::<Vec<Value>>();
        let basis = match &self.basis {
            Basis::Assumed { .. } => json!("assumed"),
            Basis::Measured { span, records, invocations } => {
                json!({ "span_seconds": span.as_secs(), "records": records, "invocations": invocations })
            }
        };
        let Load { rate, batch, groups, windows, files, seconds, memory_gb, fold_seconds, .. } = &self.load;
        json!({
            "basis": basis,
            "load": {
                "records_per_second": rate, "batch": batch, "groups": groups, "windows": windows, "files": files,
                "seconds": seconds, "memory_gb": memory_gb, "fold_seconds": fold_seconds,
                "targets_per_batch": self.load.indicators.per_batch(*batch),
            },
            "million_records": { "lines": lines(&self.per_million), "dollars": total(&self.per_million) },
            "month": {
                "records": self.load.records_per_month(),
                "of_records": total(&self.per_million) * self.millions(),
                "fixed": lines(&self.fixed),
                "growth": lines(&self.growth),
                "dollars": self.month(),
            },
            "instead": [line(&self.naive), line(&self.metric_calls)],
            "prices": self.prices,
        })
        .to_string()
    }
}
