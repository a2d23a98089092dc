//! The laptop: embedded AWS services that the function's own code runs against unchanged, and the proof that it counted
//! every record once.

pub mod emulators;
pub mod proof;
