//! The functions that records and notices are redriven through: deployed ones by Lambda's Invoke, or their handler in this
//! process.

use std::time::Duration;

#[cfg(feature = "deployment")]
use aws_sdk_lambda::error::DisplayErrorContext;
#[cfg(feature = "deployment")]
use aws_sdk_lambda::primitives::Blob;
use event_source_mapping::{Clock, InvocationResult};
use usage_aggregator::handler::{Handler, Invocation};

use super::ownership::Target;
#[cfg(feature = "deployment")]
use crate::stack::FunctionName;

/// The timeout of the handler in this process: that of the fold function, the longer one.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The functions to invoke. The handler in this process chooses by the event, as both deployed functions do.
pub(crate) enum Functions {
    #[cfg(feature = "deployment")]
    Deployed {
        client: aws_sdk_lambda::Client,
        append: String,
        /// The fold function, if its name is known.
        fold: Option<String>,
    },
    InProcess {
        handler: Box<Handler>,
        clock: Clock,
    },
}

impl Functions {
    /// The pipeline's handler in this process.
    pub(crate) fn in_process(handler: Handler) -> anyhow::Result<Functions> {
        Ok(Functions::InProcess { handler: Box::new(handler), clock: Clock::system()? })
    }

    /// The name of one in reports.
    #[cfg_attr(not(feature = "deployment"), expect(unused_variables, reason = "the handler chooses by the event"))]
    pub(crate) fn name(&self, target: Target) -> String {
        match self {
            #[cfg(feature = "deployment")]
            Functions::Deployed { append, fold, .. } => {
                let name = deployed_name(append, fold.as_deref(), target);
                format!("the function {}", name.unwrap_or("(--fold-function)"))
            }
            Functions::InProcess { handler, .. } => format!("the pipeline {} in this process", handler.pipeline().name),
        }
    }

    /// Invokes one and waits for the response.
    #[cfg_attr(not(feature = "deployment"), expect(unused_variables, reason = "the handler chooses by the event"))]
    pub(crate) async fn invoke(&self, target: Target, event: &[u8]) -> InvocationResult {
        match self {
            #[cfg(feature = "deployment")]
            Functions::Deployed { client, append, fold } => match deployed_name(append, fold.as_deref(), target) {
                Some(name) => invoke_deployed(client, name, event).await,
                None => InvocationResult::NotInvoked("specify --fold-function".to_owned()),
            },
            Functions::InProcess { handler, clock } => {
                let deadline = Some(tokio::time::Instant::now() + TIMEOUT);
                let invocation = Invocation { request_id: "usagectl-redrive".to_owned(), now: clock.now(), deadline };
                match handler.handle(event, &invocation).await {
                    Ok(outcome) => match serde_json::to_vec(&outcome.response()) {
                        Ok(body) => InvocationResult::Returned(body),
                        Err(error) => InvocationResult::FunctionError(error.to_string()),
                    },
                    Err(error) => InvocationResult::FunctionError(format!("failed to {error}")),
                }
            }
        }
    }
}

#[cfg(feature = "deployment")]
fn deployed_name<'n>(append: &'n str, fold: Option<&'n str>, target: Target) -> Option<&'n str> {
    match target {
        Target::Append => Some(append),
        Target::Fold => fold,
    }
}

#[cfg(feature = "deployment")]
async fn invoke_deployed(client: &aws_sdk_lambda::Client, name: &str, event: &[u8]) -> InvocationResult {
    let FunctionName { unqualified, qualifier, .. } = FunctionName::parse(name);
    let invoked = client.invoke().function_name(unqualified).set_qualifier(qualifier.map(str::to_owned));
    let invoked = invoked.payload(Blob::new(event)).send().await;
    let output = match invoked {
        Ok(output) => output,
        Err(error) => return InvocationResult::NotInvoked(DisplayErrorContext(error).to_string()),
    };
    let body = output.payload.map(Blob::into_inner).unwrap_or_default();
    match output.function_error {
        Some(kind) => InvocationResult::FunctionError(message(&kind, &body)),
        None => InvocationResult::Returned(body),
    }
}

#[cfg(feature = "deployment")]
/// The message of a function error.
fn message(kind: &str, body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message = body.get("errorMessage").and_then(|message| message.as_str());
    message.map_or_else(|| kind.to_owned(), |message| format!("{kind}: {message}"))
}
