//! The indicator of the simulated pipeline as a plain model: what an application has written, and what its orders add up to.
//! Nothing here uses the code under test.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::history::{Change, Order, What};
use super::invariants::ensure;
use super::reference::cents;

/// The sort key of the targets. Items with it are archived if they have a name, which those that the function creates don't have until
/// the application writes to them.
pub const TARGET: &str = "PROFILE";

/// What the function does if a target doesn't exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    Skipped,
    Created,
}

impl Missing {
    /// The indicator as `pipeline.toml` has it.
    pub fn rules(self) -> String {
        let missing = match self {
            Missing::Skipped => "skip",
            Missing::Created => "create",
        };
        let indicator = format!(
            r#"
[[indicator]]
name = "orders of a customer"
records = ["order"]
target = {{ pk = "CUSTOMER#{{customer}}", sk = "{TARGET}" }}
query = {{ pk = "CUSTOMER#{{customer}}", sk = {{ prefix = "ORDER#" }} }}
missing_target = "{missing}"
"#
        );
        let value = |(name, kind): (&str, &str)| format!("\n[[indicator.value]]\nname = \"{name}\"\n{kind}\n");
        indicator + &VALUES.map(value).concat()
    }
}

const VALUES: [(&str, &str); 6] = [
    ("open", "kind = \"count\"\nwhere = { status = \"OPEN\" }"),
    ("amount", "kind = \"sum\"\nattribute = \"total\"\nwhere = { status = \"OPEN\" }"),
    ("largest", "kind = \"max\"\nattribute = \"total\""),
    ("by_status", "kind = \"count_by\"\nattribute = \"status\""),
    ("newest", "kind = \"newest\"\nby = \"sk\""),
    ("any_canceled", "kind = \"any\"\nwhere = { status = \"CANCELLED\" }"),
];

/// The values of one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Values {
    open: i64,
    /// Cents.
    amount: i64,
    /// Cents.
    largest: Option<i64>,
    by_status: BTreeMap<String, i64>,
    newest: Option<String>,
    any_canceled: bool,
}

impl Values {
    /// The values of these orders by name, of which poisoned ones have no status.
    fn of(orders: &BTreeMap<String, (Option<&str>, i64)>) -> Values {
        let mut values = Values::default();
        for (name, (status, cents)) in orders {
            if *status == Some("OPEN") {
                values.open += 1;
                values.amount += cents;
            }
            values.any_canceled |= *status == Some("CANCELLED");
            values.largest = values.largest.max(Some(*cents));
            if let Some(status) = status {
                *values.by_status.entry((*status).to_owned()).or_default() += 1;
            }
            values.newest = values.newest.max(Some(format!("ORDER#{name}")));
        }
        values
    }

    /// The values in the map of a target.
    fn read(map: &Value) -> Result<Values, String> {
        let entries = map["M"].as_object().ok_or_else(|| format!("not a map: {map}"))?;
        let mut values = Values::default();
        for (name, value) in entries {
            let number = || value["N"].as_str().ok_or_else(|| format!("{name} is {value}"));
            let whole = |value: &Value| value["N"].as_str().and_then(|text| text.parse().ok());
            match name.as_str() {
                "version" | "previous" => {}
                "open" => values.open = whole(value).ok_or_else(|| format!("{name} is {value}"))?,
                "amount" => values.amount = cents(number()?),
                "largest" => values.largest = Some(cents(number()?)),
                "by_status" => {
                    let counts = value["M"].as_object().into_iter().flatten();
                    let count = |(status, count)| Some((String::clone(status), whole(count)?));
                    values.by_status = counts.filter_map(count).collect();
                }
                "newest" => values.newest = value["S"].as_str().map(str::to_owned),
                "any_canceled" => values.any_canceled = value["BOOL"] == true,
                _ => return Err(format!("the target has an unknown value: {name} is {value}")),
            }
        }
        Ok(values)
    }
}

/// What an application has written, by customer.
#[derive(Debug, Default)]
pub struct Model(BTreeMap<String, Customer>);

#[derive(Debug)]
struct Customer {
    /// The status and cents of each order.
    orders: BTreeMap<String, (Option<&'static str>, i64)>,
    /// The values after each change of an order. The last ones are true now.
    values: Vec<Values>,
    /// The name in the target, while the application's target exists.
    name: Option<String>,
    /// Whether an order has changed since the application deleted the target, or since the beginning.
    has_asked: bool,
    /// The numbers of all its records.
    records: Vec<usize>,
}

impl Model {
    fn customer(&mut self, name: &str) -> &mut Customer {
        let none = || Customer {
            orders: BTreeMap::new(),
            values: vec![Values::default()],
            name: None,
            has_asked: false,
            records: Vec::new(),
        };
        self.0.entry(name.to_owned()).or_insert_with(none)
    }

    /// An order changes. `record` is the number of its record.
    pub fn change(&mut self, change: &Change, record: usize) {
        let customer = self.customer(&change.customer);
        let status = |order: Order| Some(if order.canceled { "CANCELLED" } else { "OPEN" });
        let order = change.order().to_owned();
        match change.what {
            What::Insert(new) | What::Modify(_, new) => customer.orders.insert(order, (status(new), new.cents)),
            What::Poison(new) => customer.orders.insert(order, (None, new.cents)),
            What::Remove(_) | What::Expire(_) => customer.orders.remove(&order),
        };
        customer.values.push(Values::of(&customer.orders));
        customer.has_asked = true;
        customer.records.push(record);
    }

    /// The application puts a target with this name, or deletes it.
    pub fn touch(&mut self, customer: &str, name: Option<&str>, record: usize) {
        let customer = self.customer(customer);
        customer.has_asked &= name.is_some();
        customer.name = name.map(str::to_owned);
        customer.records.push(record);
    }

    /// The function creates a target. A request that arrives late can do so with older values after the application has deleted the
    /// target, so the target is exact only once its own record, which asks for it, has been acknowledged.
    pub fn created(&mut self, customer: &str, record: usize) {
        self.customer(customer).records.push(record);
    }

    /// Checks all targets, given the records that have been acknowledged: an indicator has never been false, and is exact once
    /// all records of its customer are acknowledged.
    ///
    /// # Errors
    /// The first target that is wrong.
    pub fn check(
        &self,
        missing: Missing,
        target: impl Fn(&str) -> Option<Value>,
        acknowledged: &BTreeSet<usize>,
    ) -> Result<(), String> {
        for (name, customer) in &self.0 {
            let is_settled = customer.records.iter().all(|record| acknowledged.contains(record));
            customer
                .check(missing, target(name).as_ref(), is_settled)
                .map_err(|message| format!("the target of {name}: {message}"))?;
        }
        Ok(())
    }
}

impl Customer {
    fn check(&self, missing: Missing, target: Option<&Value>, is_settled: bool) -> Result<(), String> {
        let creates = missing == Missing::Created;
        let Some(target) = target else {
            let must_exist = self.name.is_some() || creates && self.has_asked && is_settled;
            return ensure(!must_exist, || "it doesn't exist".to_owned());
        };
        ensure(self.name.is_some() || creates, || "it was revived".to_owned())?;
        ensure(target["name"]["S"].as_str() == self.name.as_deref(), || format!("its name isn't {:?}", self.name))?;
        let stored = target.get("indicators").map(Values::read).transpose()?;
        if let Some(stored) = &stored {
            ensure(self.values.contains(stored), || format!("its values were never true: {stored:?}"))?;
        }
        ensure(!is_settled || stored.as_ref() == self.values.last(), || {
            format!("it has {stored:?} although all records are acknowledged, expected {:?}", self.values.last())
        })
    }
}
