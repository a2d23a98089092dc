//! An event source mapping outside AWS: it polls a DynamoDB or Kinesis stream and invokes a function as AWS Lambda does.
//!
//! Lambda's event source mappings decide which records a function receives together, in which order, and how often. This
//! crate follows the same rules in your own process, so that a function can be run and tested with the batches, retries
//! and duplicates that it will meet in production. The rules, and where each of them was documented or observed, are
//! listed in `docs/mapping.md`.
//!
//! **From the stream to the function.** A [`Mapping`] lists the shards of a [`Source`] every second and reads each shard
//! once its parents have been read to their end. A shard's reader polls for pages of records, drops the records that no
//! filter pattern matches, and hands the others to the shard's *lanes*. There are as many lanes as the parallelization
//! factor says, and all records of one item (in Kinesis, of one partition key) go to the same lane, which keeps them in
//! order. A lane forms *batches*: as many records as the batch size or 6 MB allow, or fewer once the batching window has
//! passed. It invokes the [`Function`] with one batch at a time, and the next batch waits until this one is settled.
//!
//! **Checkpoints.** A record is *settled* when it has been processed, filtered out or discarded. The checkpoint of a
//! shard is the last record up to which all are settled, in whichever lane they are. [`Checkpoints`] are kept in memory
//! or in a file, and the next run continues from them. Records behind a checkpoint that were settled before a crash are
//! therefore delivered again: delivery is at least once, as in AWS.
//!
//! **Failures.** [`verdict`] reads the result of an invocation as Lambda does, and [`Batch::next_step`] decides what
//! follows. If the function reports the records that failed, the batch continues from the lowest of them. If it fails as
//! a whole, the batch is split in two (when bisecting is enabled) or delivered again after a pause that doubles from
//! 200 ms. A batch that exceeds the retry attempts, and records that exceed the maximum age, are discarded: they go to
//! the [`Destination`], and the lane moves on. An invocation that never reached the function is not counted as an
//! attempt and is retried without limit. [`Meter::progress`] reports what waits in the meantime, and what blocks it.
//!
//! The parts can be used separately: [`sources`] reads streams, [`Filters`] evaluates filter criteria, [`Document`]
//! writes the records of a failure destination, and [`conformance`] tests a source of your own.
//!
//! # Example
//!
//! A mapping that reads a stream in memory, invokes a function in this process, and stops after the first batch:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//!
//! use event_source_mapping::sources::MemoryStream;
//! use event_source_mapping::{
//!     Checkpoints, Clock, Function, InvocationResult, Mapping, SequenceNumber, Settings, SourceRecord, StreamKind,
//! };
//! use tokio::sync::watch;
//!
//! /// Prints an event and stops the mapping.
//! struct PrintOnce {
//!     stop: watch::Sender<bool>,
//! }
//!
//! #[async_trait::async_trait]
//! impl Function for PrintOnce {
//!     fn arn(&self) -> &str {
//!         "arn:aws:lambda:us-east-1:000000000000:function:print-once"
//!     }
//!
//!     async fn invoke(&self, event: &[u8], request_id: &str) -> InvocationResult {
//!         println!("{request_id}: {}", String::from_utf8_lossy(event));
//!         self.stop.send_replace(true);
//!         InvocationResult::Returned(br#"{"batchItemFailures":[]}"#.to_vec())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let clock = Clock::system()?;
//! let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-11-21T00:00:00.000";
//! let stream = MemoryStream::new(StreamKind::DynamoDb, arn);
//! stream.open("shardId-0", &[]);
//! for sequence in ["100", "101"] {
//!     let record = SourceRecord {
//!         sequence: SequenceNumber::parse(sequence).expect("decimal digits"),
//!         item: 1,
//!         created_at: clock.now(),
//!         json: format!(r#"{{"eventName":"INSERT","dynamodb":{{"SequenceNumber":"{sequence}"}}}}"#),
//!     };
//!     stream.push("shardId-0", record);
//! }
//!
//! let (stop, stopped) = watch::channel(false);
//! let checkpoints = Arc::new(Mutex::new(Checkpoints::in_memory(arn, "4f6a1d2b-93d2-47a7-9e0c-5f6f3c1b7a10")));
//! let mapping = Mapping::new(
//!     Settings::new(Duration::from_millis(250)),
//!     Arc::new(stream),
//!     Arc::new(PrintOnce { stop }),
//!     clock,
//!     Arc::clone(&checkpoints),
//!     7,
//! );
//! let meter = Arc::clone(&mapping.meter);
//! Arc::new(mapping).run(stopped).await?;
//! assert_eq!(meter.counts().invoked_event_count, 2);
//! # Ok(())
//! # }
//! ```

// Tests read the clock and the environment, and may be long lists of cases.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::too_many_lines))]

mod activity;
mod cause;
mod checkpoint;
mod clock;
pub mod conformance;
mod destination;
mod failure;
mod files;
mod filter;
mod function;
mod lane;
mod mapping;
mod meter;
mod progress;
mod remote_function;
mod settings;
mod shard;
mod source;
pub mod sources;
mod tracker;
mod uuid;

pub use activity::{Delivering, LaneActivity, ShardActivity};
pub use cause::FailureCause;
pub use checkpoint::{Checkpoint, Checkpoints};
pub use clock::{Clock, now};
pub use destination::{
    BatchInfo, CONTENT_TYPE, Destination, Document, InvocationRecord, RequestContext, ResponseContext,
};
pub use failure::{
    Batch, Condition, DiscardedBatch, FailureResponse, InvalidResponse, NextStep, Verdict, event_of, lowest_failure,
    verdict,
};
pub use files::write_atomically;
pub use filter::{FilterError, Filters};
pub use function::{Function, InvocationResult, RejectionReason};
pub use mapping::Mapping;
pub use meter::{Counts, Meter};
pub use progress::{Blocked, Progress};
pub use remote_function::RemoteFunction;
pub use settings::{MAXIMUM_PAYLOAD_BYTES, Settings, StartingPosition};
pub use source::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord, StreamKind};
pub use stream_types::{SequenceNumber, Timestamp};
pub use uuid::uuid;

#[cfg(test)]
mod tests;
