//! What all commands share: options, services, output, and names on the command line.

pub mod alert_text;
pub mod console;
pub mod csv_text;
pub mod durations;
pub mod failure;
pub mod folder;
pub mod images;
pub mod json;
pub mod limiter;
pub mod lines;
pub mod numbers;
pub mod options;
pub mod paragraph;
pub mod pipeline_choice;
pub mod plot;
pub mod quote;
pub mod remembered;
pub mod resource_names;
pub mod running;
pub mod table;
pub mod text_file;
pub mod unsettled;
pub mod waiting;
pub mod workplace;
