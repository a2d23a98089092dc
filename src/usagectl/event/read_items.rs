//! Reads items by their keys, with strong consistency.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use usage_aggregator::error::Error;

/// 100: the maximum number of keys in a BatchGetItem call.
const MAX_KEYS: usize = 100;

type StoredItem = HashMap<String, AttributeValue>;

/// The items of `table` with these keys, as far as they exist, read with strong consistency.
///
/// # Errors
/// If the table can't be read; transient if it is throttled.
pub(super) async fn read_items(client: &Client, table: &str, keys: Vec<StoredItem>) -> Result<Vec<StoredItem>, Error> {
    let mut items = Vec::new();
    for chunk in keys.chunks(MAX_KEYS) {
        let mut wanted = chunk.to_vec();
        while !wanted.is_empty() {
            let before = wanted.len();
            let (found, left) = read_chunk(client, table, wanted).await?;
            if left.len() == before {
                // Nothing was processed, which means throttling: the caller pauses and retries.
                return Err(Error::transient(format!("{}: throttled", reading(table))));
            }
            items.extend(found);
            wanted = left;
        }
    }
    Ok(items)
}

/// The items that were found, and the keys that weren't processed.
async fn read_chunk(
    client: &Client,
    table: &str,
    keys: Vec<StoredItem>,
) -> Result<(Vec<StoredItem>, Vec<StoredItem>), Error> {
    let response = client.batch_get_item().request_items(table, request(table, keys)?).send().await;
    let response = response.map_err(|error| Error::from_sdk(&reading(table), &error))?;
    let found = response.responses.unwrap_or_default().remove(table).unwrap_or_default();
    let left = response.unprocessed_keys.unwrap_or_default().remove(table);
    Ok((found, left.map(|left| left.keys).unwrap_or_default()))
}

fn request(table: &str, keys: Vec<StoredItem>) -> Result<KeysAndAttributes, Error> {
    let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
    request.map_err(|error| Error::config(format!("{}: {error}", reading(table))))
}

fn reading(table: &str) -> String {
    format!("read items from {table} (dynamodb:BatchGetItem)")
}
