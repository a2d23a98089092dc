//! Random histories of the ledger: actors append, correct, void, fold and sweep a few records under a random schedule, with states that
//! split, several generations, buckets and windows, crashes, and notices that come again. Each record has its own bit in the
//! sums, so a snapshot shows which records it has. Each record also feeds a measure of every other kind, and at the end these
//! are what the records in the snapshot give.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use usage_aggregator::decimal::Decimal;
use usage_aggregator::fold::{AlertState, Depth, Folder, MAX_STATE_BYTES, Notice};
use usage_aggregator::ledger::{Page, PageContent, PageKind, pages};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Group;
use usage_aggregator::window::{Window, Zone};

use crate::gate::{Actor, Gate, Work};
use crate::kinds::{self, Said};
use crate::place::{Counted, MINUTE, Place, groups, minute_of};

/// A record as a generation of the pipeline counts it. The generation decides the group, never the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    record: u64,
    generation: u64,
}

const RECORDS: u64 = 10;
const GENERATIONS: u64 = 3;
const ENTITIES: [&str; 3] = ["a", "b", "c"];
/// 2026-10-25T00:59, 01:01 and 23:01, and 2026-10-31T23:30, in UTC. In Berlin these are 02:59 and again 02:01, after the clocks
/// have gone back; the first minute of the next day and week; and the first of the next month.
const MINUTES: [i64; 4] = [-49_438, -49_436, -48_116, -39_447];

impl Version {
    fn bit(self) -> i64 {
        1 << (self.record * GENERATIONS + self.generation - 1)
    }

    fn minute(self) -> i64 {
        MINUTES[self.record as usize % MINUTES.len()]
    }

    fn entity(self) -> &'static str {
        ENTITIES[(self.record * 5 + self.generation * (1 + self.record % 2)) as usize % ENTITIES.len()]
    }

    fn counted(self) -> Counted<'static> {
        (self.record, self.entity(), self.minute(), self.bit())
    }

    fn said(self) -> Said {
        Said { minute: self.minute(), number: self.record, generation: self.generation }
    }

    /// The snapshots that it is in.
    fn keys(self, Counts { windows, zone }: Counts) -> Vec<Key> {
        let at = Timestamp::from_seconds(MINUTE + 60 * self.minute()).unwrap();
        let start = |window: &Window| window.containing(at, zone).start_text();
        windows.iter().map(|window| (self.entity().to_owned(), window.name().to_owned(), start(window))).collect()
    }
}

/// The groups of these records, with a measure of every kind.
fn groups_of(versions: &[Version]) -> Vec<Group> {
    let records: Vec<Counted<'_>> = versions.iter().map(|version| version.counted()).collect();
    let mut groups = groups(&records);
    for effect in groups.iter_mut().flat_map(|group| &mut group.effects) {
        effect.amounts.extend(versions[effect.record].said().additions());
    }
    groups
}

/// What a history counts by.
#[derive(Debug, Clone, Copy)]
struct Counts {
    windows: &'static [Window],
    zone: Zone,
}

/// The entity, window and start of a snapshot.
type Key = (String, String, String);

/// What has happened so far.
#[derive(Debug, Default)]
struct Log {
    /// Versions of records that are or will be in a page.
    appended: BTreeSet<Version>,
    voided: BTreeSet<u64>,
    /// What a page counts, and what it voids, by its name. It may not have been put.
    counts: BTreeMap<u64, Vec<Version>>,
    voids: BTreeMap<u64, Version>,
    settled: BTreeSet<Notice>,
    /// The last version of each snapshot, and what it said.
    snapshots: BTreeMap<Key, Seen>,
}

#[derive(Debug, Clone)]
enum Job {
    Append(Vec<Version>, Fold),
    Void(Version),
    Fold(Fold),
    Sweep(i64),
}

/// How often notices are folded.
#[derive(Debug, Clone, Copy)]
enum Fold {
    Never,
    Once,
    UntilSettled,
}

fn random_job(random: &mut fastrand::Rng) -> Job {
    let fold = [Fold::Never, Fold::Once, Fold::UntilSettled][random.usize(0..3)];
    match random.u8(0..10) {
        0..=4 => {
            let generation = random.u64(1..=GENERATIONS);
            let records: BTreeSet<u64> = (0..random.usize(1..6)).map(|_| random.u64(0..RECORDS)).collect();
            Job::Append(records.into_iter().map(|record| Version { record, generation }).collect(), fold)
        }
        5 => Job::Void(Version { record: random.u64(0..RECORDS), generation: random.u64(1..=GENERATIONS) }),
        6 => Job::Sweep(MINUTES[random.usize(0..MINUTES.len())]),
        _ => Job::Fold(fold),
    }
}

/// Someone who does jobs.
#[derive(Clone)]
struct Worker {
    folder: Folder,
    place: Arc<Place>,
    log: Arc<Mutex<Log>>,
}

impl Worker {
    async fn work(self, job: Job, mut random: fastrand::Rng) {
        match job {
            Job::Append(versions, fold) => {
                self.log.lock().unwrap().appended.extend(&versions);
                let mut notices = Vec::new();
                for page in pages(&groups_of(&versions), versions[0].generation) {
                    let page_of = |version: &&Version| minute_of(version.minute()) == page.minute;
                    let inside = versions.iter().filter(page_of).copied().collect();
                    let (page, kind) = as_any_kind(page, &mut random);
                    self.log.lock().unwrap().counts.insert(page.name, inside);
                    notices.push(self.put(&page, &kind).await);
                }
                self.fold(&notices, fold).await;
            }
            Job::Void(version) => {
                let known = self.log.lock().unwrap().appended.contains(&version);
                if !known {
                    return;
                }
                self.log.lock().unwrap().voided.insert(version.record);
                let kind = PageKind::Void("operator".to_owned(), "counted by mistake".to_owned());
                for page in pages(&groups_of(&[version]), version.generation) {
                    let content = PageContent::read(&page.data, &PageKind::Usage, page.name).unwrap();
                    let page = content.into_page(page.minute, &kind);
                    self.log.lock().unwrap().voids.insert(page.name, version);
                    self.put(&page, &kind).await;
                }
            }
            Job::Fold(fold) => {
                let mut notices = notices(&self.place);
                random.shuffle(&mut notices);
                notices.truncate(random.usize(0..=notices.len()));
                self.fold(&notices, fold).await;
            }
            Job::Sweep(minute) => {
                let snapshot = self.place.pipeline.snapshot.as_ref().unwrap();
                // Whether it repaired anything depends on the others.
                let depth = [Depth::Differences, Depth::Minute, Depth::Windows][random.usize(..3)];
                let _ = self.folder.sweep(snapshot, minute_of(minute), depth, now(), None).await;
            }
        }
    }

    async fn put(&self, page: &Page, kind: &PageKind) -> Notice {
        let reference = self.folder.ledger.put_page(page, kind, None).await.unwrap();
        Notice { minute: page.minute, page: reference }
    }

    async fn fold(&self, notices: &[Notice], fold: Fold) {
        let snapshot = self.place.pipeline.snapshot.as_ref().unwrap();
        for _ in 0..match fold {
            Fold::Never => 0,
            Fold::Once => 1,
            Fold::UntilSettled => 100,
        } {
            let settled = self.folder.fold(snapshot, notices, now(), None).await.unwrap().settled;
            self.log.lock().unwrap().settled.extend(&notices[..settled]);
            if settled == notices.len() {
                return;
            }
        }
    }
}

/// The page as it is, or as a correction, which counts the same.
fn as_any_kind(page: Page, random: &mut fastrand::Rng) -> (Page, PageKind) {
    if random.u8(0..4) > 0 {
        return (page, PageKind::Usage);
    }
    let kind = PageKind::Correction("operator".to_owned(), "lost before".to_owned());
    let content = PageContent::read(&page.data, &PageKind::Usage, page.name).unwrap();
    (content.into_page(page.minute, &kind), kind)
}

fn now() -> Timestamp {
    Timestamp::from_seconds(MINUTE + 600).unwrap()
}

/// The notices of all pages, as the ledger's stream has them.
fn notices(place: &Place) -> Vec<Notice> {
    let text = |item: &crate::place::Item, name: &str| item[name].as_s().unwrap().clone();
    let notice = |item: &_| Notice::of("orders", &text(item, "pk"), &text(item, "sk"));
    place.items("ledger").iter().filter_map(notice).collect()
}

/// A snapshot.
#[derive(Debug, Clone)]
struct Seen {
    version: u64,
    /// The bits of the records in it.
    bits: i64,
    item: crate::place::Item,
}

/// The snapshots.
fn snapshots(place: &Place) -> BTreeMap<Key, Seen> {
    let items = place.items("usage");
    let snapshot = |item: &crate::place::Item| {
        let text = |name: &str| item[name].as_s().unwrap().clone();
        let version = <[u8; 8]>::try_from(item["usage_version"].as_b().unwrap().as_ref()).unwrap();
        let amount = item["amount"].as_n().unwrap();
        let bits = Decimal::parse(amount).unwrap().units(2).unwrap();
        let key = (text("entity"), text("window"), text("window_start"));
        let (version, bits) = (u64::from_be_bytes(version), i64::try_from(bits).unwrap());
        (key, Seen { version, bits, item: item.clone() })
    };
    items.iter().map(snapshot).collect()
}

impl Log {
    /// A snapshot has only what was appended, its version never falls, and a version says one thing. What is settled is in
    /// it: the same generation of the record, or a later one.
    fn check(&mut self, place: &Place, counts: Counts) {
        let found = snapshots(place);
        for (key, Seen { version, bits, item }) in &found {
            let inside = |version: &&Version| version.keys(counts).contains(key);
            let possible: i64 = self.appended.iter().filter(inside).map(|version| version.bit()).sum();
            assert_eq!(bits & !possible, 0, "{key:?} has {bits:b}, but only {possible:b} can be in it");
            if let Some(Seen { version: earlier, item: said, .. }) = self.snapshots.get(key) {
                assert!(version >= earlier, "{key:?} fell from version {earlier} to {version}");
                assert!(version > earlier || item == said, "version {version} of {key:?} said {said:?}, says {item:?}");
            }
        }
        for version in self.settled.iter().filter_map(|notice| self.counts.get(&notice.page.name)).flatten() {
            if self.voided.contains(&version.record) {
                continue;
            }
            // While the record moves to the group of a later generation, it may have left the old one already.
            let is_last = !self
                .appended
                .iter()
                .any(|other| other.record == version.record && other.generation > version.generation);
            for window in counts.windows {
                let counting = (1..=GENERATIONS).map(|generation| Version { generation, ..*version });
                let counting: Vec<Version> = counting
                    .filter(|other| {
                        let keys = other.keys(counts);
                        let key = keys.iter().find(|(_, name, _)| name == window.name()).unwrap();
                        found.get(key).is_some_and(|seen| seen.bits & other.bit() != 0)
                    })
                    .collect();
                assert!(!is_last || counting.contains(version), "{version:?} is missing in the {window:?}");
                assert!(counting.iter().all(|other| other.generation >= version.generation), "{version:?} was left");
            }
        }
        self.snapshots = found;
    }

    /// The records that are in the snapshots when everything is folded.
    fn expected(&self, notices: &[Notice], counts: Counts) -> BTreeMap<Key, Vec<Version>> {
        let mut expected: BTreeMap<Key, Vec<Version>> = BTreeMap::new();
        let names = || notices.iter().map(|notice| notice.page.name);
        let paged: BTreeSet<Version> = names().filter_map(|name| self.counts.get(&name)).flatten().copied().collect();
        let voids: Vec<&Version> = names().filter_map(|name| self.voids.get(&name)).collect();
        // A page that voids a record names its group, too.
        for version in &voids {
            version.keys(counts).into_iter().for_each(|key| _ = expected.entry(key).or_default());
        }
        let voided: BTreeSet<u64> = voids.iter().map(|version| version.record).collect();
        for version in &paged {
            let is_last = !paged.iter().any(|other| other.record == version.record && other > version);
            let is_counted = is_last && !voided.contains(&version.record);
            for key in version.keys(counts) {
                expected.entry(key).or_default().extend(Some(*version).filter(|_| is_counted));
            }
        }
        expected
    }
}

/// Runs one history. Panics if a rule is violated. Returns how many states were split.
async fn history(seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    fastrand::seed(seed);
    let windows: &[&[Window]] = &[
        &Window::DEFAULT,
        &[Window::Hour],
        &[Window::Month],
        &[Window::Hour, Window::Month],
        &[Window::Week],
        &[Window::Total],
        &Window::ALL,
    ];
    let zone = Zone::named(["UTC", "Europe/Berlin"][random.usize(0..2)]).unwrap();
    let counts = Counts { windows: windows[random.usize(0..windows.len())], zone };
    let mut place = Place::with_windows(counts.windows);
    place.set_zone(zone);
    place.folder.ledger.keep_days = 60;
    let watched = counts.windows[random.usize(0..counts.windows.len())];
    place.alert(&format!("measure = \"orders\"\nwindow = \"{}\"\nlimit = 4\nat = [0.5, 1]", watched.name()));
    let place = Arc::new(place);
    let log = Arc::new(Mutex::new(Log::default()));
    let mut jobs: Vec<Job> = (0..random.usize(2..9)).map(|_| random_job(&mut random)).collect();
    let (most, crash_percent) = (random.usize(1..4), [0, 0, 5, 20][random.usize(0..4)]);
    let mut actors: Vec<Actor> = Vec::new();
    loop {
        while actors.len() < most
            && let Some(job) = jobs.pop()
        {
            let gate = Gate::new();
            let mut folder = place.gated(&gate);
            folder.ledger.buckets = [1, 1, 3][random.usize(0..3)];
            // A group with all its measures must still fit into twice as much.
            folder.max_state_bytes = [MAX_STATE_BYTES, MAX_STATE_BYTES, 300][random.usize(0..3)];
            let worker = Worker { folder, place: Arc::clone(&place), log: Arc::clone(&log) };
            let work: Work = Box::pin(worker.work(job, random.fork()));
            actors.push(Actor::new(gate, work));
        }
        if actors.is_empty() {
            break;
        }
        let actor = actors.swap_remove(random.usize(0..actors.len()));
        if !actor.waits().await {
            actor.end().await;
        } else if random.u8(0..100) < crash_percent {
            actor.crash().await;
        } else {
            actor.proceed();
            actor.waits().await;
            actors.push(actor);
        }
        log.lock().unwrap().check(&place, counts);
    }
    let notices = notices(&place);
    while place.fold(&notices).await.settled < notices.len() {}
    let expected = log.lock().unwrap().expected(&notices, counts);
    let found = snapshots(&place);
    let bits: BTreeMap<&Key, i64> = found.iter().map(|(key, seen)| (key, seen.bits)).collect();
    let sum = |versions: &Vec<Version>| versions.iter().map(|version| version.bit()).sum();
    let expected_bits: BTreeMap<&Key, i64> = expected.iter().map(|(key, versions)| (key, sum(versions))).collect();
    assert_eq!(bits, expected_bits, "{log:#?}");
    for (key, versions) in &expected {
        let said: Vec<Said> = versions.iter().map(|version| version.said()).collect();
        kinds::check(&found[key].item, &said);
    }
    check_alerts(&place, &expected, watched).await;
    place.items("ledger").iter().filter(|item| item.contains_key("split")).count()
}

/// The ledger has each alert that a state has counted, and the last one of each group and threshold says whether its value is
/// above.
async fn check_alerts(place: &Place, expected: &BTreeMap<Key, Vec<Version>>, watched: Window) {
    assert!(place.has_all_alerts().await, "{:?}", place.alerted());
    let mut last = BTreeMap::new();
    for alert in place.alerts() {
        let key = (alert.entity, alert.window, alert.window_start);
        last.insert((key, alert.threshold.to_string()), alert.state == AlertState::Fired);
    }
    for (key, versions) in expected.iter().filter(|(key, _)| key.1 == watched.name()) {
        for threshold in [2, 4] {
            let is_above = last.get(&(key.clone(), threshold.to_string())).copied().unwrap_or(false);
            assert_eq!(is_above, versions.len() >= threshold, "{key:?} at {threshold}: {:?}", place.alerts());
        }
    }
}

/// 60 histories with fixed seeds. HISTORIES runs others, starting with SEED.
#[test]
fn random_histories_of_the_ledger_are_exact() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a whole number"));
    let (count, first) = (number("HISTORIES").unwrap_or(60), number("SEED").unwrap_or(1));
    let started = Instant::now();
    let mut splits = 0;
    for seed in first..first + count {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(history(seed)));
        let split = std::panic::catch_unwind(run);
        splits += split.unwrap_or_else(|_| panic!("history {seed} failed; repeat it with SEED={seed} HISTORIES=1"));
    }
    assert!(splits > 0, "the histories never split a state");
    println!(
        "{count} histories of the ledger from seed {first} with {splits} splits in {:.0?}, 0 violations",
        started.elapsed()
    );
}
