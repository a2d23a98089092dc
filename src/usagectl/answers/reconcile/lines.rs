//! The result of `usagectl reconcile` as text, and the lines of `--json`.

use laptop::proof::reconcile::{Report, Truth};
use serde_json::{Value, json};

use crate::results::differences;
use crate::shell::failure;
use crate::shell::unsettled::{Origin, Unsettled};
use crate::shell::waiting;

/// After a run that was killed, or that failed.
const INTERRUPTED: &str = "\
The last `usagectl local` here was killed or failed, so records may still wait in
the stream. To process them, start `usagectl local` again; then compare again.";

/// The result as text: counts, differences, and why something may be missing or unexpected.
pub(super) fn shown(
    pipeline: &str,
    truth: &Truth,
    report: &Report,
    unsettled: Option<&Unsettled>,
    origin: &Origin,
) -> String {
    let outside = match truth {
        Truth::Ledgers(_) => differences::outside(report),
        Truth::Archive => None,
    };
    let is_unchecked = report.poison.is_none() && report.poison_records > 0;
    let bucket =
        is_unchecked.then(|| "To check the poison records, name their bucket with --failures s3://BUCKET.".to_owned());
    let unknown = (report.difference_count > 0 && report.waiting.is_none() && origin.is_unknown())
        .then(|| INTERRUPTED.to_owned());
    let waiting = differences::waiting(report, unsettled, origin);
    let text = [Some(differences::text(pipeline, report)), bucket, outside, unknown, waiting];
    text.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

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
