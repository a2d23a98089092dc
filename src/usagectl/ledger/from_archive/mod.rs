//! `usagectl ledger rebuild --from-archive`: writes snapshots of windows that the ledger no longer has, as they follow from the rows
//! of the archive, if other snapshots show that the archive has all of these rows. All others are named and left alone.

mod evidence;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use laptop::proof::reconcile::{Derived, DerivedSnapshot, Period, Site, Unprovable, derive};
use serde_json::{Value, json};
use usage_aggregator::fold::Restored;
use usage_aggregator::ledger::{Level, WindowKey};
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::CounterKey;

use super::{Open, author, put_audits};
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;
use evidence::{Evidence, Found, evidence};
use report::Rebuilt;

/// Why a snapshot isn't written: DynamoDB would delete it.
const EXPIRED: &str = "it has expired";

/// What to rebuild.
pub(super) struct Request<'r> {
    pub(super) window: WindowKey,
    pub(super) dry_run: bool,
    /// Who rebuilds, if that was given.
    pub(super) author: Option<&'r str>,
}

/// Rebuilds the snapshots of a window and of the windows in it that aren't as they follow from the archive.
pub(super) async fn rebuild(ledger: &Open, request: &Request<'_>, options: &Options) -> anyhow::Result<Done> {
    let Request { window, dry_run, .. } = *request;
    if matches!(window.level, Level::Minute | Level::Piece | Level::Total) {
        let refused = "WINDOW: only an hour, a day, a week or a month can be rebuilt from the archive";
        return Err(UsageError(refused.to_owned()).into());
    }
    let now = event_source_mapping::now()?;
    let derived = derived(ledger, period(&ledger.snapshot, window), now).await?;
    let held = held(ledger, &derived, window, now).await?;
    let (wanted, mut left) = choose(&derived, window, &held);
    let has_expired = |one: &&DerivedSnapshot| {
        let span = WindowKey::parse(&one.window, window.zone()).and_then(WindowKey::span);
        span.is_some_and(|span| ledger.snapshot.has_expired(span, now))
    };
    let (expired, wanted): (Vec<_>, Vec<_>) = wanted.into_iter().partition(has_expired);
    left.extend(expired.into_iter().map(|one| (one, EXPIRED.to_owned())));
    let mut rebuilt = Rebuilt { window, dry_run, snapshots: Vec::new(), left: Vec::new(), audits: Vec::new() };
    if !dry_run && !wanted.is_empty() {
        let author = author(request.author, ledger).await?;
        let counters = wanted.iter().flat_map(|snapshot| counters(snapshot)).collect();
        rebuilt.audits = put_audits(ledger, &author, (&window.text(), "archive"), counters, now).await?;
    }
    for snapshot in wanted {
        match if dry_run { None } else { write(ledger, snapshot, now).await? } {
            None => rebuilt.snapshots.push(snapshot),
            Some(reason) => left.push((snapshot, reason)),
        }
    }
    rebuilt.left = left;
    console::print(&if options.json { rebuilt.json().to_string() } else { rebuilt.text() })?;
    Ok(if rebuilt.left.is_empty() { Done::Well } else { Done::WithFailures })
}

/// The largest window of the pipeline that has all of this one, so that its other snapshots may show what the archive has.
fn period(layout: &Snapshot, window: WindowKey) -> WindowKey {
    let larger = [Level::Month, Level::Week, Level::Day].into_iter().filter(|level| {
        let outer = window.within(*level);
        let is_counted = layout.windows.iter().any(|counted| Level::of(*counted) == *level);
        is_counted && outer.start() <= window.start() && window.end() <= outer.end()
    });
    larger.map(|level| window.within(level)).next().unwrap_or(window)
}

async fn derived(ledger: &Open, period: WindowKey, now: Timestamp) -> anyhow::Result<Derived> {
    let config = ledger.variables.config()?;
    let (clients, period) = (ledger.deployment.clients(), Period::new(period.text()));
    let Some(archive) = &config.archive else {
        return Err(UsageError(format!("pipeline {} archives nothing", config.pipeline.name)).into());
    };
    let site = Site {
        clients: &clients,
        pipeline: &config.pipeline,
        tables: config.tables.as_ref(),
        archive: Some(archive),
        unsettled: None,
        unfolded_pages: 0,
        period: Some(&period),
        now,
    };
    let progress = console::spinner("snapshots and files read");
    let derived = derive(&site, &|| progress.inc(1)).await;
    progress.finish_and_clear();
    let derived = derived.map_err(|error| match error.downcast::<Unprovable>() {
        Ok(unprovable) => UsageError(unprovable.to_string()).into(),
        Err(error) => error,
    })?;
    match derived.unknown_measures.as_slice() {
        [] => Ok(derived),
        unknown => Err(UsageError(format!(
            "no snapshot can be rebuilt as a whole, because the archive doesn't determine every measure: {}",
            unknown.join("; ")
        ))
        .into()),
    }
}

/// Those of the windows in this one whose snapshots differ, and of which the ledger still has something.
async fn held(
    ledger: &Open,
    derived: &Derived,
    window: WindowKey,
    now: Timestamp,
) -> anyhow::Result<BTreeSet<WindowKey>> {
    let differing = derived.snapshots.iter().filter(|snapshot| !snapshot.agrees());
    let windows = differing.filter_map(|snapshot| WindowKey::parse(&snapshot.window, window.zone()));
    let mut held = BTreeSet::new();
    for own in windows.filter(|own| is_within(*own, window)).collect::<BTreeSet<_>>() {
        if ledger.folder.holds(own, now, None).await.with_context(|| format!("look for {own} in the ledger"))? {
            held.insert(own);
        }
    }
    Ok(held)
}

fn is_within(own: WindowKey, window: WindowKey) -> bool {
    window.start() <= own.start() && own.end() <= window.end()
}

/// The snapshots to write, and those to leave alone, with the reason.
type Choice<'d> = (Vec<&'d DerivedSnapshot>, Vec<(&'d DerivedSnapshot, String)>);

/// Chooses the snapshots to write. The ledger has something of the windows in `held`.
fn choose<'d>(derived: &'d Derived, window: WindowKey, held: &BTreeSet<WindowKey>) -> Choice<'d> {
    let (mut wanted, mut left) = (Vec::new(), Vec::new());
    let mut families: BTreeMap<&[String], Vec<Found<'_>>> = BTreeMap::new();
    for snapshot in &derived.snapshots {
        let Some(own) = WindowKey::parse(&snapshot.window, window.zone()) else { continue };
        let mut is_wanted = is_within(own, window) && !snapshot.agrees();
        if is_wanted {
            let reason = obstacle(snapshot, own, held.contains(&own), &derived.broken);
            is_wanted = reason.is_none();
            left.extend(reason.map(|reason| (snapshot, reason)));
        }
        families.entry(&snapshot.group).or_default().push(Found { window: own, snapshot, is_wanted });
    }
    for family in families.values() {
        for Found { window, snapshot, .. } in family.iter().filter(|found| found.is_wanted) {
            match evidence(*window, family) {
                Evidence::Complete => wanted.push(*snapshot),
                found => left.push((*snapshot, unproven(&found))),
            }
        }
    }
    (wanted, left)
}

/// Why a snapshot can't be rebuilt, whatever the others show.
fn obstacle(snapshot: &DerivedSnapshot, window: WindowKey, is_held: bool, broken: &[String]) -> Option<String> {
    if is_held {
        return Some(format!(
            "the ledger still has what it was made of; use `usagectl ledger sweep {window} --windows`, or `usagectl ledger rebuild {window}`"
        ));
    }
    if snapshot.is_doubtful {
        return Some(format!("rows of its items are missing: {}", broken.join("; ")));
    }
    let mut unknown = snapshot.attributes.iter().filter(|(_, (derived, stored))| derived.is_none() && stored.is_some());
    unknown.next().map(|(attribute, _)| format!("it has `{attribute}`, for which the archive has no rows"))
}

fn unproven(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Contradicted { window, attribute, derived, stored } => format!(
            "rows may be missing: those of {window} make `{attribute}` {}, and its snapshot says {stored}",
            derived.as_deref().unwrap_or("nothing")
        ),
        Evidence::Complete | Evidence::Missing => {
            "no snapshot of a larger window, and none of all smaller ones, shows that the archive has every row"
                .to_owned()
        }
    }
}

/// Writes a snapshot. Returns why it wasn't written.
async fn write(ledger: &Open, snapshot: &DerivedSnapshot, now: Timestamp) -> anyhow::Result<Option<String>> {
    let Some(window) = WindowKey::parse(&snapshot.window, ledger.snapshot.zone) else { return Ok(None) };
    let key = CounterKey(snapshot.group.clone());
    let written = ledger.folder.restore(&ledger.snapshot, (&key, window), &snapshot.values, now, None).await;
    let written = written.with_context(|| format!("write the snapshot of {} in {window}", snapshot.group.join(" ")))?;
    Ok(match written {
        Restored::Written | Restored::Same => None,
        Restored::Changed => Some("somebody changed it meanwhile; run the command again".to_owned()),
        Restored::Expired => Some(EXPIRED.to_owned()),
    })
}

/// The attributes that change.
fn counters(snapshot: &DerivedSnapshot) -> Vec<Value> {
    let changed = snapshot.attributes.iter().filter(|(_, (derived, stored))| derived != stored);
    let counter = |(attribute, (derived, stored)): (&String, &(Option<String>, Option<String>))| {
        json!({
            "window": snapshot.window, "group": snapshot.group, "measure": attribute, "before": stored, "after": derived,
        })
    };
    changed.map(counter).collect()
}
