//! Assumptions on the command line: `rate=5000/s,entities=200,size=700`, with units, and only names that the command knows.

use std::collections::BTreeMap;

use crate::shell::console::UsageError;
use crate::shell::durations::duration;

/// 730 hours.
pub const MONTH_SECONDS: f64 = 2_628_000.0;

/// Names with their texts, until each is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assumptions {
    option: &'static str,
    texts: BTreeMap<String, String>,
}

impl Assumptions {
    /// Reads what `option` was given.
    ///
    /// # Errors
    /// When a name is not `known`, is there twice, or has no value.
    pub fn parse(option: &'static str, text: &str, known: &[&str]) -> Result<Assumptions, UsageError> {
        let mut texts = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&name) {
                return Err(UsageError(format!(
                    "{option}: nothing is called `{name}`; there are {}",
                    known.join(", ")
                )));
            }
            if value.is_empty() || texts.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(UsageError(format!("{option}: write {name}=VALUE, once")));
            }
        }
        Ok(Assumptions { option, texts })
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// A number above zero: `200`, `1e6`, `1_000`.
    pub fn number(&self, name: &str) -> Result<Option<f64>, UsageError> {
        self.read(name, "a number above 0 such as 200 or 1e6", positive)
    }

    /// Records a second: `5000/s`, `1e6/day`.
    pub fn rate(&self, name: &str) -> Result<Option<f64>, UsageError> {
        self.read(name, "a rate such as 5000/s, 300/min, 1e6/day or 3e7/month", |text| {
            let (number, unit) = text.split_once('/')?;
            let seconds = match unit {
                "s" => 1.0,
                "min" => 60.0,
                "h" => 3_600.0,
                "day" => 86_400.0,
                "month" => MONTH_SECONDS,
                _ => return None,
            };
            Some(positive(number)? / seconds)
        })
    }

    /// Bytes: `700`, `700B`, `2KB`.
    pub fn bytes(&self, name: &str) -> Result<Option<f64>, UsageError> {
        self.read(name, "a size such as 700, 700B or 2KB", |text| match text.strip_suffix("KB") {
            Some(kilobytes) => Some(positive(kilobytes)? * 1_000.0),
            None => positive(text.strip_suffix('B').unwrap_or(text)),
        })
    }

    /// Seconds: `200ms`, `1s`, `1m`.
    pub fn seconds(&self, name: &str) -> Result<Option<f64>, UsageError> {
        self.read(name, "a span of time such as 200ms or 1s", |text| Some(duration(text).ok()?.as_secs_f64()))
    }

    fn read<T>(&self, name: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, UsageError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let option = self.option;
        read(text).map(Some).ok_or_else(|| UsageError(format!("{option}: {name}={text} is not {expected}")))
    }
}

fn positive(text: &str) -> Option<f64> {
    text.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0)
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
    fn mistakes_say_what_is_expected() {
        for (text, expected) in [
            ("rates=5/s", "--what-if: nothing is called `rates`; there are rate, size, latency, entities"),
            ("rate", "--what-if: write rate=VALUE, once"),
            ("rate=1/s,rate=2/s", "--what-if: write rate=VALUE, once"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
        for wrong in ["5000", "5000/year", "-5/s", "x/s", "inf/s", "0/s"] {
            assert!(parse(&format!("rate={wrong}")).unwrap().rate("rate").is_err(), "{wrong}");
        }
    }
}
