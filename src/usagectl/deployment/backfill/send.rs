//! Sends the items of one file after the other through the function, in batches.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use event_source_mapping::SourceRecord;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::changes::Replaced;
use super::export;
use super::folder::Folder;
use super::item::Line;
use super::lines::Lines;
use super::pace::Pace;
use super::preview::Preview;
use super::record::{Batch, Entry, Maker, Purpose};
use super::report::Totals;
use crate::deployment::redrive::delivery::Failure;
use crate::deployment::redrive::function::Functions;
use crate::deployment::redrive::ownership::Target;
use crate::deployment::redrive::replay::Replayer;

/// What has items.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A data file of an export.
    Export(export::File),
    /// A file of a scan.
    Scan(PathBuf),
    /// What replaces items of the others.
    Changes,
}

/// What items are sent with.
pub(super) struct Sender<'s> {
    pub(super) maker: Maker,
    pub(super) replaced: &'s Replaced,
    /// The attributes of the table's key.
    pub(super) names: &'s [String],
    /// What items are for that nothing replaces.
    pub(super) purpose: Purpose,
    pub(super) preview: Preview,
    pub(super) pace: &'s Pace,
    pub(super) folder: &'s Folder,
    pub(super) bar: &'s ProgressBar,
    /// `None` for a dry run.
    pub(super) functions: Option<Arc<Functions>>,
}

impl Source {
    /// The name by which it is finished.
    fn name(&self) -> String {
        match self {
            Source::Export(file) => file.key().to_owned(),
            Source::Scan(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Source::Changes => "changes".to_owned(),
        }
    }
}

impl Sender<'_> {
    /// Sends the items of a source, unless that is finished.
    ///
    /// # Errors
    /// If the source can't be read or the function can't be invoked.
    pub(super) async fn send(&self, source: Source) -> anyhow::Result<Totals> {
        let (name, mut totals) = (source.name(), Totals::default());
        if self.functions.is_some() && self.folder.progress().finished.contains(&name) {
            totals.finished_before = 1;
            return Ok(totals);
        }
        let mut replayer = self.functions.clone().map(|functions| Replayer::new(functions, false));
        let mut entries = self.entries(&source).await?;
        let mut batch = Batch::default();
        loop {
            let entry = entries.next().transpose()?;
            let is_last = entry.is_none();
            match entry {
                Some(Entry::Item { key, image, purpose }) => {
                    totals.items += 1;
                    batch.add(self.maker.record(&key, &image, purpose)?);
                }
                Some(Entry::Refused { item, reason }) => totals.refuse(item, reason),
                None => {}
            }
            if batch.is_full() || (is_last && !batch.records.is_empty()) {
                let records = std::mem::take(&mut batch).records;
                self.deliver(&records, replayer.as_mut(), &mut totals).await?;
                self.bar.inc(u64::try_from(records.len())?);
            }
            if is_last {
                break;
            }
        }
        if matches!(source, Source::Changes) {
            totals.changed = totals.items;
        }
        if replayer.is_some() && totals.refused.is_empty() {
            self.folder.update(|progress| progress.finished.extend([name]))?;
        }
        Ok(totals)
    }

    /// The items of a source that nothing replaces.
    async fn entries(
        &self,
        source: &Source,
    ) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<Entry>> + Send + '_>> {
        let (mut lines, file) = match source {
            Source::Export(file) => (file.lines().await?, Some(file.clone())),
            Source::Scan(path) => {
                let shown = path.display().to_string();
                let content = std::fs::File::open(path).with_context(|| format!("read {shown}"))?;
                (Lines::new(&shown, content, None), None)
            }
            Source::Changes => return Ok(Box::new(self.replaced.entries().map(Ok))),
        };
        let entry = move || {
            loop {
                let line = match lines.next()? {
                    Ok(line) => line,
                    Err(error) => return Some(Err(error)),
                };
                let json = file.as_ref().map_or(Ok(Cow::Borrowed(&*line)), |file| file.dynamodb_json(&line));
                let json = match json {
                    Ok(json) => json,
                    Err(reason) => return Some(Ok(Entry::Refused { item: lines.place(), reason })),
                };
                match Line::read(&json, self.names) {
                    Ok(Line { key, .. }) if self.replaced.contains(&key) => {}
                    Ok(Line { image: None, .. }) => {}
                    Ok(Line { key, image: Some(image) }) => {
                        return Some(Ok(Entry::Item { key, image: image.to_owned(), purpose: self.purpose }));
                    }
                    Err(reason) => return Some(Ok(Entry::Refused { item: lines.place(), reason })),
                }
            }
        };
        Ok(Box::new(std::iter::from_fn(entry)))
    }

    async fn deliver(
        &self,
        records: &[Arc<SourceRecord>],
        replayer: Option<&mut Replayer>,
        totals: &mut Totals,
    ) -> anyhow::Result<()> {
        totals.batches += 1;
        let accepted = self.preview.plan(records, totals)?;
        let Some(replayer) = replayer else { return Ok(()) };
        self.pace.take(accepted.len()).await;
        let replayed = replayer.replay(Target::Append, &accepted, accepted.len()).await?;
        totals.durable += replayed.durable;
        for (record, failure) in replayed.remaining {
            let reason = match failure {
                Failure::Named => "the function rejects it; see its log".to_owned(),
                Failure::Failed(message) => format!("the function fails: {message}"),
                Failure::TooLarge => "is larger than an invocation's payload may be".to_owned(),
            };
            totals.refuse(item_of(&record), reason);
        }
        Ok(())
    }
}

/// The key of a record's item.
pub(super) fn item_of(record: &SourceRecord) -> String {
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        dynamodb: Change<'a>,
    }
    #[derive(Deserialize)]
    struct Change<'a> {
        #[serde(rename = "Keys", borrow)]
        keys: &'a RawValue,
    }
    let read: Result<Record<'_>, _> = serde_json::from_str(&record.json);
    read.map_or_else(|_| record.sequence.to_string(), |record| record.dynamodb.keys.get().to_owned())
}
