//! What is read of a table export, for the fuzzer, which can't reach it without a folder.

use super::ion;
use super::manifest::{Summary, data_files};

/// Reads the two manifests of an export, and returns how many files it has.
///
/// # Errors
/// What is wrong with them.
pub fn read_manifests(summary: &[u8], files: &[u8]) -> Result<usize, String> {
    let summary = Summary::read(summary)?;
    summary.span()?;
    data_files(files, summary.item_count).map(|files| files.len())
}

/// A line in Ion as DynamoDB JSON.
///
/// # Errors
/// Why it isn't an item of an export.
pub fn ion_line(line: &str) -> Result<String, String> {
    ion::dynamodb_json(line)
}
