//! Streams that a mapping can read: those of DynamoDB and Kinesis through the AWS SDK, a stream in memory, and any of these
//! with several shards and with failing reads.
//!
//! For sources outside this crate, [`LambdaRecord`] and [`KinesisMessage`] write records as Lambda delivers them.

mod iterators;
mod kinesis;
mod lambda;
mod memory;
mod message;
mod range;
mod remote;
mod sharded;

use iterators::Iterators;
pub use kinesis::RemoteKinesis;
pub use lambda::{LambdaChange, LambdaIdentity, LambdaRecord, parse_sequence, to_raw_json};
pub use memory::MemoryStream;
pub use message::KinesisMessage;
pub use range::{Gap, RangeRead, read_range};
pub use remote::RemoteStream;
use remote::read_error;
pub use sharded::{ReadFaults, ShardedStream};
