//! Moments, as pages and states contain them: the time in microseconds after a base, the order, and the value.

use std::sync::Arc;

use super::wire::{Damaged, Reader, Writer};
use crate::time::Timestamp;
use crate::usage::{Moment, Order, Scalar};

const NUMBER: u8 = 0;
const TEXT: u8 = 1;

/// Writes a moment. Its time must not be before `base`, in microseconds since the epoch.
pub fn write_moment(moment: &Moment, base: i64, writer: &mut Writer) {
    writer.uint(u64::try_from(moment.at.micros() - base).unwrap_or_default());
    writer.bytes(moment.order.bytes());
    match &moment.value {
        Scalar::Number(number) => {
            writer.byte(NUMBER);
            writer.decimal(*number);
        }
        Scalar::Text(text) => {
            writer.byte(TEXT);
            writer.bytes(text.as_bytes());
        }
    }
}

/// Reads a moment.
///
/// # Errors
/// If it is damaged, or if a newer release wrote it.
pub fn read_moment(base: i64, reader: &mut Reader<'_>) -> Result<Arc<Moment>, Damaged> {
    let after = i64::try_from(reader.uint()?).ok().and_then(|after| base.checked_add(after));
    let at = after.and_then(Timestamp::from_micros).ok_or(Damaged("a time is out of range"))?;
    let order = Order::from_bytes(reader.bytes()?);
    let value = match reader.byte()? {
        NUMBER => Scalar::Number(reader.decimal()?),
        TEXT => Scalar::Text(reader.text()?.into()),
        _ => return Err(Damaged("a newer release wrote it: it has an unknown value")),
    };
    Ok(Arc::new(Moment { at, order, value }))
}
