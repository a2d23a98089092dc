//! What a change stream's numbers and times are: exact decimals, instants to the microsecond, sequence numbers.

pub mod decimal;
pub mod sequence;
pub mod time;

pub use decimal::Decimal;
pub use sequence::SequenceNumber;
pub use time::Timestamp;
