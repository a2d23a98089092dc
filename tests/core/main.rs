//! Tests of the function's package that need no services.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::as_conversions)]

mod architecture;
mod calls;
mod golden;
