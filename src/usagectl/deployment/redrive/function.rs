//! The function that records are redriven through: a deployed one by Lambda's Invoke, or its handler in this process.

use std::time::Duration;

use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use event_source_mapping::{Clock, InvocationResult};
use usage_aggregator::handler::{Handler, Invocation};

/// The timeout of the handler in this process.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A function to invoke.
pub(super) enum Function {
    Deployed { client: aws_sdk_lambda::Client, name: String },
    InProcess { handler: Box<Handler>, clock: Clock },
}

impl Function {
    /// The pipeline's handler in this process.
    pub(super) fn in_process(handler: Handler) -> anyhow::Result<Function> {
        Ok(Function::InProcess { handler: Box::new(handler), clock: Clock::system()? })
    }

    /// Its name in reports.
    pub(super) fn name(&self) -> String {
        match self {
            Function::Deployed { name, .. } => format!("the function {name}"),
            Function::InProcess { handler, .. } => format!("the pipeline {} in this process", handler.pipeline().name),
        }
    }

    /// Invokes it and waits for the response.
    pub(super) async fn invoke(&self, event: &[u8]) -> InvocationResult {
        match self {
            Function::Deployed { client, name } => invoke_deployed(client, name, event).await,
            Function::InProcess { handler, clock } => {
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

async fn invoke_deployed(client: &aws_sdk_lambda::Client, name: &str, event: &[u8]) -> InvocationResult {
    let invoked = client.invoke().function_name(name).payload(Blob::new(event)).send().await;
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

/// The message of a function error.
fn message(kind: &str, body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message = body.get("errorMessage").and_then(|message| message.as_str());
    message.map_or_else(|| kind.to_owned(), |message| format!("{kind}: {message}"))
}
