//! Commands that run everything on this machine: services, mapping, load and faults.

pub mod bench;
pub mod faults;
pub mod local;
pub mod serve;
pub mod simulate;
pub mod traces;
