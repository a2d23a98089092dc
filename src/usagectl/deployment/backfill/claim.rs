//! Keeps the cut in the ledger. Items that were counted at one cut would count again at another, in another minute, so the
//! ledger has one cut for each table, whoever runs the command and however often.

use std::collections::HashMap;

use anyhow::Context;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use stream_types::Timestamp;
use usage_aggregator::ledger::{CUT, CUTS};

use crate::shell::console::UsageError;

/// Claims a cut for a table, unless the ledger has another.
///
/// # Errors
/// If it has another, or if it can't be written.
pub(super) async fn claim(
    client: &aws_sdk_dynamodb::Client,
    ledger: &str,
    pipeline: &str,
    table_arn: &str,
    cut: Timestamp,
) -> anyhow::Result<()> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let item: HashMap<String, AttributeValue> = HashMap::from([
        ("pk".to_owned(), text(&format!("{CUTS}{pipeline}"))),
        ("sk".to_owned(), text(table_arn)),
        (CUT.to_owned(), text(&cut.to_string())),
    ]);
    let put = client.put_item().table_name(ledger).set_item(Some(item));
    let put = put.condition_expression("attribute_not_exists(pk) OR #cut = :cut");
    let put = put.expression_attribute_names("#cut", CUT).expression_attribute_values(":cut", text(&cut.to_string()));
    let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let Err(error) = put.send().await else { return Ok(()) };
    if error.code() != Some("ConditionalCheckFailedException") {
        return Err(error).with_context(|| format!("store the cut in {ledger} (dynamodb:PutItem)"));
    }
    Err(UsageError(format!(
        "{table_arn} was backfilled with another cut than {cut}, and its items would count twice; continue with the export and the data folder of that backfill, or use a new ledger (docs/backfill.md)"
    ))
    .into())
}
