//! Running the function on a laptop: embedded AWS services that its code runs against unchanged, and the proof that it
//! counted every record exactly once.
#![warn(missing_docs, unreachable_pub)]

pub mod emulators;
pub mod proof;
