//! Whether a document belongs to this deployment, and to which of its two functions: records of the source to append, notices
//! of the ledger to fold. The records of another mapping, function or stream aren't delivered to them. Pure.

use crate::failure_document::{FailureDocument, QuarantineReason};
use crate::stack::{FunctionName, source_name};

/// The names by which this deployment's documents are recognized, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Ownership {
    /// What reads the source.
    pub append: Reader,
    /// What reads the ledger's stream; `None` if it can't be invoked.
    pub fold: Option<Reader>,
    /// The table with the ledger.
    pub ledger_table: Option<String>,
    /// The ARN of the source's stream.
    pub source_arn: Option<String>,
    /// The tables and streams that the pipeline names, which are used where the ARN isn't known.
    pub sources: Vec<String>,
    /// The pipeline's name.
    pub pipeline: Option<String>,
}

/// An event source mapping and its function, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// The UUID of the event source mapping.
    pub mapping: Option<String>,
    /// The function's name.
    pub function: Option<String>,
}

/// The function that a document's records are delivered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The function that appends records of the source.
    Append,
    /// The function that folds notices of the ledger.
    Fold,
}

impl Reader {
    /// Whether another function failed; returns its name.
    fn other_function<'d>(&self, document: &'d FailureDocument) -> Option<&'d str> {
        let function = FunctionName::parse(document.function_arn()).name;
        self.function.as_deref().is_some_and(|ours| FunctionName::parse(ours).name != function).then_some(function)
    }
}

impl Ownership {
    /// The function that the records of `document` are delivered to.
    pub fn target(&self, document: &FailureDocument) -> Target {
        let stream = document.position.stream_arn.as_str();
        let is_of_ledger = stream.contains(":dynamodb:")
            && self.ledger_table.as_deref().is_some_and(|ledger| source_name(stream) == Some(ledger));
        if is_of_ledger { Target::Fold } else { Target::Append }
    }

    /// Why `document` doesn't belong to this deployment, if it doesn't. `mapping` is the one in its key.
    pub fn reason_to_skip(&self, document: &FailureDocument, mapping: Option<&str>) -> Option<String> {
        match self.target(document) {
            Target::Append => self.reason_not_to_append(document, mapping),
            Target::Fold => self.reason_not_to_fold(document, mapping),
        }
    }

    fn reason_not_to_fold(&self, document: &FailureDocument, mapping: Option<&str>) -> Option<String> {
        let Some(fold) = &self.fold else {
            return Some("has notices of the ledger: redrive it with --fold-function NAME".to_owned());
        };
        if let (Some(ours), Some(theirs)) = (fold.mapping.as_deref(), mapping)
            && ours != theirs
        {
            return Some(format!("belongs to the mapping {theirs}: redrive it with --ledger-mapping {theirs}"));
        }
        let function = fold.other_function(document)?;
        Some(format!("belongs to the function {function}: redrive it with --fold-function {function}"))
    }

    fn reason_not_to_append(&self, document: &FailureDocument, mapping: Option<&str>) -> Option<String> {
        let stream = document.position.stream_arn.as_str();
        if let (Some(ours), Some(theirs)) = (self.append.mapping.as_deref(), mapping)
            && ours != theirs
        {
            return Some(format!(
                "belongs to the mapping {theirs}: redrive it with --mapping {theirs} --source-arn {stream}"
            ));
        }
        if let Some(function) = self.append.other_function(document) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure_document::tests::{MAPPING, STREAM, dynamodb, quarantined};

    #[test]
    fn a_document_of_another_deployment_is_skipped_with_a_remedy() {
        let document = FailureDocument::parse(dynamodb(None).to_string().as_bytes()).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let reader = |function| Reader { mapping: text(MAPPING), function: text(function) };
        let ours = Ownership {
            append: reader("usage-aggregator"),
            source_arn: text(STREAM),
            sources: vec!["orders".to_owned()],
            pipeline: text("orders"),
            ..Ownership::default()
        };
        let reason = |ownership: Ownership, mapping| ownership.reason_to_skip(&document, mapping).unwrap_or_default();
        assert_eq!(reason(ours.clone(), Some(MAPPING)), "");
        assert_eq!(reason(ours.clone(), None), "", "a message names no mapping");
        assert_eq!(reason(Ownership::default(), Some("any")), "", "nothing is known of this deployment");
        let alias = reader("arn:aws:lambda:us-east-1:1:function:usage-aggregator:live");
        let alias = Ownership { append: alias, ..ours.clone() };
        assert_eq!(reason(alias, None), "");

        assert!(reason(ours.clone(), Some("another")).contains("--mapping another --source-arn arn:"));
        let function = Ownership { append: reader("other"), ..ours.clone() };
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
        let reader = |function| Reader { mapping: text(MAPPING), function: text(function) };
        let ours = Ownership {
            append: reader("usage-aggregator"),
            source_arn: text("arn:aws:dynamodb:us-east-1:1:table/orders/stream/later"),
            sources: vec!["other".to_owned()],
            pipeline: text("orders"),
            ..Ownership::default()
        };
        assert_eq!(ours.reason_to_skip(&document, None), None);
        assert_eq!(Ownership::default().reason_to_skip(&document, None), None);
        let reason = |ownership: Ownership| ownership.reason_to_skip(&document, None).unwrap();
        assert!(reason(Ownership { pipeline: text("demand"), ..ours.clone() }).contains("--pipeline orders"));
        assert!(reason(Ownership { append: reader("other"), ..ours }).starts_with("belongs to the function"));
    }

    #[test]
    fn a_document_of_the_ledgers_mapping_is_folded() {
        let text = |text: &str| Some(text.to_owned());
        let mut notices = dynamodb(None);
        notices["requestContext"]["functionArn"] = "arn:aws:lambda:us-east-1:1:function:usage-fold:$LATEST".into();
        notices["DDBStreamBatchInfo"]["streamArn"] =
            "arn:aws:dynamodb:us-east-1:1:table/usage-ledger/stream/2026".into();
        let notices = FailureDocument::parse(notices.to_string().as_bytes()).unwrap();
        let records = FailureDocument::parse(dynamodb(None).to_string().as_bytes()).unwrap();
        let fold = Reader { mapping: text("of-the-ledger"), function: text("usage-fold") };
        let ours = Ownership {
            append: Reader { mapping: text(MAPPING), function: text("usage-aggregator") },
            fold: Some(fold.clone()),
            ledger_table: text("usage-ledger"),
            source_arn: text(STREAM),
            ..Ownership::default()
        };
        assert_eq!((ours.target(&records), ours.target(&notices)), (Target::Append, Target::Fold));
        assert_eq!(ours.reason_to_skip(&records, Some(MAPPING)), None);
        assert_eq!(ours.reason_to_skip(&notices, Some("of-the-ledger")), None);
        assert_eq!(ours.reason_to_skip(&notices, None), None, "a message names no mapping");
        let reason = |ownership: &Ownership, mapping| ownership.reason_to_skip(&notices, mapping).unwrap();
        assert!(reason(&ours, Some(MAPPING)).contains("--ledger-mapping 4f6a"), "{}", reason(&ours, Some(MAPPING)));
        let other = Ownership { fold: Some(Reader { function: text("other"), ..fold }), ..ours.clone() };
        assert!(reason(&other, None).ends_with("--fold-function usage-fold"));
        let unknown = Ownership { fold: None, ..ours.clone() };
        assert_eq!(reason(&unknown, None), "has notices of the ledger: redrive it with --fold-function NAME");
        // The ledger of another stack is a source like any other.
        let another = Ownership { ledger_table: text("ledger"), ..ours };
        assert!(reason(&another, None).starts_with("belongs to the function usage-fold"));
    }
}
