//! The streams that a local mapping can read: the embedded DynamoDB's, a running DynamoDB's, one in memory, and any of
//! them with the shards and the troubles that it lacks by itself.

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
pub use lambda::{LambdaChange, LambdaIdentity, LambdaRecord, raw, sequence};
pub use memory::MemoryStream;
pub use message::KinesisMessage;
pub use range::{Gap, RangeRead, read_range};
pub use remote::RemoteStream;
use remote::read_error;
pub use sharded::{ShardedStream, Trouble};
