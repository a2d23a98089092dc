//! What `usagectl init` makes of a file, for the fuzzer.

use usage_aggregator::pipeline::Folder;

use super::draft::draft;
use super::infer::read;
use super::init::sample::of_file;

/// A draft.
#[derive(Debug)]
pub struct Draft {
    /// Its files.
    pub folder: Folder,
    /// The event that it was made from.
    pub event: Vec<u8>,
    /// Whether the event was made of items.
    pub is_of_items: bool,
    /// The notes for the person who reviews it.
    pub notes: Vec<String>,
}

/// The draft of a pipeline for the event or the items in a file.
///
/// # Errors
/// Why there is none.
pub fn drafted(file: &[u8]) -> Result<Draft, String> {
    let sample = of_file(file, &[], "fuzz")?;
    let mut scratch = Vec::new();
    let input = read(&sample.event, &mut scratch, &[])?;
    let (files, mut notes) = draft(&input.samples, &input.source);
    notes.extend(sample.notes.iter().cloned().chain(input.notes));
    sample.excerpt().map_err(|error| format!("{error:#}"))?;
    let folder = Folder { name: "fuzz".to_owned(), files };
    Ok(Draft { folder, is_of_items: sample.source.is_some(), event: sample.event, notes })
}
