//! The integration tests: one binary, one module for each thing that is held to its word.

mod cli;
