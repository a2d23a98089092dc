//! Checks the invariants of docs/semantics.md against what is stored. A ledger remembers what was stored before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use usage_aggregator::decode;

use super::history::{History, What, event};
use super::reference;
use crate::world::{self, StoredItem, text};

/// Everything that is stored at one moment.
pub struct Stored {
    pub usage: Vec<StoredItem>,
    pub claims: Vec<StoredItem>,
    pub objects: BTreeMap<String, Arc<[u8]>>,
    /// The documents of quarantined records.
    pub documents: BTreeMap<String, Arc<[u8]>>,
}

/// The effects of one history that have been seen so far.
pub struct Ledger<'h> {
    history: &'h History,
    /// The change that each record id belongs to.
    ids: BTreeMap<u64, usize>,
    sequences: BTreeMap<&'h str, usize>,
    /// Changes that are counted.
    pub claimed: BTreeSet<usize>,
    /// Changes that are archived.
    pub archived: BTreeSet<usize>,
    /// Changes that are quarantined.
    pub quarantined: BTreeSet<usize>,
    /// Whether the function can process every change now.
    pub is_fixed: bool,
    objects: BTreeMap<String, Arc<[u8]>>,
    documents: BTreeMap<String, Arc<[u8]>>,
}

impl<'h> Ledger<'h> {
    pub fn new(history: &'h History) -> Ledger<'h> {
        let bytes = event(&history.changes);
        let decoded = decode::Event::read(&bytes).unwrap();
        let id =
            |(index, raw): (usize, &decode::RawRecord<'_>)| (raw.decode(&mut Vec::new()).unwrap().id.short(), index);
        let ids: BTreeMap<u64, usize> = decoded.records().iter().enumerate().map(id).collect();
        assert_eq!(ids.len(), history.changes.len(), "two records share an id");
        let sequences = history.changes.iter().enumerate().map(|(index, change)| (change.sequence.as_str(), index));
        Ledger {
            history,
            ids,
            sequences: sequences.collect(),
            claimed: BTreeSet::new(),
            archived: BTreeSet::new(),
            quarantined: BTreeSet::new(),
            is_fixed: false,
            objects: BTreeMap::new(),
            documents: BTreeMap::new(),
        }
    }

    /// Checks the invariants against what is `stored` now, given that the changes in `acknowledged` have been
    /// acknowledged.
    ///
    /// # Errors
    /// A description of the first invariant that is violated.
    pub fn check(&mut self, stored: &Stored, acknowledged: &BTreeSet<usize>) -> Result<(), String> {
        self.check_counters(stored)?;
        self.check_archive(&stored.objects)?;
        self.check_documents(&stored.documents)?;
        // I5 and I2: acknowledged changes are counted and archived, or quarantined.
        for (done, what) in [(&self.claimed, "counted"), (&self.archived, "archived")] {
            let lost: Vec<_> =
                acknowledged.difference(done).filter(|index| !self.quarantined.contains(index)).collect();
            ensure(lost.is_empty(), || format!("acknowledged but neither {what} nor quarantined: {lost:?}"))?;
        }
        Ok(())
    }

    /// I1: the snapshots equal the sums over the claimed records. I3: claims are never removed. I6: hopeless changes
    /// are never claimed.
    fn check_counters(&mut self, stored: &Stored) -> Result<(), String> {
        let mut claimed = BTreeSet::new();
        for id in world::claimed(&stored.claims) {
            claimed.insert(*self.ids.get(&id).ok_or_else(|| format!("a claim without a record: {id:016x}"))?);
        }
        let removed: Vec<_> = self.claimed.difference(&claimed).collect();
        ensure(removed.is_empty(), || format!("claims were removed: {removed:?}"))?;
        let hopeless: Vec<_> = claimed.iter().filter(|index| self.is_hopeless(**index)).collect();
        ensure(hopeless.is_empty(), || format!("counted although hopeless: {hopeless:?}"))?;
        let expected = reference::expected(claimed.iter().map(|index| &self.history.changes[*index]));
        let found = reference::stored(&stored.usage);
        ensure(found == expected, || {
            format!(
                "the snapshots differ from the sums of the claimed records {claimed:?}:\n{}",
                difference(&found, &expected)
            )
        })?;
        self.claimed = claimed;
        Ok(())
    }

    /// I4: objects are named by their content and never change. I2: every row belongs to a change that may be archived.
    fn check_archive(&mut self, objects: &BTreeMap<String, Arc<[u8]>>) -> Result<(), String> {
        for (key, body) in &self.objects {
            ensure(objects.get(key) == Some(body), || format!("{key} was removed or changed"))?;
        }
        for (key, body) in objects.iter().filter(|(key, _)| !self.objects.contains_key(*key)) {
            let hash = blake3::hash(body).to_hex();
            ensure(key.ends_with(&format!("/{}.avro", &hash[..32])), || format!("{key} isn't named by its content"))?;
            for row in world::rows(body) {
                let sequence = text(&row, "sequence_number");
                let index = self.sequences.get(sequence.as_str()).copied();
                let index = index.ok_or_else(|| format!("{key} has a row without a record: {sequence}"))?;
                ensure(!self.is_hopeless(index), || format!("archived although hopeless: {index}"))?;
                ensure(self.has_status(index, &text(&row, "status")), || {
                    format!("{key} has the wrong state of {index}")
                })?;
                self.archived.insert(index);
            }
        }
        self.objects.clone_from(objects);
        Ok(())
    }

    /// I7: a document has one hopeless change, is the only one of that change, and never changes. Only a redrive, which
    /// calls [`Ledger::redriven`], removes it.
    fn check_documents(&mut self, documents: &BTreeMap<String, Arc<[u8]>>) -> Result<(), String> {
        for (key, body) in &self.documents {
            ensure(documents.get(key) == Some(body), || format!("{key} was removed or changed"))?;
        }
        for (key, body) in documents.iter().filter(|(key, _)| !self.documents.contains_key(*key)) {
            let document: serde_json::Value = serde_json::from_slice(body).unwrap();
            let payload = document["payload"].as_str().unwrap();
            let event = decode::Event::read(payload.as_bytes()).unwrap();
            let [raw] = event.records() else { return Err(format!("{key} doesn't have one record: {payload}")) };
            let index = self.sequences[raw.sequence.as_str()];
            ensure(self.is_hopeless(index), || format!("quarantined although it can be processed: {index}"))?;
            ensure(self.quarantined.insert(index), || format!("{key} is the second document of {index}"))?;
            let hash = blake3::hash(raw.json().as_bytes()).to_hex();
            let expected = format!("quarantine/orders/{}.json", &hash[..32]);
            ensure(*key == expected, || format!("{key} isn't named by its record, {expected}"))?;
            ensure(document["rejection"]["sequenceNumber"] == raw.sequence.as_str(), || format!("{key}: {document}"))?;
        }
        self.documents.clone_from(documents);
        Ok(())
    }

    /// A redrive has deleted all documents.
    pub fn redriven(&mut self) {
        self.documents.clear();
        self.quarantined.clear();
    }

    fn is_hopeless(&self, index: usize) -> bool {
        !self.is_fixed && self.history.is_hopeless(&self.history.changes[index])
    }

    /// Whether the order's image in the archive must have this `status`.
    fn has_status(&self, index: usize, status: &str) -> bool {
        match self.history.changes[index].what {
            What::Insert(order)
            | What::Poison(order)
            | What::Modify(_, order)
            | What::Remove(order)
            | What::Expire(order) => (status == "CANCELLED") == order.canceled,
        }
    }
}

/// Returns `message` as an error unless `holds`.
pub fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

/// The counters that differ, one per line.
fn difference(found: &reference::Counters, expected: &reference::Counters) -> String {
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let differing = keys.into_iter().filter(|key| found.get(*key) != expected.get(*key));
    let line = |key| format!("  {key:?}: {:?}, expected {:?}\n", found.get(key), expected.get(key));
    differing.map(line).collect()
}
