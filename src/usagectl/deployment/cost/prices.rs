//! The price list: a dated table in the repository with the source of each price. A file in the same format overrides any
//! of them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use toml::de::{DeTable, DeValue};

use crate::shell::console::UsageError;

const COMPILED_IN: &str = include_str!("prices.toml");

/// Something that has a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PriceItem {
    /// An invocation.
    LambdaRequest,
    /// A GB-second on arm64.
    GbSecondArm,
    /// A GB-second on x86_64.
    GbSecondX86,
    /// A write unit of an on-demand table.
    WriteUnit,
    /// A read unit of an on-demand table.
    ReadUnit,
    /// A GB in a table for a month.
    TableGbMonth,
    /// A GB of point-in-time recovery for a month.
    RecoveryGbMonth,
    /// A PUT or LIST request to S3.
    Put,
    /// A GET request to S3.
    Get,
    /// A GB in S3 for a month.
    ArchiveGbMonth,
    /// A GB in a cold storage class for a month.
    ColdGbMonth,
    /// A GB of logs.
    LogGb,
    /// A custom metric for a month.
    Metric,
    /// An alarm metric for a month.
    Alarm,
    /// A composite alarm for a month.
    CompositeAlarm,
    /// A dashboard for a month.
    Dashboard,
    /// A PutMetricData or DescribeAlarms request.
    MetricCall,
    /// A metric that GetMetricData is asked for.
    MetricRead,
    /// A KMS key for a month.
    Key,
}

impl PriceItem {
    /// All items.
    pub const ALL: [PriceItem; 19] = [
        PriceItem::LambdaRequest,
        PriceItem::GbSecondArm,
        PriceItem::GbSecondX86,
        PriceItem::WriteUnit,
        PriceItem::ReadUnit,
        PriceItem::TableGbMonth,
        PriceItem::RecoveryGbMonth,
        PriceItem::Put,
        PriceItem::Get,
        PriceItem::ArchiveGbMonth,
        PriceItem::ColdGbMonth,
        PriceItem::LogGb,
        PriceItem::Metric,
        PriceItem::Alarm,
        PriceItem::CompositeAlarm,
        PriceItem::Dashboard,
        PriceItem::MetricCall,
        PriceItem::MetricRead,
        PriceItem::Key,
    ];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            PriceItem::LambdaRequest => "lambda_request",
            PriceItem::GbSecondArm => "gb_second_arm64",
            PriceItem::GbSecondX86 => "gb_second_x86_64",
            PriceItem::WriteUnit => "write_unit",
            PriceItem::ReadUnit => "read_unit",
            PriceItem::TableGbMonth => "table_gb_month",
            PriceItem::RecoveryGbMonth => "recovery_gb_month",
            PriceItem::Put => "put",
            PriceItem::Get => "get",
            PriceItem::ArchiveGbMonth => "archive_gb_month",
            PriceItem::ColdGbMonth => "cold_gb_month",
            PriceItem::LogGb => "log_gb",
            PriceItem::Metric => "metric",
            PriceItem::Alarm => "alarm",
            PriceItem::CompositeAlarm => "composite_alarm",
            PriceItem::Dashboard => "dashboard",
            PriceItem::MetricCall => "metric_call",
            PriceItem::MetricRead => "metric_read",
            PriceItem::Key => "key",
        }
    }
}

/// A price for a number of units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// The price.
    pub dollars: f64,
    /// For how many units.
    pub per: f64,
}

/// The prices of one region on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    /// The AWS region.
    pub region: String,
    /// The day on which they were read.
    pub as_of: String,
    table: BTreeMap<PriceItem, Price>,
}

impl Prices {
    /// The built-in prices, overridden by those in `file`.
    ///
    /// # Errors
    /// When the file can't be read or is invalid.
    pub fn read(file: Option<&Path>) -> anyhow::Result<Prices> {
        let mut prices = Prices { region: String::new(), as_of: String::new(), table: BTreeMap::new() };
        prices.add(COMPILED_IN).map_err(UsageError)?;
        if let Some(path) = file {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("read the prices in {}", path.display()))?;
            prices.add(&text).map_err(|mistake| UsageError(format!("prices in {}: {mistake}", path.display())))?;
        }
        Ok(prices)
    }

    /// The price of one unit.
    pub fn of(&self, item: PriceItem) -> f64 {
        self.price(item).map_or(0.0, |price| price.dollars / price.per)
    }

    fn price(&self, item: PriceItem) -> Option<Price> {
        self.table.get(&item).copied()
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let table = DeTable::parse(text).map_err(|error| error.to_string())?;
        for (name, value) in table.get_ref() {
            let name = name.get_ref().as_ref();
            match (name, value.get_ref()) {
                ("region", DeValue::String(region)) => self.region = region.to_string(),
                ("as_of", DeValue::String(day)) => self.as_of = day.to_string(),
                (name, DeValue::Table(price)) => {
                    let item = PriceItem::ALL.into_iter().find(|item| item.name() == name);
                    let item = item.ok_or_else(|| format!("unknown price `{name}`; expected one of {}", names()))?;
                    self.table.insert(
                        item,
                        read_price(price).ok_or_else(|| format!("{name} needs `dollars` and `per`, above 0"))?,
                    );
                }
                (name, _) => {
                    return Err(format!(
                        "{name} is not a valid price; write [{name}] with `dollars` and `per` below it"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn read_price(table: &DeTable<'_>) -> Option<Price> {
    let number = |name: &str| {
        let text = match table.get(name)?.get_ref() {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) => number.as_str(),
            _ => return None,
        };
        text.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
    };
    Some(Price { dollars: number("dollars")?, per: number("per").filter(|per| *per > 0.0)? })
}

fn names() -> String {
    PriceItem::ALL.map(PriceItem::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_a_price_with_a_source() {
        let prices = Prices::read(None).unwrap();
        for item in PriceItem::ALL {
            assert!(prices.of(item) > 0.0, "{}", item.name());
        }
        let sources = COMPILED_IN.lines().filter(|line| line.starts_with("source = \"")).count();
        assert_eq!(sources, PriceItem::ALL.len());
        assert!((prices.of(PriceItem::WriteUnit) * 1e6 - 0.625).abs() < 1e-9);
    }

    #[test]
    fn a_file_overrides_some_prices() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prices.toml");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Prices::read(Some(&file)).map_err(|error| error.to_string())
        };
        let prices = read("region = \"eu-west-1\"\n[put]\ndollars = 5.5\nper = 1_000_000").unwrap();
        assert_eq!((prices.region.as_str(), prices.of(PriceItem::Put)), ("eu-west-1", 5.5 / 1e6));
        assert_eq!(prices.of(PriceItem::Key), 1.0);
        for (text, expected) in [
            ("[putt]\ndollars = 1\nper = 1", "unknown price `putt`"),
            ("[put]\ndollars = 1", "put needs `dollars` and `per`"),
            ("put = 5", "put is not a valid price"),
            ("[put", "prices in"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_document_has_the_same_prices() {
        let document = include_str!("../../../../docs/cost.md");
        let prices = Prices::read(None).unwrap();
        assert!(document.contains(&prices.as_of) && document.contains(&prices.region));
        for item in PriceItem::ALL {
            let start = format!("| `{}` |", item.name());
            let row = document.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
            let Price { dollars, per } = prices.price(item).unwrap();
            let shown = row.split('$').nth(1).and_then(|text| text.split_whitespace().next()).unwrap();
            assert_eq!(shown.parse::<f64>().unwrap(), dollars, "{row}");
            assert_eq!(row.contains("per million"), per > 1.0, "{row}");
        }
    }
}
