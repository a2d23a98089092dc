//! Assumptions on the command line, with units: `rate=5000/s,entities=200,size=700`.

use std::collections::BTreeMap;

use crate::shell::console::UsageError;
use crate::shell::durations::duration;

/// 730 hours: an average month.
pub const MONTH_SECONDS: f64 = 2_628_000.0;

/// The names and texts of assumptions, which are parsed when they are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assumptions {
    option: &'static str,
    texts: BTreeMap<String, String>,
}

impl Assumptions {
    /// Splits the value of `option`.
    ///
    /// # Errors
    /// When a name is not `known`, occurs twice, or has no value.
    pub fn parse(option: &'static str, text: &str, known: &[&str]) -> Result<Assumptions, UsageError> {
        let mut texts = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&name) {
                return Err(UsageError(format!(
                    "{option}: unknown name `{name}`; expected one of {}",
                    known.join(", ")
                )));
            }
            if value.is_empty() || texts.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(UsageError(format!("{option}: expected {name}=VALUE, once")));
            }
        }
        Ok(Assumptions { option, texts })
    }

    /// Whether nothing is assumed.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The text of an assumption.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// A number above zero: `200`, `1e6`, `1_000`.
    pub fn number(&self, name: &str) -> Result<Option<f64>, UsageError> {
        self.read(name, "a number above 0, like 200 or 1e6", positive)
    }

    /// Records per second: `5000/s`, `1e6/day`.
    pub fn rate(&self, name: &str) -> Result<Option<f64>, UsageError> {
        self.read(name, "a rate like 5000/s, 300/min, 1e6/day or 3e7/month", |text| {
            let (number, unit) = text.split_once('/')?;
            let seconds = match unit {
                "s" => 1.0,
                "min" => 60.0,
                "h" => 3_600.0,
                "day" => 86_400.0,
                "month" => MONTH_SECONDS,
                _ => return None,
            };
            above_zero(positive(number)? / seconds)
        })
    }

    /// Bytes: `700`, `700B`, `2KB`.
    pub fn bytes(&self, name: &str) -> Result<Option<f64>, UsageError> {
        self.read(name, "a size like 700, 700B or 2KB", |text| match text.strip_suffix("KB") {
            Some(kilobytes) => above_zero(positive(kilobytes)? * 1_000.0),
            None => positive(text.strip_suffix('B').unwrap_or(text)),
        })
    }

    /// Seconds: `200ms`, `1s`, `1m`.
    pub fn seconds(&self, name: &str) -> Result<Option<f64>, UsageError> {
        self.read(name, "a duration like 200ms or 1s", |text| Some(duration(text).ok()?.as_secs_f64()))
    }

    fn read<T>(&self, name: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, UsageError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let option = self.option;
        read(text).map(Some).ok_or_else(|| UsageError(format!("{option}: {name}={text} is not {expected}")))
    }
}

fn positive(text: &str) -> Option<f64> {
    text.replace('_', "").parse().ok().and_then(above_zero)
}

/// The number, unless it is beyond what a float can hold, or 0: its unit may have made it so.
fn above_zero(number: f64) -> Option<f64> {
    (number.is_finite() && number > 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Assumptions, UsageError> {
        Assumptions::parse("--what-if", text, &["rate", "size", "latency", "entities"])
    }

    #[test]
    fn values_have_units() {
        let given = parse("rate=300/min, size=2KB,latency=250ms,entities=1_000").unwrap();
        assert_eq!(given.rate("rate").unwrap(), Some(5.0));
        assert_eq!(given.bytes("size").unwrap(), Some(2_000.0));
        assert_eq!(given.seconds("latency").unwrap(), Some(0.25));
        assert_eq!(given.number("entities").unwrap(), Some(1_000.0));
        assert_eq!(given.number("shards").unwrap(), None);
    }

    #[test]
    fn errors_name_what_is_expected() {
        for (text, expected) in [
            ("rates=5/s", "--what-if: unknown name `rates`; expected one of rate, size, latency, entities"),
            ("rate", "--what-if: expected rate=VALUE, once"),
            ("rate=1/s,rate=2/s", "--what-if: expected rate=VALUE, once"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
        for wrong in ["5000", "5000/year", "-5/s", "x/s", "inf/s", "0/s"] {
            assert!(parse(&format!("rate={wrong}")).unwrap().rate("rate").is_err(), "{wrong}");
        }
    }

    #[test]
    fn regression_a_number_that_its_unit_makes_infinite_or_zero_is_refused() {
        assert!(parse("size=1e306KB").unwrap().bytes("size").is_err());
        assert!(parse("rate=1e-320/month").unwrap().rate("rate").is_err());
    }
}
