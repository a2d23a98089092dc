//! Which faults are injected while a mapping runs, and how often: a string such as `crash=2,lose=5,split=10s`. The
//! profile can be changed during the run.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How often each fault occurs. Percentages are of invocations, calls, reads or records, as each field says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultProfile {
    /// Percent of successful invocations whose result Lambda doesn't receive, so that it delivers the batch again.
    pub redeliver: f64,
    /// Percent of invocations in which the sandbox dies in one of its first calls: half of them before the call has its
    /// effect, half of them after.
    pub crash: f64,
    /// Percent of calls whose request or response is lost.
    pub lose: f64,
    /// Percent of calls that are throttled.
    pub throttle: f64,
    /// Percent of calls that conflict with another writer.
    pub conflict: f64,
    /// Percent of calls that are answered with status 503.
    pub unavailable: f64,
    /// Percent of S3 calls that take 250 ms longer.
    pub slow: f64,
    /// Percent of invocations that are throttled.
    pub refuse: f64,
    /// Percent of invocations in which the process exits at once.
    pub exit: f64,
    /// Percent of invocations that hang until the function's timeout.
    pub hang: f64,
    /// Percent of S3 calls that are refused for lack of a permission.
    pub denied: f64,
    /// Percent of S3 calls that are answered with status 503.
    pub s3: f64,
    /// Percent of DynamoDB calls that are throttled.
    pub tables: f64,
    /// Percent of reads of the stream whose iterator has expired, and percent of reads that are throttled.
    pub iterator: f64,
    /// Percent of the load's records that can't be processed.
    pub poison: f64,
    /// Percent of Kinesis records that are repeated, and percent that are overtaken by later ones.
    pub repeat: f64,
    /// How often shards split or merge.
    pub split: Option<Duration>,
    /// How often the mapping dies and restarts from an older checkpoint.
    pub restart: Option<Duration>,
    /// Whether two mappings run at once.
    pub twins: bool,
    /// Whether the mapping is disabled.
    pub disable: bool,
}

/// A profile as it was requested.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestedFaults {
    /// All the faults to inject.
    pub profile: FaultProfile,
    /// Those that were requested by their own name, rather than as part of `all`.
    pub named: FaultProfile,
}

/// The profile that `all` stands for: everything that passes by itself. The others are outages, which last until they are
/// turned off: `exit`, `hang`, `denied`, `s3`, `tables` and `disable`.
const ALL: &str = "redeliver=5,crash=10,lose=2,throttle=2,conflict=2,503=2,slow=5,refuse=3,iterator=5,poison=0.1,\
                   repeat=2,split=5s,restart=10s,twins";

impl FaultProfile {
    /// The names of all faults, for help texts and errors.
    pub const NAMES: &'static str = "redeliver, crash, lose, throttle, conflict, 503, slow, refuse, exit, hang, denied, s3, \
                                     tables, iterator, poison, repeat (percent), split, restart (interval in seconds), \
                                     twins, disable";

    fn percent(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "redeliver" => &mut self.redeliver,
            "crash" => &mut self.crash,
            "lose" => &mut self.lose,
            "throttle" => &mut self.throttle,
            "conflict" => &mut self.conflict,
            "503" => &mut self.unavailable,
            "slow" => &mut self.slow,
            "refuse" => &mut self.refuse,
            "exit" => &mut self.exit,
            "hang" => &mut self.hang,
            "denied" => &mut self.denied,
            "s3" => &mut self.s3,
            "tables" => &mut self.tables,
            "iterator" => &mut self.iterator,
            "poison" => &mut self.poison,
            "repeat" => &mut self.repeat,
            _ => return None,
        })
    }

    fn interval(&mut self, name: &str) -> Option<&mut Option<Duration>> {
        match name {
            "split" => Some(&mut self.split),
            "restart" => Some(&mut self.restart),
            _ => None,
        }
    }

    /// Applies one part of a profile's text, such as `crash=2`.
    fn set(&mut self, part: &str) -> Result<(), String> {
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
        let flag = match name {
            "twins" => Some(&mut self.twins),
            "disable" => Some(&mut self.disable),
            _ => None,
        };
        if let (Some(flag), None) = (flag, value) {
            *flag = true;
            return Ok(());
        }
        let expected = |expected: &str| format!("`{part}`: expected {expected}");
        if let Some(percent) = self.percent(name) {
            let value: f64 =
                value.and_then(|value| value.parse().ok()).ok_or_else(|| expected("a percentage, such as 5"))?;
            *percent = if (0.0..=100.0).contains(&value) { value } else { return Err(expected("0 to 100")) };
            return Ok(());
        }
        let interval = self
            .interval(name)
            .ok_or_else(|| format!("unknown fault `{part}`; expected one of {}", FaultProfile::NAMES))?;
        let seconds = value.and_then(|value| value.strip_suffix('s')?.parse::<u64>().ok()).filter(|value| *value > 0);
        *interval = Some(Duration::from_secs(seconds.ok_or_else(|| expected("seconds, such as 10s"))?));
        Ok(())
    }
}

impl FromStr for FaultProfile {
    type Err = String;

    /// Reads `none`, `all`, or parts separated by commas; a later part overrides an earlier one.
    fn from_str(text: &str) -> Result<FaultProfile, String> {
        text.parse::<RequestedFaults>().map(|requested| requested.profile)
    }
}

impl FromStr for RequestedFaults {
    type Err = String;

    fn from_str(text: &str) -> Result<RequestedFaults, String> {
        let mut requested = RequestedFaults::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part {
                "none" => requested = RequestedFaults::default(),
                "all" => ALL.split(',').try_for_each(|part| requested.profile.set(part.trim()))?,
                part => {
                    requested.profile.set(part)?;
                    requested.named.set(part)?;
                }
            }
        }
        Ok(requested)
    }
}

impl fmt::Display for FaultProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FaultProfile { redeliver, crash, lose, throttle, conflict, unavailable, slow, refuse, .. } = self;
        let FaultProfile { exit, hang, denied, s3, tables, .. } = self;
        let FaultProfile { iterator, poison, repeat, split, restart, twins, disable, .. } = self;
        let percents = [
            ("redeliver", redeliver),
            ("crash", crash),
            ("lose", lose),
            ("throttle", throttle),
            ("conflict", conflict),
            ("503", unavailable),
            ("slow", slow),
            ("refuse", refuse),
            ("exit", exit),
            ("hang", hang),
            ("denied", denied),
            ("s3", s3),
            ("tables", tables),
            ("iterator", iterator),
            ("poison", poison),
            ("repeat", repeat),
        ];
        let percents =
            percents.iter().filter(|(_, value)| **value > 0.0).map(|(name, value)| format!("{name}={value}"));
        let intervals = [("split", split), ("restart", restart)];
        let intervals =
            intervals.iter().filter_map(|(name, interval)| Some(format!("{name}={}s", interval.as_ref()?.as_secs())));
        let flags = [("twins", twins), ("disable", disable)];
        let flags = flags.iter().filter(|(_, is_on)| **is_on).map(|(name, _)| (*name).to_owned());
        let parts: Vec<String> = percents.chain(intervals).chain(flags).collect();
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_printed_as_it_is_parsed() {
        for text in [
            "none",
            "crash=2,lose=0.5,split=10s,twins",
            "exit=100,hang=1,denied=2,s3=3,tables=4,disable",
            "redeliver=100,503=1,restart=3s",
        ] {
            assert_eq!(text.parse::<FaultProfile>().unwrap().to_string(), text);
        }
        let all: FaultProfile = "all".parse().unwrap();
        assert_eq!(all.to_string().parse::<FaultProfile>().unwrap(), all);
        assert_eq!("all,none,crash=1".parse::<FaultProfile>().unwrap().to_string(), "crash=1");
        assert_eq!("all, twins , crash=7".parse::<FaultProfile>().unwrap().crash, 7.0);
    }

    #[test]
    fn faults_requested_by_name_are_told_apart_from_those_of_all() {
        let requested: RequestedFaults = "poison=9,none,all,crash=7,twins".parse().unwrap();
        assert_eq!((requested.profile.poison, requested.profile.crash), (0.1, 7.0));
        assert_eq!(requested.named.to_string(), "crash=7,twins");
    }

    #[test]
    fn an_invalid_part_is_named() {
        for (text, expected) in [
            ("crush=2", "unknown fault `crush=2`; expected one of redeliver"),
            ("crash", "`crash`: expected a percentage, such as 5"),
            ("crash=101", "`crash=101`: expected 0 to 100"),
            ("crash=NaN", "`crash=NaN`: expected 0 to 100"),
            ("split=10", "`split=10`: expected seconds, such as 10s"),
            ("split=0s", "`split=0s`: expected seconds"),
            ("twins=2", "unknown fault `twins=2`"),
        ] {
            let error = text.parse::<FaultProfile>().unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
