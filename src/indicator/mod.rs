//! Indicators: which targets the records of a batch ask for, what the items of a target give, and the write of the result.
//!
//! An indicator is never changed by adding and subtracting. Whenever an item changes in a way that matters, its target is
//! recomputed from the table, as it is then. `contribution` is the center: what one item gives its target. `ask` compares
//! the contributions of a record's two images, `others` leaves out what the function wrote itself, and `values` puts those of all items together. `table` reads and writes, and
//! `recompute` has the protocol that lets no older result replace a newer one.

mod ask;
mod attribute;
mod contribution;
mod item;
mod others;
mod recompute;
mod table;
mod values;

pub use ask::{Asked, Asks, Cause, asked};
pub use attribute::from_item;
pub use contribution::{Contribution, Input, Scalar, TargetKey, Unnamed, contribution};
pub use item::same;
pub use others::{is_created, of_others};
pub use recompute::{Failure, Recomputed, Recomputer, Written};
pub use table::{SourceTable, StoredTarget};
pub use values::Values;
