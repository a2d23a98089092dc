//! Lambda: whether the event source mappings are reading. These calls are free of charge.

use anyhow::Context;
use aws_sdk_lambda::Client;
use serde::Serialize;

use crate::stack::Names;

/// A mapping at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct MappingState {
    /// `Enabled`, `Disabled`, or on the way from one to the other.
    pub state: String,
    /// How the last poll or invocation ended, in Lambda's words.
    pub last_result: Option<String>,
    /// MaximumBatchingWindowInSeconds.
    pub window_seconds: i32,
}

impl MappingState {
    /// Whether it reads its stream.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.state.as_str(), "Enabled" | "Enabling" | "Updating")
    }
}

/// The mapping of the source, and that of the ledger if the stack folds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Mappings {
    pub source: MappingState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<MappingState>,
}

/// Reads both.
pub(super) async fn read(client: &Client, names: &Names) -> anyhow::Result<Mappings> {
    let uuid = Names::need(&names.mapping, "--mapping")?;
    let ledger = async {
        match &names.ledger_mapping {
            Some(uuid) => one(client, uuid).await.map(Some),
            None => Ok(None),
        }
    };
    let (source, ledger) = futures::try_join!(one(client, uuid), ledger)?;
    Ok(Mappings { source, ledger })
}

async fn one(client: &Client, uuid: &str) -> anyhow::Result<MappingState> {
    let got = client.get_event_source_mapping().uuid(uuid).send().await;
    let got = got.with_context(|| format!("read the event source mapping {uuid} (lambda:GetEventSourceMapping)"))?;
    Ok(MappingState {
        state: got.state().unwrap_or("Enabled").to_owned(),
        last_result: got.last_processing_result().filter(|text| !text.is_empty()).map(str::to_owned),
        window_seconds: got.maximum_batching_window_in_seconds().unwrap_or_default(),
    })
}
