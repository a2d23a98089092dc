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
