//! The greatest and the least value.

use crate::decimal::Decimal;
use crate::ledger::{Damaged, Reader, Writer};

/// The greatest or least of some numbers; none without numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::fold) struct Extreme(pub Option<Decimal>);

impl Extreme {
    /// Keeps the greater number.
    pub(super) fn raise(&mut self, number: Decimal) {
        self.0 = Some(self.0.map_or(number, |greatest| greatest.max(number)));
    }

    /// Keeps the lesser number.
    pub(super) fn lower(&mut self, number: Decimal) {
        self.0 = Some(self.0.map_or(number, |least| least.min(number)));
    }

    /// Two to six bytes for most numbers.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.decimal(self.0.unwrap_or_default());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Extreme, Damaged> {
        reader.decimal().map(Some).map(Extreme)
    }
}
