//! Claims: the proof that records have been counted. A claim item lists the ids of the counted records of one entity,
//! resource and minute. It is written in the same transaction that counts them.
//!
//! The claims of a minute are stored in pages. The first page takes ids until it is full; from then on it never
//! changes, and the next page takes over. An id that isn't in a full page can never get into it later, so it is enough
//! for a transaction to check the version of the open page.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::group::Segment;
use super::key::CounterKey;
use crate::error::Error;

/// A page of 1,000 ids has 8 KB and costs 16 write units in a transaction. With fewer ids, there would be more pages to
/// read; with more, every small batch in a busy minute would rewrite a large item.
const PAGE_CAPACITY: usize = 1_000;

/// The version of the format of claim items.
const FORMAT: u64 = 1;

/// The partition key of claim items. They have no sort key.
pub(super) const KEY: &str = "claim";

/// The attributes of a claim item that are read back.
#[derive(Debug, Deserialize)]
struct StoredClaim {
    format: u64,
    version: u64,
    #[serde(with = "serde_bytes")]
    ids: Vec<u8>,
}

/// One page of claimed ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// 0 if the item doesn't exist yet.
    version: u64,
    /// The short record ids, sorted.
    ids: Vec<u64>,
}

/// The claims of one segment: the full pages and the open one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims {
    full: Vec<Page>,
    open: Page,
}

impl Page {
    /// Reads a stored item.
    ///
    /// # Errors
    /// If the item isn't a claim in the format that this version knows.
    pub(super) fn read(item: HashMap<String, AttributeValue>) -> Result<Page, Error> {
        let unreadable =
            |why: &str| Error::config(format!("read a claim: {why}; check that CLAIMS_TABLE is used for claims only"));
        let stored: StoredClaim =
            serde_dynamo::from_item(item).map_err(|_| unreadable("an attribute is missing or invalid"))?;
        if stored.format != FORMAT {
            return Err(unreadable("a newer version of the function wrote it; deploy that version"));
        }
        let (ids, rest) = stored.ids.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(unreadable("its ids are truncated"));
        }
        Ok(Page { version: stored.version, ids: ids.iter().map(|id| u64::from_be_bytes(*id)).collect() })
    }

    /// Whether no more ids may be added.
    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= PAGE_CAPACITY
    }

    fn has(&self, id: u64) -> bool {
        self.ids.binary_search(&id).is_ok()
    }
}

impl Claims {
    /// Adds the page that was read next. Returns whether there may be another page, that is, whether this one is full.
    pub(super) fn add_page(&mut self, page: Page) -> bool {
        if page.is_full() {
            self.full.push(page);
            return true;
        }
        self.open = page;
        false
    }

    /// Whether the record with this short id has been counted.
    pub(super) fn has(&self, id: u64) -> bool {
        self.open.has(id) || self.full.iter().any(|page| page.has(id))
    }

    /// The number of the page that takes new ids.
    pub(super) fn open_page(&self) -> usize {
        self.full.len()
    }

    /// The version that the open page must still have.
    pub(super) fn version(&self) -> u64 {
        self.open.version
    }

    /// The item to store under `key`: the open page with the `new` ids added.
    pub(super) fn item_with(&self, key: String, new: &[u64], expires_at: i64) -> HashMap<String, AttributeValue> {
        let mut ids = [self.open.ids.as_slice(), new].concat();
        ids.sort_unstable();
        ids.dedup();
        let packed: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
        let number = |number: u64| AttributeValue::N(number.to_string());
        HashMap::from([
            (KEY.to_owned(), AttributeValue::S(key)),
            ("format".to_owned(), number(FORMAT)),
            ("version".to_owned(), number(self.open.version + 1)),
            ("ids".to_owned(), AttributeValue::B(Blob::new(packed))),
            ("expires_at".to_owned(), AttributeValue::N(expires_at.to_string())),
        ])
    }
}

/// The key of a page: a hash of the usage table, the pipeline and the counter's key, then the minute and the page
/// number. The parts are hashed because their text may be too long for a key. The usage table is included so that a new
/// usage table starts from zero even if it shares the claims table of an old one.
pub(super) fn page_key(table_and_pipeline: [&str; 2], key: &CounterKey, segment: Segment, page: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in table_and_pipeline.into_iter().chain(key.0.iter().map(String::as_str)) {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let hash = hasher.finalize().to_hex();
    format!("{}/{}/{page}", hash.get(..32).unwrap_or_default(), segment.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(count: u64) -> Page {
        Page { version: 1, ids: (0..count).collect() }
    }

    #[test]
    fn a_stored_page_reads_back() {
        let mut claims = Claims::default();
        claims.add_page(page(3));
        let item = claims.item_with("key".into(), &[9, 1, 7], 5);
        assert_eq!(Page::read(item).unwrap(), Page { version: 2, ids: vec![0, 1, 2, 7, 9] });
    }

    #[test]
    fn full_pages_are_frozen_and_the_open_one_takes_new_ids() {
        let mut claims = Claims::default();
        assert!(claims.add_page(page(1_000)));
        assert!(!claims.add_page(Page { version: 4, ids: vec![5_000] }));
        assert_eq!((claims.open_page(), claims.version()), (1, 4));
        assert!(claims.has(999) && claims.has(5_000) && !claims.has(1_000));
    }

    #[test]
    fn an_item_that_is_not_a_claim_is_refused() {
        let item = |format: &str, ids: Vec<u8>| {
            HashMap::from([
                ("format".to_owned(), AttributeValue::N(format.to_owned())),
                ("version".to_owned(), AttributeValue::N("1".to_owned())),
                ("ids".to_owned(), AttributeValue::B(Blob::new(ids))),
            ])
        };
        assert!(Page::read(item("1", vec![0; 16])).is_ok());
        for wrong in [item("2", vec![]), item("1", vec![0; 9]), HashMap::new()] {
            assert!(Page::read(wrong).is_err());
        }
    }

    #[test]
    fn page_keys_of_different_counters_differ() {
        let key = |a: &str, b: &str| CounterKey(vec![a.to_owned(), b.to_owned()]);
        let segment = Segment::containing(crate::time::Timestamp::parse("2026-11-21T03:05:59Z").unwrap());
        let keys = [
            page_key(["t", "p"], &key("ab", "c"), segment, 0),
            page_key(["t", "p"], &key("a", "bc"), segment, 0),
            page_key(["t", "pa"], &key("b", "c"), segment, 0),
            page_key(["tp", ""], &key("ab", "c"), segment, 0),
            page_key(["t", "p"], &key("ab", "c"), segment, 1),
        ];
        assert!(keys[0].ends_with("/2026-11-21T03:05/0"));
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key));
        }
    }
}
