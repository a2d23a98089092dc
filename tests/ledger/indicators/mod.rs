//! Recomputations of one target that race with each other and with an application: after the last record, the values are
//! what a plain model gives.

mod cost;
mod place;
mod random;
mod rules;
mod schedules;
