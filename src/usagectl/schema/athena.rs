//! The SQL for Athena: the view that reads each record once, and the named queries of a pipeline. It is portable, except for `late_data`,
//! which needs the time a file was written, and for the path of a row's file, which every engine has under another name.

use super::columns::{Column, EFFECTIVE, PARTITION, UNIT};

/// The unit in the path of a raw file. Files from before there were units have none, and stay raw.
const UNIT_IN_PATH: &str = "/([0-9T-]{13,15})-[^/]*$";

/// Which days a named query reads. Without a limit, it would exceed the workgroup's scan limit as the archive grows.
const RECENT: &str = "partition_date >= CAST(current_date - INTERVAL '31' DAY AS varchar)";

/// An archived record type.
#[derive(Debug)]
pub(super) struct RecordType<'p> {
    /// Its name, which is also the table's.
    pub name: &'p str,
    /// The column that holds the record's identity.
    pub record_id: String,
    /// Whether its partition date comes from an attribute, which can be in the future.
    pub has_own_date: bool,
    /// The table's columns.
    pub columns: Vec<Column>,
}

/// A named query in Athena.
#[derive(Debug)]
pub(super) struct NamedQuery {
    /// Its name.
    pub name: &'static str,
    /// What it shows.
    pub description: &'static str,
    /// The query.
    pub sql: String,
}

impl RecordType<'_> {
    /// The name of the view that reads each record once.
    pub(super) fn view(&self) -> String {
        format!("{}_once", self.name)
    }

    /// The name of the table of closed rows.
    pub(super) fn closed(&self) -> String {
        format!("{}_closed", self.name)
    }

    /// The query of that view: the closed rows that have taken effect, and of the raw rows those of units that no such row belongs to.
    ///
    /// A file of closed rows is put before it takes effect, and a query has one time, so all scans agree on the closed units. All copies of a
    /// raw row are in one partition, because the date is derived from the row. Partitioning the window and joining by the date as
    /// well lets a filter on the date skip partitions in every scan.
    pub(super) fn once(&self) -> String {
        let (name, closed, id) = (self.name, self.closed(), &self.record_id);
        let list = |column: &dyn Fn(&Column) -> String| self.columns.iter().map(column).collect::<Vec<_>>().join(", ");
        let closed_columns = list(&|Column { name, default, .. }| match default {
            Some(default) => format!("coalesce(\"{name}\", {default}) AS \"{name}\""),
            None => format!("\"{name}\""),
        });
        let raw_columns = list(&|Column { name, .. }| format!("raw.\"{name}\""));
        format!(
            "WITH closed AS (SELECT * FROM \"{closed}\" WHERE \"{EFFECTIVE}\" <= to_unixtime(current_timestamp)), \
             raw AS (SELECT *, regexp_extract(\"$path\", '{UNIT_IN_PATH}', 1) AS \"{UNIT}\", row_number() OVER (PARTITION BY {PARTITION}, \"{id}\" ORDER BY \"{id}\") AS copy_number FROM \"{name}\") \
             SELECT {closed_columns}, {PARTITION} FROM closed \
             UNION ALL \
             SELECT {raw_columns}, raw.{PARTITION} FROM raw LEFT JOIN (SELECT DISTINCT {PARTITION}, \"{UNIT}\" FROM closed) AS units ON units.{PARTITION} = raw.{PARTITION} AND units.\"{UNIT}\" = raw.\"{UNIT}\" \
             WHERE raw.copy_number = 1 AND units.\"{UNIT}\" IS NULL",
        )
    }
}

/// The named queries of a pipeline; `usage` is its `usage.sql`, if it has one.
pub(super) fn queries(types: &[RecordType<'_>], usage: Option<&str>) -> Vec<NamedQuery> {
    let of_all = |one: &dyn Fn(&RecordType<'_>) -> String, order: &str| {
        format!("{}\nORDER BY {order}", types.iter().map(one).collect::<Vec<_>>().join("\nUNION ALL\n"))
    };
    let mut queries = vec![
        NamedQuery {
            name: "rows_per_day",
            description: "Number of distinct records per type and day",
            sql: of_all(
                &|record_type| {
                    format!(
                        "SELECT '{}' AS record_type, partition_date, count(*) AS records FROM \"{}\" WHERE {RECENT} GROUP BY partition_date",
                        record_type.name,
                        record_type.view()
                    )
                },
                "partition_date, record_type",
            ),
        },
        NamedQuery {
            name: "duplicates",
            description: "Days with duplicate rows, which redeliveries can cause",
            sql: of_all(
                &|RecordType { name, record_id, .. }| {
                    format!(
                        "SELECT '{name}' AS record_type, partition_date, count(*) AS row_count, count(*) - count(DISTINCT \"{record_id}\") AS duplicates FROM \"{name}\" WHERE {RECENT} GROUP BY partition_date HAVING count(*) > count(DISTINCT \"{record_id}\")"
                    )
                },
                "partition_date, record_type",
            ),
        },
        NamedQuery {
            name: "late_data",
            description: "Files written more than an hour after the end of their day",
            sql: of_all(
                &|RecordType { name, .. }| {
                    format!(
                        "SELECT '{name}' AS record_type, partition_date, \"$path\" AS file, max(\"$file_modified_time\") AS written_at, count(*) AS row_count FROM \"{name}\" WHERE {RECENT} GROUP BY partition_date, \"$path\" HAVING max(\"$file_modified_time\") > CAST(partition_date AS timestamp) + INTERVAL '25' HOUR"
                    )
                },
                "written_at",
            ),
        },
    ];
    queries.extend(usage.map(|sql| NamedQuery {
        name: "usage_per_entity",
        description: "Usage per entity and day, computed from the archive",
        sql: sql.trim_end().to_owned(),
    }));
    queries
}
