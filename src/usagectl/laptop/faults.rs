//! `usagectl faults`: shows and changes the faults that a running `usagectl local` injects.

use anyhow::bail;
use axum::http::Method;
use clap::Args;
use laptop::proof::FaultProfile;

use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;
use crate::shell::running::{self, Running};

/// Show or change the faults that a running `usagectl local` injects
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Faults {
    /// `none`, `all`, or a list like `crash=2,lose=5,split=10s` [default: show the current faults]
    #[arg(value_name = "FAULTS")]
    faults: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl faults all
  usagectl faults crash=5,restart=3s,twins
  usagectl faults none

Percentage of invocations:
  redeliver  The response is lost, so the whole batch is delivered again
  crash      The sandbox crashes during one of its calls
  refuse     The invocation is throttled
  exit       The process exits at once
  hang       The invocation hangs until the function's timeout
Percentage of service calls:
  lose       The request or the response is lost
  throttle   The call is throttled
  conflict   The call conflicts with another writer
  503        The service is unavailable
  slow       An S3 call takes 250 ms longer
  denied     An S3 call is refused with AccessDenied
  s3         S3 is unavailable
  tables     A DynamoDB call is throttled
Percentage of stream reads:
  iterator   The iterator has expired, or the read is throttled
Percentage of records:
  poison     The record can't be processed (needs --simulate orders or api-usage)
  repeat     The record arrives again and out of order (needs --stream kinesis-for-dynamodb)
Interval, for example split=10s:
  split      A shard splits, or two shards merge
  restart    The mapping crashes and resumes from an older checkpoint
Without a value:
  twins      Two mappings run at once
  disable    The mapping is disabled
`all` leaves out exit, hang, denied, s3, tables and disable, which are outages rather than faults
that pass.";

impl Faults {
    /// Sends the faults to the running process and prints those in effect.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        if let Some(faults) = &self.faults {
            faults.parse::<FaultProfile>().map_err(UsageError)?;
        }
        let running = Running::read(&options.data);
        let Some(url) = running.and_then(|running| running.control) else {
            bail!(
                "no `usagectl local` is running in {}: start one, or set its folder with --data DIR",
                options.data.display()
            );
        };
        let now = call(&url, self.faults).await?;
        let shown = if options.json { serde_json::json!({ "faults": now }).to_string() } else { now };
        console::print(&shown)?;
        Ok(Done::Well)
    }
}

async fn call(url: &str, faults: Option<String>) -> anyhow::Result<String> {
    let method = if faults.is_some() { Method::PUT } else { Method::GET };
    let (status, text) = running::call(method, &format!("{url}/faults"), faults.unwrap_or_default()).await?;
    if !status.is_success() {
        bail!(UsageError(text));
    }
    Ok(text)
}
