//! Audit entries: what a command wrote to snapshots, on whose behalf, and what was there before.

use anyhow::Context;
use serde_json::{Value, json};
use usage_aggregator::ledger::Audit;
use usage_aggregator::time::Timestamp;

use super::Open;

/// 300 KB: the most that the counters of an audit entry take. An item has at most 400 KB.
const ENTRY_BYTES: usize = 300 * 1024;

/// Puts the audit entries of counters in a window, which were written from the `source`. Returns their names.
///
/// # Errors
/// If one can't be put.
pub(crate) async fn put_audits(
    ledger: &Open,
    author: &str,
    (window, source): (&str, &str),
    counters: Vec<Value>,
    now: Timestamp,
) -> anyhow::Result<Vec<String>> {
    let mut audits = Vec::new();
    for listed in entries(counters) {
        let text = json!({ "window": window, "source": source, "listed": listed }).to_string();
        let hash = blake3::hash(format!("{author}\n{text}").as_bytes()).to_hex();
        let id = format!("{now} {}", hash.get(..8).unwrap_or_default());
        let audit = Audit { id: id.clone(), author: author.to_owned(), text };
        ledger.folder.ledger.put_audit(&audit, None).await.context("put the audit entry")?;
        audits.push(id);
    }
    Ok(audits)
}

/// The counters, in as many lists as fit into items.
fn entries(counters: Vec<Value>) -> Vec<Vec<Value>> {
    let (mut entries, mut bytes): (Vec<Vec<Value>>, usize) = (Vec::new(), 0);
    for counter in counters {
        let size = counter.to_string().len() + 1;
        match entries.last_mut().filter(|_| bytes + size <= ENTRY_BYTES) {
            Some(entry) => {
                entry.push(counter);
                bytes += size;
            }
            None => {
                entries.push(vec![counter]);
                bytes = size;
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_in_an_audit_entry_that_fits_into_an_item() {
        let counter = |number: usize| {
            let group = [format!("{number}-{}", "x".repeat(1_000))];
            json!({ "window": "2026-11", "group": group, "measure": "amount", "before": "201", "after": "200" })
        };
        let entries = entries((0..1_000).map(counter).collect());
        assert_eq!(entries.iter().map(Vec::len).sum::<usize>(), 1_000);
        assert!(entries.iter().all(|entry| json!(entry).to_string().len() <= ENTRY_BYTES + 2), "{}", entries.len());
        assert_eq!(entries.len(), 4);
    }
}
