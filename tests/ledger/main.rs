//! The protocol of ledger and fold, on the in-process DynamoDB.
#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    unreachable_pub
)]

mod cost;
mod exhaustive;
mod fold;
mod gate;
mod place;
