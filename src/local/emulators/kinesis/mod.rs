//! The embedded Kinesis: streams in files, an endpoint for the SDK, a source for the mapping, and the way of a table's
//! changes into a stream as Kinesis Data Streams for DynamoDB goes it.
//!
//! Records are never trimmed, reads and writes never throttled: faults are the mapping's to inject.

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

pub(super) use endpoint::serve;

use super::{ACCOUNT, REGION};

#[cfg(test)]
mod remote_tests;
