//! The template resources as text: Athena tables, views and named queries.

use std::fmt::Write;

use serde_json::json;
use usage_aggregator::archive::RecordSchema;
use usage_aggregator::pipeline::Pipeline;

use super::super::athena::{NamedQuery, RecordType};
use super::super::columns::{Column, EFFECTIVE, PARTITION, UNIT};

/// The table of a record type's raw rows.
pub(super) fn table(pipeline: &Pipeline, record_type: &RecordType<'_>, schema: &RecordSchema) -> String {
    external(
        pipeline,
        record_type,
        &Files {
            table: record_type.name,
            id: logical_id(&[&pipeline.name, record_type.name, "table"]),
            folder: "avro",
            formats: "org.apache.hadoop.hive.ql.io.avro.AvroContainer",
            serde: "org.apache.hadoop.hive.serde2.avro.AvroSerDe",
            parameters: format!(
                "\n            Parameters:\n              avro.schema.literal: {}",
                quoted(schema.json())
            ),
            columns: hive_columns(&record_type.columns),
        },
    )
}

/// The table of a record type's compacted rows.
pub(super) fn compacted_table(pipeline: &Pipeline, record_type: &RecordType<'_>) -> String {
    let table = record_type.compacted();
    let mut columns = hive_columns(&record_type.columns);
    for (name, hive) in record_type.former_columns() {
        columns.push_str(&hive_column(name, hive));
    }
    let own = format!(
        "            - {{ Name: {UNIT}, Type: string }}\n            - {{ Name: {EFFECTIVE}, Type: bigint }}\n"
    );
    external(
        pipeline,
        record_type,
        &Files {
            table: &table,
            id: logical_id(&[&pipeline.name, &table]),
            folder: "parquet",
            formats: "org.apache.hadoop.hive.ql.io.parquet.MapredParquet",
            serde: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            parameters: String::new(),
            columns: columns + &own,
        },
    )
}

/// What differs between the tables of raw and compacted rows.
struct Files<'t> {
    table: &'t str,
    id: String,
    folder: &'static str,
    /// The start of the names of the input and output formats.
    formats: &'static str,
    serde: &'static str,
    parameters: String,
    columns: String,
}

/// A table over the files of a folder, with projected partitions.
fn external(pipeline: &Pipeline, record_type: &RecordType<'_>, files: &Files<'_>) -> String {
    // Changes aren't created in the future, but attributes can hold dates of bookings and expiries.
    let future = if record_type.has_own_date { "5YEARS" } else { "1DAYS" };
    let Files { id, formats, serde, parameters, columns, .. } = files;
    let (condition, table_name) = (condition(&pipeline.name), quoted(files.table));
    let folder = format!("s3://${{ArchiveBucket}}/${{Prefix}}/{}/{}", files.folder, record_type.name);
    format!(
        "
  {id}:
    Type: AWS::Glue::Table
    Condition: {condition}
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseName: !Ref Database
      TableInput:
        Name: {table_name}
        TableType: EXTERNAL_TABLE
        PartitionKeys: [{{ Name: {PARTITION}, Type: string }}]
        Parameters:
          EXTERNAL: 'TRUE'
          projection.enabled: 'true'
          projection.{PARTITION}.type: date
          projection.{PARTITION}.format: yyyy-MM-dd
          projection.{PARTITION}.range: !Sub '${{ArchiveSince}},NOW+{future}'
          projection.{PARTITION}.interval: '1'
          projection.{PARTITION}.interval.unit: DAYS
          storage.location.template: !Sub
            - {folder}/{PARTITION}=${{!{PARTITION}}}
            - {PREFIX}
        StorageDescriptor:
          Location: !Sub
            - {folder}/
            - {PREFIX}
          InputFormat: {formats}InputFormat
          OutputFormat: {formats}OutputFormat
          SerdeInfo:
            SerializationLibrary: {serde}{parameters}
          Columns:
{columns}"
    )
}

/// The variable in the locations above.
const PREFIX: &str =
    "Prefix: !If [HasArchivePrefix, !Ref ArchivePrefix, !FindInMap [Pipelines, !Ref Pipeline, ArchivePrefix]]";

/// The view that reads each record once. Athena stores a view's definition as base64 in a comment.
pub(super) fn view(pipeline: &Pipeline, record_type: &RecordType<'_>) -> String {
    let view = record_type.view();
    let (id, condition) = (logical_id(&[&pipeline.name, &view]), condition(&pipeline.name));
    let mut columns: Vec<_> =
        record_type.columns.iter().map(|column| json!({ "name": column.name, "type": column.presto })).collect();
    columns.push(json!({ "name": PARTITION, "type": "varchar" }));
    let definition = json!({
        "catalog": "awsdatacatalog", "schema": "${Database}", "originalSql": record_type.once(), "columns": columns,
    });
    let (definition, hive) = (quoted(&definition.to_string()), hive_columns(&record_type.columns));
    format!(
        "
  {id}:
    Type: AWS::Glue::Table
    Condition: {condition}
    DependsOn: [{table}, {compacted}]
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseName: !Ref Database
      TableInput:
        Name: {view_name}
        TableType: VIRTUAL_VIEW
        Parameters: {{ presto_view: 'true', comment: Presto View }}
        ViewExpandedText: /* Presto View */
        ViewOriginalText: !Join
          - ''
          - ['/* Presto View: ', Fn::Base64: !Sub {definition}, ' */']
        StorageDescriptor:
          Columns:
{hive}            - {{ Name: {PARTITION}, Type: string }}
",
        table = logical_id(&[&pipeline.name, record_type.name, "table"]),
        compacted = logical_id(&[&pipeline.name, &record_type.compacted()]),
        view_name = quoted(&view),
    )
}

/// A named query in the workgroup.
pub(super) fn named_query(pipeline: &Pipeline, query: &NamedQuery) -> String {
    let (id, condition) = (logical_id(&[&pipeline.name, query.name]), condition(&pipeline.name));
    let NamedQuery { name, description, .. } = query;
    let mut sql = String::new();
    for line in query.sql.lines() {
        // Writing to a String can't fail.
        let _ = writeln!(sql, "        {line}");
    }
    format!(
        "
  {id}:
    Type: AWS::Athena::NamedQuery
    Condition: {condition}
    Properties:
      Name: {name}
      Description: {description}
      Database: !Ref Database
      WorkGroup: !Ref WorkGroup
      QueryString: |
{sql}"
    )
}

fn hive_columns(columns: &[Column]) -> String {
    columns.iter().map(|Column { name, hive, .. }| hive_column(name, hive)).collect()
}

fn hive_column(name: &str, hive: &str) -> String {
    format!("            - {{ Name: {}, Type: {} }}\n", quoted(name), quoted(hive))
}

/// `orders` and `order_line_table` become `OrdersOrderLineTable`.
pub(in crate::schema) fn logical_id(parts: &[&str]) -> String {
    let words = parts.iter().flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
    words.map(capitalized).collect()
}

/// The condition of the resources of the pipeline `name`.
pub(in crate::schema) fn condition(name: &str) -> String {
    format!("Is{}", logical_id(&[name]))
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// A single-quoted YAML string, in which only the quote itself needs escaping.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
