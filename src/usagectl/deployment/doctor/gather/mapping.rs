//! Lambda: the event source mappings.

use aws_sdk_lambda::operation::get_event_source_mapping::GetEventSourceMappingOutput;
use aws_sdk_lambda::types::FunctionResponseType;

use super::super::facts::{Fact, Mapping, Part, Unavailable};
use super::{named, seen, whole};
use crate::stack::{Account, FunctionName, Names};

/// The mapping of the source.
pub(super) async fn of(account: &Account, names: &Names) -> Fact<Mapping> {
    read(account, &names.mapping, &names.function, "--mapping").await
}

/// The mapping of the ledger's stream.
pub(super) async fn of_ledger(account: &Account, names: &Names) -> Fact<Mapping> {
    read(account, &names.ledger_mapping, &names.fold_function, "--ledger-mapping").await
}

async fn read(
    account: &Account,
    uuid: &Option<String>,
    function: &Option<String>,
    option: &'static str,
) -> Fact<Mapping> {
    let lambda = account.lambda();
    let uuid = match (uuid, function) {
        (None, Some(function)) => only(&lambda, function).await?,
        (name, _) => named(name, option)?.to_owned(),
    };
    let got = lambda.get_event_source_mapping().uuid(&uuid).send().await;
    let got = seen("lambda:GetEventSourceMapping", || Part::Other(format!("the event source mapping {uuid}")), got)?;
    Ok(plain(uuid, &got))
}

/// The mapping of a function that has exactly one, perhaps of an alias.
async fn only(lambda: &aws_sdk_lambda::Client, function: &str) -> Fact<String> {
    let mut uuids = of_function(lambda, function).await?;
    if uuids.is_empty() && FunctionName::parse(function).qualifier.is_none() {
        let listed = lambda.list_aliases().function_name(function).send().await;
        let listed = seen("lambda:ListAliases", || Part::Other(format!("the aliases of {function}")), listed)?;
        for alias in listed.aliases().iter().filter_map(|alias| alias.alias_arn()) {
            uuids.extend(of_function(lambda, alias).await?);
        }
    }
    match uuids.as_slice() {
        [] => Err(Unavailable::Missing(Part::Other(format!("an event source mapping of {function}")))),
        [uuid] => Ok(uuid.clone()),
        several => {
            Err(Unavailable::Failed(format!("{function} has {} mappings: choose one with --mapping", several.len())))
        }
    }
}

async fn of_function(lambda: &aws_sdk_lambda::Client, function: &str) -> Fact<Vec<String>> {
    let listed = lambda.list_event_source_mappings().function_name(function).send().await;
    let listed = seen("lambda:ListEventSourceMappings", || Part::Other(format!("the mappings of {function}")), listed)?;
    Ok(listed.event_source_mappings().iter().filter_map(|mapping| mapping.uuid().map(str::to_owned)).collect())
}

fn plain(uuid: String, got: &GetEventSourceMappingOutput) -> Mapping {
    let text = |text: Option<&str>| text.map(str::to_owned).filter(|text| !text.is_empty());
    let filters = got.filter_criteria().map(|criteria| criteria.filters()).unwrap_or_default();
    let on_failure = got.destination_config().and_then(|destinations| destinations.on_failure());
    Mapping {
        uuid,
        state: got.state().unwrap_or("Enabled").to_owned(),
        reason: text(got.state_transition_reason()),
        last_result: text(got.last_processing_result()),
        function_arn: got.function_arn().unwrap_or_default().to_owned(),
        source_arn: got.event_source_arn().unwrap_or_default().to_owned(),
        starting_position: got.starting_position().map(|position| position.as_str().to_owned()),
        window_seconds: whole(got.maximum_batching_window_in_seconds()),
        factor: whole(got.parallelization_factor()).max(1),
        retries: got.maximum_retry_attempts().map_or(-1, i64::from),
        record_age_seconds: got.maximum_record_age_in_seconds().map_or(-1, i64::from),
        bisects: got.bisect_batch_on_function_error().unwrap_or(false),
        reports_item_failures: got.function_response_types().contains(&FunctionResponseType::ReportBatchItemFailures),
        on_failure: text(on_failure.and_then(|destination| destination.destination())),
        filters: filters.iter().filter_map(|filter| filter.pattern().map(str::to_owned)).collect(),
    }
}
