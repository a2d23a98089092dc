//! The integration tests: one binary, so that they link once. Real services, in this process, over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::as_conversions)]

mod architecture;
mod cli;
mod golden;
mod model;
mod prefix;
mod readers;
mod runtime;
mod world;
mod zae;
