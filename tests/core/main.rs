//! Tests of the function's package that need no services.
#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    unreachable_pub
)]

mod architecture;
mod calls;
mod documents;
mod golden;
mod hostile;
