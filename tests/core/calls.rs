//! Which of the function's files may call which AWS service.

/// The files that may use AWS clients, and which clients.
pub const MAY_CALL: &[(&str, &[&str])] = &[
    ("usage/table.rs", &["aws_sdk_dynamodb"]),
    ("usage/table/failure.rs", &["aws_sdk_dynamodb"]),
    ("usage/read.rs", &["aws_sdk_dynamodb"]),
    ("usage/fraction.rs", &["aws_sdk_dynamodb"]),
    ("usage/transaction.rs", &["aws_sdk_dynamodb"]),
    ("usage/claim.rs", &["aws_sdk_dynamodb"]),
    ("archive/bucket.rs", &["aws_sdk_s3"]),
    ("metrics/cloudwatch.rs", &["aws_sdk_cloudwatch"]),
    ("clients.rs", &["aws_sdk_dynamodb", "aws_sdk_s3", "aws_sdk_cloudwatch"]),
];
