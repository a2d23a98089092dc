//! Groups, findings and vulnerabilities in one table, as `schemas/findings` describes them.
//!
//! A vulnerability counts for its group when it is reported, and while it is open. Findings and groups count nothing: they are
//! the targets of indicators. They are replaced, which drops what the function wrote, deleted, and created again. What their
//! indicators must be follows from the table, so it isn't in the journal.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::change::{Add, Attribute, CHANGE_ATTRIBUTE, Change, LoadItem, Meaning, Write, item, texts};
use super::profile::Shape;
use super::skew::Picker;

/// Vulnerabilities and findings that may still change. Older ones stay as they are, which bounds the memory.
const LIVE_ITEMS: usize = 10_000;
/// 2026-01-01T00:00:00Z. Items are dated by their number, so that the same seed gives the same items.
const FIRST_SECOND: u64 = 1_767_225_600;
const STATES: [&str; 3] = ["OPEN", "FIXED", "ACCEPTED"];

/// The load.
#[derive(Debug)]
pub struct Findings {
    pub(super) random: Rng,
    groups: Picker,
    findings: Vec<Finding>,
    /// Findings that were deleted, with their vulnerabilities left behind.
    gone: Vec<Finding>,
    vulnerabilities: Vec<Vulnerability>,
    /// The number of the last change of each group that exists.
    states: BTreeMap<String, u64>,
}

#[derive(Debug, Clone)]
struct Finding {
    /// The number of the change that created it.
    number: u64,
    group: String,
    /// The number of its last change.
    state: u64,
}

#[derive(Debug, Clone)]
struct Vulnerability {
    /// The number of the change that created it.
    number: u64,
    group: String,
    /// The number of its finding.
    finding: u64,
    is: &'static str,
    severity_tenths: u32,
    place: u32,
    /// The number of its last change.
    state: u64,
}

/// A kind of change.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Reported,
    Rated,
    Changed,
    Removed,
    FindingAdded,
    FindingReplaced,
    FindingRemoved,
    GroupReplaced,
    GroupRemoved,
}

/// The percentage of changes of each kind.
const CHANCES: [(Happening, u8); 9] = [
    (Happening::Reported, 36),
    (Happening::Rated, 10),
    (Happening::Changed, 22),
    (Happening::Removed, 8),
    (Happening::FindingAdded, 8),
    (Happening::FindingReplaced, 6),
    (Happening::FindingRemoved, 3),
    (Happening::GroupReplaced, 5),
    (Happening::GroupRemoved, 2),
];

impl Findings {
    pub fn new(shape: &Shape, random: Rng) -> Findings {
        let groups = Picker::new(shape.entities, shape.skew);
        let (findings, gone, vulnerabilities) = (Vec::new(), Vec::new(), Vec::new());
        Findings { random, groups, findings, gone, vulnerabilities, states: BTreeMap::new() }
    }

    /// Restores a group that an earlier run wrote. Each run has new findings.
    pub fn resume(&mut self, write: &Write) {
        let (item, state) = match write {
            Write::Put { item, .. } => (item, item.get(CHANGE_ATTRIBUTE).and_then(Attribute::as_text)),
            Write::Delete { key, .. } => (key, None),
            Write::Message { .. } => return,
        };
        let text = |name: &str| item.get(name).and_then(Attribute::as_text);
        let (Some(pk), Some("GROUP")) = (text("pk"), text("sk")) else { return };
        match state.and_then(|number| number.parse().ok()) {
            Some(state) => drop(self.states.insert(pk.to_owned(), state)),
            None => drop(self.states.remove(pk)),
        }
    }

    pub fn next(&mut self, number: u64) -> Change {
        let mut at = self.random.u8(0..100);
        let happening = CHANCES.iter().find(|(_, chance)| {
            let is_it = at < *chance;
            at = at.saturating_sub(*chance);
            is_it
        });
        let happening = happening.map_or(Happening::Reported, |(happening, _)| *happening);
        let change = match happening {
            Happening::Reported => self.reported(number),
            Happening::Rated | Happening::Changed | Happening::Removed => self.changed(number, happening),
            Happening::FindingAdded => None,
            Happening::FindingReplaced | Happening::FindingRemoved => self.finding_changed(number, happening),
            Happening::GroupReplaced => Some(self.group_replaced(number)),
            Happening::GroupRemoved => self.group_removed(number),
        };
        change.unwrap_or_else(|| self.finding_added(number))
    }

    fn group(&mut self) -> String {
        format!("group-{}", self.groups.pick(&mut self.random))
    }

    fn reported(&mut self, number: u64) -> Option<Change> {
        let Finding { number: finding, group, .. } = self.random.choice(&self.findings)?.clone();
        let (severity_tenths, place) = (self.random.u32(0..=100), self.random.u32(1..20));
        let new = Vulnerability { number, group, finding, is: "OPEN", severity_tenths, place, state: number };
        let sums = [("reported", 1), ("open", new.worth())];
        let change = Change { number, write: new.put(None), meaning: new.meaning(sums) };
        keep(&mut self.vulnerabilities, new, &mut self.random);
        Some(change)
    }

    fn changed(&mut self, number: u64, happening: Happening) -> Option<Change> {
        let index = self.random.choice(0..self.vulnerabilities.len())?;
        let (severity_tenths, state) = (self.random.u32(0..=100), self.random.choice(STATES)?);
        if matches!(happening, Happening::Removed) {
            let gone = self.vulnerabilities.swap_remove(index);
            let write = Write::Delete { key: key(gone.names()), replaces: gone.state };
            return Some(Change { number, write, meaning: gone.meaning([("open", -gone.worth())]) });
        }
        let changed = self.vulnerabilities.get_mut(index)?;
        let (before, replaces) = (changed.worth(), changed.state);
        match happening {
            Happening::Rated => changed.severity_tenths = severity_tenths,
            _ => changed.is = state,
        }
        changed.state = number;
        let meaning = changed.meaning([("open", changed.worth() - before)]);
        Some(Change { number, write: changed.put(Some(replaces)), meaning })
    }

    /// A new finding, or one that was deleted before.
    fn finding_added(&mut self, number: u64) -> Change {
        let again = if self.random.bool() { self.random.choice(0..self.gone.len()) } else { None };
        let finding = match again {
            Some(index) => Finding { state: number, ..self.gone.swap_remove(index) },
            None => Finding { number, group: self.group(), state: number },
        };
        let change = Change { number, write: finding.put(None), meaning: finding.meaning() };
        keep(&mut self.findings, finding, &mut self.random);
        change
    }

    fn finding_changed(&mut self, number: u64, happening: Happening) -> Option<Change> {
        let index = self.random.choice(0..self.findings.len())?;
        if matches!(happening, Happening::FindingRemoved) {
            let finding = self.findings.swap_remove(index);
            let write = Write::Delete { key: key(finding.names()), replaces: finding.state };
            let meaning = finding.meaning();
            keep(&mut self.gone, finding, &mut self.random);
            return Some(Change { number, write, meaning });
        }
        let finding = self.findings.get_mut(index)?;
        let replaces = std::mem::replace(&mut finding.state, number);
        Some(Change { number, write: finding.put(Some(replaces)), meaning: finding.meaning() })
    }

    fn group_replaced(&mut self, number: u64) -> Change {
        let group = self.group();
        let pk = format!("GROUP#{group}");
        let replaces = self.states.insert(pk.clone(), number);
        let names = [pk, "GROUP".to_owned()];
        let mut item = key(names.clone());
        item.insert("name".to_owned(), Attribute::text(format!("{group} of change {number}")));
        item.insert(CHANGE_ATTRIBUTE.to_owned(), Attribute::number(number));
        Change { number, write: Write::Put { item, replaces }, meaning: uncounted("finding_group", &names) }
    }

    fn group_removed(&mut self, number: u64) -> Option<Change> {
        let pk = format!("GROUP#{}", self.group());
        let replaces = self.states.remove(&pk)?;
        let names = [pk, "GROUP".to_owned()];
        let write = Write::Delete { key: key(names.clone()), replaces };
        Some(Change { number, write, meaning: uncounted("finding_group", &names) })
    }
}

/// Adds an item, and forgets another one if there are too many.
fn keep<T>(items: &mut Vec<T>, item: T, random: &mut Rng) {
    if items.len() >= LIVE_ITEMS {
        items.swap_remove(random.usize(0..items.len()));
    }
    items.push(item);
}

/// The time of a change.
fn time(number: u64) -> Attribute {
    let second = i64::try_from(FIRST_SECOND.saturating_add(number.saturating_mul(60))).unwrap_or(i64::MAX);
    Attribute::text(jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX).to_string())
}

fn key([pk, sk]: [String; 2]) -> LoadItem {
    item([("pk", Attribute::text(pk)), ("sk", Attribute::text(sk))])
}

/// What a change means that counts nothing.
fn uncounted(record_type: &str, [pk, sk]: &[String; 2]) -> Meaning {
    let (key, archived) = (texts([("pk", pk), ("sk", sk)]), Some(record_type.to_owned()));
    Meaning { record_type: record_type.to_owned(), key, adds: Vec::new(), poison: false, archived, event_time: None }
}

impl Finding {
    fn names(&self) -> [String; 2] {
        [format!("GROUP#{}", self.group), format!("FINDING#{}", self.number)]
    }

    fn put(&self, replaces: Option<u64>) -> Write {
        let mut item = key(self.names());
        let status = if self.state == self.number { "CREATED" } else { "SUBMITTED" };
        let attributes = [
            ("title", Attribute::text(format!("Finding {}", self.number))),
            ("status", Attribute::text(status)),
            (CHANGE_ATTRIBUTE, Attribute::number(self.state)),
        ];
        item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
        Write::Put { item, replaces }
    }

    fn meaning(&self) -> Meaning {
        uncounted("finding", &self.names())
    }
}

impl Vulnerability {
    fn names(&self) -> [String; 2] {
        [format!("FINDING#{}", self.finding), format!("VULNERABILITY#{}", self.number)]
    }

    /// 1 while it is open.
    fn worth(&self) -> i64 {
        i64::from(self.is == "OPEN")
    }

    fn put(&self, replaces: Option<u64>) -> Write {
        let mut item = key(self.names());
        let severity = format!("{}.{}", self.severity_tenths / 10, self.severity_tenths % 10);
        let attributes = [
            ("group", Attribute::text(&self.group)),
            ("state", Attribute::text(self.is)),
            ("severity", Attribute::number(severity)),
            ("place", Attribute::text(format!("src/{}.py", self.place))),
            ("reported_at", time(self.number)),
            ("updated_at", time(self.state)),
            (CHANGE_ATTRIBUTE, Attribute::number(self.state)),
        ];
        item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
        Write::Put { item, replaces }
    }

    /// What a change means that adds these sums to the vulnerability's group.
    fn meaning<const N: usize>(&self, sums: [(&str, i64); N]) -> Meaning {
        let add = |(measure, amount): (&str, i64)| Add {
            group: texts([("entity", &self.group), ("resource", "vulnerabilities")]),
            measure: measure.to_owned(),
            amount: amount.to_string(),
        };
        let adds = sums.into_iter().filter(|(_, amount)| *amount != 0).map(add).collect();
        Meaning { adds, ..uncounted("vulnerability", &self.names()) }
    }
}
