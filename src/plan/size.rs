//! The limit of what one record may add.

use crate::record::{Code, Fault};
use crate::usage::{Counting, Delta};

/// Checks that one page can hold the deltas of a record. Only an item with thousands of long attribute names, or a record
/// type with a hundred counters, has so many.
pub(super) fn check_size(counting: &Counting<'_>, deltas: &[Delta]) -> Result<(), Fault> {
    // A page is cut between records at 300 KB, and a name is stored with a few more bytes.
    const MAX_BYTES: usize = 200 * 1024;
    const BYTES_BESIDE_A_NAME: usize = 32;
    let names = deltas.iter().flat_map(|delta| &delta.amounts);
    let names: usize = names.map(|addition| addition.measure.len() + addition.cell.size() + BYTES_BESIDE_A_NAME).sum();
    let keys = deltas.iter().filter_map(|delta| counting.key(delta.key)).flat_map(|key| &key.0);
    let bytes = names + keys.map(String::len).sum::<usize>();
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let message =
        format!("would add {bytes} bytes of keys and measures to the ledger; at most {MAX_BYTES} are allowed");
    Err(Fault::new(Code::InvalidValue, "NewImage", message))
}
