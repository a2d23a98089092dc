//! The SQL that Athena gets: the view that reads each record once, and the named queries of a pipeline. Portable but for
//! the late rows, which need to know when a file was written.

/// An archived record type.
#[derive(Debug)]
pub struct RecordType<'p> {
    pub name: &'p str,
    /// The column that holds the record's identity.
    pub record_id: String,
    pub columns: Vec<super::columns::Column>,
}

/// A query that is kept in Athena.
#[derive(Debug)]
pub struct NamedQuery {
    pub name: &'static str,
    pub description: &'static str,
    pub sql: String,
}

impl RecordType<'_> {
    /// The name of the view that reads each record once.
    pub fn view(&self) -> String {
        format!("{}_once", self.name)
    }

    /// The view's query. Copies of a row lie in one partition, because its date is made of the row; said so, a filter on
    /// the date still skips partitions.
    pub fn once(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        format!(
            "SELECT {}, partition_date FROM (SELECT *, row_number() OVER (PARTITION BY partition_date, \"{id}\" ORDER BY \"{id}\") AS copy_number FROM \"{}\") AS copies WHERE copy_number = 1",
            names.join(", "),
            self.name,
            id = self.record_id,
        )
    }
}

/// The queries of a pipeline; `usage` is its own `usage.sql`, if it has one.
pub fn queries(types: &[RecordType<'_>], usage: Option<&str>) -> Vec<NamedQuery> {
    let of_all = |one: &dyn Fn(&RecordType<'_>) -> String, order: &str| {
        format!("{}\nORDER BY {order}", types.iter().map(one).collect::<Vec<_>>().join("\nUNION ALL\n"))
    };
    let mut queries = vec![
        NamedQuery {
            name: "rows_per_day",
            description: "How many records of each type each day has, every one once",
            sql: of_all(
                &|record_type| {
                    format!(
                        "SELECT '{}' AS record_type, partition_date, count(*) AS records FROM \"{}\" GROUP BY partition_date",
                        record_type.name,
                        record_type.view()
                    )
                },
                "partition_date, record_type",
            ),
        },
        NamedQuery {
            name: "duplicates",
            description: "Days whose files hold rows more than once, as redeliveries may leave them",
            sql: of_all(
                &|RecordType { name, record_id, .. }| {
                    format!(
                        "SELECT '{name}' AS record_type, partition_date, count(*) AS row_count, count(*) - count(DISTINCT \"{record_id}\") AS duplicates FROM \"{name}\" GROUP BY partition_date HAVING count(*) > count(DISTINCT \"{record_id}\")"
                    )
                },
                "partition_date, record_type",
            ),
        },
        NamedQuery {
            name: "late_data",
            description: "Files that were written more than an hour after their day had ended",
            sql: of_all(
                &|RecordType { name, .. }| {
                    format!(
                        "SELECT '{name}' AS record_type, partition_date, \"$path\" AS file, max(\"$file_modified_time\") AS written_at, count(*) AS row_count FROM \"{name}\" GROUP BY partition_date, \"$path\" HAVING max(\"$file_modified_time\") > CAST(partition_date AS timestamp) + INTERVAL '25' HOUR"
                    )
                },
                "written_at",
            ),
        },
    ];
    queries.extend(usage.map(|sql| NamedQuery {
        name: "usage_per_entity",
        description: "What each entity used each day, from the archive",
        sql: sql.trim_end().to_owned(),
    }));
    queries
}
