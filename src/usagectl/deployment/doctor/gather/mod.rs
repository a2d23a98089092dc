//! All reading: a file for each service, of which none judges. What may not be read, or isn't there, becomes an `Unseen`.

mod account;
mod alarms;
mod bucket;
mod destination;
mod function;
mod glue;
mod here;
mod logs;
mod mapping;
mod metrics;
mod role;
mod source;
mod table;

use anyhow::Context;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use usage_aggregator::time::Timestamp;

use super::facts::{Facts, Part, Seen, Unseen};
use crate::shell::options::Options;
use crate::stack::{Deployment, Place, Where};

/// Whether something is written to the failure destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Send,
    Dont,
}

/// Everything that can be known of a deployment. `control` is where a `usagectl local` says how it is, if one runs.
///
/// # Errors
/// When the pipeline is wrong, or the clock.
pub async fn facts(
    place: &Where,
    deployment: Deployment,
    options: &Options,
    control: Option<String>,
    probe: Probe,
) -> anyhow::Result<Facts> {
    let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let now = now.context("tell the time: the clock says a year outside 2000 to 2099")?;
    match &deployment.place {
        Place::Account(account) => {
            account::facts(account.clone(), deployment.names.clone(), place.stack.clone(), options, now, probe).await
        }
        Place::Here(_) => here::facts(&deployment, options, control, now).await,
    }
}

/// Makes an answer, or why there is none, of what an SDK call ended in. `what` was asked for with the permission `action`.
fn seen<T, E>(
    action: &'static str,
    what: impl FnOnce() -> Part,
    result: Result<T, SdkError<E, HttpResponse>>,
) -> Seen<T>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    result.map_err(|error| {
        // Answers to HEAD have no body that could name a code.
        let bare = error.raw_response().filter(|answer| answer.body().bytes().is_some_and(<[u8]>::is_empty));
        let status = bare.map(|answer| answer.status().as_u16());
        match (error.code().unwrap_or_default(), status) {
            ("AccessDenied" | "AccessDeniedException" | "AccessDeniedFault" | "UnauthorizedOperation", _)
            | ("", Some(403)) => Unseen::Denied { action },
            ("", Some(404)) => Unseen::Missing(what()),
            (code, _) if is_missing(code) => Unseen::Missing(what()),
            ("", _) => Unseen::Failed(format!("{} ({action}): {}", what(), causes(&error))),
            (code, _) => Unseen::Failed(format!(
                "{} ({action}): {code}: {}",
                what(),
                error.message().unwrap_or("the service gives no reason")
            )),
        }
    })
}

/// What an error says, and what caused it, without the answer's bytes.
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

/// A name that something must have.
fn named<'n>(name: &'n Option<String>, option: &'static str) -> Result<&'n str, Unseen> {
    name.as_deref().ok_or(Unseen::Unnamed { option })
}

fn timestamp(time: Option<&aws_smithy_types::DateTime>) -> Option<Timestamp> {
    Timestamp::from_seconds(time?.secs())
}

fn whole(number: Option<i32>) -> i64 {
    number.map_or(0, i64::from)
}
