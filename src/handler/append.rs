//! Append: pages of what a batch counts, files of what it archives, and documents of what it rejects, all in one round
//! trip. It reads nothing and sets no condition. Beside it, the targets of indicators are recomputed. A target that no retry
//! can compute must not block the records behind it, so the record that asked for it is quarantined as well.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use tracing::{Instrument, info_span, warn};

use super::{Handler, Invocation, spans};
use crate::archive::{AvroFile, Object};
use crate::config::Freshness;
use crate::decode::Event;
use crate::error::{Error, ErrorKind};
use crate::fold::{Folded, Notice};
use crate::indicator::{Failure, Recomputed, Recomputer, SourceTable, Written};
use crate::ledger::{PageKind, pages};
use crate::outcome::{BatchOutcome, Failed, Stored};
use crate::plan::{Plan, Quarantined};
use crate::quarantine::{self, Document};
use crate::record::Code;

impl Handler {
    pub(super) async fn append_batch(&self, event: &[u8], invocation: &Invocation) -> Result<BatchOutcome, Error> {
        // A record is planned before the next one is decoded. The phases are measured if the trace is exported.
        let planning = info_span!(target: "telemetry", "decode and plan");
        let (batch, mut plan) = planning.in_scope(|| self.plan(event, invocation.now))?;
        drop(planning);
        spans::record_batch(&batch, &plan);
        let storing = info_span!(target: "telemetry", "store");
        let stored = self.store(&batch, &plan, invocation).instrument(storing).await?;
        let written = stored.pages.clone();
        let quarantined: BTreeSet<usize> = plan.quarantined.iter().map(|quarantined| quarantined.record).collect();
        let evidence = std::mem::take(&mut plan.evidence);
        let mut outcome = BatchOutcome::new(&batch, plan, stored);
        // What a plan rejects counts nothing, so that its share is limited. A record whose target was refused counts.
        self.recent().add_batch(outcome.durable, &quarantined, evidence);
        outcome.folded = self.fold_now(&written, invocation).await;
        Ok(outcome)
    }

    /// Stores everything that a plan has, at once.
    async fn store(&self, batch: &Event<'_>, plan: &Plan, invocation: &Invocation) -> Result<Stored, Error> {
        let files = self.seal(plan)?;
        let documents = self.documents(batch, &plan.quarantined);
        let mut stored = Stored::default();
        let (pages, puts, documents, recomputed) = tokio::join!(
            self.put_pages(plan, invocation),
            self.put_files(&files, invocation),
            self.put_documents(&documents, invocation),
            self.recompute(plan, invocation)
        );
        stored.recomputed = recomputed.recomputed;
        stored.failed = recomputed.failed;
        if let Some(error) = recomputed.error {
            return Err(error);
        }
        for (page, put) in pages {
            keep(&mut stored, page, "ledger", put, |stored, notice| stored.pages.push(notice))?;
        }
        for (file, put) in files.iter().zip(puts) {
            keep(&mut stored, file.first_record(), "archive", put, |stored, put| stored.add_file(file, put))?;
        }
        for (record, put) in documents {
            keep(&mut stored, record, "quarantine", put, |_, _| {})?;
        }
        let unnamed = plan.refused.iter().map(|Quarantined { record, rejection }| {
            let fault = rejection.fault.clone();
            Failed { record: *record, fault }
        });
        let refused = unnamed.chain(recomputed.refused).collect();
        self.quarantine_refused(batch, plan, refused, invocation, &mut stored).await?;
        Ok(stored)
    }

    /// Quarantines the records whose targets can't be computed. They count all the same. If rejected records aren't
    /// quarantined, they fail.
    async fn quarantine_refused(
        &self,
        batch: &Event<'_>,
        plan: &Plan,
        refused: Vec<Failed>,
        invocation: &Invocation,
        stored: &mut Stored,
    ) -> Result<(), Error> {
        if self.config.quarantine.is_none() || batch.fails_on_rejection() {
            stored.failed.extend(refused);
            return Ok(());
        }
        let quarantined = |failed: Failed| {
            let record = failed.record;
            failed.rejection(batch).map(|rejection| Quarantined { record, rejection })
        };
        stored.quarantined = refused.into_iter().filter_map(quarantined).collect();
        // A record has one document, and those of the plan have theirs.
        let mut known: BTreeSet<usize> = plan.quarantined.iter().map(|quarantined| quarantined.record).collect();
        let new: Vec<Quarantined> =
            stored.quarantined.iter().filter(|quarantined| known.insert(quarantined.record)).cloned().collect();
        for (record, put) in self.put_documents(&self.documents(batch, &new), invocation).await {
            keep(stored, record, "quarantine", put, |_, _| {})?;
        }
        Ok(())
    }

    /// Puts the pages of a plan. Each result has the position of the page's first record.
    async fn put_pages(&self, plan: &Plan, invocation: &Invocation) -> Vec<(usize, Result<Notice, Error>)> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let pages = pages(&plan.groups, self.pipeline().generation, folder.ledger.id_bytes);
        // Futures are collected before they are streamed because a closure over borrows isn't Send for every lifetime.
        let puts: Vec<_> = pages
            .iter()
            .map(|page| async {
                let put = folder.ledger.put_page(page, &PageKind::Usage, invocation.deadline).await;
                let notice = put.map(|reference| Notice { minute: page.minute, page: reference });
                (page.records.first().copied().unwrap_or(0), notice)
            })
            .collect();
        stream::iter(puts).buffered(folder.concurrency).collect().await
    }

    /// Recomputes the targets of a plan. One that can't be written fails the first record that asked for it, or gets it
    /// quarantined.
    async fn recompute(&self, plan: &Plan, invocation: &Invocation) -> RecomputedTargets {
        let mut done = RecomputedTargets::default();
        let (Some(client), Some(first)) = (&self.source, plan.targets.first()) else { return done };
        let table = SourceTable { client, name: &first.table, deadline: invocation.deadline };
        let concurrency = self.config.concurrency.max(1);
        let recomputer = Recomputer { pipeline: self.pipeline(), table, concurrency };
        // The record that ends a plan asks, too: its item has changed, and if it is discarded, no other record asks.
        let targets: Vec<_> =
            plan.targets.iter().map(|target| (&*target.table, target.indicator, &target.key)).collect();
        let recomputing = info_span!(target: "telemetry", "recompute");
        let written = recomputer.all(&targets).instrument(recomputing).await;
        let results = plan.targets.iter().zip(&written).map(|(target, (written, _))| (&*target.table, written));
        let in_reach: BTreeSet<&str> =
            results.filter(|(_, written)| is_in_reach(written)).map(|(table, _)| table).collect();
        for (target, (written, recomputed)) in plan.targets.iter().zip(written) {
            done.recomputed.add(recomputed);
            let Err(Failure { code, error }) = written else { continue };
            let record = target.records.first().map_or(0, |(record, _)| *record);
            // A Kinesis stream may carry changes of a table that the function isn't for. They must not hold up those of its own.
            if error.kind == ErrorKind::Config && !in_reach.is_empty() && !in_reach.contains(&*target.table) {
                done.refused.push(Failed::with_code(record, "indicator", Code::MixedSources, &error));
                continue;
            }
            let failed = Failed::with_code(record, "indicator", code, &error);
            match error.kind {
                ErrorKind::Config => done.error = Some(error),
                ErrorKind::Poison => done.refused.push(failed),
                ErrorKind::Transient => done.failed.push(failed),
            }
        }
        done
    }

    async fn put_files(&self, files: &[AvroFile], invocation: &Invocation) -> Vec<Result<crate::archive::Put, Error>> {
        let Some(bucket) = &self.archive else { return Vec::new() };
        let objects: Vec<Object<'_>> = files.iter().map(AvroFile::object).collect();
        bucket.put_all(&objects, invocation.deadline).await
    }

    async fn put_documents(
        &self,
        documents: &[Document],
        invocation: &Invocation,
    ) -> Vec<(usize, Result<crate::archive::Put, Error>)> {
        let Some(bucket) = &self.failures else { return Vec::new() };
        let objects: Vec<Object<'_>> = documents.iter().map(Document::object).collect();
        let puts = bucket.put_all(&objects, invocation.deadline).await;
        documents.iter().map(|document| document.record).zip(puts).collect()
    }

    /// The documents of the records that are quarantined.
    fn documents(&self, batch: &Event<'_>, quarantined: &[Quarantined]) -> Vec<Document> {
        let quarantine = self.config.quarantine.as_ref();
        quarantine.map_or_else(Vec::new, |quarantine| {
            quarantine::documents(batch, quarantined, &self.pipeline().name, &quarantine.function)
        })
    }

    /// Seals the files of a plan.
    fn seal(&self, plan: &Plan) -> Result<Vec<AvroFile>, Error> {
        let Some(archive) = &self.config.archive else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for ((record_type, _), draft) in &plan.files {
            let schema = self.pipeline().schemas().find(|(name, _)| name == record_type);
            if let Some((_, schema)) = schema {
                files.extend(draft.seal(schema, archive.codec, &archive.prefix, plan.records)?);
            }
        }
        Ok(files)
    }

    /// With FRESHNESS=now, folds the pages of a batch before it is answered. If that fails, the ledger's stream does it.
    async fn fold_now(&self, notices: &[Notice], invocation: &Invocation) -> Folded {
        let is_now = self.config.tables.as_ref().is_some_and(|tables| tables.freshness == Freshness::Now);
        if !is_now || notices.is_empty() {
            return Folded::default();
        }
        let folded = match self.fold_all(notices, invocation).await {
            Ok(folded) => folded,
            Err(error) => Folded { error: Some(error), ..Folded::default() },
        };
        if let Some(error) = &folded.error {
            warn!(%error, "failed to fold at once; the ledger's stream will do it");
        }
        folded
    }
}

/// What became of the targets of a plan.
#[derive(Debug, Default)]
struct RecomputedTargets {
    recomputed: Recomputed,
    /// The targets that weren't done, at the first record that asked for each.
    failed: Vec<Failed>,
    /// The same, for those that no retry can compute.
    refused: Vec<Failed>,
    /// What someone must fix first.
    error: Option<Error>,
}

/// Whether a result shows that the function can use the table.
fn is_in_reach(written: &Result<Written, Failure>) -> bool {
    written.as_ref().err().is_none_or(|failure| failure.error.kind == ErrorKind::Poison)
}

/// Keeps the result of a put: as stored, or as failed at the position of its first record.
fn keep<T>(
    stored: &mut Stored,
    record: usize,
    sink: &'static str,
    put: Result<T, Error>,
    keep: impl FnOnce(&mut Stored, T),
) -> Result<(), Error> {
    match put {
        Ok(put) => keep(stored, put),
        Err(error) if error.kind == ErrorKind::Config => return Err(error),
        Err(error) => stored.failed.push(Failed::new(record, sink, &error)),
    }
    Ok(())
}
