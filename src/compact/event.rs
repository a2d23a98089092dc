//! What an invocation is asked to do: everything, some units, or one.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use usage_aggregator::archive::ArchiveUnit;
use usage_aggregator::error::Error;
use usage_aggregator::time::{HOUR_SECONDS, Timestamp};

use crate::work::UnitKey;

/// How an event must look.
const EXPECTED: &str = "send {} for all units that are due, or an object with `type`, `date`, or both for some of them, and with \
                        `type`, `date`, and `unit` for one, as in {\"type\": \"order\", \"date\": \"2026-11-28\", \"unit\": \"2026-11-28T08\"}";

/// How the event of a proof must look.
const EXPECTED_PROOF: &str = "send {\"prove\": {\"at\": \"2026-11-28T03:00:00Z\", \"hours_ago\": 26}} for the day that had ended then, or \
                              {\"prove\": {\"from\": \"2026-11-28T08\", \"hours\": 6}} for some hours";

/// How many characters of an event an error shows.
const SHOWN: usize = 200;

/// The payload of an invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    record_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

/// What to compact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The units that are due: all of them, those of a record type, or those of a partition date.
    Due { record_type: Option<String>, date: Option<String> },
    /// One unit.
    One(UnitKey),
    /// Prove a day of hours, in as many invocations as it needs.
    ProveDay(Hours),
    /// Prove these hours.
    Prove(Hours),
}

/// Hours one after the other, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hours {
    /// The first second.
    pub from: i64,
    pub count: u32,
}

impl Hours {
    /// The first second of each hour.
    pub(crate) fn starts(self) -> impl Iterator<Item = i64> {
        (0..i64::from(self.count)).map(move |hour| self.from + hour * HOUR_SECONDS)
    }

    /// These hours in this many parts, as equal as possible.
    pub(crate) fn split(self, parts: u32) -> Vec<Hours> {
        let parts = parts.clamp(1, self.count.max(1));
        let start = |part: u32| part * self.count / parts;
        let hours = |part| Hours {
            from: self.from + i64::from(start(part)) * HOUR_SECONDS,
            count: start(part + 1) - start(part),
        };
        (0..parts).map(hours).collect()
    }

    /// The event that proves them.
    pub(crate) fn event(self) -> Result<Vec<u8>, serde_json::Error> {
        let from = Timestamp::from_seconds(self.from).map(|from| from.to_string()).unwrap_or_default();
        let from = from.get(.."2026-11-28T08".len()).map(str::to_owned);
        let request = ProofRequest { from, hours: Some(self.count), ..ProofRequest::default() };
        serde_json::to_vec(&ProofEvent { prove: request })
    }
}

/// The payload of an invocation that proves.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofEvent {
    prove: ProofRequest,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofRequest {
    /// When the schedule sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// How long before that the last hour has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hours_ago: Option<u32>,
    /// The first hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hours: Option<u32>,
}

/// The hours of a day.
const DAY_HOURS: u32 = 24;
/// A month, which is more than a proof of hours is for.
const MOST_HOURS: u32 = 31 * DAY_HOURS;

impl ProofRequest {
    fn read(self) -> Option<Event> {
        match self {
            ProofRequest { at: Some(at), hours_ago: Some(hours_ago), from: None, hours: None } => {
                let ended = Timestamp::parse(&at)?.seconds() / HOUR_SECONDS - i64::from(hours_ago);
                let from = (ended - i64::from(DAY_HOURS)) * HOUR_SECONDS;
                Timestamp::from_seconds(from)?;
                Some(Event::ProveDay(Hours { from, count: DAY_HOURS }))
            }
            ProofRequest { at: None, hours_ago: None, from: Some(from), hours: Some(count @ 1..=MOST_HOURS) } => {
                let hours = Hours { from: Timestamp::parse(&format!("{from}:00:00Z"))?.seconds(), count };
                // The last one must have a name, too.
                hours.starts().last().and_then(Timestamp::from_seconds)?;
                Some(Event::Prove(hours))
            }
            _ => None,
        }
    }
}

impl Event {
    /// Reads an event for a pipeline with these record types.
    pub(crate) fn read(event: &Value, types: &[&str]) -> Result<Event, Error> {
        Event::parse(event, types).map_err(|why| {
            let start: String = event.to_string().chars().take(SHOWN).collect();
            Error::config(format!("read the event {start}: {why}"))
        })
    }

    fn parse(event: &Value, types: &[&str]) -> Result<Event, String> {
        // A list would be read as the fields in their order.
        if !event.is_object() {
            return Err(EXPECTED.to_owned());
        }
        if event.get("prove").is_some() {
            let ProofEvent { prove } =
                ProofEvent::deserialize(event).map_err(|error| format!("{error}; {EXPECTED_PROOF}"))?;
            return prove.read().ok_or_else(|| EXPECTED_PROOF.to_owned());
        }
        let payload = Payload::deserialize(event).map_err(|error| format!("{error}; {EXPECTED}"))?;
        let Payload { record_type, date, unit } = payload;
        if let Some(unknown) = record_type.as_deref().filter(|name| !types.contains(name)) {
            return Err(format!("the pipeline doesn't archive `{unknown}`; expected one of {}", types.join(", ")));
        }
        if let Some(wrong) = date.as_deref().filter(|date| Timestamp::parse(&format!("{date}T00:00:00Z")).is_none()) {
            return Err(format!("`{wrong}` is not a valid date; expected one such as 2026-11-28"));
        }
        let Some(unit) = unit else { return Ok(Event::Due { record_type, date }) };
        let (Some(record_type), Some(date)) = (record_type, date) else {
            return Err(format!("`unit` needs `type` and `date`; {EXPECTED}"));
        };
        let unit = ArchiveUnit::parse(&unit).ok_or_else(|| {
            format!("`{unit}` is not a valid unit; expected one such as 2026-11-28T08 or 2026-11-28T0840")
        })?;
        Ok(Event::One(UnitKey { record_type, date, unit }))
    }

    /// The event that compacts this unit alone.
    pub(crate) fn of_unit(key: &UnitKey) -> Result<Vec<u8>, serde_json::Error> {
        let UnitKey { record_type, date, unit } = key.clone();
        let payload = Payload { record_type: Some(record_type), date: Some(date), unit: Some(unit.to_string()) };
        serde_json::to_vec(&payload)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(event: &Value) -> Result<Event, Error> {
        Event::read(event, &["order", "customer"])
    }

    #[test]
    fn the_event_of_a_unit_reads_back() {
        let unit = ArchiveUnit::parse("2026-11-28T0840").unwrap();
        let key = UnitKey { record_type: "order".to_owned(), date: "2026-12-01".to_owned(), unit };
        let event = serde_json::from_slice(&Event::of_unit(&key).unwrap()).unwrap();
        assert_eq!(read(&event).unwrap(), Event::One(key));
    }

    #[test]
    fn a_proof_is_of_the_day_that_had_ended_or_of_some_hours() {
        let start = Timestamp::parse("2026-11-26T01:00:00Z").unwrap().seconds();
        let day = Hours { from: start, count: 24 };
        let scheduled = json!({ "prove": { "at": "2026-11-28T03:17:05Z", "hours_ago": 26 } });
        assert_eq!(read(&scheduled).unwrap(), Event::ProveDay(day));
        let parts = day.split(5);
        assert_eq!(parts.iter().map(|part| part.count).collect::<Vec<_>>(), [4, 5, 5, 5, 5]);
        assert!(parts.iter().flat_map(|part| part.starts()).eq(day.starts()));
        assert_eq!((day.split(0), day.split(99).len()), (vec![day], 24));
        for part in parts {
            let event = serde_json::from_slice(&part.event().unwrap()).unwrap();
            assert_eq!(read(&event).unwrap(), Event::Prove(part));
        }
        for wrong in [
            json!({ "prove": {} }),
            json!({ "prove": { "at": "2026-11-28T03:00:00Z" } }),
            json!({ "prove": { "from": "2026-11-28T08", "hours": 0 } }),
            json!({ "prove": { "from": "2026-11-28", "hours": 1 } }),
            json!({ "prove": { "from": "2026-11-28T08", "hours": 1, "at": "2026-11-28T03:00:00Z" } }),
            json!({ "prove": { "at": "2026-11-28T03:00:00Z", "hours_ago": 26 }, "type": "order" }),
        ] {
            let error = read(&wrong).unwrap_err().message;
            assert!(error.contains("send {\"prove\": {\"at\": "), "{error}");
        }
    }

    #[test]
    fn regression_hours_after_the_last_one_that_has_a_name_are_refused() {
        let last = |hours: u32| read(&json!({ "prove": { "from": "2099-12-31T23", "hours": hours } }));
        assert!(last(1).is_ok());
        assert!(last(2).is_err());
    }

    #[test]
    fn an_event_selects_all_units_or_those_of_a_type_or_date() {
        let due = |record_type: Option<&str>, date: Option<&str>| Event::Due {
            record_type: record_type.map(str::to_owned),
            date: date.map(str::to_owned),
        };
        for (event, expected) in [
            (json!({}), due(None, None)),
            (json!({ "type": "order" }), due(Some("order"), None)),
            (json!({ "date": "2026-11-28" }), due(None, Some("2026-11-28"))),
            (json!({ "type": "customer", "date": "2026-11-28" }), due(Some("customer"), Some("2026-11-28"))),
        ] {
            assert_eq!(read(&event).unwrap(), expected, "{event}");
        }
    }

    #[test]
    fn an_event_that_is_not_understood_is_refused_with_what_was_expected() {
        let looks = "send {} for all units that are due";
        for (event, expected) in [
            (json!({ "tpye": "order" }), "unknown field `tpye`, expected one of `type`, `date`, `unit`; send {}"),
            (json!({ "type": 7 }), "invalid type: integer `7`, expected a string; send {}"),
            (json!(["order"]), looks),
            (json!(null), looks),
            (json!({ "Records": [] }), "unknown field `Records`"),
            (json!({ "type": "invoice" }), "the pipeline doesn't archive `invoice`; expected one of order, customer"),
            (json!({ "date": "28.11.2026" }), "`28.11.2026` is not a valid date; expected one such as 2026-11-28"),
            (json!({ "date": "2026-11" }), "`2026-11` is not a valid date"),
            (json!({ "unit": "2026-11-28T08" }), "`unit` needs `type` and `date`; send {}"),
            (json!({ "type": "order", "unit": "2026-11-28T08" }), "`unit` needs `type` and `date`"),
            (
                json!({ "type": "order", "date": "2026-11-28", "unit": "2026-11-28T08:40" }),
                "`2026-11-28T08:40` is not a valid unit; expected one such as 2026-11-28T08 or 2026-11-28T0840",
            ),
        ] {
            let error = read(&event).unwrap_err().message;
            let start = format!("read the event {event}: {expected}");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
