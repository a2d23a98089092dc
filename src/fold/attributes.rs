//! Which measures of a group are published, where several would have one attribute: because the pipeline was changed while a window
//! was open, or because records name measures. DynamoDB refuses an update that names an attribute twice.

use std::collections::{BTreeSet, HashSet};

use crate::ledger::Measure;
use crate::pipeline::{MeasureKind, Snapshot};

/// The measures that are published. Attributes that every snapshot has are taken, then those of one measure after the other; a
/// measure of which an attribute is taken isn't published at all, so that no whole number is without its fraction.
pub(super) fn published<'m>(snapshot: &Snapshot, measures: impl Iterator<Item = &'m Measure>) -> BTreeSet<&'m Measure> {
    let mut measures: Vec<((u8, usize), &Measure)> =
        measures.map(|measure| (precedence(snapshot, measure), measure)).collect();
    measures.sort_unstable();
    let mut taken: HashSet<String> = snapshot.reserved().map(str::to_owned).collect();
    let mut is_published = |measure: &Measure| {
        let own = attributes(snapshot, measure);
        let is_free = !own.iter().any(|attribute| taken.contains(attribute));
        if is_free {
            taken.extend(own);
        }
        is_free
    };
    measures.into_iter().map(|(_, measure)| measure).filter(|measure| is_published(measure)).collect()
}

/// The measures that the pipeline names come first, then those that records may have named, then those that the pipeline had once.
/// Of two of the same rank, the one with the longer name may have the name of the other's fraction.
fn precedence(snapshot: &Snapshot, measure: &Measure) -> (u8, usize) {
    let is_present = snapshot.aggregate(&measure.name).is_like(measure.aggregate);
    let is_named = snapshot.measures.iter().any(|name| *name == *measure.name);
    let rank = match (is_present, is_named) {
        (true, true) => 0,
        (true, false) => 1,
        (false, _) => 2,
    };
    (rank, measure.name.len())
}

/// The attributes of a measure, and those of their fractions.
fn attributes(snapshot: &Snapshot, measure: &Measure) -> Vec<String> {
    let quantiles = snapshot.quantiles(&measure.name).to_vec();
    let mut attributes = MeasureKind { aggregate: measure.aggregate, quantiles }.attributes(&measure.name);
    let fractions: Vec<String> = attributes.iter().filter_map(|attribute| snapshot.fraction_of(attribute)).collect();
    attributes.extend(fractions);
    attributes
}
