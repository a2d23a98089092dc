//! Running the function on a laptop: embedded AWS services that its code runs against unchanged, and the proof that it
//! counted every record exactly once.

// Tests read the clock and the environment, and may be long lists of cases.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::too_many_lines))]

pub mod emulators;
pub mod proof;
