//! What can go wrong with an invocation as a whole, by what its caller must do; and the one place that reads the AWS
//! SDKs' errors. What is wrong with one record is a [`crate::record::Fault`].

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What the caller must do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again: throttling, a lost connection, a deadline.
    Transient,
    /// Reject the record: no retry can help it.
    Poison,
    /// Don't start, or fail the invocation: somebody must mend a setting, a permission or a table.
    Config,
}

/// An error that says what failed, on what, and what to try next; it reads after "failed to".
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
}

impl Error {
    /// An error that a retry may mend.
    pub fn transient(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Transient, message: message.into() }
    }

    /// An error of one record's content.
    pub fn poison(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Poison, message: message.into() }
    }

    /// An error of the surroundings.
    pub fn config(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Config, message: message.into() }
    }

    /// Classifies what an SDK call ended in. `doing` reads after "failed to" and names the resource.
    pub fn from_sdk<E, R>(doing: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let SdkError::ServiceError(service) = error else {
            return match error {
                // No request left: the input can't be built, or there is no region.
                SdkError::ConstructionFailure(_) => {
                    Error::config(format!("{doing}: no request could be made; check region and endpoint"))
                }
                other if lacks_credentials(other) => {
                    Error::config(format!("{doing}: there are no credentials; give the function a role"))
                }
                other => Error::transient(format!("{doing}: {}", root_cause(other))),
            };
        };
        let code = service.err().code().unwrap_or("unknown error");
        let message = service.err().message().unwrap_or("the service gave no reason");
        match kind_of(code) {
            ErrorKind::Poison if is_key_mismatch(message) => key_mismatch(doing),
            // A validation's message may quote what it refuses, which is an item's content.
            ErrorKind::Poison => Error::poison(format!("{doing}: {code}")),
            ErrorKind::Transient => Error::transient(format!("{doing}: {code}: {message}")),
            ErrorKind::Config => Error::config(format!("{doing}: {code}: {message}; {}", remedy(code))),
        }
    }
}

/// Whether DynamoDB's message of a validation says that a table has other keys than the function writes.
pub fn is_key_mismatch(message: &str) -> bool {
    ["match the schema", "Type mismatch for key", "Missing the key"].iter().any(|part| message.contains(part))
}

/// The error of a table with other keys than the function writes.
pub fn key_mismatch(doing: &str) -> Error {
    let remedy =
        "USAGE_TABLE needs the pipeline's snapshot keys, CLAIMS_TABLE the partition key `claim`, all of type S";
    Error::config(format!("{doing}: the table's keys are others; {remedy}"))
}

/// The kind of an error code of DynamoDB, S3 or CloudWatch. An unknown code is worth a retry: the record then ends in
/// the failure destination with it, and nothing is lost.
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
        // A key that is disabled, denied or about to be deleted, in S3's and DynamoDB's spelling.
        code if code.starts_with("KMS") && !code.contains("Throttling") => ErrorKind::Config,
        _ => ErrorKind::Transient,
    }
}

fn remedy(code: &str) -> &'static str {
    match code {
        "NoSuchBucket" | "InvalidBucketName" => "create the bucket or correct ARCHIVE_BUCKET",
        "ResourceNotFoundException" => "create the table or correct USAGE_TABLE and CLAIMS_TABLE",
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => "the bucket is in another region: correct AWS_REGION",
        code if code.starts_with("KMS") => "enable the key and allow the function's role to use it",
        _ => "allow this action on this resource in the function's role",
    }
}

/// Whether credentials are missing or wrong, rather than late.
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
