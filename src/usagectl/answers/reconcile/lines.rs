//! The lines of `usagectl reconcile --json`.

use laptop::proof::reconcile::{Report, Truth};
use serde_json::{Value, json};

use crate::shell::failure;
use crate::shell::unsettled::Unsettled;
use crate::shell::waiting;

/// One line of `--json`.
pub(super) fn line(
    pipeline: &str,
    truth: &Truth,
    report: &Report,
    unsettled: Option<&Unsettled>,
) -> anyhow::Result<String> {
    let mut line = json!({ "pipeline": pipeline, "truth": truth_json(truth), "agrees": report.agrees() });
    if let (Some(line), Value::Object(report)) = (line.as_object_mut(), serde_json::to_value(report)?) {
        line.extend(report);
    }
    let blocked = unsettled.iter().flat_map(|unsettled| &unsettled.waiting.blocked).map(waiting::json);
    if let Some(waiting) = line.get_mut("waiting").and_then(Value::as_object_mut) {
        waiting.insert("behind".to_owned(), blocked.collect());
    }
    Ok(line.to_string())
}

/// The line of a comparison that failed.
pub(super) fn error_line(pipeline: &str, truth: &Truth, error: &anyhow::Error) -> String {
    let error = json!({ "message": failure::describe(error) });
    json!({ "pipeline": pipeline, "truth": truth_json(truth), "agrees": null, "error": error }).to_string()
}

fn truth_json(truth: &Truth) -> Value {
    match truth {
        Truth::Ledgers(paths) => json!(paths),
        Truth::Archive => json!("archive"),
    }
}
