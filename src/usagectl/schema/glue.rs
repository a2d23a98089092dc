//! `usagectl schema glue`: generates the Athena tables, views and named queries in template.yaml from the schemas of pipelines.
//! `make glue` writes them there, and a test checks that they are up to date. `merge` keeps the resources of other pipelines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use usage_aggregator::archive::RecordSchema;
use usage_aggregator::pipeline::{Archive, Folder, PartitionDate, Pipeline, shipped, shipped_names};

use self::merge::merged;
use self::resources::{compacted_table, named_query, table, view};
pub(super) use self::resources::{condition, logical_id};
use super::athena::{RecordType, queries};
use super::columns::columns;
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;

mod merge;
mod resources;

/// Generate the Glue tables, views and named queries of template.yaml
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Glue {
    /// Write into this template, between the markers `# glue: begin` and `# glue: end`, instead of printing. Resources of
    /// other pipelines there stay as they are
    #[arg(long, value_name = "TEMPLATE")]
    into: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl schema glue                        All shipped pipelines
  usagectl schema glue --pipeline orders
  usagectl schema glue --into template.yaml   The same as `make glue`

To deploy a pipeline of your own, use `make deploy PIPELINE_DIR=...` or `usagectl package`
instead: they generate these resources into a copy of the template.";

const BEGIN: &str = "# glue: begin";
const END: &str = "# glue: end";
/// A pipeline's own query, next to its pipeline.toml.
const USAGE_QUERY: &str = "usage.sql";

impl Glue {
    /// Prints the resources, or writes them into the template.
    pub(super) fn run(self, options: &Options) -> anyhow::Result<Done> {
        let mut generated = Vec::new();
        for folder in folders(options)? {
            generated.push((condition(&folder.name), pipeline_resources(&folder)?));
        }
        match &self.into {
            None if options.json => {
                let resources: BTreeMap<&String, &String> = generated.iter().map(|(id, text)| (id, text)).collect();
                console::print(&json!({ "resources_by_condition": resources }).to_string())?;
            }
            None => {
                let text: String = generated.iter().map(|(_, text)| text.as_str()).collect();
                console::print(text.trim_end())?;
            }
            Some(path) => write_into(path, &generated)?,
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
    let folder = |name: &str| {
        let unknown =
            || UsageError(format!("unknown pipeline `{name}`; expected one of {}", shipped_names().join(", ")));
        shipped(name).ok_or_else(|| unknown().into())
    };
    names.into_iter().map(folder).collect()
}

fn write_into(path: &Path, generated: &[(String, String)]) -> anyhow::Result<()> {
    let shown = path.display();
    let old = std::fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
    let new =
        replaced(&old, |resources| merged(resources, generated)).with_context(|| format!("write into {shown}"))?;
    if new != old {
        std::fs::write(path, new).with_context(|| format!("write {shown}"))?;
    }
    Ok(())
}

/// Replaces the resources between the markers in `template` with what `new` makes of them.
pub(super) fn replaced(template: &str, new: impl Fn(&str) -> String) -> anyhow::Result<String> {
    let parts = template.split_once(BEGIN).and_then(|(before, rest)| {
        let (marker, rest) = rest.split_once('\n')?;
        let (resources, after) = rest.split_once(END)?;
        Some((before, marker, resources, after))
    });
    let Some((before, marker, resources, after)) = parts else {
        bail!("the lines `{BEGIN}` and `{END}` are missing: add them where the tables belong");
    };
    Ok(format!("{before}{BEGIN}{marker}\n{}\n\n  {END}{after}", new(resources).trim_end()))
}

/// The resources of one pipeline, each under the pipeline's condition.
pub(super) fn pipeline_resources(folder: &Folder) -> anyhow::Result<String> {
    let pipeline = Pipeline::parse(folder).map_err(|mistakes| UsageError(mistakes.to_string()))?;
    let mut types = Vec::new();
    let mut text = String::new();
    check_names(&pipeline)?;
    for (name, archive) in
        pipeline.routes.iter().filter_map(|route| Some((&route.record_type, route.archive.as_ref()?)))
    {
        let record_type = record_type(&pipeline.name, name, archive)?;
        text.push_str(&table(&pipeline, &record_type, &archive.schema));
        text.push_str(&compacted_table(&pipeline, &record_type));
        text.push_str(&view(&pipeline, &record_type));
        types.push(record_type);
    }
    if !types.is_empty() {
        let usage = folder.files.get(USAGE_QUERY).map(String::as_str);
        queries(&types, usage).iter().for_each(|query| text.push_str(&named_query(&pipeline, query)));
    }
    Ok(text)
}

/// Refuses record types whose tables, views or resources would have the same name.
fn check_names(pipeline: &Pipeline) -> Result<(), UsageError> {
    let names: Vec<&str> = pipeline.schemas().map(|(name, _)| name).collect();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for name in names {
        let (compacted, view) = (format!("{name}_compacted"), format!("{name}_once"));
        let ids = [logical_id(&[name, "table"]), logical_id(&[&compacted]), logical_id(&[&view])];
        for own in [name.to_owned(), compacted, view].into_iter().chain(ids) {
            if let Some(other) = taken.insert(own.clone(), name) {
                let pipeline = &pipeline.name;
                return Err(UsageError(format!(
                    "{pipeline}/{name}: its table, view or resource would have the same name as one of {pipeline}/{other} ({own}); rename one of the record types"
                )));
            }
        }
    }
    Ok(())
}

fn record_type<'p>(pipeline: &str, name: &'p str, archive: &Archive) -> Result<RecordType<'p>, UsageError> {
    let schema = &archive.schema;
    let columns = columns(schema.parsed()).map_err(|mistakes| {
        UsageError(format!("{pipeline}/{name}: {}", mistakes.join(&format!("\n{pipeline}/{name}: "))))
    })?;
    let record_id = record_id(schema).ok_or_else(|| {
        UsageError(format!("{pipeline}/{name}: no field has \"source\": \"record_id\", which queries need to read each record once; add one"))
    })?;
    let has_own_date = archive.partition_date != PartitionDate::CreatedAt;
    Ok(RecordType { name, record_id, has_own_date, columns })
}

fn record_id(schema: &RecordSchema) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(schema.json()).ok()?;
    let is_identity = |field: &&serde_json::Value| field.get("source").is_some_and(|source| source == "record_id");
    let field = json.get("fields")?.as_array()?.iter().find(is_identity)?;
    Some(field.get("name")?.as_str()?.to_lowercase())
}

#[cfg(test)]
mod tests;
