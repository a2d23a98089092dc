//! Table exports: opens them, checks them against their manifests, and puts incremental exports after the full one.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod ion;
mod manifest;
mod store;

use std::borrow::Cow;
use std::io::Seek;

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use stream_types::Timestamp;

use super::lines::Lines;
use crate::shell::console::UsageError;
use manifest::{DataFile, Span, Summary, check_md5, data_files};
use store::Store;

const AGAIN: &str = "download the export again";

/// One export whose manifests are complete.
#[derive(Debug, Clone)]
struct Export {
    store: Store,
    summary: Summary,
    span: Span,
    format: Format,
    files: Vec<DataFile>,
}

/// How an export writes items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    DynamoDbJson,
    Ion,
}

/// A full export and the incremental exports that continue it.
#[derive(Debug, Clone)]
pub(super) struct Exports {
    full: Export,
    incremental: Vec<Export>,
}

/// A data file of an export.
#[derive(Debug, Clone)]
pub(super) struct File {
    store: Store,
    format: Format,
    file: DataFile,
}

impl Export {
    /// Reads and checks the manifests.
    async fn open(text: &str, client: &aws_sdk_s3::Client) -> anyhow::Result<Export> {
        let store = Store::named(text, client)?;
        let summary_file = checked(&store, "manifest-summary").await?;
        let wrong = |name: &str, reason: String| UsageError(format!("{} {reason}", store.shown(name)));
        let summary = Summary::read(&summary_file).map_err(|reason| wrong("manifest-summary.json", reason))?;
        let span = summary.span().map_err(|reason| wrong("manifest-summary.json", reason))?;
        let format = match summary.output_format.as_deref() {
            None | Some("DYNAMODB_JSON") => Format::DynamoDbJson,
            Some("ION") => Format::Ion,
            Some(other) => {
                let remedy = "export the table again with `--export-format DYNAMODB_JSON`, or use --scan";
                let reason = format!("is of an export in {other}, which can't be read; {remedy}");
                bail!(wrong("manifest-summary.json", reason));
            }
        };
        let list = checked(&store, "manifest-files").await?;
        let files = data_files(&list, summary.item_count).map_err(|reason| wrong("manifest-files.json", reason))?;
        Ok(Export { store, summary, span, format, files })
    }

    fn files(&self) -> impl Iterator<Item = File> {
        self.files.iter().map(|file| File { store: self.store.clone(), format: self.format, file: file.clone() })
    }
}

/// Reads a manifest and checks it against its checksum, which is in a file of the same name.
async fn checked(store: &Store, name: &str) -> anyhow::Result<Vec<u8>> {
    let file = format!("{name}.json");
    let missing =
        |file: &str| UsageError(format!("{} doesn't exist, so this is not a complete export", store.shown(file)));
    let content = store.file(&file).await?.ok_or_else(|| missing(&file))?;
    // DynamoDB writes .md5; its documentation says .checksum.
    let checksum = match store.file(&format!("{name}.md5")).await? {
        None => store.file(&format!("{name}.checksum")).await?,
        found => found,
    };
    let checksum = checksum.ok_or_else(|| missing(&format!("{name}.md5")))?;
    check_md5(md5::compute(&content), &String::from_utf8_lossy(&checksum))
        .map_err(|reason| UsageError(format!("{} {reason}; {AGAIN}", store.shown(&file))))?;
    Ok(content)
}

impl Exports {
    /// Opens exports of one table, in any order.
    ///
    /// # Errors
    /// If one of them is incomplete or damaged, or if they don't follow each other.
    pub(super) async fn open(texts: &[String], client: &aws_sdk_s3::Client) -> anyhow::Result<Exports> {
        let mut exports = Vec::new();
        for text in texts {
            exports.push(Export::open(text, client).await?);
        }
        exports.sort_by_key(|export| export.span.end());
        let (mut full, incremental): (Vec<_>, Vec<_>) =
            exports.into_iter().partition(|export| matches!(export.span, Span::Full(_)));
        let (found, first) = (full.len(), full.pop());
        let Some(first) = first.filter(|_| found == 1) else {
            let wanted = "specify one full export, and incremental exports that continue it";
            bail!(UsageError(format!("{wanted}; these are {found} full exports")));
        };
        let mut end = first.span.end();
        for export in &incremental {
            let Span::Incremental(from, to) = export.span else { continue };
            if from > end || to <= end {
                let shown = export.store.shown("");
                bail!(UsageError(format!(
                    "{shown} has the changes from {from} to {to}, and the exports before it end at {end}: specify exports that follow each other without a gap"
                )));
            }
            end = to;
        }
        if let Some(other) = incremental.iter().find(|export| export.summary.table_arn != first.summary.table_arn) {
            let (one, other) = (&first.summary.table_arn, &other.summary.table_arn);
            bail!(UsageError(format!("these are exports of two tables: {one} and {other}")));
        }
        Ok(Exports { full: first, incremental })
    }

    /// The ARN of the table.
    pub(super) fn table_arn(&self) -> &str {
        &self.full.summary.table_arn
    }

    /// When the table was as the exports show it.
    pub(super) fn shown_at(&self) -> Timestamp {
        self.incremental.last().unwrap_or(&self.full).span.end()
    }

    /// How many items the full export has.
    pub(super) fn items(&self) -> u64 {
        self.full.summary.item_count
    }

    /// What identifies the exports.
    pub(super) fn names(&self) -> Vec<&str> {
        [&self.full].into_iter().chain(&self.incremental).map(|export| export.summary.export_arn.as_str()).collect()
    }

    /// The data files of the full export.
    pub(super) fn files(&self) -> Vec<File> {
        self.full.files().collect()
    }

    /// The data files of each incremental export, in the order of their times.
    pub(super) fn changes(&self) -> Vec<Vec<File>> {
        self.incremental.iter().map(|export| export.files().collect()).collect()
    }

    /// Checks every data file against its checksum and its number of items, before any of them has an effect.
    ///
    /// # Errors
    /// Naming the first file that is missing or damaged.
    pub(super) async fn check(&self, parallel: usize, bar: &ProgressBar) -> anyhow::Result<()> {
        let files: Vec<File> = self.files().into_iter().chain(self.changes().into_iter().flatten()).collect();
        let checks = files.into_iter().map(|file| async move {
            file.lines().await?.try_for_each(|line| line.map(drop))?;
            anyhow::Ok(file.file.item_count)
        });
        let mut checks = stream::iter(checks).buffer_unordered(parallel);
        while let Some(items) = checks.try_next().await? {
            bar.inc(items);
        }
        Ok(())
    }
}

impl File {
    /// What the file is called in the export.
    pub(super) fn key(&self) -> &str {
        &self.file.data_file_s3_key
    }

    /// A line in DynamoDB JSON.
    ///
    /// # Errors
    /// Why it isn't an item in the format of the export.
    pub(super) fn dynamodb_json<'l>(&self, line: &'l str) -> Result<Cow<'l, str>, String> {
        match self.format {
            Format::DynamoDbJson => Ok(Cow::Borrowed(line)),
            Format::Ion => ion::dynamodb_json(line).map(Cow::Owned),
        }
    }

    /// The lines of the file. The last one is an error if there are more or fewer than the manifest counts.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub(super) async fn lines(&self) -> anyhow::Result<Lines> {
        let key = self.key();
        let damaged = |reason: &str| UsageError(format!("the data file {key} {reason}; {AGAIN}"));
        let mut content = self.store.data(key).await?.ok_or_else(|| damaged("is missing"))?;
        let mut digest = md5::Context::new();
        let reading = || format!("read the data file {key}");
        std::io::copy(&mut content, &mut digest).with_context(reading)?;
        check_md5(digest.compute(), &self.file.md5_checksum).map_err(|reason| damaged(&reason))?;
        content.rewind().with_context(reading)?;
        Ok(Lines::new(key, content, Some(self.file.item_count)))
    }
}
