//! Compaction units on an S3 in memory: what queries see at any time, whatever jobs run beside each other and wherever they die.

mod doubt;
mod evolved;
mod function;
mod interleaved;
mod killed;
mod late;
mod place;
mod proof;
mod rules;
