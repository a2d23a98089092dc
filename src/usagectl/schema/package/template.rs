//! The template of a package: the committed one with the code in the package's folders and, for your own pipeline, with that
//! pipeline in place of the shipped ones. Works on lines, so that everything else stays as it is written.

use std::collections::BTreeSet;

use anyhow::bail;
use usage_aggregator::pipeline::{Folder, Pipeline, Stream};

use super::super::glue::{condition, replaced};
use super::folder::PIPELINES;
use crate::shell::console::UsageError;
use crate::shell::limiter::LIMITER;
use crate::stack::{CARRIED, PACKAGED_PIPELINE, encoded};

/// Where Lambda puts a function's code.
const TASK_ROOT: &str = "/var/task";
const FUNCTIONS: [(&str, &str); 3] =
    [("Function", "function"), ("FoldFunction", "function"), ("CompactFunction", "compact")];

/// Your own pipeline.
pub(super) struct Own<'p> {
    /// Its files.
    pub folder: &'p Folder,
    /// What they say.
    pub pipeline: &'p Pipeline,
    /// Its tables, views and named queries in Athena.
    pub resources: String,
}

/// The template of a package for functions of this architecture, with the pipeline `own` or with all shipped ones.
pub(super) fn packaged(template: &str, architecture: &'static str, own: Option<&Own<'_>>) -> anyhow::Result<String> {
    let template = match own {
        Some(own) => &replaced(template, |_| own.resources.clone())?,
        None => template,
    };
    let mut edits = Edits { architecture, own, done: BTreeSet::new() };
    let (mut place, mut text) = (Place::default(), String::new());
    for line in template.lines() {
        place.enter(line);
        for new in edits.edited(&place, line) {
            text.push_str(&new);
            text.push('\n');
        }
    }
    if let Some(missing) = edits.missing() {
        bail!("{missing} is missing: is this the template of usagectl {}?", env!("CARGO_PKG_VERSION"));
    }
    if let Some(own) = own {
        check_ids(&text, &own.pipeline.name)?;
    }
    Ok(text)
}

/// The section, its entry, and the entry's property that a line is in.
#[derive(Debug, Default)]
struct Place {
    section: String,
    entry: String,
    property: String,
}

impl Place {
    fn enter(&mut self, line: &str) {
        let (indent, rest) = (line.len() - line.trim_start().len(), line.trim_start());
        let Some((key, _)) = rest.split_once(':').filter(|_| !rest.starts_with('#')) else { return };
        match indent {
            0 => *self = Place { section: key.to_owned(), ..Place::default() },
            2 => (self.entry, self.property) = (key.to_owned(), String::new()),
            4 => key.clone_into(&mut self.property),
            _ => {}
        }
    }
}

/// The edits, and which of them have been made.
struct Edits<'o, 'p> {
    architecture: &'static str,
    own: Option<&'o Own<'p>>,
    done: BTreeSet<&'static str>,
}

impl Edits<'_, '_> {
    /// The lines to write instead of `line`.
    fn edited(&mut self, place: &Place, line: &str) -> Vec<String> {
        if let Some(lines) = self.code(place, line) {
            return lines;
        }
        match self.own {
            Some(own) => self.pipeline(own, place, line).unwrap_or_else(|| vec![line.to_owned()]),
            None => vec![line.to_owned()],
        }
    }

    /// Where the code is, which has been built already, and for what.
    fn code(&mut self, place: &Place, line: &str) -> Option<Vec<String>> {
        if (place.section.as_str(), place.entry.as_str()) == ("Parameters", "Architecture") {
            let key = line.trim().split_once(':').map(|(key, _)| key)?;
            let value = match key {
                "Default" => self.architecture.to_owned(),
                "AllowedValues" => format!("[{}]", self.architecture),
                _ => return None,
            };
            self.done.insert("Architecture");
            return Some(vec![format!("    {key}: {value}")]);
        }
        let (_, folder) = FUNCTIONS.into_iter().find(|(id, _)| *id == place.entry && place.section == "Resources")?;
        match (place.property.as_str(), line.trim()) {
            ("Metadata", "Metadata:") => Some(vec![line.to_owned(), format!("      Packaged: {folder}")]),
            ("Metadata", "BuildMethod: makefile") => {
                self.done.insert("BuildMethod");
                Some(Vec::new())
            }
            ("Metadata", comment) if comment.starts_with('#') => Some(Vec::new()),
            // A release has been packaged before, with all shipped pipelines.
            ("Metadata", packaged) if packaged.starts_with("Packaged:") => {
                self.done.insert("BuildMethod");
                Some(Vec::new())
            }
            (_, "CodeUri: ." | "CodeUri: ./function" | "CodeUri: ./compact") => {
                self.done.insert("CodeUri");
                Some(vec![format!("      CodeUri: ./{folder}")])
            }
            _ => None,
        }
    }

    /// The pipeline in place of the shipped ones. `None` leaves the line as it is.
    fn pipeline(&mut self, own: &Own<'_>, place: &Place, line: &str) -> Option<Vec<String>> {
        let name = own.pipeline.name.as_str();
        let trimmed = line.trim();
        let (edit, lines) = match (place.section.as_str(), place.entry.as_str()) {
            ("Metadata", "") if trimmed == "Metadata:" => {
                ("Metadata", vec![line.to_owned(), format!("  {CARRIED}: {}", encoded(own.folder))])
            }
            ("Parameters", "Pipeline") if trimmed.starts_with("Default:") => {
                ("Parameters.Pipeline", vec![format!("    Default: '{name}'")])
            }
            ("Parameters", "Pipeline") if trimmed.starts_with("AllowedValues:") => {
                ("AllowedValues", vec![format!("    AllowedPattern: ^{name}$")])
            }
            ("Mappings", "Pipelines") if trimmed == "Pipelines:" => {
                ("Mappings.Pipelines", vec![line.to_owned(), format!("    '{name}': {}", facts(own.pipeline))])
            }
            ("Mappings", "Pipelines") if line.starts_with("    ") => ("Mappings.Pipelines", Vec::new()),
            ("Conditions", "") if trimmed == "Conditions:" && name != LIMITER => {
                let own = format!("  {}: !Equals [!Ref Pipeline, '{name}']", condition(name));
                ("Conditions", vec![line.to_owned(), own])
            }
            ("Conditions", entry) if trimmed.contains("!Equals [!Ref Pipeline, ") && entry != condition(LIMITER) => {
                ("Conditions", Vec::new())
            }
            ("Rules", "RacersComeByKinesis") => match own.pipeline.stream {
                Stream::Kinesis => ("Rules", vec![line.replace("alleycat", name)]),
                Stream::DynamoDb => ("Rules", Vec::new()),
            },
            ("Rules", "IndicatorsNameTheirTable") if own.pipeline.indicators.is_empty() => ("Rules", Vec::new()),
            ("Rules", "IndicatorsNameTheirTable") if trimmed.starts_with("RuleCondition:") => (
                "Rules",
                vec![format!(
                    "    RuleCondition: !And [!Equals [!Ref Pipeline, '{name}'], !Equals [!Ref SourceType, KinesisStream]]"
                )],
            ),
            ("Rules", "LimiterHasItsTable") if name != LIMITER => ("Rules", Vec::new()),
            ("Globals", _) if trimmed == "PIPELINE: !Ref Pipeline" => {
                ("PIPELINE", vec![line.replace("!Ref Pipeline", "''")])
            }
            ("Globals", _) if trimmed == "PIPELINE_DIR: ''" => {
                let folder = format!("{TASK_ROOT}/{PIPELINES}/{name}");
                ("PIPELINE_DIR", vec![line.replace("''", &folder)])
            }
            ("Outputs", "") if trimmed == "Outputs:" => ("Outputs", vec![line.to_owned(), output(name)]),
            ("Resources", "UsageTable") => return keyless(own.pipeline, line),
            _ => return None,
        };
        self.done.insert(edit);
        Some(lines)
    }

    /// An edit that found no line.
    fn missing(&self) -> Option<&'static str> {
        let always = ["Architecture", "BuildMethod", "CodeUri"];
        let own = [
            "Metadata",
            "Parameters.Pipeline",
            "AllowedValues",
            "Mappings.Pipelines",
            "Conditions",
            "Rules",
            "PIPELINE",
            "PIPELINE_DIR",
            "Outputs",
        ];
        let wanted = always.iter().chain(own.iter().filter(|_| self.own.is_some()));
        wanted.copied().find(|edit| !self.done.contains(edit))
    }
}

/// Leaves out what a table of snapshots without a sort key or an expiry doesn't have.
fn keyless(pipeline: &Pipeline, line: &str) -> Option<Vec<String>> {
    let snapshot = pipeline.snapshot.as_ref()?;
    let has_no = |attribute: &str| line.contains(&format!("[Pipelines, !Ref Pipeline, {attribute}]"));
    let is_left_out =
        snapshot.sort_key.is_none() && has_no("SortKey") || snapshot.time_to_live.is_none() && has_no("TimeToLive");
    is_left_out.then(Vec::new)
}

/// The row of the mapping `Pipelines`.
fn facts(pipeline: &Pipeline) -> String {
    let snapshot = pipeline.snapshot.as_ref();
    let sort_key = snapshot.and_then(|snapshot| snapshot.sort_key.as_ref()).map(|(name, _)| name.as_str());
    let time_to_live = snapshot.and_then(|snapshot| snapshot.time_to_live.as_ref());
    let quoted = |text: Option<&str>| format!("'{}'", text.unwrap_or("-").replace('\'', "''"));
    format!(
        "{{ Counts: '{}', Indicators: '{}', ArchivePrefix: {}, PartitionKey: {}, SortKey: {}, TimeToLive: {} }}",
        snapshot.is_some(),
        !pipeline.indicators.is_empty(),
        quoted(Some(&pipeline.archive_prefix)),
        quoted(snapshot.map(|snapshot| snapshot.partition_key.0.as_str())),
        quoted(sort_key),
        quoted(time_to_live.map(|expiry| expiry.attribute.as_str())),
    )
}

/// The output by which commands with `--stack` know that the template carries the pipeline.
fn output(name: &str) -> String {
    format!(
        "  {PACKAGED_PIPELINE}:\n    Description: Name of the pipeline in the metadata of the template\n    Value: '{name}'"
    )
}

/// Refuses a pipeline whose condition or resources have the name of another one in the template.
fn check_ids(template: &str, name: &str) -> Result<(), UsageError> {
    let (mut place, mut ids) = (Place::default(), BTreeSet::new());
    for line in template.lines() {
        place.enter(line);
        let is_entry = line.starts_with("  ") && !line.starts_with("   ") && line.contains(':') && !line.contains('#');
        if is_entry && !ids.insert((place.section.clone(), place.entry.clone())) {
            return Err(UsageError(format!(
                "the pipeline's name `{name}` makes a second {} in the template; rename its folder",
                place.entry
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
