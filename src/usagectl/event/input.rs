//! Reads the input of a command: a file or stdin with an event, or with a failure document that contains one.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use crate::failure_document::{FailureDocument, event_in};
use crate::shell::text_file::{read_whole, text_of};

/// What a file contains.
pub(super) struct Input {
    /// The event.
    pub event: Vec<u8>,
    /// The failure document that the event is from, if it is from one.
    pub document: Option<FailureDocument>,
}

impl Input {
    /// Reads a file, or stdin for `-`.
    pub(super) fn read(path: &Path) -> anyhow::Result<Input> {
        let bytes = match path == Path::new("-") {
            true => read_whole(std::io::stdin().lock()).context("read the event from stdin")?,
            false => {
                File::open(path).and_then(read_whole).with_context(|| format!("read the event {}", path.display()))?
            }
        };
        let bytes = text_of(&bytes).map_err(|why| anyhow!("read the event {}: {why}", path.display()))?.into_bytes();
        let (event, document) = event_in(bytes).map_err(|why| {
            let remedy =
                if why.starts_with("has no payload") { "; `usagectl redrive` reads them from the stream" } else { "" };
            anyhow!("read the event in the failure document {}: it {why}{remedy}", path.display())
        })?;
        Ok(Input { event, document })
    }

    /// Why the failure document was written, as JSON; null if there is none.
    pub(super) fn described(&self) -> Value {
        let Some(document) = &self.document else { return Value::Null };
        let cause = document.cause();
        json!({
            "condition": cause.condition,
            "response": cause.quarantine.is_none().then(|| cause.response.text()),
            "rejection": cause.quarantine,
            "text": cause.text(),
        })
    }
}

/// Reads an event from a file, or from stdin for `-`. A failure document stands for the event in it.
///
/// # Errors
/// If the file can't be read, or is a failure document without an event.
pub fn read_event(path: &Path) -> anyhow::Result<Vec<u8>> {
    Input::read(path).map(|input| input.event)
}
