//! How a bill looks: tables, bars of the shares, what the plain way would cost; or one JSON object.

use std::time::Duration;

use serde_json::{Value, json};
use usage_aggregator::decimal::Decimal;

use super::fixed::Fixed;
use super::model::{Line, Load, MILLION, Seen, total};
use super::prices::{Item, Prices};
use crate::shell::numbers::{dollars, number, percent};
use crate::shell::plot::{self, Bar};
use crate::shell::table;

/// Where the load is known from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Basis {
    Assumed,
    Measured { span: Duration, records: f64, invocations: f64 },
}

/// What a load costs.
#[derive(Debug)]
pub struct Bill {
    load: Load,
    basis: Basis,
    per_million: Vec<Line>,
    fixed: Vec<Line>,
    growth: Vec<Line>,
    /// One UpdateItem for each delta and window, a million records.
    naive: Line,
    /// PutMetricData for each record, a million of them.
    metric_calls: Line,
    prices: String,
}

impl Bill {
    pub fn new(load: Load, fixed: Fixed, prices: &Prices, seen: Option<Seen>, basis: Basis) -> Bill {
        let line =
            |what, quantity: f64, item| Line { what, quantity, dollars: quantity * prices.of(item), measured: false };
        Bill {
            per_million: load.per_million(prices, seen.as_ref()),
            fixed: fixed.lines(prices),
            growth: load.growth(prices),
            naive: line("one UpdateItem for each delta and window", load.naive_write_units(), Item::WriteUnit),
            metric_calls: line("PutMetricData for each record", MILLION, Item::MetricCall),
            prices: format!("list prices of {}, {}, without free tier and discounts", prices.region, prices.as_of),
            load,
            basis,
        }
    }

    /// Millions of records a month.
    fn millions(&self) -> f64 {
        self.load.records_per_month() / MILLION
    }

    fn month(&self) -> f64 {
        total(&self.per_million) * self.millions() + total(&self.fixed) + total(&self.growth)
    }

    pub fn text(&self) -> String {
        let parts = [self.basis(), self.million(), self.shares(), self.a_month(), self.instead(), self.prices.clone()];
        parts.join("\n\n")
    }

    fn basis(&self) -> String {
        let Load { rate, batch, groups, windows, memory_gb, seconds, .. } = &self.load;
        let load = format!(
            "{} records a second, {} in a batch with {} counters of {} windows; {:.0} ms at {:.0} MB",
            number(*rate),
            number(*batch),
            number(*groups),
            number(*windows),
            seconds * 1_000.0,
            memory_gb * 1_024.0,
        );
        match &self.basis {
            Basis::Assumed => format!("assumed: {load}"),
            Basis::Measured { span, records, invocations } => format!(
                "measured over {} h: {} records in {} invocations\n{load}",
                number(span.as_secs_f64() / 3_600.0),
                number(*records),
                number(*invocations)
            ),
        }
    }

    fn million(&self) -> String {
        let mut rows = table::titled(["a million records", "quantity", "dollars", ""]);
        for line in &self.per_million {
            let source = if line.measured { "measured" } else { "by the model" };
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

    /// Percent of a million records' dollars.
    fn shares(&self) -> String {
        let all = total(&self.per_million);
        let bar = |line: &Line| Bar {
            label: line.what.to_owned(),
            number: Decimal::parse(&percent(line.dollars, all)).unwrap_or_default(),
        };
        let bars: Vec<Bar> = self.per_million.iter().map(bar).collect();
        format!("share of that in percent\n{}", plot::chart(&bars, plot::width()))
    }

    fn a_month(&self) -> String {
        let millions = self.millions();
        let title = format!("a month of {} records", number(self.load.records_per_month()));
        let mut rows = table::titled([title.as_str(), "quantity", "dollars"]);
        let mut row = |what: &str, quantity: &str, sum: f64| {
            rows.add_row([table::text(what), table::number(quantity), table::number(&dollars(sum))]);
        };
        row("records, in millions", &number(millions), total(&self.per_million) * millions);
        for line in self.fixed.iter().chain(&self.growth) {
            row(line.what, &number(line.quantity), line.dollars);
        }
        row("total", "", self.month());
        format!("{rows}\nStored data is what this month adds; it costs as much again each month that it is kept.")
    }

    fn instead(&self) -> String {
        let ours = total(&self.per_million);
        let mut rows = table::titled(["instead, a million records", "quantity", "dollars", "times"]);
        for line in [&self.naive, &self.metric_calls] {
            let times = if ours > 0.0 { number(line.dollars / ours) } else { String::new() };
            rows.add_row([
                table::text(line.what),
                table::number(&number(line.quantity)),
                table::number(&dollars(line.dollars)),
                table::number(&times),
            ]);
        }
        format!("{rows}\nThe first is write units alone, and counts a record again with every retry.")
    }

    pub fn json(&self) -> String {
        let line = |line: &Line| json!({ "what": line.what, "quantity": line.quantity, "dollars": line.dollars, "measured": line.measured });
        let lines = |of: &[Line]| of.iter().map(line).collect::<Vec<Value>>();
        let basis = match &self.basis {
            Basis::Assumed => json!("assumed"),
            Basis::Measured { span, records, invocations } => {
                json!({ "span_seconds": span.as_secs(), "records": records, "invocations": invocations })
            }
        };
        let Load { rate, batch, groups, windows, files, seconds, memory_gb, .. } = &self.load;
        json!({
            "basis": basis,
            "load": {
                "records_per_second": rate, "batch": batch, "groups": groups, "windows": windows, "files": files,
                "seconds": seconds, "memory_gb": memory_gb,
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
