//! Whether a document is this deployment's: another mapping's, function's or stream's records are nothing to give to this
//! function. Pure.

use super::document::Document;
use crate::stack::source_name;

/// What this deployment is, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    pub mapping: Option<String>,
    pub function: Option<String>,
    pub source_arn: Option<String>,
    /// The tables and streams that the pipeline is meant for; where no ARN is known.
    pub sources: Vec<String>,
}

impl Expected {
    /// Why `document` is none of this deployment's; `mapping` is the one that its key names.
    pub fn refuses(&self, document: &Document, mapping: Option<&str>) -> Option<String> {
        let stream = document.position.stream_arn.as_str();
        if let (Some(ours), Some(theirs)) = (self.mapping.as_deref(), mapping)
            && ours != theirs
        {
            return Some(format!(
                "is of the mapping {theirs}: redrive it with --mapping {theirs} --source-arn {stream}"
            ));
        }
        let function = function_name(document.function_arn());
        if self.function.as_deref().is_some_and(|ours| function_name(ours) != function) {
            return Some(format!("is of the function {function}: redrive it with that function's deployment"));
        }
        match &self.source_arn {
            Some(ours) if ours != stream => {
                Some(format!("is of the stream {stream}: redrive it with --source-arn {stream}"))
            }
            None if !self.sources.is_empty()
                && !self.sources.iter().any(|source| Some(source.as_str()) == source_name(stream)) =>
            {
                Some(format!(
                    "is of {stream}, which the pipeline doesn't name: choose it with --pipeline, or give --source-arn {stream}"
                ))
            }
            _ => None,
        }
    }
}

/// `f` of `f`, `f:alias` and `arn:aws:lambda:us-east-1:123456789012:function:f:alias`.
fn function_name(text: &str) -> &str {
    let name = if text.starts_with("arn:") { text.split(':').nth(6) } else { text.split(':').next() };
    name.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::redrive::document::tests::{MAPPING, STREAM, dynamodb};

    #[test]
    fn what_is_another_deployments_is_refused_with_what_to_do() {
        let document = Document::parse(dynamodb(None).to_string().as_bytes()).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let ours = Expected {
            mapping: text(MAPPING),
            function: text("usage-aggregator"),
            source_arn: text(STREAM),
            sources: vec!["orders".to_owned()],
        };
        let refuses = |expected: Expected, mapping| expected.refuses(&document, mapping).unwrap_or_default();
        assert_eq!(refuses(ours.clone(), Some(MAPPING)), "");
        assert_eq!(refuses(ours.clone(), None), "", "a message names no mapping");
        assert_eq!(refuses(Expected::default(), Some("any")), "", "nothing is known");
        let alias =
            Expected { function: text("arn:aws:lambda:us-east-1:1:function:usage-aggregator:live"), ..ours.clone() };
        assert_eq!(refuses(alias, None), "");

        assert!(refuses(ours.clone(), Some("another")).contains("--mapping another --source-arn arn:"));
        let function = Expected { function: text("other"), ..ours.clone() };
        assert!(refuses(function, None).starts_with("is of the function usage-aggregator"));
        let stream =
            Expected { source_arn: text("arn:aws:dynamodb:us-east-1:1:table/orders/stream/later"), ..ours.clone() };
        assert!(refuses(stream, None).starts_with("is of the stream arn:"));
        let pipeline = Expected { source_arn: None, sources: vec!["demand".to_owned()], ..ours };
        assert!(refuses(pipeline, None).contains("--pipeline"));
    }
}
