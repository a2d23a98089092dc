//! Glue: the tables of Athena.

use aws_sdk_glue::types::Table;

use super::super::facts::{Fact, GlueTable, Part, Unavailable};
use super::{named, seen};
use crate::stack::Account;

pub(super) async fn of(
    account: &Account,
    archives: &Result<(), Unavailable>,
    database: &Option<String>,
) -> Fact<Vec<GlueTable>> {
    archives.clone()?;
    let database = named(database, "--database")?;
    let mut tables = Vec::new();
    let mut pages = account.glue().get_tables().database_name(database).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = seen("glue:GetTables", || Part::Other(format!("the database {database}")), page)?;
        tables.extend(page.table_list.unwrap_or_default().into_iter().map(plain));
    }
    Ok(tables)
}

fn plain(table: Table) -> GlueTable {
    let serde = table.storage_descriptor().and_then(|descriptor| descriptor.serde_info());
    let literal = serde.and_then(|serde| serde.parameters()?.get("avro.schema.literal").cloned());
    let parameters = table.parameters.unwrap_or_default();
    GlueTable { name: table.name, parameters: parameters.into_iter().collect(), schema_literal: literal }
}
