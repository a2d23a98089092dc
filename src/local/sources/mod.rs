//! The streams that a local mapping can read: the embedded DynamoDB's, a running DynamoDB's, one in memory, and any of
//! them with the shards and the troubles that it lacks by itself.

mod embedded;
mod iterators;
mod lambda;
mod memory;
mod range;
mod remote;
mod sharded;

pub use embedded::EmbeddedStream;
pub(super) use iterators::Iterators;
pub use memory::MemoryStream;
pub use range::{Gap, RangeRead, read_range};
pub use remote::RemoteStream;
pub(super) use remote::read_error;
pub use sharded::{ShardedStream, Trouble};
