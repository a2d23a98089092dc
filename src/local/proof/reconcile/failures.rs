//! The failure destination: documents of the event source mapping, each with the event that it discarded, and documents of the
//! function, each with a record that it quarantined.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aws_sdk_s3::Client;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::archive::fetch;
use super::expected_totals::ExpectedTotals;
use usage_aggregator::quarantine;
use usage_compact::steps::item_text;

/// Where the mapping's documents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The bucket's name.
    pub bucket: String,
    /// A prefix of the documents' keys; empty for the whole bucket.
    pub prefix: String,
}

/// The prefix that Lambda gives every document.
const FOLDER: &str = "aws/lambda/";

#[derive(Debug, Deserialize)]
struct Document {
    /// The event as text. Documents of other destinations have none.
    payload: String,
}

#[derive(Debug, Deserialize)]
struct DocumentEvent {
    #[serde(rename = "Records")]
    records: Vec<DocumentRecord>,
}

#[derive(Debug, Deserialize)]
struct DocumentRecord {
    #[serde(rename = "eventSourceARN")]
    arn: String,
    dynamodb: Option<Change>,
    kinesis: Option<Message>,
}

#[derive(Debug, Deserialize)]
struct Change {
    #[serde(rename = "Keys")]
    keys: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Message {
    data: String,
}

/// Where the rejected records of a pipeline are.
pub(super) struct Place<'p> {
    pub destination: &'p Destination,
    pub pipeline: &'p str,
    /// The tables and streams whose records count.
    pub sources: &'p BTreeSet<String>,
}

impl Place<'_> {
    /// Records every discarded and every quarantined record.
    pub(super) async fn read(&self, client: &Client, totals: &mut ExpectedTotals) -> anyhow::Result<()> {
        let discarded = match self.destination.prefix.trim_end_matches('/') {
            "" => FOLDER.to_owned(),
            prefix => format!("{prefix}/{FOLDER}"),
        };
        self.read_folder(client, &discarded, &mut |item| totals.find_poison(item)).await?;
        // The function writes these itself, without the prefix.
        let quarantined = format!("{}{}/", quarantine::PREFIX, self.pipeline);
        self.read_folder(client, &quarantined, &mut |item| totals.find_quarantined(item)).await
    }

    async fn read_folder(
        &self,
        client: &Client,
        folder: &str,
        find: &mut (dyn FnMut(&str) -> anyhow::Result<()> + Send),
    ) -> anyhow::Result<()> {
        let bucket = &self.destination.bucket;
        let mut pages = client.list_objects_v2().bucket(bucket).prefix(folder).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.with_context(|| format!("list s3://{bucket}/{folder} (s3:ListBucket)"))?;
            for key in page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key) {
                let (key, body) = fetch(client, bucket, key).await?;
                let items = items(&body, self.sources).with_context(|| format!("read s3://{bucket}/{key}"))?;
                items.iter().try_for_each(|item| find(item))?;
            }
        }
        Ok(())
    }
}

/// The keys of a document's records that belong to these tables and streams.
fn items(document: &[u8], sources: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
    let document: Document = serde_json::from_slice(document).context("read it as a document with a payload")?;
    let event: DocumentEvent = serde_json::from_str(&document.payload).context("read its payload as an event")?;
    // arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-… or arn:aws:kinesis:…:stream/alleycat
    let ours = |record: &DocumentRecord| record.arn.split('/').nth(1).is_some_and(|name| sources.contains(name));
    event.records.into_iter().filter(ours).map(item).collect()
}

fn item(record: DocumentRecord) -> anyhow::Result<String> {
    match (record.dynamodb, record.kinesis) {
        (Some(change), _) => {
            let text = |value: BTreeMap<String, Value>| value.into_values().map(text).collect::<String>();
            Ok(item_text(&change.keys.into_iter().map(|(name, value)| (name, text(value))).collect()))
        }
        (None, Some(message)) => {
            let data = BASE64_STANDARD.decode(message.data).context("decode a message")?;
            Ok(String::from_utf8_lossy(&data).into_owned())
        }
        (None, None) => anyhow::bail!("read a record: it comes from neither DynamoDB nor Kinesis"),
    }
}

/// A string without its quotes.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
