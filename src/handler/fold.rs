//! Fold: reads the notices of the ledger's stream and folds their minutes.

use serde::Deserialize;
use tracing::{Instrument, info_span};

use super::{Handler, Invocation, spans};
use crate::error::Error;
use crate::fold::{AlertKey, Folded, Notice};
use crate::outcome::FoldOutcome;
use crate::time::{DAY_SECONDS, Timestamp};

/// A page whose minute is older than the horizon and this many days is about to expire, so it is no longer folded.
const GRACE_DAYS: i64 = 6;

/// Whether an event is of the stream of this table. The first source that it names decides: all records of an event have
/// the same.
pub(super) fn is_of_ledger(event: &[u8], ledger: &str) -> bool {
    spans::source_arn(event).is_some_and(|arn| arn.contains(&format!(":table/{ledger}/stream/")))
}

/// An event of the ledger's stream.
#[derive(Debug, Deserialize)]
struct NoticeEvent {
    #[serde(rename = "Records")]
    records: Vec<NoticeRecord>,
}

#[derive(Debug, Deserialize)]
struct NoticeRecord {
    #[serde(rename = "eventName")]
    event: String,
    dynamodb: Change,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    keys: Keys,
    sequence_number: String,
    approximate_creation_date_time: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Keys {
    pk: Text,
    sk: Text,
}

#[derive(Debug, Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

impl Handler {
    pub(super) async fn fold_notices(&self, event: &[u8], invocation: &Invocation) -> Result<FoldOutcome, Error> {
        let decoding = info_span!(target: "telemetry", "decode");
        let event: NoticeEvent = decoding.in_scope(|| serde_json::from_slice(event)).map_err(|error| {
            let remedy = "map the ledger's stream with the view type KEYS_ONLY, or more";
            Error::config(format!("read the event of the ledger's stream: {error}; {remedy}"))
        })?;
        let oldest = invocation.now.seconds() - (self.config.horizon_days + GRACE_DAYS) * DAY_SECONDS;
        let mut outcome = FoldOutcome { records: event.records.len(), ..FoldOutcome::default() };
        let (mut notices, mut positions, mut too_old) = (Vec::new(), Vec::new(), Vec::new());
        let mut alerts = Vec::new();
        for (position, record) in event.records.iter().enumerate() {
            let Keys { pk, sk } = &record.dynamodb.keys;
            match Notice::of(&self.pipeline().name, &pk.text, &sk.text).filter(|_| record.event == "INSERT") {
                Some(notice) if notice.minute.start() < oldest => too_old.push(notice),
                Some(notice) => {
                    notices.push(notice);
                    positions.push(position);
                }
                None => match AlertKey::of(&self.pipeline().name, &pk.text, &sk.text) {
                    Some(alert) if record.event == "INSERT" => alerts.push((position, alert)),
                    _ => outcome.ignored += 1,
                },
            }
        }
        (outcome.notices, outcome.too_old) = (notices.len(), too_old.len());
        let folded = self.fold_all(&notices, invocation).await?;
        self.store_too_old(&too_old, invocation).await?;
        let unsettled = positions.get(folded.settled).copied();
        // Those behind a notice that isn't settled are delivered again with it.
        alerts.retain(|(position, _)| unsettled.is_none_or(|unsettled| *position < unsettled));
        let (places, alerts): (Vec<usize>, Vec<AlertKey>) = alerts.into_iter().unzip();
        let sending = info_span!(target: "telemetry", "send alerts");
        let sent = self.send_alerts(&alerts, invocation).instrument(sending).await;
        let unsent = places.get(sent.count).copied();
        (outcome.alerts_sent, outcome.alerts_failed) = (sent.count, alerts.len() - sent.count);
        outcome.alert_error = sent.error;
        let first = unsent.or(unsettled).and_then(|position| event.records.get(position));
        outcome.failed = first.map(|record| record.dynamodb.sequence_number.clone());
        let created = |record: &NoticeRecord| record.dynamodb.approximate_creation_date_time;
        outcome.oldest_created_at = event.records.iter().filter_map(created).reduce(f64::min).and_then(time);
        Ok(FoldOutcome { folded, ..outcome })
    }

    pub(super) async fn fold_all(&self, notices: &[Notice], invocation: &Invocation) -> Result<Folded, Error> {
        let span = info_span!(target: "telemetry", "fold");
        match (&self.folder, &self.pipeline().snapshot) {
            (Some(folder), Some(snapshot)) => {
                folder.fold(snapshot, notices, invocation.now, invocation.deadline).instrument(span).await
            }
            _ => Ok(Folded::default()),
        }
    }
}

/// The time of a stream record, which has whole seconds, or fractions of them.
fn time(seconds: f64) -> Option<Timestamp> {
    let time = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_micros(i64::try_from(time.as_micros()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_source_decides_whether_an_event_is_of_the_ledger() {
        let event =
            |arn: &str| format!(r#"{{"Records":[{{"x":"\"eventSourceARN\":\"no\"","eventSourceARN" : "{arn}"}}]}}"#);
        let of = |arn: &str| is_of_ledger(event(arn).as_bytes(), "ledger");
        assert!(of("arn:aws:dynamodb:eu-west-1:1:table/ledger/stream/2026-11-28T00:00:00.000"));
        for other in [
            "arn:aws:dynamodb:eu-west-1:1:table/ledger2/stream/2026",
            "arn:aws:dynamodb:eu-west-1:1:table/my-ledger/stream/2026",
            "arn:aws:kinesis:eu-west-1:1:stream/ledger",
            "",
        ] {
            assert!(!of(other), "{other}");
        }
        assert!(!is_of_ledger(b"{}", "ledger"));
    }
}
