//! The faults that the page can switch on: what each does, and how often it occurs then.

use laptop::proof::{FaultProfile, RequestedFaults};
use serde::Serialize;

use crate::laptop::local::reach::Reach;

/// A fault that the page can switch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Switch {
    /// Its name in a profile.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it does, and how often.
    pub effect: &'static str,
    /// Its value in a profile, if it has one: that of `all`, or that of an outage.
    #[serde(skip)]
    value: &'static str,
    /// Whether it lasts until it is switched off, instead of passing by itself.
    pub is_outage: bool,
}

type Text = &'static str;

const fn passing(name: Text, value: Text, title: Text, effect: Text) -> Switch {
    Switch { name, title, effect, value, is_outage: false }
}

const fn outage(name: Text, value: Text, title: Text, effect: Text) -> Switch {
    Switch { name, title, effect, value, is_outage: true }
}

const SWITCHES: [Switch; 20] = [
    passing("redeliver", "5", "Lost responses", "5% of batches are delivered again"),
    passing("crash", "10", "Crashes", "10% of invocations lose their sandbox"),
    passing("refuse", "3", "Throttled invocations", "3% of invocations don't run"),
    passing("lose", "2", "Lost calls", "2% of requests or responses are lost"),
    passing("throttle", "2", "Throttled calls", "2% of calls are throttled"),
    passing("conflict", "2", "Conflicts", "2% of writes conflict with another"),
    passing("503", "2", "Unavailable services", "2% of calls are answered with 503"),
    passing("slow", "5", "Slow S3", "5% of S3 calls take 250 ms longer"),
    passing("iterator", "5", "Expired iterators", "5% of reads of the stream fail"),
    passing("split", "5s", "Shard splits", "A split or a merge every 5 s"),
    passing("restart", "10s", "Restarts", "From an older checkpoint every 10 s"),
    passing("twins", "", "Twin mappings", "Two mappings read at once"),
    passing("poison", "2", "Poison records", "2% of the load can't be processed"),
    passing("repeat", "2", "Repeated records", "2% arrive again, out of order"),
    outage("exit", "100", "Function down", "Every process exits at once"),
    outage("hang", "100", "Function hangs", "Every invocation times out"),
    outage("denied", "100", "S3 permission missing", "Every S3 call is denied"),
    outage("s3", "100", "S3 down", "Every S3 call is answered with 503"),
    outage("tables", "100", "DynamoDB down", "Every call is throttled"),
    outage("disable", "", "Mapping disabled", "Nothing is read from the stream"),
];

impl Switch {
    /// The part of a profile that switches it on, such as `crash=10`.
    fn on(&self) -> String {
        let equals = if self.value.is_empty() { "" } else { "=" };
        [self.name, equals, self.value].concat()
    }
}

/// A switch, and why it can't be used in this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct OfferedSwitch {
    #[serde(flatten)]
    pub switch: Switch,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The switches of a run with this reach.
pub(super) fn offered(reach: &Reach) -> Vec<OfferedSwitch> {
    let offer = |switch: Switch| OfferedSwitch { refused: check(reach, &switch.on()).err(), switch };
    SWITCHES.into_iter().map(offer).collect()
}

/// The profile after one fault, `all` or `none` is switched.
///
/// # Errors
/// If the fault is unknown, or could not occur in a run with this reach.
pub(super) fn switched(
    current: &FaultProfile,
    reach: &Reach,
    name_of_fault: &str,
    is_on: bool,
) -> Result<FaultProfile, String> {
    if matches!(name_of_fault, "all" | "none") {
        return name_of_fault.parse();
    }
    let found = SWITCHES.into_iter().find(|switch| switch.name == name_of_fault);
    let switch = found.ok_or_else(|| {
        format!("unknown fault `{name_of_fault}`; expected all, none, or one of {}", FaultProfile::NAMES)
    })?;
    let text = current.to_string();
    let others = text.split(',').filter(|part| *part != "none" && name(part) != switch.name);
    let mut parts: Vec<String> = others.map(str::to_owned).collect();
    if is_on {
        check(reach, &switch.on())?;
        parts.push(switch.on());
    }
    parts.join(",").parse()
}

fn check(reach: &Reach, on: &str) -> Result<(), String> {
    reach.check(&on.parse::<RequestedFaults>()?.named)
}

/// The name in a part of a profile, such as `crash=2`.
fn name(part: &str) -> &str {
    match part.split_once('=') {
        Some((name, _)) => name,
        None => part,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::laptop::local::StreamChoice;

    const REACH: Reach = Reach { stream: StreamChoice::Dynamodb, counts: true, poison: true, in_process: true };

    #[test]
    fn there_is_a_switch_for_every_fault() {
        let names = FaultProfile::NAMES.replace(" (percent)", "").replace(" (interval in seconds)", "");
        let known: BTreeSet<&str> = names.split(", ").collect();
        assert_eq!(SWITCHES.iter().map(|switch| switch.name).collect::<BTreeSet<_>>(), known);
        assert_eq!(known.len(), SWITCHES.len());
    }

    #[test]
    fn a_switch_changes_its_own_fault_and_no_other() {
        let profile = |text: &str| text.parse::<FaultProfile>().unwrap();
        let after = |from: &str, name: &str, is_on| {
            switched(&profile(from), &REACH, name, is_on).map(|profile| profile.to_string())
        };
        assert_eq!(after("none", "crash", true), Ok("crash=10".to_owned()));
        assert_eq!(after("crash=50,twins", "split", true), Ok("crash=50,split=5s,twins".to_owned()));
        assert_eq!(after("crash=50,twins", "crash", true), Ok("crash=10,twins".to_owned()));
        assert_eq!(after("crash=50,twins", "twins", false), Ok("crash=50".to_owned()));
        assert_eq!(after("crash=50", "crash", false), Ok("none".to_owned()));
        assert_eq!(after("crash=50", "none", true), Ok("none".to_owned()));
        assert_eq!(after("none", "all", true), Ok(profile("all").to_string()));
        assert_eq!(after("all", "exit", true), Ok(profile("all,exit=100").to_string()), "`all` has what can't occur");
    }

    #[test]
    fn a_fault_that_is_unknown_or_could_not_occur_is_refused() {
        let refused = |name: &str| switched(&FaultProfile::default(), &REACH, name, true).unwrap_err();
        assert!(refused("crush").starts_with("unknown fault `crush`; expected all, none, or one of redeliver"));
        assert!(refused("crash=50").starts_with("unknown fault `crash=50`"));
        assert!(refused("repeat").starts_with("`repeat` needs"));
        let offered = offered(&Reach { poison: false, ..REACH });
        let refused: Vec<&str> =
            offered.iter().filter(|one| one.refused.is_some()).map(|one| one.switch.name).collect();
        assert_eq!(refused, ["poison", "repeat"]);
    }
}
