//! `usagectl schema glue`: the part of template.yaml that Athena's tables, views and named queries take, made of the
//! pipelines' schemas. `make glue` writes it there, and a test holds the two equal.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use usage_aggregator::archive::RecordSchema;
use usage_aggregator::pipeline::{Folder, Pipeline, shipped, shipped_names};

use super::athena::{NamedQuery, RecordType, queries};
use super::columns::{Column, PARTITION, columns};
use crate::console::{self, Done, UsageError};
use crate::options::Options;

/// Print the Glue tables, views and named queries of the pipelines, as template.yaml has them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Glue {
    /// Write them into this template, between the markers `# glue: begin` and `# glue: end`
    #[arg(long, value_name = "TEMPLATE")]
    into: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl schema glue                        all shipped pipelines
  usagectl schema glue --pipeline orders
  usagectl schema glue --into template.yaml   what `make glue` does";

const BEGIN: &str = "# glue: begin";
const END: &str = "# glue: end";
/// A query of the pipeline's own, beside its pipeline.toml.
const USAGE_QUERY: &str = "usage.sql";

impl Glue {
    pub fn run(self, options: &Options) -> anyhow::Result<Done> {
        let mut text = String::new();
        for folder in folders(options)? {
            text.push_str(&resources(&folder)?);
        }
        match &self.into {
            None => console::print(text.trim_end())?,
            Some(path) => write_into(path, &text)?,
        }
        Ok(Done::Well)
    }
}

fn folders(options: &Options) -> anyhow::Result<Vec<Folder>> {
    if let Some(path) = &options.pipeline_dir {
        return Ok(vec![Folder::read(path).with_context(|| format!("read the pipeline in {}", path.display()))?]);
    }
    let all = shipped_names();
    let names = options.pipeline.as_deref().map_or(all, |name| vec![name]);
    let folder =
        |name: &str| shipped(name).ok_or_else(|| UsageError(format!("no pipeline `{name}` is shipped")).into());
    names.into_iter().map(folder).collect()
}

fn write_into(path: &Path, resources: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let old = std::fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
    let new = replaced(&old, resources).with_context(|| format!("write into {shown}"))?;
    if new != old {
        std::fs::write(path, new).with_context(|| format!("write {shown}"))?;
    }
    Ok(())
}

/// `template` with `resources` between the lines of the markers.
fn replaced(template: &str, resources: &str) -> anyhow::Result<String> {
    let parts = template.split_once(BEGIN).and_then(|(before, rest)| {
        let (marker, rest) = rest.split_once('\n')?;
        let (_, after) = rest.split_once(END)?;
        Some((before, marker, after))
    });
    let Some((before, marker, after)) = parts else {
        bail!("find the lines `{BEGIN}` and `{END}`: add them where the tables belong");
    };
    Ok(format!("{before}{BEGIN}{marker}\n{}\n\n  {END}{after}", resources.trim_end()))
}

/// The resources of one pipeline, which exist under its condition.
fn resources(folder: &Folder) -> anyhow::Result<String> {
    let pipeline = Pipeline::parse(folder).map_err(|mistakes| UsageError(mistakes.to_string()))?;
    let mut types = Vec::new();
    let mut text = String::new();
    for (name, schema) in pipeline.schemas() {
        let record_type = record_type(&pipeline.name, name, schema)?;
        text.push_str(&table(&pipeline, &record_type, schema));
        text.push_str(&view(&pipeline, &record_type));
        types.push(record_type);
    }
    if !types.is_empty() {
        let usage = folder.files.get(USAGE_QUERY).map(String::as_str);
        queries(&types, usage).iter().for_each(|query| text.push_str(&named_query(&pipeline, query)));
    }
    Ok(text)
}

fn record_type<'p>(pipeline: &str, name: &'p str, schema: &RecordSchema) -> Result<RecordType<'p>, UsageError> {
    let columns = columns(schema.parsed()).map_err(|mistakes| {
        UsageError(format!("{pipeline}/{name}: {}", mistakes.join(&format!("\n{pipeline}/{name}: "))))
    })?;
    let record_id = record_id(schema).ok_or_else(|| {
        UsageError(format!("{pipeline}/{name}: no field has \"source\": \"record_id\", so no query could read each record once; add one"))
    })?;
    Ok(RecordType { name, record_id, columns })
}

fn record_id(schema: &RecordSchema) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(schema.json()).ok()?;
    let is_identity = |field: &&serde_json::Value| field.get("source").is_some_and(|source| source == "record_id");
    let field = json.get("fields")?.as_array()?.iter().find(is_identity)?;
    Some(field.get("name")?.as_str()?.to_lowercase())
}

fn table(pipeline: &Pipeline, record_type: &RecordType<'_>, schema: &RecordSchema) -> String {
    let (id, condition) = (logical_id(&[&pipeline.name, record_type.name, "table"]), condition(pipeline));
    let name = record_type.name;
    let (columns, literal) = (hive_columns(&record_type.columns), quoted(schema.json()));
    let folder = format!("s3://${{ArchiveBucket}}/${{Prefix}}/avro/{name}");
    format!(
        "
  {id}:
    Type: AWS::Glue::Table
    Condition: {condition}
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseName: !Ref Database
      TableInput:
        Name: {name}
        TableType: EXTERNAL_TABLE
        PartitionKeys: [{{ Name: {PARTITION}, Type: string }}]
        Parameters:
          EXTERNAL: 'TRUE'
          projection.enabled: 'true'
          projection.{PARTITION}.type: date
          projection.{PARTITION}.format: yyyy-MM-dd
          projection.{PARTITION}.range: !Sub '${{ArchiveSince}},NOW+1DAYS'
          projection.{PARTITION}.interval: '1'
          projection.{PARTITION}.interval.unit: DAYS
          storage.location.template: !Sub
            - {folder}/{PARTITION}=${{!{PARTITION}}}
            - {PREFIX}
        StorageDescriptor:
          Location: !Sub
            - {folder}/
            - {PREFIX}
          InputFormat: org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat
          OutputFormat: org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat
          SerdeInfo:
            SerializationLibrary: org.apache.hadoop.hive.serde2.avro.AvroSerDe
            Parameters:
              avro.schema.literal: {literal}
          Columns:
{columns}"
    )
}

/// The variable that the locations above use.
const PREFIX: &str =
    "Prefix: !If [HasArchivePrefix, !Ref ArchivePrefix, !FindInMap [Pipelines, !Ref Pipeline, ArchivePrefix]]";

fn view(pipeline: &Pipeline, record_type: &RecordType<'_>) -> String {
    let view = record_type.view();
    let (id, condition) = (logical_id(&[&pipeline.name, &view]), condition(pipeline));
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
    DependsOn: {table}
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseName: !Ref Database
      TableInput:
        Name: {view}
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
    )
}

fn named_query(pipeline: &Pipeline, query: &NamedQuery) -> String {
    let (id, condition) = (logical_id(&[&pipeline.name, query.name]), condition(pipeline));
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
    let mut text = String::new();
    for Column { name, hive, .. } in columns {
        let _ = writeln!(text, "            - {{ Name: {name}, Type: {} }}", quoted(hive));
    }
    text
}

/// `order_line_table` of `orders` is `OrdersOrderLineTable`.
fn logical_id(parts: &[&str]) -> String {
    let words = parts.iter().flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
    words.map(capitalized).collect()
}

fn condition(pipeline: &Pipeline) -> String {
    format!("Is{}", logical_id(&[&pipeline.name]))
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// A text in YAML's single quotes, in which nothing but the quote itself is special.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
