//! Reads claims: all pages of many segments, in batches, with strong consistency, retrying until the deadline.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use tokio::time::Instant;

use super::claim::{self, Claims, Page};
use super::group::{Effect, Group};
use super::table::UsageTables;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};

/// 100: the maximum number of keys in a BatchGetItem call.
pub(super) const MAX_KEYS: usize = 100;

/// A group and the claims that were read for it.
#[derive(Debug)]
pub(super) struct Claimed<'g> {
    pub group: &'g Group,
    pub claims: Claims,
}

impl<'g> Claimed<'g> {
    /// The effects that have not been counted yet.
    pub(super) fn new_effects(&self) -> impl Iterator<Item = &'g Effect> {
        let group: &'g Group = self.group;
        group.effects.iter().filter(|effect| !self.claims.has(effect.id.short()))
    }

    /// Whether all effects have already been counted.
    pub(super) fn is_done(&self) -> bool {
        self.new_effects().next().is_none()
    }
}

type StoredItem = HashMap<String, AttributeValue>;
/// Groups, and their claims or the last error before the deadline.
type ClaimsRead<'c, 'g> = (&'c [&'g Group], Result<Vec<Claimed<'g>>, Error>);

impl UsageTables {
    /// Opens a connection by reading a claim that doesn't exist. This needs no additional permission, since every batch
    /// reads claims.
    ///
    /// # Errors
    /// If there is no response at all.
    pub async fn connect(&self) -> Result<(), Error> {
        let missing = HashMap::from([(claim::KEY.to_owned(), AttributeValue::S("connect".to_owned()))]);
        let call =
            self.client.batch_get_item().request_items(&self.claims_table, request(&self.claims_table, vec![missing])?);
        match call.customize().config_override(Builder::new().retry_config(RetryConfig::disabled())).send().await {
            Err(error) if error.raw_response().is_none() => Err(Error::from_sdk(&reading(&self.claims_table), &error)),
            _ => Ok(()),
        }
    }

    /// Reads the claims of `groups`, retrying until the deadline.
    ///
    /// # Errors
    /// Only errors that no record causes, such as a missing table or permission.
    pub(super) async fn read_until<'c, 'g>(
        &self,
        groups: &'c [&'g Group],
        deadline: Option<Instant>,
    ) -> Result<ClaimsRead<'c, 'g>, Error> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let error = match backoff.attempt(self.read_claims(groups)).await {
                Some(Ok(claimed)) => return Ok((groups, Ok(claimed))),
                Some(Err(error)) if error.kind != ErrorKind::Transient => {
                    // The function builds these keys itself, so a refused read is never the fault of a record.
                    return Err(Error { kind: ErrorKind::Config, ..error });
                }
                Some(Err(error)) => error,
                None => backoff.no_answer(&reading(&self.claims_table)),
            };
            if !backoff.pause().await {
                return Ok((groups, Err(backoff.give_up(error))));
            }
        }
    }

    /// Reads every page of the claims of `groups`: first page 0 of each; where that is full, the next two pages, then
    /// the next four, and so on.
    async fn read_claims<'g>(&self, groups: &[&'g Group]) -> Result<Vec<Claimed<'g>>, Error> {
        let mut claimed: Vec<_> = groups.iter().map(|group| Claimed { group, claims: Claims::default() }).collect();
        let mut pending: Vec<usize> = (0..claimed.len()).collect();
        let mut pages_ahead = 1;
        while !pending.is_empty() {
            let mut keys = Vec::new();
            for claimed in pending.iter().filter_map(|index| claimed.get(*index)) {
                let first = claimed.claims.open_page();
                keys.extend((first..first + pages_ahead).map(|page| self.page_key(claimed.group, page)));
            }
            let mut pages = self.get_pages(keys).await?;
            pending.retain(|index| {
                let Some(Claimed { group, claims }) = claimed.get_mut(*index) else { return false };
                let mut full = true;
                for _ in 0..pages_ahead {
                    let page = pages.remove(&self.page_key(group, claims.open_page())).unwrap_or_default();
                    full = claims.add_page(page);
                    if !full {
                        break;
                    }
                }
                full
            });
            pages_ahead *= 2;
        }
        Ok(claimed)
    }

    pub(super) fn page_key(&self, group: &Group, page: usize) -> String {
        claim::page_key([&self.usage_table, &self.pipeline], &group.key, group.segment, page)
    }

    async fn get_pages(&self, keys: Vec<String>) -> Result<HashMap<String, Page>, Error> {
        let key = |key: String| HashMap::from([(claim::KEY.to_owned(), AttributeValue::S(key))]);
        let mut pages = HashMap::new();
        for item in read_items(&self.client, &self.claims_table, keys.into_iter().map(key).collect()).await? {
            if let Some(Ok(key)) = item.get(claim::KEY).map(|key| key.as_s().cloned()) {
                pages.insert(key, Page::read(item)?);
            }
        }
        Ok(pages)
    }
}

/// The items of `table` with these keys, as far as they exist, read with strong consistency.
///
/// # Errors
/// If the table can't be read; transient if it is throttled.
pub async fn read_items(client: &Client, table: &str, keys: Vec<StoredItem>) -> Result<Vec<StoredItem>, Error> {
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
