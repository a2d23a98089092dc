//! Traces, errors and metrics over OTLP, as a receiver gets them.

mod budget;
mod conventions;
mod deployed;
mod local;
mod receiver;
mod sampling;
pub mod site;
mod trace;
