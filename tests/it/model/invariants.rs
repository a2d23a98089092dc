//! Checks the invariants of docs/semantics.md against what is stored. The books remember what was stored before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use usage_aggregator::decode;

use super::history::{Change, History, Timing, What, event};
use super::reference::{self, Counters, Key};
use crate::world::{self, PageKey, StoredItem, text};

/// Above this many records that a snapshot may or may not have, only their number is checked.
const MAX_UNDECIDED: usize = 12;

/// The grace after which windows are closed where orders say when they were placed.
pub const GRACE_SECONDS: i64 = 1_800;

/// Everything that is stored at one moment.
pub struct Stored {
    pub usage: Vec<StoredItem>,
    pub ledger: Vec<StoredItem>,
    pub objects: BTreeMap<String, Arc<[u8]>>,
    /// The documents of quarantined records.
    pub documents: BTreeMap<String, Arc<[u8]>>,
}

/// The effects of one history that have been seen so far.
pub struct Books {
    history: Arc<History>,
    /// The change that each record id belongs to.
    ids: BTreeMap<u64, usize>,
    sequences: BTreeMap<String, usize>,
    pages: BTreeMap<PageKey, Page>,
    /// The generations of the pipeline that have put each change into a page.
    generations: BTreeMap<usize, BTreeSet<u64>>,
    /// The pages whose notices have been settled.
    settled: BTreeSet<PageKey>,
    /// The last version of each snapshot and what it said.
    snapshots: BTreeMap<Key, (u64, [i64; 3])>,
    /// Changes that are in a page.
    pub appended: BTreeSet<usize>,
    /// Changes that are archived.
    pub archived: BTreeSet<usize>,
    /// Changes that are quarantined.
    pub quarantined: BTreeSet<usize>,
    /// Whether the function can process every change now.
    pub is_fixed: bool,
    objects: BTreeMap<String, Arc<[u8]>>,
    documents: BTreeMap<String, Arc<[u8]>>,
}

/// A page that has been seen.
struct Page {
    data: Vec<u8>,
    generation: u64,
    /// The changes in it.
    changes: BTreeSet<usize>,
}

impl Books {
    pub fn new(history: &Arc<History>) -> Books {
        let bytes = event(&history.changes);
        let decoded = decode::Event::read(&bytes).unwrap();
        let id =
            |(index, raw): (usize, &decode::RawRecord<'_>)| (raw.decode(&mut Vec::new()).unwrap().id.short(), index);
        let ids: BTreeMap<u64, usize> = decoded.records().iter().enumerate().map(id).collect();
        assert_eq!(ids.len(), history.changes.len(), "two records share an id");
        let sequences = history.changes.iter().enumerate().map(|(index, change)| (change.sequence.clone(), index));
        Books {
            history: Arc::clone(history),
            ids,
            sequences: sequences.collect(),
            pages: BTreeMap::new(),
            generations: BTreeMap::new(),
            settled: BTreeSet::new(),
            snapshots: BTreeMap::new(),
            appended: BTreeSet::new(),
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
        // I5 and I2: acknowledged changes are in a page and archived, or quarantined.
        for (done, what) in [(&self.appended, "in a page"), (&self.archived, "archived")] {
            let lost: Vec<_> =
                acknowledged.difference(done).filter(|index| !self.quarantined.contains(index)).collect();
            ensure(lost.is_empty(), || format!("acknowledged but neither {what} nor quarantined: {lost:?}"))?;
        }
        Ok(())
    }

    /// The notices of these pages have been settled.
    pub fn settle(&mut self, pages: impl IntoIterator<Item = PageKey>) {
        self.settled.extend(pages);
    }

    /// Checks the ledger and the snapshots.
    ///
    /// # Errors
    /// A description of the first invariant that is violated.
    pub fn check_counters(&mut self, stored: &Stored) -> Result<(), String> {
        self.check_pages(&stored.ledger)?;
        self.check_snapshots(&stored.usage)
    }

    /// I3: pages are never changed or removed, and a record is in pages of its minute only. I6: hopeless changes are in no
    /// page.
    fn check_pages(&mut self, ledger: &[StoredItem]) -> Result<(), String> {
        let keys = world::page_keys(ledger);
        let removed = self.pages.keys().find(|key| !keys.contains(key));
        ensure(removed.is_none(), || format!("a page was removed: {removed:?}"))?;
        let is_page = |item: &&StoredItem| item["pk"].as_s().unwrap().starts_with(usage_aggregator::ledger::PAGES);
        for (key, item) in keys.iter().zip(ledger.iter().filter(is_page)) {
            let data = item["data"].as_b().unwrap().as_ref();
            if let Some(known) = self.pages.get(key) {
                ensure(known.data == data, || format!("a page was changed: {key:?}"))?;
                continue;
            }
            let (mut changes, content) = (BTreeSet::new(), &world::pages(std::slice::from_ref(item))[key]);
            for id in world::records(content) {
                let index = *self.ids.get(&id).ok_or_else(|| format!("{key:?} has an unknown record: {id:016x}"))?;
                let minute = self.history.changes[index].time().strftime("#%Y-%m-%dT%H:%M#").to_string();
                ensure(key.0.contains(&minute), || format!("{index} is in the page of another minute, {key:?}"))?;
                ensure(!self.is_hopeless(index), || format!("appended although hopeless: {index}"))?;
                changes.insert(index);
            }
            self.appended.extend(&changes);
            let generation = content.generation;
            for change in &changes {
                self.generations.entry(*change).or_default().insert(generation);
            }
            self.pages.insert(key.clone(), Page { data: data.to_vec(), generation, changes });
        }
        Ok(())
    }

    /// I1: a snapshot has every record of the pages whose notices have been settled, and none that isn't in a page. Its
    /// version never falls, and what a version says never changes.
    fn check_snapshots(&mut self, usage: &[StoredItem]) -> Result<(), String> {
        self.check_restated(usage)?;
        let (counters, mut versions) = (reference::stored(usage), reference::versions(usage));
        ensure(counters.len() == usage.len(), || "two snapshots of one counter".to_owned())?;
        let (mut must, mut may) = self.certain_and_possible();
        let named = self.named();
        let missing = must.keys().find(|key| !counters.contains_key(*key));
        ensure(missing.is_none(), || format!("settled, but there is no snapshot: {missing:?}"))?;
        for (key, counter) in counters {
            let version = versions.remove(&key).unwrap();
            let (must, may) = (must.remove(&key).unwrap_or_default(), may.remove(&key).unwrap_or_default());
            ensure(named.contains(&key) && is_possible(counter, &must, &may), || {
                format!("{key:?} is {counter:?}, but {must:?} are settled, and {may:?} aren't")
            })?;
            if let Some((earlier, said)) = self.snapshots.get(&key) {
                ensure(version >= *earlier, || format!("{key:?} fell from version {earlier} to {version}"))?;
                ensure(version > *earlier || counter == *said, || {
                    format!("version {version} of {key:?} said {said:?} and says {counter:?}")
                })?;
            }
            self.snapshots.insert(key, (version, counter));
        }
        Ok(())
    }

    /// What the changes add to each counter: those whose notices have been settled, and those that a fold may have counted
    /// already. A change that a settled page has may have moved on to where a later generation counts it.
    fn certain_and_possible(&self) -> (BTreeMap<Key, Effects>, BTreeMap<Key, Effects>) {
        let mut settled: BTreeMap<usize, u64> = BTreeMap::new();
        for Page { generation, changes, .. } in self.settled.iter().map(|key| &self.pages[key]) {
            for change in changes {
                let highest = settled.entry(*change).or_default();
                *highest = (*highest).max(*generation);
            }
        }
        let (mut must, mut may): (BTreeMap<Key, Effects>, BTreeMap<Key, Effects>) = Default::default();
        for (index, generations) in &self.generations {
            let (change, settled) = (&self.history.changes[*index], settled.get(index));
            let mut counting = generations.iter().filter(|generation| settled.is_none_or(|least| *generation >= least));
            let (records, parts) = match (settled, counting.clone().count()) {
                (Some(generation), 1) => (&mut must, vec![reference::effects(change, *generation)]),
                _ => {
                    (&mut may, counting.by_ref().flat_map(|generation| reference::parts(change, *generation)).collect())
                }
            };
            for (key, effect) in parts.into_iter().flatten() {
                records.entry(key).or_default().push((*index, effect));
            }
        }
        (must, may)
    }

    /// The counters that any page names. A change that has moved on leaves a 0 behind.
    fn named(&self) -> BTreeSet<Key> {
        let of = |(index, generations): (&usize, &BTreeSet<u64>)| -> Vec<Key> {
            let effects = |generation: &u64| reference::effects(&self.history.changes[*index], *generation).into_keys();
            generations.iter().flat_map(effects).collect()
        };
        self.generations.iter().flat_map(of).collect()
    }

    /// The number of changes that several generations have put into pages, and of counters in which none of them counts.
    pub fn moved(&self) -> (usize, usize) {
        let several = self.generations.values().filter(|generations| generations.len() > 1).count();
        let (named, counted) = (self.named(), reference::expected(self.counted()));
        (several, named.len() - counted.len())
    }

    /// Each change in a page, and the generation that counts it: the highest one.
    fn counted(&self) -> impl Iterator<Item = (&Change, u64)> {
        let last = |(index, generations): (&usize, &BTreeSet<u64>)| {
            (&self.history.changes[*index], *generations.last().unwrap())
        };
        self.generations.iter().map(last)
    }

    /// A snapshot says when it was restated exactly if its window was closed when it was written.
    fn check_restated(&self, usage: &[StoredItem]) -> Result<(), String> {
        let now = jiff::Timestamp::from_second(self.history.now).unwrap();
        let has_grace = self.history.changes.iter().any(|change| change.timing == Timing::Placed);
        for item in usage {
            let end: jiff::Timestamp = item["window_end"].as_s().unwrap().parse().unwrap();
            let is_closed = has_grace && end.as_second() + GRACE_SECONDS <= self.history.now;
            let restated_at = item.get("restated_at").map(|at| at.as_s().unwrap().clone());
            ensure(restated_at == is_closed.then(|| now.to_string()), || {
                format!("at {now}, the snapshot of a window until {end} was restated at {restated_at:?}")
            })?;
        }
        Ok(())
    }

    /// After everything has been folded, the snapshots equal the sums over the distinct records in pages.
    ///
    /// # Errors
    /// The snapshots that differ.
    pub fn check_exact(&self, stored: &Stored) -> Result<(), String> {
        let expected = self.expected();
        let found = reference::stored(&stored.usage);
        ensure(found == expected, || {
            let difference = difference(&found, &expected);
            format!("the snapshots differ from the sums of the appended records {:?}:\n{difference}", self.appended)
        })
    }

    /// The counters that the appended changes add up to, each as the highest generation counts it.
    pub fn expected(&self) -> Counters {
        let mut counters = reference::expected(self.counted());
        for key in self.named() {
            counters.entry(key).or_default();
        }
        counters
    }

    /// I4: objects are named by their content and never change. I2: every row belongs to a change that may be archived.
    fn check_archive(&mut self, objects: &BTreeMap<String, Arc<[u8]>>) -> Result<(), String> {
        for (key, body) in &self.objects {
            ensure(objects.get(key) == Some(body), || format!("{key} was removed or changed"))?;
        }
        // Customers are the targets of an indicator, whose table checks them.
        let is_new = |(key, _): &(&String, _)| !self.objects.contains_key(*key) && !key.contains("/customer/");
        for (key, body) in objects.iter().filter(is_new) {
            let hash = blake3::hash(body).to_hex();
            ensure(key.ends_with(&format!("-{}.avro", &hash[..32])), || format!("{key} isn't named by its content"))?;
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
    /// calls [`Books::redriven`], removes it.
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

/// Changes, and what they add to a counter.
type Effects = Vec<(usize, [i64; 3])>;

/// Whether a counter is the sum of all effects in `must` and some in `may`.
fn is_possible(counter: [i64; 3], must: &Effects, may: &Effects) -> bool {
    let least = must.iter().map(|(_, effect)| *effect).fold([0; 3], reference::sum);
    if may.len() > MAX_UNDECIDED {
        let possible: i64 = may.iter().map(|(_, effect)| effect[2]).sum();
        return (least[2]..=least[2] + possible).contains(&counter[2]);
    }
    let mut sums = BTreeSet::from([least]);
    for (_, effect) in may {
        sums.extend(sums.clone().into_iter().map(|other| reference::sum(other, *effect)));
    }
    sums.contains(&counter)
}

/// Returns `message` as an error unless `holds`.
pub fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

/// The counters that differ, one per line.
fn difference(found: &Counters, expected: &Counters) -> String {
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let differing = keys.into_iter().filter(|key| found.get(*key) != expected.get(*key));
    let line = |key| format!("  {key:?}: {:?}, expected {:?}\n", found.get(key), expected.get(key));
    differing.map(line).collect()
}
