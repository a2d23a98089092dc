//! The streams that a local mapping can read: the embedded DynamoDB's, a running DynamoDB's, one in memory, and any of
//! them with the shards and the troubles that it lacks by itself.

mod embedded;
mod lambda;
mod memory;
mod remote;
mod sharded;

pub use embedded::EmbeddedStream;
pub use memory::MemoryStream;
pub use remote::RemoteStream;
pub use sharded::{ShardedStream, Trouble};
