//! What a fold costs apart from its requests: processor time and memory. `make cost-table` prints both.

use std::borrow::Cow;
use std::time::Duration;

use super::distinct::Minute;
use super::state::{Listed, State};
use super::totals::Totals;
use super::watch::Watches;
use crate::decimal::Decimal;
use crate::ledger::{Page, PageContent, PageKind, PageRef, ReadPage, pages};
use crate::record::RecordId;
use crate::usage::{Addition, CounterKey, Effect, Group, Segment};
use crate::window::Zone;

/// Whether `make cost-table` runs this. Only then is /proc read, which not every system has.
fn is_measured() -> bool {
    std::env::var("COST").is_ok()
}

/// Nanoseconds that this thread has had a processor for.
fn processor_nanos() -> u64 {
    if !is_measured() {
        return 0;
    }
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// A number of KiB in this process's status.
fn resident_kib(name: &str) -> u64 {
    if !is_measured() {
        return 0;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap()
}

/// A page of 1,000 orders of so many entities.
fn page(number: u64, entities: u64) -> Page {
    let mut random = fastrand::Rng::with_seed(number);
    let group = |order: u64| {
        let hash = blake3::hash(&(number * 1_000 + order).to_be_bytes());
        let id = RecordId(hash.as_bytes().first_chunk().copied().unwrap());
        let cents = Decimal::from_parts(random.i64(1..10_000).into(), -2).unwrap();
        let amounts = [Addition::sum("orders", Decimal::from(1)), Addition::sum("amount", cents)];
        Group {
            key: CounterKey(vec![format!("customer-{:06}", random.u64(0..entities)), "orders".to_owned()]),
            segment: Segment::at(1_795_856_220),
            event_hour: None,
            effects: vec![Effect { record: 0, id, amounts: amounts.into_iter().collect() }],
        }
    };
    let mut groups: Vec<Group> = (0..1_000).map(group).collect();
    groups.sort_by(|one, other| one.key.cmp(&other.key));
    groups.dedup_by(|next, first| {
        let is_same = next.key == first.key;
        if is_same {
            first.effects.append(&mut next.effects);
        }
        is_same
    });
    pages(&groups, 1, 8).swap_remove(0)
}

/// Runs a stage, and adds its name and milliseconds.
fn timed<T>(stages: &mut Vec<(&'static str, f64)>, name: &'static str, stage: impl FnOnce() -> T) -> T {
    let before = processor_nanos();
    let result = stage();
    let taken = Duration::from_nanos(processor_nanos() - before);
    stages.push((name, taken.as_secs_f64() * 1e3));
    result
}

/// The state of a window that says this, as it is written.
fn state(listed: Listed, totals: &Totals) -> Vec<u8> {
    State { version: 1, listed, totals: totals.clone(), watches: Watches::default() }.frame()
}

/// 60 pages of 1,000 records each, of 5,000 entities, all in one minute: a second of records in each page. `COST=1` prints
/// what it takes; otherwise, there are a tenth of the pages.
#[test]
fn the_pages_of_a_minute_count_each_record_once() {
    let (seconds, entities) = if is_measured() { (60, 5_000) } else { (6, 500) };
    let frames: Vec<Page> = (0..seconds).map(|number| page(number, entities)).collect();
    if is_measured() {
        // The peak begins anew.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
    }
    let (before, mut stages) = (resident_kib("VmRSS"), Vec::new());
    let read = |Page { name, data, .. }: &Page| ReadPage {
        reference: PageRef { bucket: 0, name: *name },
        kind: PageKind::Usage,
        content: PageContent::read(data, &PageKind::Usage, *name).unwrap(),
    };
    let pages = timed(&mut stages, "read pages", || frames.iter().map(read).collect::<Vec<_>>());
    let names = pages.iter().map(|page| page.reference).collect();
    let minute = timed(&mut stages, "find each record's page", || Minute::new(pages));
    let totals = timed(&mut stages, "sum up", || minute.totals());
    let written = timed(&mut stages, "write the minute's state", || state(Listed::Pages(names), &totals));
    let parents = timed(&mut stages, "sum up and write hour, day, and month", || {
        let sum = |below: &[u8]| {
            let (child, mut totals) = (State::read(1, below, Zone::UTC).unwrap(), Totals::default());
            totals.merge(&child.totals, |key| Some(Cow::Borrowed(key)));
            state(Listed::default(), &totals)
        };
        let hour = sum(&written);
        let day = sum(&hour);
        [sum(&day), hour, day]
    });
    let mebibytes = (resident_kib("VmHWM") - before) / 1024;
    if is_measured() {
        let all: f64 = stages.iter().map(|(_, milliseconds)| milliseconds).sum();
        println!("Processor time of a fold of {seconds},000 records of {entities} entities: {all:.0} ms");
        stages.iter().for_each(|(name, milliseconds)| println!("  {name}: {milliseconds:.1} ms"));
        println!("Memory beside the pages as they are stored: {mebibytes} MiB");
    }
    let month = State::read(1, &parents[0], Zone::UTC).unwrap().totals;
    let orders = |totals: &Totals| -> i64 {
        let of_group = |key| totals.group(key).unwrap().find(|(measure, _)| &*measure.name == "orders");
        let values = totals.keys().filter_map(of_group).map(|(_, value)| value.number().unwrap());
        values.map(|value| i64::try_from(value.unwrap().units(0).unwrap()).unwrap()).sum()
    };
    let records = 1_000 * i64::try_from(seconds).unwrap();
    assert_eq!((orders(&totals), orders(&month)), (records, records));
    assert!(totals.keys().eq(month.keys()));
}
