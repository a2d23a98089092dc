//! Racers' messages to a Kinesis stream, as `schemas/alleycat` describes them. Each counts once, with its meters.

use fastrand::Rng;
use serde_json::json;

use super::change::{Add, Change, Meaning, Write, hundredths, texts};
use super::profile::Shape;
use super::skew::Picker;

const COMPETITION: &str = "1";
const RECORD_TYPE: &str = "racer";

/// The load.
#[derive(Debug)]
pub struct Alleycat {
    pub(super) random: Rng,
    racers: Picker,
    /// The last racer, if the racers take turns.
    last: u32,
}

impl Alleycat {
    pub fn new(shape: &Shape, random: Rng) -> Alleycat {
        Alleycat { random, racers: Picker::new(shape.entities, shape.skew), last: 0 }
    }

    pub fn next(&mut self, number: u64) -> Change {
        let racer = self.racer().to_string();
        // A bike covers 4 to 12 meters per second.
        let centimetres = self.random.i64(400..=1_200);
        let metres = hundredths(centimetres);
        let kilometres_per_hour = hundredths(centimetres * 36 / 10);
        let status = json!(self.random.choice(["RIDING", "RIDING", "RIDING", "CHECKPOINT"]));
        // Formatted by hand, so that numbers keep their digits.
        let data = format!(
            r#"{{"racerId":{racer},"competitionId":{COMPETITION},"distance":{metres},"speed":{kilometres_per_hour},"status":{status},"message":{number}}}"#
        );
        let resource = format!("competition-{COMPETITION}");
        let add = |(measure, amount): (&str, &str)| Add {
            group: texts([("entity", &racer), ("resource", &resource)]),
            measure: measure.to_owned(),
            amount: amount.to_owned(),
        };
        let meaning = Meaning {
            record_type: RECORD_TYPE.to_owned(),
            key: texts([("racerId", &racer), ("competitionId", COMPETITION)]),
            adds: [("messages", "1"), ("metres", &metres)].map(add).into(),
            event_time: None,
            poison: false,
            archived: Some(RECORD_TYPE.to_owned()),
        };
        Change { number, write: Write::Message { partition_key: racer, data }, meaning }
    }

    /// In turn if there is no skew, so that each sends one message per second.
    fn racer(&mut self) -> u32 {
        if !self.racers.is_even() {
            return self.racers.pick(&mut self.random);
        }
        self.last = self.last % self.racers.count() + 1;
        self.last
    }
}
