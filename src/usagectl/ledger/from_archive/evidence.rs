//! Whether other snapshots show that the archive has every row of a snapshot. Pure.
//!
//! Nothing in an archive says that a row is missing from it, such as one whose file was deleted. But every snapshot was made of
//! the same records, so if the rows make what another snapshot says that covers this one, or what all snapshots say that this one
//! consists of, then they are complete as far as any number shows.

use laptop::proof::reconcile::DerivedSnapshot;
use usage_aggregator::ledger::{Level, WindowKey};

/// A snapshot of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'d> {
    pub(super) window: WindowKey,
    pub(super) snapshot: &'d DerivedSnapshot,
    /// Whether it would be written if there is evidence.
    pub(super) is_wanted: bool,
}

/// What the other snapshots of a group show.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The rows are complete.
    Complete,
    /// They aren't, or a snapshot was changed: in a window, an attribute follows from them and has another stored value.
    Contradicted { window: WindowKey, attribute: String, derived: Option<String>, stored: String },
    /// Nothing.
    Missing,
}

/// What the snapshots of its group show about the one in a window.
pub(super) fn evidence(window: WindowKey, family: &[Found<'_>]) -> Evidence {
    let others = || family.iter().filter(|other| other.window != window);
    let larger = others().filter(|other| contains(other.window, window));
    let mut confirming = larger.clone().filter(|other| {
        let mut siblings =
            family.iter().filter(|one| one.window.level == window.level && contains(other.window, one.window));
        is_stored_as_derived(other) && siblings.all(|one| one.is_wanted || is_stored_as_derived(one))
    });
    let consists_of = |level: &Level| {
        let mut parts = others().filter(|one| one.window.level == *level && contains(window, one.window)).peekable();
        parts.peek().is_some() && parts.all(is_stored_as_derived)
    };
    if confirming.next().is_some() || Level::ALL.iter().any(consists_of) {
        return Evidence::Complete;
    }
    let smaller = others().filter(|other| contains(window, other.window));
    larger.chain(smaller).find_map(contradiction).unwrap_or(Evidence::Missing)
}

fn contains(outer: WindowKey, inner: WindowKey) -> bool {
    outer.start() <= inner.start() && inner.end() <= outer.end()
}

fn is_stored_as_derived(found: &Found<'_>) -> bool {
    found.snapshot.agrees() && found.snapshot.attributes.values().any(|(_, stored)| stored.is_some())
}

fn contradiction(found: &Found<'_>) -> Option<Evidence> {
    let differs = |(attribute, (derived, stored)): (&String, &(Option<String>, Option<String>))| {
        let stored = stored.clone().filter(|stored| derived.as_ref() != Some(stored))?;
        let (window, attribute, derived) = (found.window, attribute.clone(), derived.clone());
        Some(Evidence::Contradicted { window, attribute, derived, stored })
    };
    found.snapshot.attributes.iter().find_map(differs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use usage_aggregator::window::Zone;

    /// A snapshot whose amount follows from the rows and is stored like this.
    fn snapshot(window: &str, derived: u32, stored: Option<u32>) -> DerivedSnapshot {
        let text = |number: u32| number.to_string();
        DerivedSnapshot {
            group: vec!["a".to_owned()],
            window: window.to_owned(),
            values: Vec::new(),
            attributes: [("amount".to_owned(), (Some(text(derived)), stored.map(text)))].into(),
            is_doubtful: false,
        }
    }

    fn key(window: &str) -> WindowKey {
        WindowKey::parse(window, Zone::UTC).unwrap()
    }

    /// What the snapshots show about one of them; those that aren't stored would be written.
    fn shown(window: &str, snapshots: &[(&str, u32, Option<u32>)]) -> Evidence {
        let snapshots: Vec<_> =
            snapshots.iter().map(|(name, derived, stored)| snapshot(name, *derived, *stored)).collect();
        let found = snapshots.iter().map(|snapshot| Found {
            window: key(&snapshot.window),
            snapshot,
            is_wanted: !snapshot.agrees(),
        });
        evidence(key(window), &found.collect::<Vec<_>>())
    }

    #[test]
    fn a_larger_window_shows_that_the_rows_are_complete() {
        let day = "2026-11-20";
        let month = |stored| [("2026-11", 7, Some(stored)), ("2026-11-19", 4, Some(4)), (day, 3, None)];
        assert_eq!(shown(day, &month(7)), Evidence::Complete);
        let contradicted = Evidence::Contradicted {
            window: key("2026-11"),
            attribute: "amount".to_owned(),
            derived: Some("7".to_owned()),
            stored: "9".to_owned(),
        };
        assert_eq!(shown(day, &month(9)), contradicted);
        assert_eq!(shown(day, &[("2026-11", 7, None), (day, 3, None)]), Evidence::Missing);
        assert_eq!(shown(day, &[(day, 3, None)]), Evidence::Missing);
    }

    #[test]
    fn all_smaller_windows_show_that_the_rows_are_complete() {
        let days = |stored| [("2026-11", 7, None), ("2026-11-19", 4, Some(4)), ("2026-11-20", 3, stored)];
        assert_eq!(shown("2026-11", &days(Some(3))), Evidence::Complete);
        assert!(matches!(shown("2026-11", &days(Some(2))), Evidence::Contradicted { .. }));
        assert_eq!(shown("2026-11", &days(None)), Evidence::Missing);
    }
}
