//! Which customer of the billing system an entity is.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::shell::console::{UsageError, plain};

/// The customers by entity; without a file, an entity is its own customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Customers(Option<HashMap<String, String>>);

#[derive(Deserialize)]
struct Line {
    entity: String,
    customer: String,
}

impl Customers {
    /// Reads a CSV file with the columns `entity` and `customer`. Others are ignored.
    ///
    /// # Errors
    /// If the file can't be read, or if an entity is in it twice.
    pub(super) fn read(path: Option<&Path>) -> anyhow::Result<Customers> {
        let Some(path) = path else { return Ok(Customers(None)) };
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("read the customers in {name}"))?;
        Customers::of_csv(file, &name)
    }

    /// Reads the text of a file with this name.
    ///
    /// # Errors
    /// If it isn't CSV, lacks a column, or if an entity is in it twice.
    pub(super) fn of_csv(text: impl io::Read, name: &str) -> anyhow::Result<Customers> {
        let reading = || format!("read the customers in {name}");
        let mut customers = HashMap::new();
        let mut reader = csv::Reader::from_reader(text);
        let columns: Vec<String> = reader.headers().with_context(reading)?.iter().map(plain).collect();
        if ["entity", "customer"].iter().any(|wanted| !columns.iter().any(|column| column == wanted)) {
            let columns = columns.join(", ");
            return Err(UsageError(format!("{name}: the columns are {columns}; expected entity and customer")).into());
        }
        for line in reader.into_deserialize() {
            let Line { entity, customer } = line.with_context(reading)?;
            if customer.is_empty() || customers.contains_key(&entity) {
                let (entity, what) = (plain(&entity), if customer.is_empty() { "no customer" } else { "two lines" });
                return Err(UsageError(format!("{name}: entity {entity} has {what}")).into());
            }
            customers.insert(entity, customer);
        }
        Ok(Customers(Some(customers)))
    }

    /// The customer of an entity.
    pub(super) fn of(&self, entity: &str) -> Option<String> {
        match &self.0 {
            None => Some(entity.to_owned()),
            Some(customers) => customers.get(entity).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_the_customer_of_each_entity_once() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let path = folder.path().join("customers.csv");
            std::fs::write(&path, text).unwrap();
            Customers::read(Some(&path)).map_err(|error| format!("{error:#}"))
        };
        let customers = read("name,customer,entity\nAna,cus_1,7\nBo,cus_2,\"8,9\"\n").unwrap();
        assert_eq!((customers.of("8,9").as_deref(), customers.of("1")), (Some("cus_2"), None));
        assert!(read("entity,customer\n7,a\n7,b\n").unwrap_err().ends_with("entity 7 has two lines"));
        assert!(read("entity,customer\n7,\n").unwrap_err().ends_with("entity 7 has no customer"));
        assert!(
            read("id,customer\n7,a\n")
                .unwrap_err()
                .ends_with("the columns are id, customer; expected entity and customer")
        );
        assert_eq!(Customers::read(None).unwrap().of("7").as_deref(), Some("7"));
    }
}
