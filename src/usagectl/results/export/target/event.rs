//! An event: what a billing system gets of a row. Its identifier depends on nothing but the row's place, so that the same row
//! always is the same event; for a system that uses the last event of a window, it depends on all that the event says.

use crate::results::export::row::{Head, UsageRow, column};
use crate::shell::console::UsageError;

/// An event for a billing system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The event's name, which selects the meter.
    pub name: String,
    /// The customer or subscription.
    pub customer: String,
    /// The second of the window to which the target counts the row, in seconds since the epoch.
    pub second: i64,
    /// The row.
    pub row: UsageRow,
    /// The fields that describe the row, as names and texts.
    pub fields: Vec<(String, String)>,
}

/// What the identifiers of the events of an export have in common.
#[derive(Debug)]
pub(super) struct Identity<'i> {
    pub source: &'i str,
    /// Whether an event that says something else of a window is another event, which replaces the one before.
    pub are_replaced: bool,
}

/// What is said of a row in a system: the event's name, the customer, and the second.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub name: String,
    pub customer: String,
    pub second: i64,
}

impl Event {
    /// The event of a row.
    pub(super) fn new(head: &Head, row: UsageRow, address: Address, identity: &Identity<'_>) -> Event {
        let Address { name, customer, second } = address;
        let mut fields: Vec<(String, String)> =
            head.group.iter().map(|name| column(name).to_owned()).zip(row.group.iter().cloned()).collect();
        for (name, text) in [
            ("measure", row.measure.as_str()),
            ("pipeline", &head.pipeline),
            ("window", head.window.name()),
            ("window_start", &row.start),
            ("window_end", &row.end),
        ] {
            fields.push((name.to_owned(), text.to_owned()));
        }
        Event { id: id(head, &row, (&name, &customer), identity), name, customer, second, row, fields }
    }
}

fn id(head: &Head, row: &UsageRow, (name, customer): (&str, &str), identity: &Identity<'_>) -> String {
    let parts = ["usage export 1", identity.source, &head.pipeline, head.window.name(), &row.start, &row.measure];
    // A repair changes a value that was wrong, and keeps its version.
    let version = row.version.map(|version| version.to_string()).unwrap_or_default();
    let said = [&*version, &row.value, name, customer].into_iter().filter(|_| identity.are_replaced);
    let group = row.group.iter().map(String::as_str);
    // Stripe would take a value that a repair brings back within a day for the first event that said it, and use the wrong one after it.
    let restated = row.restated_at.as_deref().filter(|_| identity.are_replaced);
    let mut hasher = blake3::Hasher::new();
    for part in parts.into_iter().chain(said).chain(group).chain(restated) {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

/// The template of the names of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventName(String);

impl EventName {
    /// Reads a template.
    ///
    /// # Errors
    /// If it is empty or names the entity: a meter is for all of them.
    pub(super) fn parse(text: &str) -> Result<EventName, UsageError> {
        match text.trim() {
            "" => Err(UsageError("--event-name must not be empty".to_owned())),
            text if text.contains("{entity}") => {
                Err(UsageError("--event-name: the entity is the customer, and a meter is for all customers".to_owned()))
            }
            text => Ok(EventName(text.to_owned())),
        }
    }

    /// The name of the events of a row.
    ///
    /// # Errors
    /// If the template has a variable that the pipeline doesn't have.
    pub(super) fn of(&self, head: &Head, row: &UsageRow) -> Result<String, UsageError> {
        let (mut name, mut rest) = (String::new(), self.0.as_str());
        while let Some((text, (variable, after))) =
            rest.split_once('{').and_then(|(text, more)| Some((text, more.split_once('}')?)))
        {
            name.push_str(text);
            name.push_str(value(head, row, variable)?);
            rest = after;
        }
        Ok(name + rest)
    }
}

/// The value of a variable of the template.
fn value<'r>(head: &'r Head, row: &'r UsageRow, variable: &str) -> Result<&'r str, UsageError> {
    let mut group = head.group.iter().zip(&row.group);
    match variable {
        "pipeline" => Ok(&head.pipeline),
        "measure" => Ok(&row.measure),
        _ => group.find(|(name, _)| *name == variable).map(|(_, value)| value.as_str()).ok_or_else(|| {
            let known = head.group.iter().skip(1).map(String::as_str);
            let known = ["pipeline", "measure"].into_iter().chain(known).collect::<Vec<_>>().join(", ");
            UsageError(format!("--event-name: unknown variable `{variable}`; expected one of {known}"))
        }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::super::super::row::tests::{head, row};
    use super::super::Target;
    use super::*;

    /// The event of a row without versions.
    pub(in super::super) fn event(entity: &str, measure: &str, value: &str) -> Event {
        let identity = Identity { source: "stack", are_replaced: false };
        let row = row(entity, "orders", measure, value);
        let name = EventName::parse("{resource}_{measure}").unwrap().of(&head(), &row).unwrap();
        let second = Target::Lago.second(&head(), &row).unwrap();
        Event::new(&head(), row, Address { name, customer: format!("customer-{entity}"), second }, &identity)
    }

    #[test]
    fn an_id_depends_on_the_place_of_the_value_and_not_on_the_value() {
        let identity = Identity { source: "stack", are_replaced: false };
        let id = |head: &Head, row: &UsageRow, identity: &Identity<'_>| id(head, row, ("meter", "cus_1"), identity);
        let first = id(&head(), &row("7", "orders", "amount", "1"), &identity);
        let later = UsageRow { version: Some(8), ..row("7", "orders", "amount", "2") };
        assert_eq!(first, id(&head(), &later, &identity));
        assert_eq!(first, "85f8f121ce4ef1e6a42dd318362bfa05", "ids never change: what was sent would count again");
        let others = [
            id(&head(), &row("8", "orders", "amount", "1"), &identity),
            id(&head(), &row("7", "order", "samount", "1"), &identity),
            id(&head(), &row("7", "orders", "amount", "1"), &Identity { source: "other", ..identity }),
            id(&Head { pipeline: "demand".to_owned(), ..head() }, &row("7", "orders", "amount", "1"), &identity),
        ];
        assert!(others.iter().all(|other| *other != first), "{others:?}");
    }

    #[test]
    fn where_events_are_replaced_an_event_that_says_something_else_is_another_one() {
        let row = |version, value: &str| UsageRow { version, ..row("7", "orders", "amount", value) };
        let said = [
            (row(Some(7), "1"), "meter", "cus_1"),
            (row(Some(8), "1"), "meter", "cus_1"),
            (row(Some(7), "2"), "meter", "cus_1"),
            (row(Some(7), "1"), "other", "cus_1"),
            (row(Some(7), "1"), "meter", "cus_2"),
        ];
        let repaired = |at: &str| UsageRow { restated_at: Some(at.to_owned()), ..row(Some(7), "1") };
        let repaired = ["2026-11-03T00:00:00Z", "2026-11-03T00:00:01Z"].map(|at| (repaired(at), "meter", "cus_1"));
        let said = said.into_iter().chain(repaired).collect::<Vec<_>>();
        for (are_replaced, different) in [(true, said.len()), (false, 1)] {
            let identity = Identity { source: "stack", are_replaced };
            let ids = said.iter().map(|(row, name, customer)| id(&head(), row, (name, customer), &identity));
            assert_eq!(ids.collect::<BTreeSet<String>>().len(), different);
        }
    }

    #[test]
    fn a_name_is_a_template_of_the_rows_variables() {
        let name = |template: &str| {
            let row = row("7", "a{measure}", "amount", "1");
            EventName::parse(template).and_then(|name| name.of(&head(), &row)).map_err(|error| error.to_string())
        };
        assert_eq!(name("usage.{pipeline}.{measure}"), Ok("usage.orders.amount".to_owned()));
        assert_eq!(name("{resource}_{measure}"), Ok("a{measure}_amount".to_owned()), "a value is not a template");
        assert_eq!(
            name("{region}"),
            Err("--event-name: unknown variable `region`; expected one of pipeline, measure, resource".to_owned())
        );
        assert!(name(" ").is_err() && name("{entity}").is_err());
    }

    #[test]
    fn an_event_is_in_the_last_second_of_its_window() {
        assert_eq!(event("7", "amount", "1").second, 1_793_491_199);
    }
}
