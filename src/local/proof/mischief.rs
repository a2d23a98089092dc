//! What goes wrong on purpose while a mapping runs: a text such as `crash=2,lose=5,split=10s`, which may change while
//! it acts.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::emulators::{Call, Fault, FaultPlan, Service};

/// How often what goes wrong. Percentages are of calls, invocations or records, as each says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mischief {
    /// Invocations whose success Lambda doesn't hear of, so that all comes again.
    pub redeliver: f64,
    /// Invocations in which the sandbox dies in one of its first calls, half of them with the effect done.
    pub crash: f64,
    /// Calls whose request or response is lost.
    pub lose: f64,
    /// Calls that are throttled.
    pub throttle: f64,
    /// Calls that meet another writer.
    pub conflict: f64,
    /// Calls that get 503.
    pub unavailable: f64,
    /// S3 calls that take a quarter of a second longer.
    pub slow: f64,
    /// Invocations that are throttled.
    pub refuse: f64,
    /// Reads of the stream whose iterator has expired, and as many that are throttled.
    pub iterator: f64,
    /// Records written that can't be processed.
    pub poison: f64,
    /// Kinesis: records that come twice, and as many that are overtaken.
    pub repeat: f64,
    /// Shards split or merge this often.
    pub split: Option<Duration>,
    /// The mapping dies and starts again from a checkpoint that lags, this often.
    pub restart: Option<Duration>,
    /// Two mappings at once.
    pub twins: bool,
}

/// Everything at once.
const ALL: &str = "redeliver=5,crash=10,lose=2,throttle=2,conflict=2,503=2,slow=5,refuse=3,iterator=5,poison=0.1,\
                   repeat=2,split=5s,restart=10s,twins";

/// Among how many calls the one is chosen in which a sandbox dies.
const CRASH_WITHIN: usize = 12;

/// What a fault of S3 that is slow costs.
const SLOW: Duration = Duration::from_millis(250);

impl Mischief {
    /// Every kind of mischief there is.
    pub const KINDS: &'static str = "redeliver, crash, lose, throttle, conflict, 503, slow, refuse, iterator, poison, \
                                     repeat (percent), split, restart (every so many seconds), twins";

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
            "iterator" => &mut self.iterator,
            "poison" => &mut self.poison,
            "repeat" => &mut self.repeat,
            _ => return None,
        })
    }

    fn every(&mut self, name: &str) -> Option<&mut Option<Duration>> {
        match name {
            "split" => Some(&mut self.split),
            "restart" => Some(&mut self.restart),
            _ => None,
        }
    }

    fn set(&mut self, part: &str) -> Result<(), String> {
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
        if name == "twins" && value.is_none() {
            self.twins = true;
            return Ok(());
        }
        let wrong = |wanted: &str| format!("`{part}`: expected {wanted}");
        if let Some(percent) = self.percent(name) {
            let value: f64 =
                value.and_then(|value| value.parse().ok()).ok_or_else(|| wrong("a percentage, such as 5"))?;
            *percent = if (0.0..=100.0).contains(&value) { value } else { return Err(wrong("0 to 100")) };
            return Ok(());
        }
        let every =
            self.every(name).ok_or_else(|| format!("`{part}`: no such fault; there are {}", Mischief::KINDS))?;
        let seconds = value.and_then(|value| value.strip_suffix('s')?.parse::<u64>().ok()).filter(|value| *value > 0);
        *every = Some(Duration::from_secs(seconds.ok_or_else(|| wrong("seconds, such as 10s"))?));
        Ok(())
    }
}

impl FromStr for Mischief {
    type Err = String;

    /// Reads `none`, `all`, or parts with commas between them; a later part overrides an earlier one.
    fn from_str(text: &str) -> Result<Mischief, String> {
        let mut mischief = Mischief::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part {
                "none" => mischief = Mischief::default(),
                "all" => ALL.split(',').try_for_each(|part| mischief.set(part.trim()))?,
                part => mischief.set(part)?,
            }
        }
        Ok(mischief)
    }
}

impl fmt::Display for Mischief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mischief { redeliver, crash, lose, throttle, conflict, unavailable, slow, refuse, .. } = self;
        let Mischief { iterator, poison, repeat, split, restart, twins, .. } = self;
        let percents = [
            ("redeliver", redeliver),
            ("crash", crash),
            ("lose", lose),
            ("throttle", throttle),
            ("conflict", conflict),
            ("503", unavailable),
            ("slow", slow),
            ("refuse", refuse),
            ("iterator", iterator),
            ("poison", poison),
            ("repeat", repeat),
        ];
        let percents =
            percents.iter().filter(|(_, value)| **value > 0.0).map(|(name, value)| format!("{name}={value}"));
        let everies = [("split", split), ("restart", restart)];
        let everies = everies.iter().filter_map(|(name, every)| Some(format!("{name}={}s", every.as_ref()?.as_secs())));
        let parts: Vec<String> = percents.chain(everies).chain(twins.then(|| "twins".to_owned())).collect();
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join(","))
    }
}

/// Mischief that may change while it acts.
#[derive(Debug, Clone)]
pub struct Mischievous(Arc<Mutex<(Mischief, fastrand::Rng)>>);

impl Mischievous {
    pub fn new(mischief: Mischief, seed: u64) -> Mischievous {
        Mischievous(Arc::new(Mutex::new((mischief, fastrand::Rng::with_seed(seed)))))
    }

    pub fn now(&self) -> Mischief {
        self.with(|mischief, _| mischief.clone())
    }

    pub fn set(&self, to: Mischief) {
        self.with(|mischief, _| *mischief = to);
    }

    /// Whether it happens this time, to what `percent` is of.
    pub fn happens(&self, percent: impl FnOnce(&Mischief) -> f64) -> bool {
        self.with(|mischief, random| roll(random) < percent(mischief))
    }

    /// The faults of an invocation's calls.
    pub fn plan(&self) -> FaultPlan {
        let mischief = self.clone();
        let crash = mischief.with(|mischief, random| {
            (roll(random) < mischief.crash).then(|| (random.usize(1..=CRASH_WITHIN), random.bool()))
        });
        FaultPlan::new(move |call| match crash {
            Some((number, true)) if number == call.number => Fault::CrashBefore,
            Some((number, false)) if number == call.number => Fault::CrashAfter,
            _ => mischief.with(|mischief, random| fault(mischief, random, call)),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Mischief, &mut fastrand::Rng) -> T) -> T {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mischief, random) = &mut *state;
        act(mischief, random)
    }
}

/// 0 to just below 100.
fn roll(random: &mut fastrand::Rng) -> f64 {
    random.f64() * 100.0
}

fn fault(mischief: &Mischief, random: &mut fastrand::Rng, call: &Call) -> Fault {
    let mut rest = roll(random);
    let mut hit = |percent: f64| {
        rest -= percent;
        rest < 0.0
    };
    if hit(mischief.lose) {
        return if random.bool() { Fault::LoseRequest } else { Fault::LoseResponse };
    }
    if hit(mischief.throttle) {
        return Fault::Throttle;
    }
    if hit(mischief.conflict) {
        return Fault::TransactionConflict;
    }
    if hit(mischief.unavailable) {
        return Fault::Status503;
    }
    if call.service == Service::S3 && hit(mischief.slow) {
        return Fault::Delay(SLOW);
    }
    Fault::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_and_written_alike() {
        for text in ["none", "crash=2,lose=0.5,split=10s,twins", "redeliver=100,503=1,restart=3s"] {
            assert_eq!(text.parse::<Mischief>().unwrap().to_string(), text);
        }
        let all: Mischief = "all".parse().unwrap();
        assert_eq!(all.to_string().parse::<Mischief>().unwrap(), all);
        assert_eq!("all,none,crash=1".parse::<Mischief>().unwrap().to_string(), "crash=1");
        assert_eq!("all, twins , crash=7".parse::<Mischief>().unwrap().crash, 7.0);
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, expected) in [
            ("crush=2", "`crush=2`: no such fault; there are redeliver"),
            ("crash", "`crash`: expected a percentage, such as 5"),
            ("crash=101", "`crash=101`: expected 0 to 100"),
            ("crash=NaN", "`crash=NaN`: expected 0 to 100"),
            ("split=10", "`split=10`: expected seconds, such as 10s"),
            ("split=0s", "`split=0s`: expected seconds"),
            ("twins=2", "`twins=2`: no such fault"),
        ] {
            let refused = text.parse::<Mischief>().unwrap_err();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }

    #[test]
    fn percentages_are_kept_to_and_may_change() {
        let mischief = Mischievous::new("redeliver=20".parse().unwrap(), 7);
        let count =
            |mischief: &Mischievous| (0..10_000).filter(|_| mischief.happens(|mischief| mischief.redeliver)).count();
        assert!((1_800..2_200).contains(&count(&mischief)));
        mischief.set(Mischief::default());
        assert_eq!(count(&mischief), 0);
    }
}
