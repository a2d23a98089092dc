//! Which of the function's files may call which AWS service.

/// The files that may use AWS clients, and which clients.
pub const MAY_CALL: &[(&str, &[&str])] = &[
    ("ledger/table.rs", &["aws_sdk_dynamodb"]),
    ("ledger/table/alerts.rs", &["aws_sdk_dynamodb"]),
    ("ledger/table/attempts.rs", &["aws_sdk_dynamodb"]),
    ("ledger/table/definition.rs", &["aws_sdk_dynamodb"]),
    ("ledger/table/register.rs", &["aws_sdk_dynamodb"]),
    ("ledger/table/states.rs", &["aws_sdk_dynamodb"]),
    ("ledger/table/swap.rs", &["aws_sdk_dynamodb"]),
    ("fold/limits.rs", &["aws_sdk_dynamodb"]),
    ("fold/publish.rs", &["aws_sdk_dynamodb"]),
    ("fold/publish/expression.rs", &["aws_sdk_dynamodb"]),
    ("fold/publish/restate.rs", &["aws_sdk_dynamodb"]),
    ("fold/publish/stored.rs", &["aws_sdk_dynamodb"]),
    ("indicator/attribute.rs", &["aws_sdk_dynamodb"]),
    ("indicator/table.rs", &["aws_sdk_dynamodb"]),
    // Hands the client to the tables.
    ("handler.rs", &["aws_sdk_dynamodb"]),
    ("archive/bucket.rs", &["aws_sdk_s3"]),
    ("metrics/cloudwatch.rs", &["aws_sdk_cloudwatch"]),
    // Names the tables and error codes of requests.
    ("telemetry/on/calls.rs", &["aws_sdk_dynamodb", "aws_sdk_s3"]),
    ("alerts.rs", &["aws_sdk_eventbridge", "aws_sdk_sns"]),
    ("clients.rs", &["aws_sdk_dynamodb", "aws_sdk_s3", "aws_sdk_cloudwatch", "aws_sdk_eventbridge", "aws_sdk_sns"]),
];
