//! What all commands share: options, endpoints, tables, plots.

pub mod numbers;
pub mod pipeline_choice;
pub mod console;
pub mod failure;
pub mod folder;
pub mod json;
pub mod options;
pub mod plot;
pub mod resource_names;
pub mod running;
pub mod durations;
pub mod table;
pub mod workplace;
