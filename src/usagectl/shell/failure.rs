//! Errors as text. The AWS SDK prints the details of an error it has no type for as Rust debug output; here they become
//! `code: message`, as the AWS CLI prints them.

use aws_smithy_types::error::ErrorMetadata;

/// The error and its causes on one line.
pub fn describe(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = match cause.downcast_ref::<ErrorMetadata>() {
            Some(metadata) => {
                // The link before this one only says that the error is "unhandled".
                if parts.last().is_some_and(|part| part.starts_with("unhandled error")) {
                    parts.pop();
                }
                metadata_text(metadata)
            }
            None => cause.to_string(),
        };
        // "service error" adds nothing, and some errors repeat their cause.
        if text != "service error" && parts.last() != Some(&text) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// The error of the first request to an AWS account, with what is most likely wrong. What the SDK says about each place where it
/// looked for credentials is left out.
pub fn unanswered(error: anyhow::Error, doing: &str) -> anyhow::Error {
    // The type of the SDK's error about credentials isn't reachable through the clients.
    let has_none = error.chain().any(|cause| cause.to_string().starts_with("the credential provider was not enabled"));
    match has_none {
        true => anyhow::anyhow!("{doing}: no AWS credentials found; set AWS_PROFILE, or run `aws configure`"),
        false => error.context(format!("{doing}; are the credentials and the region right?")),
    }
}

fn metadata_text(metadata: &ErrorMetadata) -> String {
    match (metadata.code(), metadata.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(text), None) | (None, Some(text)) => text.to_owned(),
        (None, None) => "the service gave no reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use aws_sdk_dynamodb::operation::create_table::CreateTableError;

    use super::*;

    #[test]
    fn an_error_without_a_type_of_its_own_is_code_and_message() {
        let metadata = ErrorMetadata::builder().code("ValidationException").message("the name is too short").build();
        let error = Err::<(), _>(CreateTableError::generic(metadata)).context("create the table ab").unwrap_err();
        assert_eq!(describe(&error), "create the table ab: ValidationException: the name is too short");
        let code_only = ErrorMetadata::builder().code("InvalidBucketName").build();
        assert_eq!(describe(&CreateTableError::generic(code_only).into()), "InvalidBucketName");
    }

    #[test]
    fn a_repeated_cause_is_printed_once() {
        let error = anyhow::anyhow!("not found").context("not found").context("get the object");
        assert_eq!(describe(&error), "get the object: not found");
    }
}
