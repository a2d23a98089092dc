//! Reads the facts: one file for each service, none of which draws conclusions. A fact that can't be read becomes an
//! `Unavailable`.

mod account;
mod alarms;
mod alerts;
mod bucket;
mod destination;
mod function;
mod glue;
mod here;
mod ledger;
mod logs;
mod mapping;
mod metrics;
mod role;
mod source;
mod table;
mod topics;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use usage_aggregator::time::Timestamp;

use super::facts::{Fact, Facts, Part, Unavailable};
use crate::shell::options::Options;
use crate::stack::{Deployment, Place, Where};

/// Whether to write to the failure destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Send,
    Dont,
}

/// Reads all facts of a deployment. `control` is the URL of a running `usagectl local`, if there is one.
///
/// # Errors
/// When the pipeline is invalid, or the clock is wrong.
pub(super) async fn facts(
    place: &Where,
    deployment: Deployment,
    options: &Options,
    control: Option<String>,
    probe: Probe,
) -> anyhow::Result<Facts> {
    let now = event_source_mapping::now()?;
    match &deployment.place {
        Place::Account(account) => {
            account::facts(account.clone(), deployment.names.clone(), place, options, now, probe).await
        }
        Place::Here(_) => here::facts(&deployment, options, control, now).await,
    }
}

/// Converts the result of an SDK call. `action` is the permission it needs, and `what` the part it reads.
fn seen<T, E>(
    action: &'static str,
    what: impl FnOnce() -> Part,
    result: Result<T, SdkError<E, HttpResponse>>,
) -> Fact<T>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    result.map_err(|error| {
        // Responses to HEAD have no body with an error code.
        let bare = error.raw_response().filter(|answer| answer.body().bytes().is_some_and(<[u8]>::is_empty));
        let status = bare.map(|answer| answer.status().as_u16());
        match (error.code().unwrap_or_default(), status) {
            ("AccessDenied" | "AccessDeniedException" | "AccessDeniedFault" | "UnauthorizedOperation", _)
            | ("", Some(403)) => Unavailable::Denied { action },
            ("", Some(404)) => Unavailable::Missing(what()),
            (code, _) if is_missing(code) => Unavailable::Missing(what()),
            ("", _) => Unavailable::Failed(format!("{} ({action}): {}", what(), causes(&error))),
            (code, _) => Unavailable::Failed(format!(
                "{} ({action}): {code}: {}",
                what(),
                error.message().unwrap_or("no reason given")
            )),
        }
    })
}

/// The message of an error and of its causes, without the bytes of the response.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn is_missing(code: &str) -> bool {
    matches!(
        code,
        "ResourceNotFoundException"
            | "NoSuchBucket"
            | "NotFound"
            | "NoSuchEntity"
            | "NoSuchEntityException"
            | "EntityNotFoundException"
            | "QueueDoesNotExist"
            | "AWS.SimpleQueueService.NonExistentQueue"
            | "TableNotFoundException"
    )
}

/// The name of a part, if it is known.
fn named<'n>(name: &'n Option<String>, option: &'static str) -> Result<&'n str, Unavailable> {
    name.as_deref().ok_or(Unavailable::Unnamed { option })
}

fn timestamp(time: Option<&aws_smithy_types::DateTime>) -> Option<Timestamp> {
    Timestamp::from_seconds(time?.secs())
}

fn whole(number: Option<i32>) -> i64 {
    number.map_or(0, i64::from)
}
