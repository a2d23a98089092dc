//! The `usagectl` command-line tool, for laptops and for operators.
//!
//! [`event`] shows what one event does. [`laptop`] runs everything on this machine. [`results`] reads what was counted and
//! archived. [`deployment`] diagnoses and operates a deployed stack, which [`stack`] finds; without
//! the feature of that name, it has only what also works on this machine. [`schema`] works on Avro schemas.
//! [`indicators`] rebuilds and checks what the function keeps on items. [`ledger`] looks into the ledger and repairs what was
//! derived from it. [`answers`] corrects numbers and opens them into their
//! records. [`failure_document`] parses what a failure destination holds. `page` is the live page
//! of a run or of a stack. [`shell`] holds what they share.

// Tests read the clock and the environment, and may be long lists of cases.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::too_many_lines))]

pub mod answers;
pub mod deployment;
pub mod event;
pub mod failure_document;
pub mod indicators;
pub mod laptop;
pub mod ledger;
pub mod results;
pub mod schema;
pub mod shell;
pub mod stack;

mod command;
// Without the deployment commands, what only they use is left over.
#[cfg_attr(not(feature = "deployment"), allow(dead_code))]
mod page;

pub use command::run;
