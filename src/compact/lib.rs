//! Compaction: the raw Avro files of a past hour, in which a redelivered record may be more than once, become one Parquet file that
//! has each record once. A package of its own, so that the function that reads the stream needs no Parquet library.
//!
//! # Objects
//! | object | key below the prefix |
//! |---|---|
//! | raw file | `avro/<type>/partition_date=D/<unit>-<hash>.avro` |
//! | Parquet file | `parquet/<type>/partition_date=D/<unit>-<NNN>.parquet`, NNN = 000, 001, … |
//!
//! A unit is an hour of creation time (`2026-11-28T08`), or by `ARCHIVE_UNIT` ten minutes or a minute (`2026-11-28T0840`).
//!
//! # Columns
//! Those of the schema, under their own names and in its order, and behind them two that are constant in a file:
//!
//! | column | Parquet | Hive | |
//! |---|---|---|---|
//! | `unit` | required BYTE_ARRAY (String) | string | the unit |
//! | `effective` | required INT64 | bigint | from when on the file counts, in seconds since 1970 |
//!
//! | Avro | Parquet | Hive, as in the table of the raw files |
//! |---|---|---|
//! | boolean, int, long, float, double | BOOLEAN, INT32, INT64, FLOAT, DOUBLE | boolean, int, bigint, float, double |
//! | string, enum, uuid on string | BYTE_ARRAY (String) | string |
//! | bytes, fixed, uuid on fixed | BYTE_ARRAY | binary |
//! | decimal(p, s) | FIXED_LEN_BYTE_ARRAY (Decimal) | decimal(p,s) |
//! | date | INT32 (Date) | date |
//! | timestamp-millis | INT64 (Timestamp, milliseconds, UTC) | timestamp |
//! | timestamp-micros, time-micros | INT64, not annotated | bigint |
//! | time-millis | INT32, not annotated | int |
//! | record | group | struct |
//! | array | group (List) of `list.element` | array |
//! | map | group (Map) of `key_value.key`, `key_value.value` | map |
//! | union of null and a type | optional | the type |
//! | other union | group of optional `member0`, `member1`, … | not for Athena |
//! | null | optional INT32 (Unknown) | not for Athena |
//!
//! Every other field is required. The key-value metadata in the footer has `usage.raw_files` (the names of the raw files, one a
//! line), `usage.effective`, and `parquet.avro.schema`.
//!
//! # Protocol
//! See "Why each row is in the lake once" in docs/semantics.md. [`Compactor::compact`] compacts one unit, [`raw_units`] lists
//! those that have raw files.
//!
//! # Reading
//! [`readable`] reads rows of both kinds of files as JSON, [`resolution`] converts rows of other versions of a schema, [`steps`] reads
//! what rows say about the histories of items, and `prove` compares them with the ledger once a day.

mod columns;
mod compactor;
#[cfg(feature = "function")]
mod event;
mod footer;
mod found;
#[cfg(feature = "function")]
mod function;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod merge;
#[cfg(feature = "function")]
mod prove;
mod read;
pub mod readable;
pub mod resolution;
mod rows;
mod shred;
pub mod steps;
mod store;
mod thrift;
mod unreadable;
mod work;
mod write;

pub use columns::{EFFECTIVE, UNIT};
pub use compactor::{Clock, Compacted, Compactor, Due, Effect, ParquetFile, RecordType, Timing};
#[cfg(feature = "function")]
pub use function::{Answer, Function};
#[cfg(feature = "function")]
pub use prove::{ArchiveDifference, ArchiveWrong};
pub use read::{CompactedFile, is_parquet};
pub use store::Archive;
pub use work::{RawUnit, UnitKey, raw_units};
