//! The protocols of ledger, fold and closing, on the in-process DynamoDB and S3.
#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::unwrap_used,
    unreachable_pub
)]

mod alerts;
mod attributes;
mod closing;
mod compact;
mod cost;
mod event_time;
mod exhaustive;
mod fold;
mod freshness;
mod gate;
mod horizon;
mod indicators;
mod kinds;
mod pipeline;
mod place;
mod prove;
mod random;
mod reads;
mod refused_targets;
mod restore;
mod rules;
mod schedule;
mod source_tables;
mod tally;
mod upgrade;
mod windows;
