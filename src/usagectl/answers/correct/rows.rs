//! The records of a page, as commands print and compare them.

use anyhow::Context;
use usage_aggregator::ledger::{Column, Measure, PageContent};

/// The id, group and amounts of each record of a page.
pub(super) type Rows = Vec<(String, Vec<String>, Vec<(String, String)>)>;

/// The rows of a page.
///
/// # Errors
/// If a key is damaged.
pub(super) fn rows(content: &PageContent) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    for group in &content.groups {
        let key = group.key.counter_key().context("read a page")?;
        for (row, id) in group.ids.iter().enumerate() {
            let amounts = group.columns.iter().zip(content.measures.iter());
            let amount = |(column, measure): (&Column, &Measure)| {
                Some((measure.name.to_string(), column.value(row)?.to_string()))
            };
            let width = 2 * usize::from(content.id_bytes);
            rows.push((format!("{id:0width$x}"), key.0.clone(), amounts.filter_map(amount).collect()));
        }
    }
    Ok(rows)
}

/// The first 8 bytes of an id of which a page stores this many.
pub(super) fn short(id: u128, id_bytes: u8) -> Option<u64> {
    u64::try_from(id >> (8 * u32::from(id_bytes).saturating_sub(8))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_begins_with_the_same_8_bytes_however_many_are_stored() {
        let whole = 0x5d41_402a_bc4b_2a76_b971_9d91_1017_c592_u128;
        for id_bytes in 8..=16_u8 {
            assert_eq!(short(whole >> (8 * u32::from(16 - id_bytes)), id_bytes), Some(0x5d41_402a_bc4b_2a76));
        }
    }
}
