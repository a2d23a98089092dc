//! The numbers and times of change streams: exact decimals, instants with microsecond precision, and sequence numbers.

// Tests read the clock and the environment, and may be long lists of cases.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::too_many_lines))]

pub mod decimal;
pub mod sequence;
pub mod time;

pub use decimal::Decimal;
pub use sequence::SequenceNumber;
pub use time::Timestamp;
