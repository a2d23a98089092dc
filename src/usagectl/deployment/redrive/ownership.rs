//! Whether a document belongs to this deployment. The records of another mapping, function or stream aren't delivered to this
//! function. Pure.

use crate::failure_document::{FailureDocument, QuarantineReason};
use crate::stack::source_name;

/// The names by which this deployment's documents are recognized, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Ownership {
    /// The UUID of the event source mapping.
    pub mapping: Option<String>,
    /// The function's name.
    pub function: Option<String>,
    /// The ARN of the stream.
    pub source_arn: Option<String>,
    /// The tables and streams that the pipeline names, which are used where the ARN isn't known.
    pub sources: Vec<String>,
    /// The pipeline's name.
    pub pipeline: Option<String>,
}

impl Ownership {
    /// Why `document` doesn't belong to this deployment, if it doesn't. `mapping` is the one in its key.
    pub fn reason_to_skip(&self, document: &FailureDocument, mapping: Option<&str>) -> Option<String> {
        let stream = document.position.stream_arn.as_str();
        if let (Some(ours), Some(theirs)) = (self.mapping.as_deref(), mapping)
            && ours != theirs
        {
            return Some(format!(
                "belongs to the mapping {theirs}: redrive it with --mapping {theirs} --source-arn {stream}"
            ));
        }
        let function = function_name(document.function_arn());
        if self.function.as_deref().is_some_and(|ours| function_name(ours) != function) {
            return Some(format!("belongs to the function {function}: redrive it with that function's deployment"));
        }
        // A record that can't be read may have no stream. The function itself wrote the document, so its pipeline decides.
        if let Some(QuarantineReason { pipeline, .. }) = &document.quarantine {
            let is_other = self.pipeline.as_ref().is_some_and(|ours| ours != pipeline);
            return is_other
                .then(|| format!("belongs to the pipeline {pipeline}: redrive it with --pipeline {pipeline}"));
        }
        match &self.source_arn {
            Some(ours) if ours != stream => {
                Some(format!("belongs to the stream {stream}: redrive it with --source-arn {stream}"))
            }
            None if !self.sources.is_empty()
                && !self.sources.iter().any(|source| Some(source.as_str()) == source_name(stream)) =>
            {
                Some(format!(
                    "belongs to {stream}, which isn't a source of the pipeline: choose another with --pipeline, or specify --source-arn {stream}"
                ))
            }
            _ => None,
        }
    }
}

/// `f` in `f`, `f:alias` and `arn:aws:lambda:us-east-1:123456789012:function:f:alias`.
fn function_name(text: &str) -> &str {
    let name = if text.starts_with("arn:") { text.split(':').nth(6) } else { text.split(':').next() };
    name.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure_document::tests::{MAPPING, STREAM, dynamodb, quarantined};

    #[test]
    fn a_document_of_another_deployment_is_skipped_with_a_remedy() {
        let document = FailureDocument::parse(dynamodb(None).to_string().as_bytes()).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let ours = Ownership {
            mapping: text(MAPPING),
            function: text("usage-aggregator"),
            source_arn: text(STREAM),
            sources: vec!["orders".to_owned()],
            pipeline: text("orders"),
        };
        let reason = |ownership: Ownership, mapping| ownership.reason_to_skip(&document, mapping).unwrap_or_default();
        assert_eq!(reason(ours.clone(), Some(MAPPING)), "");
        assert_eq!(reason(ours.clone(), None), "", "a message names no mapping");
        assert_eq!(reason(Ownership::default(), Some("any")), "", "nothing is known of this deployment");
        let alias =
            Ownership { function: text("arn:aws:lambda:us-east-1:1:function:usage-aggregator:live"), ..ours.clone() };
        assert_eq!(reason(alias, None), "");

        assert!(reason(ours.clone(), Some("another")).contains("--mapping another --source-arn arn:"));
        let function = Ownership { function: text("other"), ..ours.clone() };
        assert!(reason(function, None).starts_with("belongs to the function usage-aggregator"));
        let stream =
            Ownership { source_arn: text("arn:aws:dynamodb:us-east-1:1:table/orders/stream/later"), ..ours.clone() };
        assert!(reason(stream, None).starts_with("belongs to the stream arn:"));
        let pipeline = Ownership { source_arn: None, sources: vec!["demand".to_owned()], ..ours.clone() };
        assert!(reason(pipeline, None).contains("--pipeline"));
    }

    #[test]
    fn a_quarantined_record_belongs_to_its_function_and_pipeline_whatever_its_stream() {
        let document = FailureDocument::parse(quarantined("orders").to_string().as_bytes()).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let ours = Ownership {
            mapping: text(MAPPING),
            function: text("usage-aggregator"),
            source_arn: text("arn:aws:dynamodb:us-east-1:1:table/orders/stream/later"),
            sources: vec!["other".to_owned()],
            pipeline: text("orders"),
        };
        assert_eq!(ours.reason_to_skip(&document, None), None);
        assert_eq!(Ownership::default().reason_to_skip(&document, None), None);
        let reason = |ownership: Ownership| ownership.reason_to_skip(&document, None).unwrap();
        assert!(reason(Ownership { pipeline: text("demand"), ..ours.clone() }).contains("--pipeline orders"));
        assert!(reason(Ownership { function: text("other"), ..ours }).starts_with("belongs to the function"));
    }
}
