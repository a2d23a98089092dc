//! How long the value of an old image stood, for weighted measures.
//!
//! An image says since when its value stands. It stands until the image that replaces it says the same about its own
//! value, so that the durations of an item's images fit together without a gap or an overlap, whatever the clocks of the
//! stream say. Only the last image of an item has no successor: it stands until the record of its removal.

use super::{RoutedImage, event_hour, not_carried};
use crate::decimal::Decimal;
use crate::outline::Entry;
use crate::pipeline::Weight;
use crate::record::{Code, Fault, ImageOf};
use crate::time::Timestamp;

/// DynamoDB Streams has times in whole seconds, rounded down, so an item that lives for less can seem to be removed before it
/// was written. It stood for no time.
const PRECISION_MICROS: i64 = 1_000_000;

impl RoutedImage<'_, '_> {
    /// `value`, which this image has, times the time that it stood. `changed_at` is the time of the record.
    pub(super) fn stood(
        &self,
        value: Decimal,
        weight: &Weight,
        measure: &str,
        changed_at: Timestamp,
    ) -> Result<Decimal, Fault> {
        if value.is_zero() {
            return Ok(Decimal::ZERO);
        }
        let path = weight.since.as_str();
        let field = |image: &str| format!("{image}.{path}");
        let ImageOf::Carried(item) = self.image else { return Err(not_carried(self.name)) };
        let since = item.value_at(path).ok_or_else(|| {
            let message =
                format!("is missing, but measure `{measure}` needs it as the time since which the value stood");
            Fault::new(Code::MissingAttribute, field(self.name), message)
        })?;
        let since = instant(since, weight, || field(self.name))?;
        let successor = match &self.next {
            Some(ImageOf::NotCarried) => return Err(not_carried("NewImage")),
            Some(ImageOf::Carried(next)) => next.value_at(path),
            None => None,
        };
        let until = match successor {
            Some(until) => instant(until, weight, || field("NewImage"))?,
            None => changed_at,
        };
        let micros = until.micros() - since.micros();
        if micros <= -PRECISION_MICROS {
            let end = if successor.is_some() { field("NewImage") } else { format!("the record, {changed_at}") };
            let message =
                format!("is at least a second later than {end}, so measure `{measure}` would count a negative time");
            return Err(Fault::new(Code::InvalidValue, field(self.name), message));
        }
        weight.unit.product(value, micros.max(0)).map_err(|error| {
            let message = format!("times its value for measure `{measure}`, {error}");
            Fault::new(Code::InvalidValue, field(self.name), message)
        })
    }
}

fn instant(value: Entry<'_>, weight: &Weight, field: impl Fn() -> String) -> Result<Timestamp, Fault> {
    event_hour::instant(value, weight.since_unit, weight.zone).ok_or_else(|| {
        let message = format!(
            "expected an instant with an offset, a date, or {} since 1970, from 2000 to 2099; found an invalid {}",
            weight.since_unit,
            value.type_name()
        );
        Fault::new(Code::InvalidValue, field(), message)
    })
}
