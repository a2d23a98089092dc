//! The manifests of a table export: which files it has, how many items each has, and their checksums. Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use stream_types::Timestamp;

/// `manifest-summary.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) export_arn: String,
    pub(super) table_arn: String,
    export_time: Option<String>,
    export_from_time: Option<String>,
    export_to_time: Option<String>,
    pub(super) item_count: u64,
    pub(super) output_format: Option<String>,
    export_type: Option<String>,
}

/// A line of `manifest-files.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataFile {
    pub(super) item_count: u64,
    pub(super) md5_checksum: String,
    pub(super) data_file_s3_key: String,
}

/// What an export shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// The table at this time.
    Full(Timestamp),
    /// What changed from the first to the second time, which is excluded.
    Incremental(Timestamp, Timestamp),
}

impl Span {
    /// When the table was as the export shows it.
    pub(super) fn end(self) -> Timestamp {
        match self {
            Span::Full(at) | Span::Incremental(_, at) => at,
        }
    }
}

impl Summary {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<Summary, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("is not the summary of a table export: {error}"))
    }

    /// What the export shows.
    ///
    /// # Errors
    /// If it doesn't say.
    pub(super) fn span(&self) -> Result<Span, String> {
        let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
        let is_incremental = self.export_type.as_deref() == Some("INCREMENTAL_EXPORT");
        match (time(&self.export_time), time(&self.export_from_time), time(&self.export_to_time)) {
            (_, Some(from), Some(to)) => Ok(Span::Incremental(from, to)),
            (Some(at), ..) if !is_incremental => Ok(Span::Full(at)),
            _ => Err("has neither `exportTime` nor `exportFromTime` and `exportToTime`".to_owned()),
        }
    }
}

/// Reads `manifest-files.json`, which has a document on each line.
///
/// # Errors
/// If it can't be read, or if its files don't have the items that the summary counts.
pub(super) fn data_files(bytes: &[u8], items: u64) -> Result<Vec<DataFile>, String> {
    let files = serde_json::Deserializer::from_slice(bytes).into_iter::<DataFile>();
    let files: Vec<DataFile> =
        files.collect::<Result<_, _>>().map_err(|error| format!("is not a list of data files: {error}"))?;
    // Beyond 64 bits, the sum is none that a summary could state.
    let listed = files.iter().map(|file| u128::from(file.item_count)).sum::<u128>();
    if listed != u128::from(items) {
        return Err(format!("lists files with {listed} items, and manifest-summary.json counts {items}"));
    }
    Ok(files)
}

/// Checks the MD5 checksum of a file against the one in the manifests, in Base64 or hexadecimal.
///
/// # Errors
/// If it differs.
pub(super) fn check_md5(digest: md5::Digest, expected: &str) -> Result<(), String> {
    let expected = expected.trim().trim_matches('"');
    let is_equal = BASE64_STANDARD.encode(digest.0) == expected || format!("{digest:x}") == expected.to_lowercase();
    if is_equal { Ok(()) } else { Err("is damaged: its content doesn't match its MD5 checksum".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"version":"2020-06-30","exportArn":"arn:aws:dynamodb:us-east-1:123456789012:table/ProductCatalog/export/01234567890123-a1b2c3d4","startTime":"2020-11-04T07:28:34.028Z","endTime":"2020-11-04T07:33:43.897Z","tableArn":"arn:aws:dynamodb:us-east-1:123456789012:table/ProductCatalog","tableId":"12345a12-abcd-123a-ab12-1234abc12345","exportTime":"2020-11-04T07:28:34.028Z","s3Bucket":"ddb-productcatalog-export","s3Prefix":"2020-Nov","s3SseAlgorithm":"AES256","s3SseKmsKeyId":null,"manifestFilesS3Key":"AWSDynamoDB/01693685827463-2d8752fd/manifest-files.json","billedSizeBytes":0,"itemCount":8,"outputFormat":"DYNAMODB_JSON","exportType":"FULL_EXPORT"}"#;

    #[test]
    fn a_summary_says_what_the_export_shows() {
        let at = |text| Timestamp::parse(text).unwrap();
        let full = Summary::read(FULL.as_bytes()).unwrap();
        assert_eq!(full.span(), Ok(Span::Full(at("2020-11-04T07:28:34.028Z"))));
        assert_eq!((full.item_count, full.output_format.as_deref()), (8, Some("DYNAMODB_JSON")));
        let times = r#""exportFromTime":"2020-11-04T07:00:00.000Z","exportToTime":"2020-11-04T08:00:00.000Z""#;
        let incremental = FULL
            .replace(r#""exportTime":"2020-11-04T07:28:34.028Z""#, times)
            .replace("FULL_EXPORT", "INCREMENTAL_EXPORT");
        let span = Summary::read(incremental.as_bytes()).unwrap().span();
        assert_eq!(span, Ok(Span::Incremental(at("2020-11-04T07:00:00Z"), at("2020-11-04T08:00:00Z"))));
        assert!(Summary::read(FULL.replace("exportTime", "other").as_bytes()).unwrap().span().is_err());
        assert!(Summary::read(b"{}").unwrap_err().starts_with("is not the summary of a table export"));
    }

    #[test]
    fn the_files_must_have_the_items_that_the_summary_counts() {
        let line = r#"{"itemCount":3,"md5Checksum":"sQMSpEILNgoQmarvDFonGQ==","etag":"af83d6f217c19b8b0fff8023d8ca4716-1","dataFileS3Key":"AWSDynamoDB/01693685827463-2d8752fd/data/sgfkzg.json.gz"}"#;
        let two = format!("{line}\n{line}\n");
        assert_eq!(data_files(two.as_bytes(), 6).unwrap().len(), 2);
        let missing = data_files(line.as_bytes(), 6).unwrap_err();
        assert_eq!(missing, "lists files with 3 items, and manifest-summary.json counts 6");
        assert!(data_files(b"{\"itemCount\":", 6).is_err());
    }

    #[test]
    fn regression_counts_that_overflow_64_bits_are_refused() {
        let line = r#"{"itemCount":18446744073709551615,"md5Checksum":"","dataFileS3Key":""}"#;
        let found = data_files(format!("{line}{line}").as_bytes(), u64::MAX - 1).unwrap_err();
        assert!(found.starts_with("lists files with 36893488147419103230 items"), "{found}");
    }

    #[test]
    fn checksums_are_read_in_both_spellings() {
        for checksum in
            ["XUFAKrxLKna5cZ2REBfFkg==", "5d41402abc4b2a76b9719d911017c592\n", "\"XUFAKrxLKna5cZ2REBfFkg==\""]
        {
            assert_eq!(check_md5(md5::compute(b"hello"), checksum), Ok(()), "{checksum}");
        }
        assert!(check_md5(md5::compute(b"hellO"), "XUFAKrxLKna5cZ2REBfFkg==").unwrap_err().starts_with("is damaged"));
    }
}
