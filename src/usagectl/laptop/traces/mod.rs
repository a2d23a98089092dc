//! `usagectl traces`: receives traces over OTLP on this machine, and prints each as a waterfall.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod receive;
mod span;
mod waterfall;

use std::net::Ipv4Addr;

use anyhow::Context;
use clap::Args;
use laptop::emulators::{programs_only, unavailable};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::shell::console::{self, Done};
use crate::shell::options::Options;
use span::Trace;
use waterfall::waterfall;

/// Receive traces over OpenTelemetry's protocol and print each as a waterfall, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Traces {
    /// Port to listen on; 0 picks a free port
    #[arg(long, default_value_t = 4318, value_name = "PORT")]
    port: u16,
    /// Stop after this many traces
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Print only traces in which something failed
    #[arg(long)]
    failed: bool,
}

const EXAMPLES: &str = "\
Examples:
  Show the traces of a local run; the run is in another shell:
    usagectl traces
    usagectl local --simulate orders --faults throttle=5 --otlp http://localhost:4318
  Show only invocations that failed or rejected a record:
    usagectl traces --failed
  Print each trace as a line of JSON:
    usagectl traces --json

It listens on the loopback interface only. Log records and metrics are accepted and ignored.";

impl Traces {
    /// Prints traces until a signal stops it, or until there were enough.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await;
        let listener = listener.map_err(|error| unavailable(error, self.port, "--port"))?;
        let mut interrupt = signal(SignalKind::interrupt()).context("wait for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
        let address = listener.local_addr()?;
        console::note(&format!("receiving traces at http://{address} (Ctrl-C to stop)"));
        let (sender, mut traces) = mpsc::unbounded_channel();
        let serving = axum::serve(listener, programs_only(receive::routes(sender)));
        let printing = async {
            let mut printed = 0;
            while self.count.is_none_or(|count| printed < count) {
                let Some(trace) = traces.recv().await else { break };
                if !self.failed || trace.has_failed() {
                    print(&trace, options, printed)?;
                    printed += 1;
                }
            }
            anyhow::Ok(())
        };
        tokio::select! {
            served = serving => served.context("receive traces")?,
            printed = printing => printed?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(Done::Well)
    }
}

fn print(trace: &Trace, options: &Options, printed: usize) -> anyhow::Result<()> {
    if options.json {
        return console::print(&serde_json::to_string(trace)?);
    }
    let blank = if printed > 0 { "\n" } else { "" };
    console::print(&format!("{blank}{}", waterfall(trace).join("\n")))
}
