//! `usagectl watch --stack`: the live page of a deployment, read-only, on this machine.
//!
//! `source` reads a stack, and `usage` its usage table. `metrics` lists what it asks CloudWatch for, and `seen` interprets it. `alarms`, `mappings`, `failures`,
//! `alerts`, and `sizes` read the rest. `calls` counts what all of this costs, `view` is the document of the page, and `texts` are its
//! sentences.

mod alarms;
mod alerts;
mod calls;
mod failures;
mod mappings;
mod metrics;
mod seen;
mod sizes;
mod source;
mod texts;
mod usage;
mod view;

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::deployment::error_as_json;
use crate::page::tasks::Tasks;
use crate::page::{self, Page, Source};
use crate::shell::console::{self, Done};
use crate::shell::durations::duration;
use crate::shell::options::Options;
use source::StackSource;

/// Serve the live page of a deployment on this machine, without changing anything
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Watch {
    /// Watch this CloudFormation stack, with the AWS credentials and region of the environment
    #[arg(long, value_name = "NAME")]
    stack: String,
    /// How far back charts and sums go, from 15m to 6h
    #[arg(long, value_name = "DURATION", default_value = "3h", value_parser = shown_time)]
    span: Duration,
    /// Port for the page, on the loopback interface (0 picks a free port)
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Offer a button that runs `usagectl redrive`; without it, the page changes nothing
    #[arg(long)]
    allow_redrive: bool,
}

const EXAMPLES: &str = "\
Examples:
  usagectl watch --stack usage-aggregator
  usagectl watch --stack usage-aggregator --port 8080 --span 1h
  usagectl watch --stack usage-aggregator --allow-redrive
  usagectl watch --stack usage-aggregator --json | jq .summary

The page shows the last hours from CloudWatch, alarms, failed batches, the last rejected records,
usage and alerts of customers. It is served to this machine only. --json prints the figures once
and exits.

While somebody looks at the page of a stack like orders, it makes at most 24 calls per minute, which
cost at most $0.03 per hour at list prices. While nobody does, it makes none. The page states what
your stack costs. Reconcile runs only when you press the button, which says what it costs.

Needs cloudformation:DescribeStacks, cloudwatch:GetMetricData and DescribeAlarms, and
lambda:GetFunctionConfiguration and GetEventSourceMapping; kms:Decrypt on the function's key if it
has one; dynamodb:DescribeTable and Scan on the usage table, dynamodb:Query on the ledger and
GetItem on the table of limits if the pipeline has alerts, and s3:ListBucket and GetObject on the
failure bucket. What is denied is left out and named. The stack's operator policy allows all of
them, and what Reconcile and Redrive need.

Exit codes:
  0  The page was stopped with Ctrl-C, or --json printed everything
  1  The stack can't be read, or --json left something out
  2  The command line is invalid, or the stack lacks an output";

impl Watch {
    /// Serves the page until Ctrl-C, or prints the figures once.
    ///
    /// # Errors
    /// When the stack or its metrics can't be read.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        error_as_json(options, self.watch(options).await)
    }

    async fn watch(&self, options: &Options) -> anyhow::Result<Done> {
        let source = StackSource::open(&self.stack, self.span, options).await?;
        let page = Page::new(self.tasks(options))?;
        if options.json {
            source.read_usage_now(&page).await;
            console::print(&source.read(&page).await?)?;
            return Ok(if source.is_complete() { Done::Well } else { Done::WithFailures });
        }
        page.update(&source).await?;
        let url = page::serve(page::routes(page.clone()), ("--port", self.port), &page.token).await?;
        // Registered before the address is printed, because from then on the page may be stopped.
        let mut interrupt = signal(SignalKind::interrupt()).context("wait for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
        console::print(&format!("live page of {}: {url}/", self.stack))?;
        console::note(&format!("{} Press Ctrl-C to stop.", source.calls.sentence(&source.prices)));
        tokio::select! {
            _ = interrupt.recv() => Ok(Done::Well),
            _ = terminate.recv() => Ok(Done::Well),
            ended = page.keep_current(&source) => match ended? {},
            ended = source.keep_usage(&page) => match ended? {},
        }
    }

    /// The commands behind the buttons. They inherit the credentials of the environment.
    fn tasks(&self, options: &Options) -> Tasks {
        let command = |name: &'static str| {
            let pipeline = options.pipeline.iter().map(|name| ["--pipeline".into(), name.into()]);
            let folder = options.pipeline_dir.iter().map(|folder| ["--pipeline-dir".into(), folder.into()]);
            let mut arguments: Vec<OsString> = pipeline.chain(folder).flatten().collect();
            arguments.extend([name, "--stack", &self.stack].map(OsString::from));
            (name, arguments)
        };
        if self.allow_redrive {
            return Tasks::new(["reconcile", "redrive"].map(command));
        }
        let reason = "redrive isn't allowed: start `usagectl watch` with --allow-redrive";
        Tasks::new([command("reconcile")]).refusing("redrive", reason)
    }
}

fn shown_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let is_valid = (Duration::from_mins(15)..=Duration::from_hours(6)).contains(&time);
    if is_valid { Ok(time) } else { Err("expected 15m to 6h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Names;

    /// The names of a stack that counts and archives, with a failure bucket.
    pub(super) fn names() -> Names {
        let name = |text: &str| Some(text.to_owned());
        Names {
            function: name("usage"),
            mapping: name("11111111-1111-1111-1111-111111111111"),
            fold_function: name("usage-fold"),
            ledger_mapping: name("22222222-2222-2222-2222-222222222222"),
            source_arn: name("arn:aws:dynamodb:us-east-1:1:table/orders/stream/2026-01-01T00:00:00.000"),
            usage_table: name("usage"),
            ledger_table: name("ledger"),
            archive_bucket: name("archive"),
            failure_bucket: name("failures"),
            metrics_namespace: name("UsageAggregator"),
            pipeline: name("orders"),
            ..Names::default()
        }
    }

    #[test]
    fn redrive_is_offered_only_if_it_is_allowed() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: Options,
            #[command(flatten)]
            watch: Watch,
        }
        let commands = |more: &[&str]| -> Vec<String> {
            let line = ["usagectl", "--stack", "mine"].iter().chain(more);
            let Line { options, watch } = <Line as clap::Parser>::parse_from(line);
            watch.tasks(&options).all().into_iter().map(|task| task.command).collect()
        };
        assert_eq!(commands(&[]), ["usagectl reconcile --stack mine"]);
        let both = ["usagectl --pipeline p reconcile --stack mine", "usagectl --pipeline p redrive --stack mine"];
        assert_eq!(commands(&["--allow-redrive", "--pipeline", "p"]), both);
    }

    #[test]
    fn the_time_that_is_shown_has_limits() {
        assert_eq!(shown_time("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(shown_time("6h"), Ok(Duration::from_hours(6)));
        for text in ["14m", "7h", "1d", "soon"] {
            assert!(shown_time(text).is_err(), "{text}");
        }
    }
}
