//! The live page of a local run, on its control port.
//!
//! `view` builds the document from which the page is drawn, once per second; `assess` says how the run is doing, `history` keeps
//! the course, `usage` reads the usage table and `ranking` keeps its largest groups, `storage` lists the buckets, and `tasks`
//! runs other commands. `switches` are the faults, `routes` serves all of it, and `guard` keeps other pages away.

mod assess;
mod guard;
mod history;
mod ranking;
mod routes;
mod storage;
mod switches;
mod tasks;
mod usage;
mod view;

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Notify, watch};

use super::control::Control;
use super::run::LocalRun;
use crate::shell::options::Options;
use history::History;
use tasks::Tasks;
use view::Facts;

pub(super) use guard::{Guard, guarded};
pub(super) use routes::routes;

/// How often the document is built.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the page shows and starts.
#[derive(Debug)]
pub(super) struct Page {
    /// The token that requests of the page carry.
    pub token: String,
    /// A name of this run, which a page that reconnects compares.
    id: String,
    facts: OnceLock<Facts>,
    tasks: Tasks,
    history: Mutex<History>,
    usage: usage::Latest,
    storage: storage::Latest,
    /// The latest document, as JSON.
    latest: watch::Sender<Arc<str>>,
    /// Notified when somebody opens the page.
    seen: Notify,
}

impl Page {
    /// A page of a run with these options and this failure destination.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(super) fn new(options: &Options, on_failure: &str) -> anyhow::Result<Arc<Page>> {
        Ok(Arc::new(Page {
            token: random()?,
            id: random()?,
            facts: OnceLock::new(),
            tasks: Tasks::new(options, on_failure),
            history: Mutex::default(),
            usage: usage::Latest::default(),
            storage: storage::Latest::default(),
            latest: watch::Sender::new(Arc::from("{}")),
            seen: Notify::new(),
        }))
    }

    /// Waits until somebody looks at the page.
    async fn until_seen(&self) {
        loop {
            // Before the check, so that nobody who comes between the two is missed.
            let seen = self.seen.notified();
            if self.latest.receiver_count() > 0 {
                return;
            }
            seen.await;
        }
    }

    /// Keeps the page up to date until `control` stops the run.
    pub(super) async fn watch(&self, run: &LocalRun, control: &Control) -> anyhow::Result<()> {
        // Set once, because there is one run.
        let _ = self.facts.set(Facts::of(run));
        let mut stop = control.stop.subscribe();
        let documents = async {
            loop {
                self.update(run, control).await?;
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => self.update(run, control).await,
            ended = documents => ended,
            ended = usage::watch(run, self) => ended,
            ended = storage::watch(run, self) => ended,
        }
    }

    async fn update(&self, run: &LocalRun, control: &Control) -> anyhow::Result<()> {
        let status = control.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sample = self.history.lock().unwrap_or_else(PoisonError::into_inner).add(&status);
        let document = view::document(run, self, &status, sample, run.clock.now()).await?;
        self.latest.send_replace(Arc::from(document));
        Ok(())
    }
}

/// 128 random bits from the system, which nobody can guess.
fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.context("read random numbers from /dev/urandom")?;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
