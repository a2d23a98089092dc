//! The counters of a pipeline that a snapshot can be of. A record adds to each counter of its record type, for example to the requests
//! of a tenant, of one of the tenant's endpoints, and of a plan; whoever adds these counts it three times.

use std::collections::BTreeSet;

use usage_aggregator::pipeline::Counter;

use super::rows::Row;

/// The counters of a pipeline, and the names of what identifies their groups.
#[derive(Debug, Clone)]
pub struct Counters<'c> {
    names: &'c [String],
    by_type: Vec<&'c [Counter]>,
}

/// A counter: its record type and its place there.
pub type Place = (usize, usize);

impl<'c> Counters<'c> {
    /// The counters of each record type, whose groups have values for these names.
    pub fn new(names: &'c [String], by_type: impl IntoIterator<Item = &'c [Counter]>) -> Counters<'c> {
        Counters { names, by_type: by_type.into_iter().collect() }
    }

    /// The counters that a row can be of. `plan:pro` is of `plan:{plan}` rather than of `{tenant}`: those whose templates have most of
    /// the row's texts literally are the likely ones.
    pub fn places(&self, row: &Row) -> Vec<Place> {
        let mut places = Vec::new();
        let mut most = 0;
        for (record_type, counters) in self.by_type.iter().enumerate() {
            for (index, counter) in counters.iter().enumerate() {
                let Some(literal) = literal(self.names, counter, row) else { continue };
                if literal > most {
                    places.clear();
                }
                most = most.max(literal);
                if literal == most {
                    places.push((record_type, index));
                }
            }
        }
        places
    }
}

/// Whether counters of one record type are among these, so that rows of them may count the same records.
pub fn share_records(places: &BTreeSet<Place>) -> bool {
    let next = places.iter().skip(1);
    places.iter().zip(next).any(|((one, _), (other, _))| one == other)
}

/// How many bytes of the row's group are literally in the counter's templates; none if it isn't of this counter.
fn literal(names: &[String], counter: &Counter, row: &Row) -> Option<usize> {
    let texts = names.iter().map(|name| row.variable(name)).zip(&counter.group);
    texts
        .map(|(text, template)| {
            let variable: usize = template.read_back(text)?.iter().map(|(_, value)| value.len()).sum();
            Some(text.len().saturating_sub(variable))
        })
        .sum()
}
