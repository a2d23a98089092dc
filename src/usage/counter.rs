//! Computes what one record adds to which counters.
//!
//! A counter of a record type lists measures. A `count` adds 1 for each record and a `sum` adds the value of an
//! attribute; like most kinds, they look only at the newest image and only at the events that they list.
//! A `delta` adds the value in the new image and subtracts the value in the old image, so that its counters of all windows
//! together equal the total over the items that exist. An inserted item has no old image and a removed item no new one,
//! and a measure can choose to keep what removed or expired items have added. A `level` is a delta without that choice. A
//! `weighted` measure adds the value in the old image times the time that it stood.
//!
//! Each image is matched against the record types by itself. If an update moves an item from one entity to another, its
//! old value is therefore subtracted from the first entity and its new value added to the second. If the new image
//! matches no record type at all, only the subtraction remains: that is the [`reversal`].
//!
//! A record type may have several counters, each with its own entity, resource and measures, and a record adds to all of
//! them. If two have the same entity and resource, their amounts add up.
//!
//! Where the pipeline takes the window from an attribute, each image counts in the hour that it says: if an update changes the
//! attribute, a delta is taken back in the old hour and added in the new one. What would count in a window before COUNT_FROM is
//! left out.
//!
//! [`Counting`] adds up the amounts of one record by key and measure and returns one [`Delta`] for each key whose
//! amounts aren't all zero. It lives as long as the batch, because records of a batch share keys and names: each is
//! built once and then referred to by number. All of this is pure, exact and independent of the clock.

mod additions;
mod deltas;
mod event_hour;
mod pending;
mod quantities;
mod standing;

use std::sync::Arc;

use super::cell::{Cell, Order};
use super::group::{Amounts, Segment};
use super::key::{CounterKey, CounterKeys, KeyNumber, MeasureNames};
use crate::outline::{Outline, OutlinedRecord};
use crate::pipeline::{Aggregate, Amount, Bindings, Measure, Pipeline, Removal, Route};
use crate::record::{ChangeOf, Code, Fault, ImageOf, Remover};
use crate::time::Timestamp;
pub use additions::{CounterAdditions, UsageDelta, additions, deltas, openings, reversal};
use deltas::{Deltas, Sign};
use pending::Pending;

type Image<'r> = ImageOf<Outline<'r>>;

/// One record's contribution to the counters of one key.
#[derive(Debug)]
pub struct Delta {
    /// The number of the key; see [`Counting::key`].
    pub key: KeyNumber,
    /// The amounts by measure, in the order of first appearance, without zeros.
    pub amounts: Amounts,
}

/// Counts the records of a batch, one after the other.
#[derive(Debug)]
pub struct Counting<'p> {
    pipeline: &'p Pipeline,
    keys: CounterKeys,
    names: MeasureNames<'p>,
    /// The amounts of the current record.
    pending: Pending<'p>,
    /// A buffer for the names and numbers that one measure finds in an image.
    found: Vec<(Arc<str>, Cell)>,
    /// Whether a measure needs the time and the order of records.
    needs_moments: bool,
    /// The time and the order of the current record.
    moment: Option<(Timestamp, Order)>,
    /// The beginning of counting: windows before it belong to another counter.
    count_from: Option<Timestamp>,
    /// When the current record was created, unless all of it counts in the windows of that time.
    created_at: Option<Timestamp>,
    /// Whether the current record counts as an adjustment.
    is_adjusted: bool,
}

impl<'p> Counting<'p> {
    /// Starts a batch that is counted by the rules of `pipeline` from `count_from` on.
    pub fn new(pipeline: &'p Pipeline, count_from: Option<Timestamp>) -> Self {
        let (keys, names) = (CounterKeys::default(), MeasureNames::new(pipeline));
        let needs_moment = |measure: &Measure| matches!(measure.aggregate, Aggregate::First | Aggregate::Latest);
        let needs_moments = pipeline.routes.iter().flat_map(Route::measures).any(needs_moment);
        let (pending, found) = (Pending::default(), Vec::new());
        let (moment, created_at, is_adjusted) = (None, None, false);
        Counting { pipeline, keys, names, pending, found, needs_moments, moment, count_from, created_at, is_adjusted }
    }

    /// What `record`, whose newest image takes `route`, adds to counters; zeros are left out.
    ///
    /// # Errors
    /// If an image or attribute that a measure needs is missing or invalid.
    pub fn deltas(
        &mut self,
        record: &OutlinedRecord<'_>,
        route: &'p Route,
        bindings: &Bindings<'_>,
    ) -> Result<Vec<Delta>, Fault> {
        if route.counters.is_empty() && !matches!(record.change, ChangeOf::Modify { .. }) {
            return Ok(Vec::new());
        }
        (self.created_at, self.is_adjusted) = (Some(record.created_at), false);
        self.moment = self.needs_moments.then(|| (record.created_at, order(record)));
        let mut deltas = Deltas::new(self, record);
        let newest =
            RoutedImage { route, image: *record.newest_image(), name: newest_name(&record.change), next: None };
        deltas.add_each(&newest, bindings)?;
        match &record.change {
            ChangeOf::Insert { .. } => deltas.add_difference(&newest, bindings, Sign::Plus)?,
            ChangeOf::Modify { old, .. } => {
                deltas.add_difference(&newest, bindings, Sign::Plus)?;
                deltas.subtract_old(record, *old, Some((route, bindings)))?;
            }
            ChangeOf::Remove { by, .. } => {
                let expired = *by == Remover::TimeToLive;
                deltas.add_difference(&newest, bindings, Sign::Minus { expired, removed: true })?;
            }
        }
        deltas.add_companions(&newest, bindings)?;
        deltas.nonzero()
    }

    /// What `record`, whose newest image takes no route, subtracts again because its old image was counted.
    ///
    /// # Errors
    /// If the old image or an attribute that a measure needs is missing or invalid.
    pub fn reversal(&mut self, record: &OutlinedRecord<'_>) -> Result<Vec<Delta>, Fault> {
        let ChangeOf::Modify { old, .. } = &record.change else { return Ok(Vec::new()) };
        (self.created_at, self.is_adjusted) = (Some(record.created_at), false);
        let mut deltas = Deltas::new(self, record);
        deltas.subtract_old(record, *old, None)?;
        deltas.nonzero()
    }

    /// Whether an image of the last record counts as an adjustment, because the windows of its event were closed.
    pub fn is_adjusted(&self) -> bool {
        self.is_adjusted
    }

    /// What `record`, an item that existed before the stream was attached, adds to measures with a baseline; zeros are left out.
    ///
    /// # Errors
    /// If an attribute that such a measure needs is missing or invalid.
    pub fn baseline(
        &mut self,
        record: &OutlinedRecord<'_>,
        route: &'p Route,
        bindings: &Bindings<'_>,
    ) -> Result<Vec<Delta>, Fault> {
        // Whatever time the item says, its value opens the windows of the cut, which is the time of the record.
        (self.created_at, self.is_adjusted) = (None, false);
        self.moment = self.needs_moments.then(|| (record.created_at, order(record)));
        let mut deltas = Deltas::new(self, record);
        let newest =
            RoutedImage { route, image: *record.newest_image(), name: newest_name(&record.change), next: None };
        deltas.add_baseline(&newest, bindings)?;
        deltas.nonzero()
    }

    /// The key with this number.
    pub fn key(&self, number: KeyNumber) -> Option<&CounterKey> {
        self.keys.key(number)
    }

    /// The first minute of the hour that the key with this number counts in, if that isn't the hour of the record.
    pub fn event_hour(&self, number: KeyNumber) -> Option<Segment> {
        self.keys.event_hour(number)
    }
}

/// The place of a record among those that were created at the same time. Kinesis may repeat a change of a table under another
/// sequence number, so such a record is placed by its id.
fn order(record: &OutlinedRecord<'_>) -> Order {
    match record.source.stream_arn.split(':').nth(2) {
        Some("kinesis") if !record.keys.is_empty() => Order::of_id(record.id),
        _ => Order::of_sequence(&record.sequence, record.user_record),
    }
}

fn newest_name<I>(change: &ChangeOf<I>) -> &'static str {
    match change {
        ChangeOf::Insert { .. } | ChangeOf::Modify { .. } => "NewImage",
        ChangeOf::Remove { .. } => "OldImage",
    }
}

/// One image of a record, with the route that it takes.
struct RoutedImage<'p, 's> {
    route: &'p Route,
    image: Image<'s>,
    /// The name of the image in the stream.
    name: &'static str,
    /// For an old image of an item that still exists, the image that replaced it.
    next: Option<Image<'s>>,
}

impl RoutedImage<'_, '_> {
    /// The next image, if `measure` ignores attributes that are cleared there.
    fn next_if_cleared_is_ignored(&self, measure: &Measure) -> Option<Outline<'_>> {
        let ignores = matches!(measure.amount, Amount::Difference { cleared: Removal::Ignore, .. });
        self.next.as_ref().filter(|_| ignores).and_then(ImageOf::item).copied()
    }
}

fn not_carried(image: &str) -> Fault {
    Fault::new(Code::ImageNotCarried, image, "isn't in the stream; set the view type to NEW_AND_OLD_IMAGES")
}
