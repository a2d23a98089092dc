//! Event time: the hour that an image counts in, as an attribute of it says, unless its windows are closed or another counter has
//! them.

use super::super::group::Segment;
use super::{RoutedImage, not_carried};
use crate::outline::{Entry, Tag};
use crate::pipeline::{Amount, Beyond, Measure, Snapshot, WindowTime};
use crate::record::{Code, Fault, ImageOf};
use crate::time::{Timestamp, Unit};
use crate::window::{Window, Zone};

/// In which windows an image counts, and whether its own time is before COUNT_FROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CountsAt {
    pub counts: Counts,
    pub is_before: bool,
}

impl CountsAt {
    /// In which windows `measure` counts the image; `None` if it doesn't.
    ///
    /// A delta adds an image when it comes and subtracts it when it goes, which may be within `late` and then beyond it. So the
    /// time of the image alone decides. One with a baseline must follow every item, because its opening value has all of them.
    pub(super) fn of(self, measure: &Measure) -> Option<Counts> {
        let is_delta = matches!(measure.amount, Amount::Difference { .. });
        match self.counts {
            counts if !self.is_before => Some(counts),
            _ if is_delta => measure.baseline.then_some(Counts::AtCreation),
            Counts::At(_) => None,
            counts => Some(counts),
        }
    }
}

/// In which windows an image counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// In those of the record's creation.
    AtCreation,
    /// In those of the hour with this first minute, which isn't the hour of the record's creation.
    At(Segment),
    /// In those of the record's creation, as an adjustment, because its own are closed.
    Adjusted,
}

impl RoutedImage<'_, '_> {
    /// In which windows this image counts.
    ///
    /// # Errors
    /// If the attribute is missing, isn't a time, or is too far from the record's creation.
    pub(super) fn counts(
        &self,
        time: &WindowTime,
        (created_at, count_from): (Timestamp, Option<Timestamp>),
        snapshot: &Snapshot,
    ) -> Result<CountsAt, Fault> {
        let at = self.instant(time, snapshot.zone)?;
        let after_creation = at.seconds() - created_at.seconds();
        let bound = match after_creation {
            late if late < -time.late_seconds => Some(("before", "late")),
            early if early > time.early_seconds => Some(("after", "early")),
            _ => None,
        };
        if let Some((direction, bound)) = bound.filter(|_| time.beyond == Beyond::Reject) {
            let message = format!(
                "lies further {direction} the creation of the record than `{bound}` of the `window_time` of `{}` allows; raise \
                 it, or set beyond = \"creation_time\"",
                self.route.record_type
            );
            return Err(Fault::new(Code::InvalidValue, format!("{}.{}", self.name, time.path), message));
        }
        let [hour, home] = [at, created_at].map(|at| Window::Hour.containing(at, snapshot.zone).start);
        let counts = match bound {
            _ if hour == home => Counts::AtCreation,
            _ if snapshot.adjusts(at, created_at) => Counts::Adjusted,
            Some(_) => Counts::AtCreation,
            None => Counts::At(Segment::at(hour)),
        };
        // Without windows of an hour, COUNT_FROM may be within one.
        Ok(CountsAt { counts, is_before: count_from.is_some_and(|first| at < first) })
    }

    /// The instant that the attribute says.
    fn instant(&self, time: &WindowTime, zone: Zone) -> Result<Timestamp, Fault> {
        let ImageOf::Carried(item) = self.image else { return Err(not_carried(self.name)) };
        let field = || format!("{}.{}", self.name, time.path);
        let record_type = &self.route.record_type;
        let value = item.value_at(&time.path).ok_or_else(|| {
            let message = format!("is missing, but it decides in which windows a `{record_type}` counts");
            Fault::new(Code::MissingAttribute, field(), message)
        })?;
        instant(value, time.unit, zone).ok_or_else(|| {
            let message = format!(
                "decides in which windows a `{record_type}` counts, but is not a date, an instant with an offset, or a number \
                 of {} since 1970, from 2000 to 2099; found {}",
                name(time.unit),
                value.type_name()
            );
            Fault::new(Code::InvalidValue, field(), message)
        })
    }
}

/// The instant that an attribute says. A date is its first second in the time zone of the windows.
pub(super) fn instant(value: Entry<'_>, unit: Unit, zone: Zone) -> Option<Timestamp> {
    match value.tag() {
        Tag::S => {
            let text = value.string()?;
            zone.day(&text).map_or_else(|| Timestamp::parse(&text), Timestamp::from_seconds)
        }
        Tag::N => Timestamp::from_number(value.number()?, unit),
        _ => None,
    }
}

fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "seconds",
        Unit::Milliseconds => "milliseconds",
        Unit::Microseconds => "microseconds",
    }
}
