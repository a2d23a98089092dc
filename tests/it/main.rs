//! The integration tests: one binary, so that they link once. Real services, in this process, over real HTTP.
#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    unreachable_pub
)]

mod alarms;
mod alerts;
mod backfill;
mod blocked_shard;
#[path = "../core/calls.rs"]
mod calls;
mod cases;
mod cli;
mod clients;
mod cloudformation;
mod compact;
mod connections;
mod correct;
mod day_two;
mod deadline;
mod destroy;
mod doctor;
mod events;
mod explain;
mod export;
mod fixture;
mod indicators;
mod kinds;
mod lake_doc;
mod ledger;
mod local;
mod make_deploy;
mod measures;
mod model;
mod mutants;
mod own;
mod package;
mod page;
mod prefix;
mod prove;
mod quarantine;
mod readers;
mod rebuild;
mod reconcile_stack;
mod redrive;
mod release;
mod restore;
mod runtime;
mod schema;
mod settings;
mod simulation;
mod subscribers;
mod telemetry;
mod template;
mod watch;
mod whole_result;
mod why;
mod windows;
mod world;
mod zae;

/// The repository, with the sample events, schemas and documents.
fn repository() -> &'static std::path::Path {
    static ROOT: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    ROOT.get_or_init(|| std::fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap())
}
