//! Commands that answer for a number: `correct` changes it, with an author and a reason, `why` opens it into the records behind
//! it, `prove` shows that snapshots, ledger and archive say the same, `reconcile` that they are what was written, and `alerts` lists
//! who has reached a threshold.

pub mod alerts;
pub mod correct;
pub mod prove;
pub mod reconcile;
pub mod why;

mod audit;
mod group;
