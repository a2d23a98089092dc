//! The targets, by what they read.

pub(crate) mod definitions;
pub(crate) mod documents;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod ledger;
pub(crate) mod mapping;
pub(crate) mod numbers;
pub(crate) mod operators;
pub(crate) mod plans;
pub(crate) mod ports;
pub(crate) mod requests;
pub(crate) mod times;
