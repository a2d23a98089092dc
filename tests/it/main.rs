//! The integration tests: one binary, so that they link once. Real services, in this process, over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::as_conversions)]

mod architecture;
mod cli;
mod connections;
mod day_two;
mod doctor;
mod golden;
mod local;
mod model;
mod mutants;
mod prefix;
mod readers;
mod redrive;
mod runtime;
mod schema;
mod simulation;
mod template;
mod world;
mod zae;
