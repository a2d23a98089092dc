//! Reading claims: all pages of many segments in batches, strongly consistent, until the deadline.

use std::collections::HashMap;

use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use tokio::time::Instant;

use super::claim::{self, Claims, Page};
use super::group::{Effect, Group};
use super::table::UsageTables;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};

/// 100: BatchGetItem's limit of keys.
pub(super) const MAX_KEYS: usize = 100;

/// A group with the claims read for it.
#[derive(Debug)]
pub(super) struct Claimed<'g> {
    pub group: &'g Group,
    pub claims: Claims,
}

impl<'g> Claimed<'g> {
    /// What has not been counted yet.
    pub(super) fn new_effects(&self) -> impl Iterator<Item = &'g Effect> {
        let group: &'g Group = self.group;
        group.effects.iter().filter(|effect| !self.claims.has(effect.id.short()))
    }

    /// Whether all has been counted before.
    pub(super) fn is_done(&self) -> bool {
        self.new_effects().next().is_none()
    }
}

type StoredItem = HashMap<String, AttributeValue>;
/// Groups, and their claims or what was wrong when the time was over.
type ClaimsRead<'c, 'g> = (&'c [&'g Group], Result<Vec<Claimed<'g>>, Error>);

impl UsageTables {
    /// Opens a connection by reading a claim that nobody makes: a batch's first call is a read of claims, too, so that it
    /// needs no other permission.
    ///
    /// # Errors
    /// When there is no answer at all.
    pub async fn connect(&self) -> Result<(), Error> {
        let nobody = HashMap::from([(claim::KEY.to_owned(), AttributeValue::S("connect".to_owned()))]);
        let asked =
            self.client.batch_get_item().request_items(&self.claims_table, request(&self.claims_table, vec![nobody])?);
        match asked.customize().config_override(Builder::new().retry_config(RetryConfig::disabled())).send().await {
            Err(error) if error.raw_response().is_none() => Err(Error::from_sdk(&reading(&self.claims_table), &error)),
            _ => Ok(()),
        }
    }

    /// Reads the claims of `groups` until the deadline.
    ///
    /// # Errors
    /// Only what no record is to blame for.
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
                    // The keys are this function's own, so no record is to blame for a refused read.
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

    /// Reads every page of the claims of `groups`: the first of each, and where that is full, ever more of the next.
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
        for item in self.get_all(&self.claims_table, keys.into_iter().map(key).collect()).await? {
            if let Some(Ok(key)) = item.get(claim::KEY).map(|key| key.as_s().cloned()) {
                pages.insert(key, Page::read(item)?);
            }
        }
        Ok(pages)
    }

    /// Those items of `table` with these keys that there are, each as it is after the latest write.
    pub(super) async fn get_all(&self, table: &str, keys: Vec<StoredItem>) -> Result<Vec<StoredItem>, Error> {
        let mut items = Vec::new();
        for chunk in keys.chunks(MAX_KEYS) {
            let mut wanted = chunk.to_vec();
            while !wanted.is_empty() {
                let before = wanted.len();
                let (found, left) = self.get_items(table, wanted).await?;
                if left.len() == before {
                    // Nothing at all was processed: that is throttling, to be retried after a pause.
                    return Err(Error::transient(format!("{}: throttled", reading(table))));
                }
                items.extend(found);
                wanted = left;
            }
        }
        Ok(items)
    }

    async fn get_items(&self, table: &str, keys: Vec<StoredItem>) -> Result<(Vec<StoredItem>, Vec<StoredItem>), Error> {
        let answer = self.client.batch_get_item().request_items(table, request(table, keys)?).send().await;
        let answer = answer.map_err(|error| Error::from_sdk(&reading(table), &error))?;
        let found = answer.responses.unwrap_or_default().remove(table).unwrap_or_default();
        let left = answer.unprocessed_keys.unwrap_or_default().remove(table);
        Ok((found, left.map(|left| left.keys).unwrap_or_default()))
    }
}

fn request(table: &str, keys: Vec<StoredItem>) -> Result<KeysAndAttributes, Error> {
    let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
    request.map_err(|error| Error::config(format!("{}: {error}", reading(table))))
}

fn reading(table: &str) -> String {
    format!("read items of {table} (dynamodb:BatchGetItem)")
}
