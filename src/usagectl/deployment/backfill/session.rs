//! One run: takes a picture of the table, reads from the stream what was counted since, and sends the items.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use event_source_mapping::now;
use event_source_mapping::sources::RemoteStream;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use stream_types::Timestamp;
use usage_aggregator::fold::Depth;
use usage_aggregator::handler::folder as ledger_folder;
use usage_aggregator::pipeline::Route;
use usage_aggregator::usage::Segment;

use super::Backfill;
use super::changes::Replaced;
use super::claim::Claim;
use super::coverage::Coverage;
use super::cut::Changes;
use super::export::Exports;
use super::folder::Folder;
use super::pace::Pace;
use super::preview::Preview;
use super::record::{Maker, Purpose};
use super::report::Totals;
use super::scan::Scan;
use super::send::{Sender, Source};
use super::stream as table_stream;
use super::table::Table;
use crate::deployment::redrive::function::Functions;
use crate::shell::console::{self, UsageError};
use crate::shell::pipeline_choice::Variables;
use crate::stack::{Deployment, Names, Place};

/// How far clocks may be apart, and how late a stream may be, in seconds.
const MARGIN_SECONDS: i64 = 60;
/// Reads of an open shard in a row that must return nothing: on AWS, one may return nothing before the end.
const EMPTY_READS: u32 = 5;
/// 10 million: a fold reads all pages of a minute, and every item opens its measures in one minute. This many make 2,000 pages
/// or more.
const MAXIMUM_ITEMS: u64 = 10_000_000;

/// What a run works with.
pub(super) struct Session<'s> {
    pub(super) command: &'s Backfill,
    pub(super) deployment: &'s Deployment,
    pub(super) variables: Variables,
    pub(super) table: Table,
    /// `None` to scan.
    pub(super) exports: Option<Exports>,
    pub(super) folder: Folder,
    pub(super) pace: Pace,
}

impl Session<'_> {
    /// Takes the picture and finds the cut, once. Returns the time of the records, and what replaces items of the picture.
    pub(super) async fn prepare(&self) -> anyhow::Result<(Timestamp, Replaced)> {
        let path = self.folder.changes();
        if let Some(created_at) = self.folder.created_at().filter(|_| path.exists()) {
            return Ok((created_at, Replaced::read(&path, &self.table.key, self.purpose())?));
        }
        let shown = self.picture().await?;
        let items = self.items();
        if items > MAXIMUM_ITEMS && self.opens()? {
            let remedy =
                "write only rows with --archive-only, and enter the opening values with `usagectl correct add`";
            bail!(UsageError(format!("{items} items can't open measures, at most {MAXIMUM_ITEMS} can: {remedy}")));
        }
        let mut replaced = Replaced::default();
        for export in self.exports.iter().flat_map(Exports::changes) {
            for file in export {
                replaced.take_lines(&file, file.lines().await?, &self.table.key, self.purpose())?;
            }
        }
        let created_at = match self.command.archive_only {
            // Records have whole seconds, and so has what is claimed.
            true => Timestamp::from_seconds(shown.1.seconds()).unwrap_or(shown.1),
            false => self.read_stream(shown, &mut replaced).await?,
        };
        replaced.write(&path)?;
        self.folder.update(|progress| progress.created_at = Some(created_at.seconds()))?;
        Ok((created_at, replaced))
    }

    /// How many items the picture has.
    fn items(&self) -> u64 {
        self.exports.as_ref().map_or_else(|| self.folder.progress().scanned_items, Exports::items)
    }

    fn purpose(&self) -> Purpose {
        if self.command.archive_only { Purpose::Archived } else { Purpose::Whole }
    }

    /// Checks the exports, or scans the table. Returns from when to when the picture shows the items.
    async fn picture(&self) -> anyhow::Result<(Timestamp, Timestamp)> {
        if let Some(exports) = &self.exports {
            let bar = self.progress("checked");
            exports.check(self.command.parallel(), &bar).await?;
            bar.finish_and_clear();
            return Ok((exports.shown_at(), exports.shown_at()));
        }
        let scanned = |(from, to)| Timestamp::from_micros(from).zip(Timestamp::from_micros(to));
        if let Some(scanned) = self.folder.progress().scanned.and_then(scanned) {
            return Ok(scanned);
        }
        let bar = console::spinner("items scanned");
        let client = self.deployment.clients().dynamodb;
        let segments = u32::try_from(self.command.parallel()).unwrap_or(1);
        let scan = Scan { client, table: &self.table.name, segments, pace: &self.pace, bar: &bar };
        let from = now()?;
        let (files, items) = scan.take(self.folder.path()).await?;
        let to = now()?;
        bar.finish_and_clear();
        self.folder.update(|progress| {
            progress.scan_files = files;
            progress.scanned_items = items;
            progress.scanned = Some((from.micros(), to.micros()));
        })?;
        Ok((from, to))
    }

    /// Reads the stream, and replaces the items that it has changed. Returns the cut.
    async fn read_stream(&self, shown: (Timestamp, Timestamp), replaced: &mut Replaced) -> anyhow::Result<Timestamp> {
        let Some(stream) = &self.table.stream else {
            let why = "without it, an item that was counted can't be told from one that existed";
            bail!(UsageError(format!(
                "the table {} has no DynamoDB stream that the function reads; {why}. To write only rows, add --archive-only",
                self.table.name
            )));
        };
        let config = self.variables.clone().with_metrics_sink("none").config()?;
        let count_from = config.tables.as_ref().and_then(|tables| tables.count_from);
        let is_here = matches!(self.deployment.place, Place::Here(_));
        let margin_seconds = if is_here { 0 } else { MARGIN_SECONDS };
        let coverage = Coverage { attached_at: stream.attached_at, count_from, shown, margin_seconds };
        // A scan reads after the stream was attached, whatever the clocks say.
        let at_start = if self.exports.is_some() { coverage } else { Coverage { margin_seconds: 0, ..coverage } };
        at_start.check(now()?).map_err(UsageError)?;
        let wait = coverage.ready_seconds() - now()?.seconds();
        if let Ok(seconds @ 1..) = u64::try_from(wait) {
            console::note(&format!("waiting {seconds} s until the stream has every change that the picture shows"));
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        let source = RemoteStream::new(self.deployment.streams(), &stream.arn);
        let mut changes = Changes::new(count_from, &self.table.key);
        let bar = console::spinner("stream records read");
        table_stream::read(&source, if is_here { 1 } else { EMPTY_READS }, |record| {
            bar.inc(1);
            changes.take(record).map_err(|reason| UsageError(reason).into())
        })
        .await?;
        bar.finish_and_clear();
        coverage.check_read(now()?).map_err(UsageError)?;
        changes.at_cut().for_each(|(key, at_cut)| replaced.take(key, at_cut));
        Ok(coverage.cut())
    }

    /// Sends every item, or for a dry run only plans it.
    pub(super) async fn send(&self, created_at: Timestamp, replaced: &Replaced) -> anyhow::Result<Totals> {
        let functions = match self.command.dry_run {
            true => None,
            false => {
                let functions = self.functions().await?;
                self.claim(created_at).await?;
                if self.folder.send_to(self.places().await?)? {
                    console::note(
                        "note: the ledger or the archive is another one than before, so everything is sent again",
                    );
                }
                Some(Arc::new(functions))
            }
        };
        let bar = self.progress(if self.command.dry_run { "planned" } else { "written" });
        let sender = Sender {
            maker: Maker::new(&self.table.arn, created_at),
            replaced,
            names: &self.table.key,
            purpose: self.purpose(),
            preview: Preview::new(self.variables.clone().with_metrics_sink("none").config()?),
            pace: &self.pace,
            folder: &self.folder,
            bar: &bar,
            functions,
        };
        let sources: Vec<_> = self.sources().into_iter().map(|source| sender.send(source)).collect();
        let mut parts = stream::iter(sources).buffer_unordered(self.command.parallel());
        let mut totals = Totals::default();
        while let Some(part) = parts.try_next().await? {
            totals.add(part);
        }
        drop(parts);
        bar.finish_and_clear();
        if !self.command.dry_run {
            self.fold(created_at).await?;
        }
        Ok(totals)
    }

    fn sources(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = match &self.exports {
            Some(exports) => exports.files().into_iter().map(Source::Export).collect(),
            None => {
                let files: Vec<PathBuf> = self.folder.progress().scan_files;
                files.into_iter().map(Source::Scan).collect()
            }
        };
        sources.push(Source::Changes);
        sources
    }

    fn progress(&self, done: &'static str) -> ProgressBar {
        let bar = console::progress(usize::try_from(self.items()).unwrap_or(usize::MAX));
        bar.set_message(format!("items {done}"));
        bar
    }

    /// Whether items open measures.
    fn opens(&self) -> anyhow::Result<bool> {
        let config = self.variables.clone().with_metrics_sink("none").config()?;
        let has_baseline = config.pipeline.routes.iter().flat_map(Route::measures).any(|measure| measure.baseline);
        Ok(has_baseline && !self.command.archive_only)
    }

    /// Claims the cut, or the time of rows that open nothing.
    async fn claim(&self, time: Timestamp) -> anyhow::Result<()> {
        let config = self.variables.clone().with_metrics_sink("none").config()?;
        let clients = self.deployment.clients();
        let claim = Claim { clients: &clients, config: &config, table_arn: &self.table.arn, time };
        if self.command.archive_only {
            return claim.rows().await;
        }
        match config.tables.as_ref().filter(|_| self.opens().is_ok_and(|opens| opens)) {
            Some(tables) => claim.cut(&tables.ledger).await,
            None => Ok(()),
        }
    }

    /// Where the items are sent: the archive and the ledger, which can be another table of the same name.
    async fn places(&self) -> anyhow::Result<Vec<String>> {
        let config = self.variables.clone().with_metrics_sink("none").config()?;
        let archive = config.archive.iter().map(|place| format!("s3://{}/{}", place.bucket, place.prefix));
        let mut places: Vec<String> = archive.collect();
        if let Some(tables) = config.tables.as_ref().filter(|_| self.opens().is_ok_and(|opens| opens)) {
            let doing = || format!("describe the table {} (dynamodb:DescribeTable)", tables.ledger);
            let client = self.deployment.clients().dynamodb;
            let described = client.describe_table().table_name(&tables.ledger).send().await.with_context(doing)?;
            let id = described.table.and_then(|table| table.table_id).unwrap_or_default();
            places.push(format!("{} {id}", tables.ledger));
        }
        Ok(places)
    }

    async fn functions(&self) -> anyhow::Result<Functions> {
        match &self.deployment.place {
            Place::Account(account) => {
                let append = Names::need(&self.deployment.names.function, "--function")?.to_owned();
                Ok(Functions::Deployed { client: account.lambda(), append, fold: None })
            }
            Place::Here(place) => Functions::in_process(place.site(self.variables.clone()).await?.handler),
        }
    }

    /// Folds the opening values on this machine, where no mapping may be running that does. On AWS, the ledger's stream does.
    async fn fold(&self, cut: Timestamp) -> anyhow::Result<()> {
        let config = self.variables.clone().with_metrics_sink("none").config()?;
        let folder = ledger_folder(&config, &self.deployment.clients().dynamodb);
        let Some((folder, snapshot)) = folder.zip(config.pipeline.snapshot.as_ref()) else { return Ok(()) };
        if matches!(self.deployment.place, Place::Here(_)) && self.opens()? {
            folder.sweep(snapshot, Segment::containing(cut), Depth::Minute, now()?, None).await?;
        }
        Ok(())
    }
}
