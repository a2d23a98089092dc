//! Commands that answer for a number: `correct` changes it, with an author and a reason, and `why` opens it into the records
//! behind it.

pub mod correct;
pub mod why;

mod author;
mod group;
