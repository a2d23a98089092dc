//! A local event source mapping: polls a stream's shards and invokes the function as Lambda does, with its batching,
//! retries, bisecting, checkpoints and failure destination.

mod checkpoint;
mod destination;
mod failure;
mod filter;
mod function;
mod settings;
mod source;

pub use checkpoint::{Checkpoint, Checkpoints};
pub use destination::{Destination, Document};
pub use failure::{Batch, Condition, Discard, Next, Response, Verdict, verdict};
pub use filter::{FilterError, Filters};
pub use function::{Answer, Function};
pub use settings::{MAXIMUM_PAYLOAD_BYTES, Settings, StartingPosition};
pub use source::{Page, Position, ReadError, Shard, Source, SourceRecord, StreamKind};
