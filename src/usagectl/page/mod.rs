//! The live page of a run on this machine or of a deployed stack. Each of the two is a `Source` of its figures.
//!
//! `routes` serves the files, the document, and the stream of events, `guard` keeps other pages away, and `tasks` runs other
//! commands. `history` keeps the course, `usage` reads the usage table, `ranking` keeps its largest groups, `buckets` lists files and
//! failed batches, and `summary` says in words how everything is doing.

pub(crate) mod buckets;
mod guard;
pub(crate) mod history;
mod ranking;
mod routes;
pub(crate) mod summary;
pub(crate) mod tasks;
pub(crate) mod usage;

use std::convert::Infallible;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use history::History;
pub(crate) use ranking::Usage;
#[cfg(feature = "fuzzing")]
pub(crate) use routes::behind_guard;
pub(crate) use routes::{routes, serve};
use tasks::Tasks;

/// Where the figures of the page come from.
pub(crate) trait Source {
    /// How often the figures are read.
    const INTERVAL: Duration;
    /// Whether they are read only while somebody looks at the page.
    const IS_ON_DEMAND: bool;

    /// What doesn't change: an object with the `facts`, and with what else the page learns when it connects.
    fn constants(&self) -> Value;

    /// Reads the figures, adds them to the history of `page`, and returns the document from which the page is drawn, as JSON.
    async fn read(&self, page: &Page) -> anyhow::Result<String>;
}

/// What the page shows and starts.
#[derive(Debug)]
pub(crate) struct Page {
    /// The token that requests of the page carry.
    pub token: String,
    /// The commands that it can start.
    pub tasks: Tasks,
    /// A name of this process, which a page that reconnects compares.
    id: String,
    constants: OnceLock<Value>,
    history: Mutex<History>,
    usage: Mutex<Option<Usage>>,
    /// The latest document, as JSON.
    latest: watch::Sender<Arc<str>>,
    /// Notified when somebody opens the page.
    seen: Notify,
}

impl Page {
    /// A page with these commands.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn new(tasks: Tasks) -> anyhow::Result<Arc<Page>> {
        Ok(Arc::new(Page {
            token: random()?,
            tasks,
            id: random()?,
            constants: OnceLock::new(),
            history: Mutex::default(),
            usage: Mutex::default(),
            latest: watch::Sender::new(Arc::from("{}")),
            seen: Notify::new(),
        }))
    }

    /// Waits until somebody looks at the page.
    pub(crate) async fn until_seen(&self) {
        loop {
            // Before the check, so that nobody who comes between the two is missed.
            let seen = self.seen.notified();
            if self.latest.receiver_count() > 0 {
                return;
            }
            seen.await;
        }
    }

    /// Reads the figures once.
    pub(crate) async fn update<S: Source>(&self, source: &S) -> anyhow::Result<()> {
        // Set once, because a page has one source.
        let _ = self.constants.set(source.constants());
        self.publish(source.read(self).await?);
        Ok(())
    }

    /// Shows a document.
    pub(crate) fn publish(&self, document: String) {
        self.latest.send_replace(Arc::from(document));
    }

    /// Keeps a page that has been updated up to date, until reading the figures fails.
    pub(crate) async fn keep_current<S: Source>(&self, source: &S) -> anyhow::Result<Infallible> {
        loop {
            tokio::time::sleep(S::INTERVAL).await;
            if S::IS_ON_DEMAND {
                self.until_seen().await;
            }
            self.update(source).await?;
        }
    }

    /// The samples of the charts.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The usage that was read last.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the usage that is shown.
    pub(crate) fn set_usage(&self, usage: Option<Usage>) {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner) = usage;
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
