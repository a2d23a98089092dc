//! The embedded Kinesis: streams in files, an endpoint for SDKs, a source for the mapping, and a replicator that copies a
//! table's changes into a stream as Kinesis Data Streams for DynamoDB does.
//!
//! Records are trimmed on demand only, and reads and writes are never throttled: the mapping injects faults.

mod change;
mod endpoint;
mod hash;
mod log;
mod replicator;
mod sequence;
mod source;
mod streams;

pub use change::{Precision, change_of};
pub use replicator::{Copied, Disturbance, Replicator};
pub use source::KinesisSource;
pub use streams::{Placed, ShardDescription, StreamDescription, StreamError, Streams, stream_arn};

#[cfg(feature = "fuzzing")]
pub(super) use endpoint::answer_status;
pub(super) use endpoint::serve;

use super::{ACCOUNT, REGION};

#[cfg(test)]
mod remote_tests;
