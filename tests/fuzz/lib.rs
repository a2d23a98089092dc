//! Fuzz targets: one function for each reader of foreign bytes, which panics if the reader panics, reads something else than
//! its oracle, or holds too much memory. `make test` runs each over its corpus and over fixed mutations of it (`corpus.rs`);
//! `make fuzz` lets libFuzzer look for inputs (`main.rs`).
//!
//! A target keeps nothing from one run to the next, logs nothing, and reads no clock, so that an input repeats its finding.

pub mod memory;
mod mutation;
mod targets;

use std::path::{Path, PathBuf};

pub use mutation::Mutator;

/// A reader of foreign bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its folder in the corpus.
    pub name: &'static str,
    /// Reads an input, and panics if the reader doesn't do what it must.
    pub read: fn(&[u8]),
    limit: Limit,
}

/// How much memory a target may hold at once.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// For each byte of an input.
    bytes_per_byte: usize,
    /// Whatever the input: buffers with an initial capacity, parsed schemas, and the texts of messages.
    allowance_bytes: usize,
}

const USUAL: Limit = Limit { bytes_per_byte: 64, allowance_bytes: 256 << 10 };
/// serde_json's trees: `{"":0},` takes a leaf of a B-tree, which has room for eleven fields.
const TREES: Limit = Limit { bytes_per_byte: 256, ..USUAL };
/// The keys of groups share their beginnings, and a column has a bit for each record without a value.
const SHARED: Limit = Limit { bytes_per_byte: 1024, ..USUAL };
/// An object for each column, and buffers for 1,024 rows of each.
const COLUMNS: Limit = Limit { allowance_bytes: 1 << 20, ..USUAL };
/// Avro's library reserves what a length promises, up to 64 MiB: for a block, for its content, and for each value in a value.
const PROMISES: Limit = Limit { allowance_bytes: 256 << 20, ..USUAL };
/// What is compressed may have any length; each of these readers stops at one.
const UNPACKED: Limit = Limit { allowance_bytes: 192 << 20, ..USUAL };
/// The same, but a text is held twice while its encoding changes, and this reader stops at 256 MiB.
const TEXTS: Limit = Limit { allowance_bytes: 1 << 30, ..USUAL };

macro_rules! targets {
    ($($room:ident, $limit:ident: $($name:ident),+;)+) => {
        /// All targets, the cheapest first.
        pub const TARGETS: &[Target] = &[
            $($(Target { name: stringify!($name), read: targets::$room::$name, limit: $limit },)+)+
        ];
    };
}

targets! {
    numbers, USUAL: decimal, arithmetic, sequence_number;
    times, USUAL: timestamp, window_key;
    events, USUAL: base64, event, dynamodb_json, kinesis_message, kinesis_aggregate;
    mapping, USUAL: filter_pattern;
    mapping, TREES: function_response;
    ledger, SHARED: ledger_page, ledger_state;
    ledger, UNPACKED: ledger_frame;
    plans, USUAL: plan;
    definitions, USUAL: pipeline_toml;
    definitions, TREES: avsc;
    documents, TREES: failure_document, ion_line;
    documents, USUAL: export_manifest;
    documents, TEXTS: text_file;
    requests, TREES: cloudwatch_cbor, cloudwatch_form, event_bus, kinesis_request;
    requests, UNPACKED: cloudwatch_gzip;
    requests, USUAL: s3_chunks;
    operators, TREES: sample_file, alert_event, iam_policy, filter_mistakes, billing_response, compaction_event, deployed_template;
    operators, USUAL: notice_keys, document_key, assumptions, customers_csv;
    ports, TREES: service_port, control_port, dynamodb_request, s3_url;
    ports, SHARED: traces_export;
    files, PROMISES: avro_file, raw_file;
    files, COLUMNS: parquet_file, parquet_ids;
}

impl Target {
    /// The target with this name.
    pub fn named(name: &str) -> Option<Target> {
        TARGETS.iter().copied().find(|target| target.name == name)
    }

    /// The folder of its corpus, which is part of the repository.
    pub fn corpus(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }

    /// Runs an input, and checks the memory that it takes.
    ///
    /// # Panics
    /// If the target panics, or holds more memory than the input allows.
    pub fn run(&self, input: &[u8]) {
        let peak = memory::peak_of(|| (self.read)(input));
        let limit = self.limit.bytes_per_byte * input.len() + self.limit.allowance_bytes;
        assert!(
            peak <= limit,
            "{} holds {peak} bytes for an input of {}; the limit is {limit}",
            self.name,
            input.len()
        );
    }
}
