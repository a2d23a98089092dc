//! Sends alerts to EventBridge or SNS. Each may be sent again, always with the same id, so receivers can leave out what they
//! have.

use tokio::time::Instant;

use crate::clients::Clients;
use crate::config::AlertDestination;
use crate::error::Error;
use crate::fold::{ALERT_DETAIL_TYPE, ALERT_SOURCE};

/// 10: the maximum number of entries of a PutEvents call.
const MAX_ENTRIES: usize = 10;

/// Where alerts are sent.
#[derive(Debug)]
pub enum AlertSink {
    /// PutEvents.
    Bus {
        /// The SDK client for EventBridge.
        client: aws_sdk_eventbridge::Client,
        /// The name or ARN of the event bus.
        bus: String,
    },
    /// Publish.
    Topic {
        /// The SDK client for SNS.
        client: aws_sdk_sns::Client,
        /// The ARN of the topic.
        topic: String,
    },
}

/// How far a list of alerts was sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// How many alerts, from the first on, were sent.
    pub count: usize,
    /// Why the next one wasn't.
    pub error: Option<Error>,
}

impl AlertSink {
    /// Creates the sink that the configuration selects.
    pub fn new(destination: &AlertDestination, clients: &Clients) -> AlertSink {
        match destination.clone() {
            AlertDestination::Bus(bus) => AlertSink::Bus { client: clients.eventbridge.clone(), bus },
            AlertDestination::Topic(topic) => AlertSink::Topic { client: clients.sns.clone(), topic },
        }
    }

    /// Sends the details of alerts in their order, up to the first that can't be sent before the deadline.
    pub async fn send(&self, details: &[String], deadline: Option<Instant>) -> Sent {
        let details: Vec<String> = details.iter().map(|detail| accepted_everywhere(detail)).collect();
        let mut sent = Sent::default();
        while let (Some(rest), None) = (details.get(sent.count..).filter(|rest| !rest.is_empty()), &sent.error) {
            let sending = async {
                match self {
                    AlertSink::Bus { client, bus } => put_events(client, bus, rest).await,
                    AlertSink::Topic { client, topic } => publish(client, topic, rest).await,
                }
            };
            let more = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, sending).await.unwrap_or_else(|_| Sent {
                    count: 0,
                    error: Some(Error::transient("send alerts: no response in time")),
                }),
                None => sending.await,
            };
            sent = Sent { count: sent.count + more.count, error: more.error };
        }
        sent
    }
}

/// The same JSON, with an escape for each character that SNS, a queue behind it, or a mail may refuse: those outside of XML 1.0's
/// `Char`, which SQS names as its limit, control characters, and noncharacters. Whoever chooses the name of an entity must not
/// be able to stop the alerts behind its own.
fn accepted_everywhere(detail: &str) -> String {
    // Outside of texts, JSON has no such characters.
    let is_accepted = |character: char| match character {
        '\u{fdd0}'..='\u{fdef}' => false,
        character => !character.is_control() && u32::from(character) & 0xfffe != 0xfffe,
    };
    let mut accepted = String::with_capacity(detail.len());
    for character in detail.chars() {
        match is_accepted(character) {
            true => accepted.push(character),
            false => {
                let mut units = [0; 2];
                accepted.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
    accepted
}

/// Puts the first of these events, as many as a call takes.
async fn put_events(client: &aws_sdk_eventbridge::Client, bus: &str, details: &[String]) -> Sent {
    let doing = format!("send alerts to the event bus {bus} (events:PutEvents)");
    let details = details.get(..MAX_ENTRIES.min(details.len())).unwrap_or_default();
    let entry = |detail: &String| {
        let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder();
        entry.event_bus_name(bus).source(ALERT_SOURCE).detail_type(ALERT_DETAIL_TYPE).detail(detail).build()
    };
    let entries = details.iter().map(entry).collect();
    let answer = match client.put_events().set_entries(Some(entries)).send().await {
        Ok(answer) => answer,
        Err(error) => return Sent { count: 0, error: Some(Error::from_sdk(&doing, &error)) },
    };
    // The answers are in the order of the entries.
    let failed =
        answer.entries().iter().enumerate().find_map(|(place, entry)| Some((place, entry.error_code()?, entry)));
    match failed {
        None => Sent { count: details.len(), error: None },
        Some((count, code, entry)) => {
            let message = entry.error_message().unwrap_or("EventBridge gave no reason");
            Sent { count, error: Some(Error::transient(format!("{doing}: {code}: {message}"))) }
        }
    }
}

/// Publishes the first of these messages.
async fn publish(client: &aws_sdk_sns::Client, topic: &str, details: &[String]) -> Sent {
    let doing = format!("send an alert to the topic {topic} (sns:Publish)");
    let message = details.first().map_or("", String::as_str);
    match client.publish().topic_arn(topic).subject(ALERT_DETAIL_TYPE).message(message).send().await {
        Ok(_) => Sent { count: 1, error: None },
        Err(error) => Sent { count: 0, error: Some(Error::from_sdk(&doing, &error)) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_an_entity_can_be_refused_and_all_arrive() {
        let all: String = (0..=u32::from(char::MAX)).filter_map(char::from_u32).collect();
        for entity in
            ["7", "Müller \"😀\" \\u0041", "a\0\n\t\r\u{1b}\u{7f}\u{85}\u{fffe}\u{ffff}\u{1fffe}b", all.as_str()]
        {
            let sent = accepted_everywhere(&serde_json::json!({ "entity": entity }).to_string());
            // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
            let is_refused = |character: char| {
                !matches!(character, ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
                    || character.is_control()
            };
            assert!(!sent.contains(is_refused), "{entity:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&sent).unwrap()["entity"], entity);
        }
        assert_eq!(accepted_everywhere(r#"{"entity":"Müller"}"#), r#"{"entity":"Müller"}"#);
        assert_eq!(accepted_everywhere("\"\u{ffff}\u{1fffe}\""), r#""\uffff\ud83f\udffe""#);
    }
}
