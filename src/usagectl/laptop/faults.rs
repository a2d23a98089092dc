//! `usagectl faults`: which faults happen in a running `usagectl local`.

use anyhow::bail;
use axum::http::Method;
use clap::Args;
use laptop::proof::FaultProfile;

use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;
use crate::shell::running::{self, Running};

/// Show or change the faults of a running `usagectl local`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Faults {
    /// `none`, `all`, or such as `crash=2,lose=5,split=10s`; without it, what happens now is printed
    #[arg(value_name = "FAULTS")]
    faults: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl faults all
  usagectl faults crash=5,restart=3s,twins
  usagectl faults none

Percent of invocations:
  redeliver  a success that Lambda doesn't hear of: all of it comes again
  crash      the sandbox dies in one of its calls
  refuse     the invocation is throttled
Percent of calls:
  lose, throttle, conflict, 503, and slow (S3)
Percent of reads of the stream:
  iterator   it has expired, or the read is throttled
Percent of records:
  poison     can't be processed (needs --simulate orders)
  repeat     come again and out of order (needs --stream kinesis-for-dynamodb)
Every so many seconds, as in split=10s:
  split      shards split or merge
  restart    the mapping dies and goes on from a checkpoint that lags
And twins: two mappings at once";

impl Faults {
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        if let Some(faults) = &self.faults {
            faults.parse::<FaultProfile>().map_err(UsageError)?;
        }
        let running = Running::read(&options.data);
        let Some(url) = running.and_then(|running| running.control) else {
            bail!("no `usagectl local` runs in {}: start one, or say where with --data DIR", options.data.display());
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
