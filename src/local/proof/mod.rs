//! The proof that every record was counted once: load with a ledger of it, injected faults, and the comparison of what
//! was written with what was counted and archived.

mod counted_record;
mod fault_injector;
mod fault_profile;
mod rejections;
mod sandboxes;
mod supervisor;

pub mod counters;
pub mod load;
pub mod reconcile;
pub mod rows;

pub use fault_injector::{FaultInjector, InjectedFaults};
pub use fault_profile::{FaultProfile, RequestedFaults};
pub use rejections::{QuarantinedRecord, QuarantinedRecords, Rejections};
pub use sandboxes::{Sandbox, Sandboxes};
pub use supervisor::Supervisor;
