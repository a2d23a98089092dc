//! Groups: the records of one entity and resource in one minute, which are counted together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cell::Cell;
use super::key::CounterKey;
use crate::decimal::{Decimal, DecimalError};
use crate::pipeline::{Aggregate, Snapshot};
use crate::record::RecordId;
use crate::time::Timestamp;
use crate::window::Span;

/// A minute of the ledger, by the creation time of the records; in minutes since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment(i64);

impl Segment {
    /// The segment that `at` lies in.
    pub fn containing(at: Timestamp) -> Segment {
        Segment::at(at.seconds())
    }

    /// The segment that a second since the epoch lies in.
    pub fn at(second: i64) -> Segment {
        Segment(second.div_euclid(60))
    }

    /// The segment after this one.
    #[must_use]
    pub fn next(self) -> Segment {
        Segment(self.0 + 1)
    }

    /// The first second of the minute, in seconds since the epoch.
    pub fn start(self) -> i64 {
        self.0 * 60
    }

    /// The minute with this text.
    pub fn parse(text: &str) -> Option<Segment> {
        let at = Timestamp::parse(&format!("{text}:00Z"))?;
        Some(Segment::containing(at)).filter(|segment| segment.text() == text)
    }

    /// The minute as it appears in the ledger's keys: `2026-11-21T03:05`.
    pub fn text(self) -> String {
        let full = jiff::Timestamp::from_second(self.start()).unwrap_or_default().to_string();
        full.get(.."2026-11-21T03:05".len()).unwrap_or(&full).to_owned()
    }
}

/// Everything that a batch adds to one entity and resource in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The entity and resource.
    pub key: CounterKey,
    /// The minute of the records, whose page they are in.
    pub segment: Segment,
    /// The first minute of the hour that they count in, if that isn't the hour of their minute, because the pipeline takes
    /// windows from an attribute.
    pub event_hour: Option<Segment>,
    /// What each record adds, in the order of the batch.
    pub effects: Vec<Effect>,
}

impl Group {
    /// The minute that decides in which windows the records count.
    pub fn at(&self) -> Segment {
        self.event_hour.unwrap_or(self.segment)
    }

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
    /// The identity of the record.
    pub id: RecordId,
    /// What the record adds.
    pub amounts: Amounts,
}

/// What a record adds, by measure. Sums without zeros.
pub type Amounts = Vec<Addition>;

/// What a record adds to one measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// The name of the measure.
    pub measure: Arc<str>,
    /// How the measure combines the values of records.
    pub aggregate: Aggregate,
    /// What the record says.
    pub cell: Cell,
}

impl Addition {
    /// Adds a number to a sum.
    pub fn sum(measure: impl Into<Arc<str>>, amount: Decimal) -> Addition {
        Addition { measure: measure.into(), aggregate: Aggregate::Sum, cell: Cell::Number(amount) }
    }

    /// The number, if the measure is a sum.
    pub fn amount(&self) -> Option<Decimal> {
        self.cell.number().filter(|_| self.aggregate == Aggregate::Sum)
    }
}

/// What is added to the sums of one snapshot item, by measure.
pub type Sums = BTreeMap<String, Decimal>;

/// What is added to each snapshot item of several groups, by entity, resource and window.
pub type Totals = BTreeMap<(CounterKey, Span), Sums>;

/// Adds up effects for every window of `snapshot`; other measures than sums are left out. Sums of zero are kept, so that the item shows that there was
/// traffic.
///
/// # Errors
/// If a sum would need more than 38 digits: the position of the record, or of the first record of its group.
pub fn totals<'g>(
    snapshot: &Snapshot,
    effects: impl Iterator<Item = (&'g Group, &'g Effect)>,
) -> Result<Totals, (usize, DecimalError)> {
    let mut totals = Totals::new();
    let mut effects = effects.peekable();
    while let Some((group, first)) = effects.next() {
        let at = Timestamp::from_seconds(group.at().start()).ok_or((first.record, DecimalError::Range))?;
        // The effects of a group are adjacent and have the same windows.
        let mut sums = Sums::new();
        add(&mut sums, first)?;
        while let Some((_, effect)) = effects.next_if(|(next, _)| std::ptr::eq(*next, group)) {
            add(&mut sums, effect)?;
        }
        for window in &snapshot.windows {
            let key = (group.key.clone(), window.containing(at, snapshot.zone));
            merge(totals.entry(key).or_default(), &sums).map_err(|error| (first.record, error))?;
        }
    }
    Ok(totals)
}

fn add(sums: &mut Sums, effect: &Effect) -> Result<(), (usize, DecimalError)> {
    for addition in &effect.amounts {
        if let Some(amount) = addition.amount() {
            add_amount(sums, &addition.measure, amount).map_err(|error| (effect.record, error))?;
        }
    }
    Ok(())
}

fn merge(sums: &mut Sums, more: &Sums) -> Result<(), DecimalError> {
    more.iter().try_for_each(|(measure, amount)| add_amount(sums, measure, *amount))
}

fn add_amount(sums: &mut Sums, measure: &str, amount: Decimal) -> Result<(), DecimalError> {
    // The name of a measure is copied only when it is new, once per group.
    match sums.get_mut(measure) {
        Some(sum) => *sum = sum.checked_add(amount)?,
        None => drop(sums.insert(measure.to_owned(), amount)),
    }
    Ok(())
}
