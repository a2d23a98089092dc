//! Random histories of the ledger: actors append, correct, void, fold and sweep a few records under a random schedule, with states that
//! split, several generations, buckets and windows, crashes, and notices that come again. Each record has its own bit in the
//! sums, so a snapshot shows which records it has. Each record also feeds a measure of every other kind, and at the end these
//! are what the records in the snapshot give.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use usage_aggregator::decimal::Decimal;
use usage_aggregator::fold::{AlertState, Depth, Folder, MAX_STATE_BYTES, Notice};
use usage_aggregator::ledger::{Level, Page, PageKind, WindowKey, pages};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Group;
use usage_aggregator::window::{Window, Zone};

use crate::gate::{Actor, Gate, Work};
use crate::kinds::{self, Said};
use crate::place::{Counted, MINUTE, Place, as_kind, late_groups, minute_of, taken_back};
use crate::tally::{Fault, Tally};

/// A record as a generation of the pipeline counts it. The generation decides the group and when it counts, never the minute.
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

    /// Whether it counts in the day that has 25 hours in Berlin.
    fn is_at_clock_change(self) -> bool {
        MINUTES[..2].contains(&self.counts_at())
    }

    /// When it counts: half of the records count in another hour than that of their minute, some of them in that of another
    /// record.
    fn counts_at(self) -> i64 {
        match (self.record + self.generation) % 4 {
            0 => self.minute() - 3 * 60,
            1 => MINUTES[(self.record as usize + 1) % MINUTES.len()],
            _ => self.minute(),
        }
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
        let at = Timestamp::from_seconds(MINUTE + 60 * self.counts_at()).unwrap();
        let start = |window: &Window| window.containing(at, zone).start_text();
        windows.iter().map(|window| (self.entity().to_owned(), window.name().to_owned(), start(window))).collect()
    }
}

/// The groups of these records, with a measure of every kind.
fn groups_of(versions: &[Version], zone: Zone) -> Vec<Group> {
    let records: Vec<(Counted<'_>, i64)> =
        versions.iter().map(|version| (version.counted(), version.counts_at())).collect();
    let mut groups = late_groups(&records, zone);
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
    /// The pages that are corrections.
    corrections: BTreeSet<u64>,
    /// The records in the order in which they were put.
    put: Vec<Version>,
    /// What happened to the actors.
    happened: BTreeSet<Fault>,
    settled: BTreeSet<Notice>,
    /// The last version of each snapshot, and what it said.
    snapshots: BTreeMap<Key, Seen>,
}

#[derive(Debug, Clone)]
enum Job {
    Append(Vec<Version>, Fold),
    /// Of the versions that have been appended by then, the one with this number, counted again from the first after the last.
    Void(usize),
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
        5 => Job::Void(random.usize(0..1_000)),
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
                let groups = groups_of(&versions, self.folder.ledger.zone);
                for page in pages(&groups, versions[0].generation, [8, 8, 8, 9, 16][random.usize(0..5)]) {
                    let page_of = |version: &&Version| minute_of(version.minute()) == page.minute;
                    let inside = versions.iter().filter(page_of).copied().collect();
                    let (page, kind) = as_any_kind(page, &mut random);
                    {
                        let mut log = self.log.lock().unwrap();
                        log.counts.insert(page.name, inside);
                        log.corrections.extend(Some(page.name).filter(|_| kind != PageKind::Usage));
                    }
                    notices.push(self.put(&page, &kind).await);
                    let mut log = self.log.lock().unwrap();
                    let put = log.counts[&page.name].clone();
                    log.put.extend(put);
                }
                self.fold(&notices, fold).await;
            }
            Job::Void(number) => {
                let appended: Vec<Version> = self.log.lock().unwrap().appended.iter().copied().collect();
                let Some(version) = appended.get(number % appended.len().max(1)).copied() else { return };
                self.log.lock().unwrap().voided.insert(version.record);
                let kind = taken_back();
                for page in pages(&groups_of(&[version], self.folder.ledger.zone), version.generation, 8) {
                    let page = as_kind(&page, &kind);
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
    (as_kind(&page, &kind), kind)
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

    /// What happened to the records of a snapshot, or to the actors.
    fn faults(&self, notices: &[Notice], key: &Key, counts: Counts) -> BTreeSet<Fault> {
        let is_in = |version: &Version| version.keys(counts).contains(key);
        let put: Vec<&Version> = self.put.iter().filter(|version| is_in(version)).collect();
        let pages: Vec<(u64, &Vec<Version>)> =
            notices.iter().filter_map(|notice| Some((notice.page.name, self.counts.get(&notice.page.name)?))).collect();
        let pages_of = |version: &Version| pages.iter().filter(|(_, inside)| inside.contains(version)).count();
        let is_corrected = |version: &Version| {
            pages.iter().any(|(name, inside)| self.corrections.contains(name) && inside.contains(version))
        };
        let other = |version: &Version, other: &Version| version.record == other.record && version != other;
        let happened = [
            (Fault::Redelivered, put.iter().any(|version| pages_of(version) > 1)),
            (Fault::OutOfOrder, put.windows(2).any(|pair| pair[0].record > pair[1].record)),
            (Fault::Corrected, put.iter().any(|version| is_corrected(version))),
            (Fault::Voided, self.voids.values().any(is_in)),
            (Fault::Redefined, put.iter().any(|version| self.put.iter().any(|later| other(version, later)))),
            (Fault::Late, put.iter().any(|version| version.counts_at() != version.minute())),
            (Fault::ClocksChanged, counts.zone != Zone::UTC && put.iter().any(|version| version.is_at_clock_change())),
        ];
        let happened = happened.into_iter().filter(|(_, happened)| *happened).map(|(fault, _)| fault);
        happened.chain(self.happened.iter().copied()).collect()
    }
}

/// Runs one history. Panics if a rule is violated. Returns what was checked.
async fn history(seed: u64, tally: &mut Tally) {
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
    (place.folder.horizon_days, place.folder.ledger.keep_days) = (60, 60);
    place.folder.ledger.late_days = 40;
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
        if actors.len() > 1 {
            log.lock().unwrap().happened.insert(Fault::AtTheSameTime);
        }
        let actor = actors.swap_remove(random.usize(0..actors.len()));
        if !actor.waits().await {
            actor.end().await;
        } else if random.u8(0..100) < crash_percent {
            actor.crash().await;
            log.lock().unwrap().happened.insert(Fault::Crashed);
        } else {
            actor.proceed();
            actor.waits().await;
            actors.push(actor);
        }
        log.lock().unwrap().check(&place, counts);
    }
    let notices = notices(&place);
    while place.fold(&notices).await.settled < notices.len() {}
    let mut log = std::mem::take(&mut *log.lock().unwrap());
    let is_split = place.items("ledger").iter().any(|item| item.contains_key("split"));
    log.happened.extend(Some(Fault::Split).filter(|_| is_split));
    let (found, expected) = (snapshots(&place), log.expected(&notices, counts));
    let bits: BTreeMap<&Key, i64> = found.iter().map(|(key, seen)| (key, seen.bits)).collect();
    let sum = |versions: &Vec<Version>| versions.iter().map(|version| version.bit()).sum();
    let expected_bits: BTreeMap<&Key, i64> = expected.iter().map(|(key, versions)| (key, sum(versions))).collect();
    assert_eq!(bits, expected_bits, "{log:#?}");
    for (key, versions) in &expected {
        let said: Vec<Said> = versions.iter().map(|version| version.said()).collect();
        kinds::check(&found[key].item, &said);
        let counted: &[&str] = if versions.is_empty() { &[] } else { &Tally::KINDS };
        tally.add(counted, &log.faults(&notices, key, counts));
    }
    check_alerts(&place, &expected, watched).await;
    // A proof reads each minute of an hour, which takes long here.
    if seed.is_multiple_of(10) {
        prove(&place, counts).await;
    }
}

/// The proof of every window with records finds no difference.
async fn prove(place: &Place, counts: Counts) {
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let at = |second| Timestamp::from_seconds(second).unwrap();
    let levels = [Level::Hour, Level::Day, Level::Week, Level::Month];
    let within = |minute: &i64| levels.map(|level| WindowKey::containing(level, at(MINUTE + 60 * minute), counts.zone));
    let last = |window: WindowKey| WindowKey::containing(Level::Hour, at(window.end() - 1), counts.zone);
    let hours: BTreeSet<WindowKey> = MINUTES.iter().flat_map(within).map(last).collect();
    for hour in hours {
        let proven = place.folder.prove(snapshot, hour, now(), Duration::ZERO, None).await.unwrap();
        assert_eq!(proven.differences, BTreeSet::new(), "{hour}");
    }
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
    let mut tally = Tally::default();
    for seed in first..first + count {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(history(seed, &mut tally)));
        std::panic::catch_unwind(run)
            .unwrap_or_else(|_| panic!("history {seed} failed; repeat it with SEED={seed} HISTORIES=1"));
    }
    let missing = tally.missing();
    assert!(count < 60 || missing.is_empty(), "the histories no longer reach every case: {missing:?}");
    println!("{count} histories of the ledger from seed {first} in {:.0?}, 0 violations", started.elapsed());
    println!("{tally}");
}
