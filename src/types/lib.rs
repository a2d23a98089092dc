//! The numbers and times of change streams: exact decimals, instants with microsecond precision, and sequence numbers.

#![warn(missing_docs, unreachable_pub)]

pub mod decimal;
pub mod sequence;
pub mod time;

pub use decimal::Decimal;
pub use sequence::SequenceNumber;
pub use time::Timestamp;
