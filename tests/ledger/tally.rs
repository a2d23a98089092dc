//! How often the value of each kind was checked in spite of each fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What may happen to the records of a snapshot, or while it is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A record is in several pages.
    Redelivered,
    /// A record was put after one that is later.
    OutOfOrder,
    /// Several actors appended or folded at the same time.
    AtTheSameTime,
    /// An actor died between two requests.
    Crashed,
    /// A record came as a correction.
    Corrected,
    /// A record of the snapshot was taken back.
    Voided,
    /// Several definitions of the pipeline counted a record.
    Redefined,
    /// A record counts in another hour than that of its creation.
    Late,
    /// The state is in several parts.
    Split,
    /// Its window has an hour more than usual.
    ClocksChanged,
}

impl Fault {
    pub const ALL: [(Fault, &'static str); 10] = [
        (Fault::Redelivered, "redelivered"),
        (Fault::OutOfOrder, "out of order"),
        (Fault::AtTheSameTime, "two at a time"),
        (Fault::Crashed, "crash"),
        (Fault::Corrected, "correction"),
        (Fault::Voided, "void"),
        (Fault::Redefined, "new definition"),
        (Fault::Late, "event time"),
        (Fault::Split, "split state"),
        (Fault::ClocksChanged, "clock change"),
    ];
}

/// Checked values by kind and fault.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(&'static str, Fault), usize>);

impl Tally {
    /// The kinds: the bits of the records are a sum.
    pub const KINDS: [&str; 9] = ["sum", "level", "weighted", "max", "min", "first", "latest", "distinct", "quantile"];

    /// Counts the checked values of a snapshot that suffered these faults.
    pub fn add(&mut self, kinds: &[&'static str], faults: &BTreeSet<Fault>) {
        for kind in kinds {
            for fault in faults {
                *self.0.entry((kind, *fault)).or_default() += 1;
            }
        }
    }

    /// The pairs of a kind and a fault of which no value was checked.
    pub fn missing(&self) -> Vec<(&'static str, Fault)> {
        let pairs = Tally::KINDS.into_iter().flat_map(|kind| Fault::ALL.map(|(fault, _)| (kind, fault)));
        pairs.filter(|pair| !self.0.contains_key(pair)).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| kind | {} |", Fault::ALL.map(|(_, name)| name).join(" | "))?;
        writeln!(f, "|---|{}", "---:|".repeat(Fault::ALL.len()))?;
        for kind in Tally::KINDS {
            let cells = Fault::ALL.map(|(fault, _)| self.0.get(&(kind, fault)).copied().unwrap_or(0).to_string());
            writeln!(f, "| {kind} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}
