//! Errors of an invocation as a whole, classified by what the caller must do about them. This is also the only module
//! that interprets the AWS SDKs' errors. An error of one record is a [`crate::record::Fault`].

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What the caller must do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Retry: throttling, a lost connection or a deadline.
    Transient,
    /// Reject the record: no retry can succeed.
    Poison,
    /// Don't start, or fail the invocation: someone must fix a setting, a permission or a table first.
    Config,
}

/// An error that says what failed, on what, and what to do next. Its message reads after "failed to".
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the caller must do.
    pub kind: ErrorKind,
    /// What failed, starting with a verb: "put s3://…: AccessDenied: …".
    pub message: String,
    /// The service's code of the error, if a service refused something.
    pub code: Option<String>,
}

impl ErrorKind {
    /// The name in log lines.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Transient => "transient",
            ErrorKind::Poison => "poison",
            ErrorKind::Config => "config",
        }
    }
}

impl Error {
    /// An error that a retry may fix.
    pub fn transient(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Transient, message: message.into(), code: None }
    }

    /// An error in the content of one record.
    pub fn poison(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Poison, message: message.into(), code: None }
    }

    /// An error in the configuration or the AWS resources.
    pub fn config(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Config, message: message.into(), code: None }
    }

    /// Classifies the error of an SDK call. `doing` reads after "failed to" and names the resource.
    pub fn from_sdk<E, R>(doing: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let SdkError::ServiceError(service) = error else {
            return match error {
                // No request was sent: the input can't be built, or there is no region.
                SdkError::ConstructionFailure(_) => {
                    Error::config(format!("{doing}: can't build the request; check the region and the endpoint"))
                }
                other if lacks_credentials(other) => {
                    Error::config(format!("{doing}: no credentials found; give the function a role"))
                }
                other => Error::transient(format!("{doing}: {}", root_cause(other))),
            };
        };
        let code = service.err().code().unwrap_or("unknown error");
        let message = service.err().message().unwrap_or("the service gave no reason");
        let error = match kind_of(code) {
            ErrorKind::Poison if is_key_mismatch(message) => key_mismatch(doing),
            // The message of a validation error may quote what it refuses, which is an item's content.
            ErrorKind::Poison => Error::poison(format!("{doing}: {code}")),
            ErrorKind::Transient => Error::transient(format!("{doing}: {code}: {message}")),
            ErrorKind::Config => Error::config(format!("{doing}: {code}: {message}; {}", remedy(code))),
        };
        Error { code: Some(code.to_owned()), ..error }
    }
}

/// Whether a DynamoDB validation message says that the table has different keys than the function writes.
pub fn is_key_mismatch(message: &str) -> bool {
    ["match the schema", "Type mismatch for key", "Missing the key"].iter().any(|part| message.contains(part))
}

/// The error for a table that has different keys than the function writes.
pub fn key_mismatch(doing: &str) -> Error {
    let remedy = "USAGE_TABLE needs the keys of the pipeline's [snapshot], LEDGER_TABLE the partition key `pk` and the sort key `sk`, all of type S";
    Error::config(format!("{doing}: the table has different keys; {remedy}"))
}

/// The kind of a DynamoDB, S3 or CloudWatch error code. Unknown codes are retried: if they persist, the record goes to
/// the failure destination, so nothing is lost.
fn kind_of(code: &str) -> ErrorKind {
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "MissingAuthenticationTokenException"
        | "AuthorizationHeaderMalformed"
        | "InvalidBucketName"
        | "NoSuchBucket"
        | "NotFound"
        | "ResourceNotFoundException"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "OptInRequired"
        | "IllegalLocationConstraintException"
        | "MethodNotAllowed"
        | "InvalidRequest"
        | "PermanentRedirect" => ErrorKind::Config,
        "ValidationException" | "ItemCollectionSizeLimitExceededException" | "EntityTooLarge" | "KeyTooLongError" => {
            ErrorKind::Poison
        }
        // A KMS key that is disabled, denied or pending deletion, as S3 and DynamoDB spell it.
        code if code.starts_with("KMS") && !code.contains("Throttling") => ErrorKind::Config,
        _ => ErrorKind::Transient,
    }
}

fn remedy(code: &str) -> &'static str {
    match code {
        "NoSuchBucket" | "InvalidBucketName" => "create the bucket or fix ARCHIVE_BUCKET",
        "ResourceNotFoundException" => "create the table or event bus, or fix USAGE_TABLE, LEDGER_TABLE, and ALERT_BUS",
        "NotFound" => "create the topic or fix ALERT_TOPIC",
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => "the bucket is in another Region; fix AWS_REGION",
        code if code.starts_with("KMS") => "enable the KMS key and allow the function's role to use it",
        _ => "allow this action on this resource in the function's role",
    }
}

/// Whether credentials are missing or invalid, as opposed to slow to load.
fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<CredentialsError>()).any(|credentials| {
        matches!(credentials, CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_))
    })
}

fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_decides_what_the_caller_must_do() {
        let cases = [
            ("ProvisionedThroughputExceededException", ErrorKind::Transient),
            ("InternalServerError", ErrorKind::Transient),
            ("a code of next year", ErrorKind::Transient),
            ("KMSThrottlingException", ErrorKind::Transient),
            ("KMSDisabledException", ErrorKind::Config),
            ("AccessDeniedException", ErrorKind::Config),
            ("ResourceNotFoundException", ErrorKind::Config),
            ("NoSuchBucket", ErrorKind::Config),
            ("ValidationException", ErrorKind::Poison),
            ("EntityTooLarge", ErrorKind::Poison),
        ];
        for (code, kind) in cases {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }

    #[test]
    fn a_remedy_names_the_setting_to_correct() {
        for (code, setting) in [
            ("NoSuchBucket", "ARCHIVE_BUCKET"),
            ("ResourceNotFoundException", "USAGE_TABLE"),
            ("PermanentRedirect", "AWS_REGION"),
            ("KMSDisabledException", "key"),
            ("AccessDenied", "role"),
        ] {
            assert!(remedy(code).contains(setting), "{code}: {}", remedy(code));
        }
    }
}
