//! A deployed stack: diagnosis, redrive, tuning, cost.

pub mod assume;
pub mod cost;
pub mod doctor;
pub mod redrive;
pub mod tune;
