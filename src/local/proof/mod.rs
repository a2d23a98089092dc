//! Load, faults, and the comparison of what was written with what was counted and archived.

mod mischief;
mod sandboxes;
mod supervisor;

pub mod avro;
pub mod load;
pub mod reconcile;
pub mod rows;

pub use mischief::{Mischief, Mischievous};
pub use sandboxes::{Sandbox, Sandboxes};
pub use supervisor::Supervisor;
