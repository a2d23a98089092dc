//! The command line of the laptop and of the operator, in rooms by who asks: [`event`] shows what one event does,
//! [`laptop`] runs everything on this machine, [`results`] reads what was counted and archived, [`deployment`] diagnoses and
//! operates a deployed stack, [`schema`] works on Avro schemas, and [`shell`] is what they share.

#![warn(missing_docs, unreachable_pub)]

#[cfg(feature = "deployment")]
pub mod deployment;
pub mod event;
pub mod laptop;
pub mod results;
pub mod schema;
pub mod shell;
pub mod stack;

mod command;

pub use command::run;
