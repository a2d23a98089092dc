//! Chooses the pipeline of a command, and sets the function's environment variables for it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Deserialize;
use usage_aggregator::config::{Config, Tables};
use usage_aggregator::decode::Event;
use usage_aggregator::pipeline::{Folder, Pipeline, shipped, shipped_names};
use usage_aggregator::time::Timestamp;

use crate::shell::console::{self, UsageError};
use crate::shell::options::Options;
use crate::shell::remembered::Choice;
use crate::shell::resource_names;

/// The pipeline if nothing selects one.
const DEFAULT_PIPELINE: &str = "orders";

/// What an event shows without a pipeline.
#[derive(Debug, Default)]
pub struct Sample {
    /// The tables and streams its records come from.
    pub sources: Vec<String>,
    /// The creation time of the newest record.
    pub newest: Option<Timestamp>,
}

impl Sample {
    /// Reads the records of an event, and skips those that can't be decoded.
    pub fn of(bytes: &[u8]) -> Sample {
        let mut sample = Sample::default();
        let read = Event::read_each(bytes, |record| {
            if let Ok(record) = record {
                sample.newest = sample.newest.max(Some(record.created_at));
                sample.add_source(&record.source.name);
            }
            ControlFlow::Continue(())
        });
        if read.is_err() {
            sample = Sample::default();
        }
        let envelope: Envelope = serde_json::from_slice(bytes).unwrap_or_default();
        // arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-… or arn:aws:kinesis:…:stream/alleycat
        for name in envelope.records.iter().filter_map(|record| record.arn.split('/').nth(1)) {
            sample.add_source(name);
        }
        sample
    }

    fn add_source(&mut self, name: &str) {
        if !self.sources.iter().any(|known| known == name) {
            self.sources.push(name.to_owned());
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Envelope {
    #[serde(rename = "Records")]
    records: Vec<EnvelopeRecord>,
}

#[derive(Debug, Deserialize)]
struct EnvelopeRecord {
    #[serde(rename = "eventSourceARN", default)]
    arn: String,
}

/// The function's environment variables. A function on this machine also has those of this process; a deployed one has only its
/// own, regardless of what the operator's shell has set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variables {
    set: BTreeMap<&'static str, String>,
    /// The variables of a deployed function, if this is one.
    deployed: Option<BTreeMap<String, String>>,
}

impl Variables {
    /// Chooses the pipeline by option, then by variable, then by the event's sources, then by the data folder.
    pub fn new(options: &Options, sample: &Sample) -> Variables {
        let mut variables = BTreeMap::new();
        match (&options.pipeline, &options.pipeline_dir) {
            (Some(name), _) => drop(variables.insert("PIPELINE", name.clone())),
            (None, Some(folder)) => drop(variables.insert("PIPELINE_DIR", folder.to_string_lossy().into_owned())),
            (None, None) => {
                let set = ["PIPELINE", "PIPELINE_DIR"].into_iter().filter_map(|name| Some((name, environment(name)?)));
                variables.extend(set);
                if variables.is_empty() {
                    let (name, value) = remembered(options, sample).unwrap_or_else(|| ("PIPELINE", by_source(sample)));
                    variables.insert(name, value);
                }
            }
        }
        let named = variables.get("PIPELINE").cloned().or_else(|| {
            let folder = Folder::read(variables.get("PIPELINE_DIR")?.as_ref()).ok()?;
            Some(folder.name)
        });
        let usage_table = format!("{}-usage", table_name(&named.unwrap_or_default()));
        for (name, default) in
            [("USAGE_TABLE", &*usage_table), ("LEDGER_TABLE", "ledger"), ("ARCHIVE_BUCKET", "archive")]
        {
            variables.insert(name, environment(name).unwrap_or_else(|| default.to_owned()));
        }
        Variables { set: variables, deployed: None }
    }

    /// The variables of a deployed function with the variables `configured`, and defaults for the rest. The options choose the
    /// pipeline, or else the function's own variables do.
    pub fn of_deployed(options: &Options, configured: BTreeMap<String, String>) -> Variables {
        let configured: BTreeMap<_, _> = configured.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let own = |name: &str| configured.get(name).cloned();
        let chosen_folder = options.pipeline_dir.as_ref().map(|folder| folder.to_string_lossy().into_owned());
        let (name, value) = match (options.pipeline.clone(), chosen_folder) {
            (Some(name), _) => ("PIPELINE", name),
            (None, Some(folder)) => ("PIPELINE_DIR", folder),
            (None, None) => match (own("PIPELINE"), own("PIPELINE_DIR")) {
                (None, Some(folder)) => ("PIPELINE_DIR", folder),
                (name, _) => ("PIPELINE", name.unwrap_or_else(|| DEFAULT_PIPELINE.to_owned())),
            },
        };
        let mut set = BTreeMap::from([(name, value)]);
        for (name, default) in [("USAGE_TABLE", "usage"), ("LEDGER_TABLE", "ledger"), ("ARCHIVE_BUCKET", "archive")] {
            set.insert(name, own(name).unwrap_or_else(|| default.to_owned()));
        }
        Variables { set, deployed: Some(configured) }
    }

    /// Chooses the pipeline that reads a table or stream.
    ///
    /// # Errors
    /// If no pipeline is selected and no shipped one reads the source.
    pub fn of_source(options: &Options, source: &str) -> Result<Variables, UsageError> {
        let sources = vec![source.to_owned()];
        if !is_chosen(options) && options.remembered.is_none() && shipped_for(&sources).is_none() {
            let remedy = "choose one with --pipeline or --pipeline-dir";
            return Err(UsageError(format!("no shipped pipeline reads {source}: {remedy}")));
        }
        Ok(Variables::new(options, &Sample { sources, newest: None }))
    }

    /// Sets these variables.
    pub fn with(mut self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Variables {
        self.set.extend(variables);
        self
    }

    /// Sets the metrics sink. The function's default would print metrics among the results.
    pub fn with_metrics_sink(mut self, sink: &str) -> Variables {
        self.set.insert("METRICS_SINK", sink.to_owned());
        self
    }

    /// Sets the codec of the archive.
    pub fn with_codec(mut self, codec: &str) -> Variables {
        self.set.insert("ARCHIVE_CODEC", codec.to_owned());
        self
    }

    /// The value of a variable, if it is set.
    pub fn value(&self, name: &str) -> Option<String> {
        self.set.get(name).cloned().or_else(|| self.unset(name))
    }

    /// The names and values of the variables set here.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.set.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The function's configuration, checked as the function checks it.
    ///
    /// # Errors
    /// With all mistakes, or the table name that is invalid.
    pub fn config(&self) -> Result<Config, UsageError> {
        let read = Config::read(|name| match name {
            "PIPELINE" | "PIPELINE_DIR" => self.set.get(name).cloned(),
            name => self.value(name),
        });
        let config = read.map_err(|mistakes| {
            let is_shipped = self.set.get("PIPELINE").is_some_and(|name| shipped(name).is_some());
            let remedy = match &self.deployed {
                Some(_) if !is_shipped => {
                    "\nif the function runs your own pipeline, add --pipeline-dir with its folder"
                }
                _ => "",
            };
            UsageError(format!("{mistakes}{remedy}"))
        })?;
        if let Some(Tables { usage, ledger, .. }) = &config.tables {
            for (variable, name) in [("USAGE_TABLE", usage), ("LEDGER_TABLE", ledger)] {
                resource_names::table_name(name).map_err(|mistake| UsageError(format!("{variable}: {mistake}")))?;
            }
        }
        Ok(config)
    }

    /// A variable that isn't set here.
    fn unset(&self, name: &str) -> Option<String> {
        match &self.deployed {
            Some(configured) => configured.get(name).cloned(),
            None => environment(name),
        }
    }
}

/// A variable of the operator's shell that isn't empty.
#[expect(clippy::disallowed_methods, reason = "the variables of the function that an operator may set")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether an option or a variable chooses the pipeline.
pub fn is_chosen(options: &Options) -> bool {
    let by_variable = ["PIPELINE", "PIPELINE_DIR"].into_iter().any(|name| environment(name).is_some());
    options.pipeline.is_some() || options.pipeline_dir.is_some() || by_variable
}

/// The variable that chooses the pipeline that the data folder was last used with, unless another one reads the sample.
fn remembered(options: &Options, sample: &Sample) -> Option<(&'static str, String)> {
    let remembered = options.remembered.as_ref()?;
    let reads = sample.sources.iter().any(|source| remembered.sources.contains(source));
    if !reads && shipped_for(&sample.sources).is_some() {
        return None;
    }
    Some(match &remembered.pipeline {
        Choice::Shipped(name) => ("PIPELINE", name.clone()),
        Choice::Folder(folder) => ("PIPELINE_DIR", folder.to_string_lossy().into_owned()),
    })
}

fn shipped_for(sources: &[String]) -> Option<&'static str> {
    shipped_names().into_iter().find(|name| {
        let pipeline = shipped(name).and_then(|folder| Pipeline::parse(&folder).ok());
        pipeline.is_some_and(|pipeline| pipeline.sources.iter().any(|source| sources.contains(source)))
    })
}

fn by_source(sample: &Sample) -> String {
    let matching = shipped_for(&sample.sources);
    if matching.is_none() && !sample.sources.is_empty() {
        let sources = console::plain(&sample.sources.join(", "));
        console::note(&format!(
            "note: no shipped pipeline reads {sources}; using {DEFAULT_PIPELINE} (choose another with --pipeline)"
        ));
    }
    matching.unwrap_or(DEFAULT_PIPELINE).to_owned()
}

/// Replaces the characters that DynamoDB doesn't allow in a table name.
fn table_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_selects_the_shipped_pipeline_that_reads_it() {
        let sources = |name: &str| [name.to_owned()];
        assert_eq!(shipped_for(&sources("alleycat")), Some("alleycat"));
        assert_eq!(shipped_for(&sources("orders")), Some("orders"));
        assert_eq!(shipped_for(&sources("unknown")), None);
        assert_eq!(shipped_for(&[]), None);
    }

    #[test]
    fn sources_are_read_even_from_records_that_cannot_be_decoded() {
        let broken = r#"{"Records":[{"eventSourceARN":"arn:aws:dynamodb:us-east-1:1:table/orders/stream/2026"}]}"#;
        let sample = Sample::of(broken.as_bytes());
        assert_eq!((sample.sources, sample.newest), (vec!["orders".to_owned()], None));
        assert!(Sample::of(b"not JSON").sources.is_empty());
    }

    #[test]
    fn a_pipeline_name_becomes_a_valid_part_of_a_table_name() {
        assert_eq!(table_name("my-site_2.0"), "my-site_2.0");
        assert_eq!(table_name("größe x"), "gr--e-x");
    }
}
