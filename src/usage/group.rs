//! Records that feed one entity and resource in one minute: the unit that is claimed and counted together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::key::CounterKey;
use crate::decimal::{Decimal, DecimalError};
use crate::pipeline::Snapshot;
use crate::record::RecordId;
use crate::time::Timestamp;
use crate::window::Span;

/// The minute of the record's own creation time that a claim covers; minutes since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment(i64);

impl Segment {
    /// The segment that `at` lies in.
    pub fn containing(at: Timestamp) -> Segment {
        Segment(at.seconds().div_euclid(60))
    }

    /// The first second of the minute.
    pub fn start(self) -> i64 {
        self.0 * 60
    }

    /// The minute, as claims are keyed: `2026-11-21T03:05`.
    pub fn text(self) -> String {
        let full = jiff::Timestamp::from_second(self.start()).unwrap_or_default().to_string();
        full.get(.."2026-11-21T03:05".len()).unwrap_or(&full).to_owned()
    }
}

/// All that a batch does to one entity and resource in one minute. A group is one transaction, unless DynamoDB refuses
/// it and the record to blame must be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub key: CounterKey,
    pub segment: Segment,
    /// In the order of the batch.
    pub effects: Vec<Effect>,
}

impl Group {
    /// The earlier and the later half of the records.
    pub fn halves(&self) -> (Group, Group) {
        let (earlier, later) = self.effects.split_at(self.effects.len() / 2);
        let half = |effects: &[Effect]| Group { effects: effects.to_vec(), ..self.clone() };
        (half(earlier), half(later))
    }
}

/// What one record adds to its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The record's position in the batch.
    pub record: usize,
    pub id: RecordId,
    pub amounts: Amounts,
}

/// What is added, by measure; none is zero.
pub type Amounts = Vec<(Arc<str>, Decimal)>;

/// What is added to one snapshot item.
pub type Sums = BTreeMap<String, Decimal>;

/// What is added to each snapshot item of several groups, by entity, resource and window.
pub type Totals = BTreeMap<(CounterKey, Span), Sums>;

/// Sums up effects for every window of `snapshot`. A sum of zero stays: the item then says that there was traffic.
///
/// # Errors
/// The position of the record, or of the first of its group, at which a sum would need more than 38 digits.
pub fn totals<'g>(
    snapshot: &Snapshot,
    effects: impl Iterator<Item = (&'g Group, &'g Effect)>,
) -> Result<Totals, (usize, DecimalError)> {
    let mut totals = Totals::new();
    let mut effects = effects.peekable();
    while let Some((group, first)) = effects.next() {
        let at = Timestamp::from_seconds(group.segment.start()).ok_or((first.record, DecimalError::Range))?;
        // Effects of one group follow each other, and their windows are the same.
        let mut sums = Sums::new();
        add(&mut sums, first)?;
        while let Some((_, effect)) = effects.next_if(|(next, _)| std::ptr::eq(*next, group)) {
            add(&mut sums, effect)?;
        }
        for window in &snapshot.windows {
            let key = (group.key.clone(), window.containing(at));
            merge(totals.entry(key).or_default(), &sums).map_err(|error| (first.record, error))?;
        }
    }
    Ok(totals)
}

fn add(sums: &mut Sums, effect: &Effect) -> Result<(), (usize, DecimalError)> {
    for (measure, amount) in &effect.amounts {
        add_amount(sums, measure, *amount).map_err(|error| (effect.record, error))?;
    }
    Ok(())
}

fn merge(sums: &mut Sums, more: &Sums) -> Result<(), DecimalError> {
    more.iter().try_for_each(|(measure, amount)| add_amount(sums, measure, *amount))
}

fn add_amount(sums: &mut Sums, measure: &str, amount: Decimal) -> Result<(), DecimalError> {
    // A measure's name is copied where it is new, which is once a group.
    match sums.get_mut(measure) {
        Some(sum) => *sum = sum.checked_add(amount)?,
        None => drop(sums.insert(measure.to_owned(), amount)),
    }
    Ok(())
}
