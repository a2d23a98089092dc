//! `usagectl backfill`: archives and counts the items that existed before the function read the table's stream. It invokes the
//! deployed function with batches, or on this machine the function's handler in this process.
//!
//! `item`, `cut`, `coverage`, `record` and `changes` decide which records to make, without I/O except for the last one's file;
//! `export`, `scan`, `lines`, `table` and `stream` read; `folder` keeps the progress, and `claim` the time of the
//! records; `preview` plans, `send` invokes, `session` is one run, and `report` prints it.

mod changes;
mod claim;
mod coverage;
mod cut;
#[cfg(test)]
mod exactness;
mod export;
mod folder;
mod item;
mod lines;
mod pace;
mod preview;
mod record;
mod report;
mod scan;
mod send;
mod session;
mod stream;
mod table;

use std::num::NonZeroUsize;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::deployment::cost::prices::{PriceItem, Prices};
use crate::deployment::error_as_json;
use crate::shell::console::{self, Done};
use crate::shell::options::Options;
use crate::stack::{Access, Where};
use export::Exports;
#[doc(hidden)]
#[cfg(feature = "fuzzing")]
pub use export::fuzzing;
use folder::Folder;
use pace::Pace;
use report::Totals;
use session::Session;

/// Archive and count the items that existed before the stream was attached
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Backfill {
    /// Table export: a folder, or s3://BUCKET/PREFIX/AWSDynamoDB/ID. One full export, and incremental exports that continue it
    #[arg(value_name = "EXPORT", required_unless_present = "scan")]
    exports: Vec<String>,
    /// Scan the table instead of reading an export
    #[arg(long, conflicts_with = "exports")]
    scan: bool,
    /// Source table [default: the table that the function reads]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Write only rows of the archive, as the export or scan shows the items, without reading the stream
    #[arg(long)]
    archive_only: bool,
    /// Show what would be written and what it would cost, without writing anything
    #[arg(long)]
    dry_run: bool,
    /// Records per second; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate: u32,
    /// Data files to process at the same time
    #[arg(long, value_name = "N", default_value = "4")]
    parallel: NonZeroUsize,
    // Last: the heading of its options applies to all that follow.
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl backfill s3://exports/AWSDynamoDB/01693685827463-2d8752fd \\
    --stack usage-aggregator --dry-run
  usagectl backfill s3://exports/AWSDynamoDB/01693685827463-2d8752fd \\
    --stack usage-aggregator --rate 2000
  usagectl backfill export/ incremental-1/ incremental-2/ --stack usage-aggregator
  usagectl backfill --scan --local

Attach the function to the stream at TRIM_HORIZON first, then export the table, then backfill
within 24 hours; docs/backfill.md has the steps. Each item becomes a record of the second in
which the stream was attached, or of COUNT_FROM. Its row goes to the archive, and it opens the
measures that have `baseline = true`. Items that were written since are taken as they were
before, from the stream, so that nothing counts twice and nothing is missing.

It is safe to stop this at any point and to run it again: the same items make the same records, and
finished files are skipped. Rejected items are listed, and sent again by the next run. If the ledger
is another table now, for example after a restore, everything is sent again. With --archive-only,
rows have the time of the export or scan; another one of the same table is refused.

Needs dynamodb:DescribeTable, DescribeStream, GetShardIterator and GetRecords of the source,
dynamodb:Scan for --scan, s3:GetObject for an export in S3, lambda:InvokeFunction and
GetFunctionConfiguration, kms:Decrypt on the function's key if it has one, and
dynamodb:DescribeTable and PutItem on the ledger; without a ledger, --archive-only needs
s3:PutObject and s3:GetObject on the archive.

Exit codes:
  0  Every item is durable
  1  An item was rejected, or something failed
  2  The command line or the export is invalid, or the backfill could not be exact";

impl Backfill {
    /// Runs the command.
    ///
    /// # Errors
    /// When the deployment or the export can't be used, or when the result would not be exact.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        error_as_json(options, self.backfill(options).await)
    }

    async fn backfill(&self, options: &Options) -> anyhow::Result<Done> {
        let deployment = self.place.open(options).await?;
        let variables = deployment.variables(options, Access::Write).await?;
        let config = variables.clone().with_metrics_sink("none").config()?;
        let table = table::find(&deployment, &config.pipeline, self.table.as_deref()).await?;
        let exports = match self.scan {
            true => None,
            false => Some(Exports::open(&self.exports, &deployment.clients().s3).await?),
        };
        let mut made_of = vec![config.pipeline.name.clone(), table.arn.clone()];
        made_of.extend(table.stream.iter().map(|stream| stream.arn.clone()));
        let count_from = config.tables.as_ref().and_then(|tables| tables.count_from);
        made_of.extend(count_from.filter(|_| !self.archive_only).map(|from| format!("COUNT_FROM {from}")));
        match &exports {
            Some(exports) => {
                table.check_export(exports.table_arn())?;
                made_of.extend(exports.names().into_iter().map(str::to_owned));
            }
            None => made_of.push("scan".to_owned()),
        }
        made_of.extend(self.archive_only.then(|| "--archive-only".to_owned()));
        let folder = Folder::open(&options.data, &table.name, made_of)?;
        let pace = Pace::new(self.rate);
        let session = Session { command: self, deployment: &deployment, variables, table, exports, folder, pace };
        let (created_at, replaced) = session.prepare().await?;
        let totals = session.send(created_at, &replaced).await?;
        self.report(&totals, &created_at.to_string(), &session, options)
    }

    fn parallel(&self) -> usize {
        self.parallel.get()
    }

    fn report(&self, totals: &Totals, cut: &str, session: &Session<'_>, options: &Options) -> anyhow::Result<Done> {
        let dollars = if self.dry_run { Some(dollars(totals)?) } else { None };
        if !totals.refused.is_empty() {
            let file = session.folder.path().join("rejected.json");
            std::fs::write(&file, serde_json::to_string_pretty(&totals.refused)?)
                .with_context(|| format!("write {}", file.display()))?;
            console::note(&format!("the rejected items are listed in {}", file.display()));
        }
        let text = match options.json {
            true => {
                let mut report = json!({ "cut": cut, "dry_run": self.dry_run, "estimated_dollars": dollars });
                if let (Some(report), serde_json::Value::Object(counts)) = (report.as_object_mut(), json!(totals)) {
                    report.extend(counts);
                }
                report.to_string()
            }
            false => totals.text(cut, dollars),
        };
        console::print(&text)?;
        Ok(if totals.refused.is_empty() { Done::Well } else { Done::WithFailures })
    }
}

/// The estimated cost of the pages, files and invocations; folding and reading cost little beside them.
fn dollars(totals: &Totals) -> anyhow::Result<f64> {
    let prices = Prices::read(None)?;
    let parts = [
        (totals.write_units, PriceItem::WriteUnit),
        (totals.files, PriceItem::Put),
        (totals.batches, PriceItem::LambdaRequest),
    ];
    let cost = |(count, item): (usize, PriceItem)| u32::try_from(count).map_or(f64::MAX, f64::from) * prices.of(item);
    Ok(parts.into_iter().map(cost).sum())
}
