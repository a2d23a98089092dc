//! The SQL for Athena: the view that reads each record once, and the named queries of a pipeline. It is portable, except for the
//! path of a row's file and the time when that was written, which every engine has under another name.

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

    /// The name of the table of compacted rows.
    pub(super) fn compacted(&self) -> String {
        format!("{}_compacted", self.name)
    }

    /// The columns of compacted rows from before a field was renamed, each with its type. Parquet files are read by name.
    pub(super) fn former_columns(&self) -> Vec<(&str, &str)> {
        let mut former: Vec<(&str, &str)> = Vec::new();
        for column in &self.columns {
            for alias in &column.aliases {
                let is_there = self.columns.iter().any(|other| other.name == *alias);
                if !is_there && !former.iter().any(|(name, _)| name == alias) {
                    former.push((alias, &column.hive));
                }
            }
        }
        former
    }

    /// The id of a compacted row; `table` as for [`Column::compacted`].
    fn compacted_id(&self, table: &str) -> String {
        let column = self.columns.iter().find(|column| column.name == self.record_id);
        column.map_or_else(|| format!("{table}\"{}\"", self.record_id), |column| column.compacted(table))
    }

    /// The query of that view: the compacted rows that have taken effect, and the raw rows that aren't among them, each once.
    ///
    /// A file of compacted rows is put before it takes effect, and a query has one time, so all scans agree on the compacted rows. The raw rows
    /// are scanned once, so it doesn't matter when files appear or are deleted. All copies of a raw row are in one partition, because the date is
    /// derived from the row. Partitioning the window and joining by the date as well lets a filter on the date skip partitions in every scan.
    ///
    /// The raw rows are on the right of the join, because Trino then skips compacted files in which no date, unit, or id of a raw row
    /// can be. What tells that a raw row has no compacted one is the latter's time, which isn't a key of the join: DataFusion 55 takes the
    /// condition that such a key is null for one on the raw rows as well, and finds none.
    pub(super) fn once(&self) -> String {
        let (name, compacted, id) = (self.name, self.compacted(), &self.record_id);
        let list = |column: &dyn Fn(&Column) -> String| self.columns.iter().map(column).collect::<Vec<_>>().join(", ");
        let compacted_columns = list(&|column| {
            let (name, value) = (&column.name, column.compacted(""));
            match &column.default {
                Some(default) => format!("coalesce({value}, {default}) AS \"{name}\""),
                None if column.aliases.is_empty() => value,
                None => format!("{value} AS \"{name}\""),
            }
        });
        let known_id = self.compacted_id("known.");
        let raw_columns = list(&|Column { name, .. }| format!("\"{name}\""));
        format!(
            "WITH compacted AS (SELECT * FROM \"{compacted}\" WHERE \"{EFFECTIVE}\" <= to_unixtime(current_timestamp)), \
             raw AS (SELECT *, regexp_extract(\"$path\", '{UNIT_IN_PATH}', 1) AS \"{UNIT}\" FROM \"{name}\"), \
             remaining AS (SELECT raw.*, row_number() OVER (PARTITION BY raw.{PARTITION}, raw.\"{id}\" ORDER BY raw.\"{id}\") AS copy_number \
             FROM compacted AS known RIGHT JOIN raw ON known.{PARTITION} = raw.{PARTITION} AND known.\"{UNIT}\" = raw.\"{UNIT}\" AND {known_id} = raw.\"{id}\" \
             WHERE known.\"{EFFECTIVE}\" IS NULL) \
             SELECT {compacted_columns}, {PARTITION} FROM compacted \
             UNION ALL \
             SELECT {raw_columns}, {PARTITION} FROM remaining WHERE copy_number = 1",
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
            description: "Days with duplicate rows. Redeliveries cause some in raw files, which are deleted a day after compaction. Compacted files have none.",
            sql: of_all(&duplicates, "partition_date, record_type, files"),
        },
        NamedQuery {
            name: "late_data",
            description: "Files with late rows. The raw ones were written more than an hour after the end of their day. The compacted ones were added later or took effect more than four hours after it.",
            sql: of_all(&late_rows, "written_at, file"),
        },
    ];
    queries.extend(usage.map(|sql| NamedQuery {
        name: "usage_per_entity",
        description: "Usage per entity and day, computed from the archive",
        sql: sql.trim_end().to_owned(),
    }));
    queries
}

/// Days on which a kind of file has rows more than once.
fn duplicates(record_type: &RecordType<'_>) -> String {
    let name = record_type.name;
    let raw_id = format!("\"{}\"", record_type.record_id);
    let kinds =
        [("raw", name.to_owned(), raw_id), ("compacted", record_type.compacted(), record_type.compacted_id(""))];
    let of_kind = |(files, table, id): (&str, String, String)| {
        format!(
            "SELECT '{name}' AS record_type, '{files}' AS files, partition_date, count(*) AS row_count, count(*) - count(DISTINCT {id}) AS duplicates FROM \"{table}\" WHERE {RECENT} GROUP BY partition_date HAVING count(*) > count(DISTINCT {id})"
        )
    };
    kinds.map(of_kind).join("\nUNION ALL\n")
}

/// Files with rows that arrived late. A unit is compacted at most three hours after its end, and takes effect half an hour later.
fn late_rows(record_type: &RecordType<'_>) -> String {
    let name = record_type.name;
    let end_and = |hours: u32| format!("CAST(partition_date AS timestamp) + INTERVAL '{}' HOUR", 24 + hours);
    let raw = format!("max(\"$file_modified_time\") > {}", end_and(1));
    let compacted = format!("\"$path\" NOT LIKE '%-000.parquet' OR max(\"{EFFECTIVE}\") > to_unixtime({})", end_and(4));
    let kinds = [("raw", name.to_owned(), raw), ("compacted", record_type.compacted(), compacted)];
    let of_kind = |(files, table, is_late): (&str, String, String)| {
        format!(
            "SELECT '{name}' AS record_type, '{files}' AS files, partition_date, \"$path\" AS file, max(\"$file_modified_time\") AS written_at, count(*) AS row_count FROM \"{table}\" WHERE {RECENT} GROUP BY partition_date, \"$path\" HAVING {is_late}"
        )
    };
    kinds.map(of_kind).join("\nUNION ALL\n")
}
