//! Audit entries: what `usagectl prove --repair` and `usagectl ledger rebuild --from-archive` wrote, on whose behalf, and what was
//! there before.

use anyhow::Context;
use serde_json::{Value, json};
use usage_aggregator::ledger::{Audit, LedgerTable};

use crate::shell::console::{counted, plain};

/// The audit entries of the pipeline, oldest first, each as a text of several lines or as a JSON line.
pub(super) async fn entries(ledger: &LedgerTable, as_json: bool) -> anyhow::Result<Vec<String>> {
    let audits = ledger.audits(None).await.context("read the audit entries")?;
    Ok(audits.iter().map(|audit| if as_json { json_line(audit) } else { text(audit) }).collect())
}

fn json_line(audit: &Audit) -> String {
    json!({ "kind": "repair", "at": audit.id, "author": audit.author, "repaired": content(audit) }).to_string()
}

fn content(audit: &Audit) -> Value {
    serde_json::from_str(&audit.text).unwrap_or_else(|_| json!(audit.text))
}

/// A line with the author, and one for each counter.
fn text(audit: &Audit) -> String {
    let content = content(audit);
    let listed = content.get("listed").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let what = counted(listed.len(), "counter");
    let window = content.get("window").and_then(Value::as_str).unwrap_or_default();
    let done = match content.get("source").and_then(Value::as_str) {
        Some("archive") => "rebuilt from the archive",
        _ => "repaired",
    };
    let title = format!("{} by {}: {what} in {window} {done}", audit.id, audit.author);
    let lines = [title].into_iter().chain(listed.iter().map(change_line));
    lines.map(|line| plain(&line)).collect::<Vec<_>>().join("\n")
}

/// The line of a counter that changes.
pub(super) fn change_line(counter: &Value) -> String {
    let value = |of: &Value| of.as_str().unwrap_or("none").to_owned();
    let named = |name: &str| counter.get(name).map_or_else(|| "none".to_owned(), value);
    let group: Vec<String> = counter.get("group").and_then(Value::as_array).into_iter().flatten().map(value).collect();
    let [window, measure, before, after] = ["window", "measure", "before", "after"].map(named);
    format!("  {window} {} {measure}: {before} -> {after}", group.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_who_changed_which_counter_from_what_to_what() {
        let counter = json!({
            "window": "2026-11", "group": ["7", "orders"], "measure": "amount", "before": "201", "after": "200",
        });
        let missing = json!({
            "window": "2026-11-28", "group": ["7", "orders"], "measure": "amount", "before": null, "after": "7",
        });
        let audit = Audit {
            id: "2026-11-28T09:12:07Z 1a2b3c4d".to_owned(),
            author: "ann".to_owned(),
            text: json!({ "window": "2026-11", "listed": [counter, missing] }).to_string(),
        };
        let expected = "2026-11-28T09:12:07Z 1a2b3c4d by ann: 2 counters in 2026-11 repaired
  2026-11 7 orders amount: 201 -> 200
  2026-11-28 7 orders amount: none -> 7";
        assert_eq!(text(&audit), expected);
    }
}
