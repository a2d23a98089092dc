//! Whether the windows and measures that an export names exist: a misspelled one would export nothing, without an error.

use std::collections::BTreeSet;

use laptop::proof::rows::Row;
use usage_aggregator::pipeline::{MeasureName, adjusted_name};
use usage_aggregator::window::Window;

use crate::results::snapshot_items::Counting;
use crate::shell::console::UsageError;

/// Checks that the pipeline counts windows of this length.
///
/// # Errors
/// With those that it counts.
pub(super) fn check_window(counting: &Counting, window: Window) -> Result<(), UsageError> {
    let windows = &counting.snapshot.windows;
    if windows.contains(&window) {
        return Ok(());
    }
    let known: Vec<&str> = windows.iter().map(|window| window.name()).collect();
    let (name, known) = (window.name(), known.join(", "));
    Err(UsageError(format!("--window: the pipeline doesn't count by {name}; expected one of {known}")))
}

/// The measures of the pipeline, and those that snapshots have: of an earlier definition, or named by an attribute.
pub(super) struct Measures<'c> {
    counting: &'c Counting,
    found: BTreeSet<String>,
}

impl<'c> Measures<'c> {
    pub(super) fn new(counting: &'c Counting) -> Measures<'c> {
        let snapshot = &counting.snapshot;
        let attributes = |name: &String| match snapshot.kinds.get(name) {
            Some(kind) => kind.attributes(name),
            None => vec![name.clone()],
        };
        let mut found: BTreeSet<String> = snapshot.measures.iter().flat_map(attributes).collect();
        if snapshot.closing.is_some() {
            let adjusted: Vec<String> = found.iter().map(|name| adjusted_name(name)).collect();
            found.extend(adjusted);
        }
        Measures { counting, found }
    }

    /// Adds those of a row.
    pub(super) fn add(&mut self, row: &Row) {
        for name in row.measures.keys() {
            if !self.found.contains(name) {
                self.found.insert(name.clone());
            }
        }
    }

    /// Checks that these can exist.
    ///
    /// # Errors
    /// With those that are known.
    pub(super) fn check(&self, requested: &[String]) -> Result<(), UsageError> {
        let Some(unknown) = requested.iter().find(|name| !self.found.contains(*name) && !self.is_captured(name)) else {
            return Ok(());
        };
        let known: Vec<&str> = self.found.iter().map(String::as_str).collect();
        Err(UsageError(format!("--measure: unknown measure `{unknown}`; expected one of {}", known.join(", "))))
    }

    /// Whether a measure whose name contains the name of an attribute can have this one.
    fn is_captured(&self, name: &str) -> bool {
        let snapshot = &self.counting.snapshot;
        let own = snapshot.named_if_taken(name);
        let measures = self.counting.counters.iter().flatten().flat_map(|counter| &counter.measures);
        measures.into_iter().any(|measure| match &measure.name {
            MeasureName::Fixed(_) => false,
            MeasureName::Captured(template) => {
                [Some(name), own.as_deref()].into_iter().flatten().any(|name| template.read_back(name).is_some())
            }
        })
    }
}
