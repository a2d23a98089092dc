//! What all commands share: options, endpoints, tables, plots.

pub mod amounts;
pub mod choice;
pub mod console;
pub mod folder;
pub mod json;
pub mod options;
pub mod plot;
pub mod running;
pub mod span;
pub mod table;
pub mod workplace;
