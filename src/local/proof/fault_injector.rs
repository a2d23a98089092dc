//! Decides which faults occur, by a profile that can be changed during the run, and counts those that did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::fault_profile::FaultProfile;
use crate::emulators::{Call, Fault, FaultPlan, Service};

/// The first calls of an invocation, in one of which a sandbox dies.
const CRASH_WITHIN_CALLS: usize = 12;

/// How much longer a slow S3 call takes.
const SLOW_BY: Duration = Duration::from_millis(250);

/// How often each fault was injected, by its name in the profile.
pub type InjectedFaults = BTreeMap<&'static str, u64>;

/// Decides which faults occur, by a profile that can be changed during the run. Clones share the profile and the counts.
#[derive(Debug, Clone)]
pub struct FaultInjector {
    decisions: Arc<Mutex<(FaultProfile, fastrand::Rng)>>,
    injected: Arc<Mutex<InjectedFaults>>,
    changed: Arc<Notify>,
}

impl FaultInjector {
    /// Starts with `profile`; the same seed makes the same decisions.
    pub fn new(profile: FaultProfile, seed: u64) -> FaultInjector {
        let decisions = Arc::new(Mutex::new((profile, fastrand::Rng::with_seed(seed))));
        FaultInjector { decisions, injected: Arc::default(), changed: Arc::default() }
    }

    /// Shares the profile, and counts on its own.
    pub fn counting_separately(&self) -> FaultInjector {
        FaultInjector { injected: Arc::default(), ..self.clone() }
    }

    /// The current profile.
    pub fn profile(&self) -> FaultProfile {
        self.with(|profile, _| profile.clone())
    }

    /// Replaces the profile.
    pub fn set(&self, to: FaultProfile) {
        self.with(|profile, _| *profile = to);
        self.changed.notify_waiters();
    }

    /// Waits until the profile is as `wanted`. As long as something depends on the time, it is checked `every` so often.
    pub(super) async fn until(&self, wanted: impl Fn(&FaultProfile) -> bool, every: Duration) {
        loop {
            // Before the check, so that no change between the two is missed.
            let changed = self.changed.notified();
            let profile = self.profile();
            if wanted(&profile) {
                return;
            }
            match profile.restart {
                Some(_) => tokio::time::sleep(every).await,
                None => changed.await,
            }
        }
    }

    /// How often each fault was injected so far.
    pub fn injected(&self) -> InjectedFaults {
        self.counts().clone()
    }

    /// Counts a fault that was injected.
    pub(super) fn count(&self, name: &'static str) {
        *self.counts().entry(name).or_default() += 1;
    }

    /// Counts records that were put into a stream once more.
    pub fn count_repeats(&self, repeats: usize) {
        if repeats > 0 {
            *self.counts().entry("repeat").or_default() += u64::try_from(repeats).unwrap_or(u64::MAX);
        }
    }

    /// Whether the fault with this name and percentage occurs this time.
    pub(super) fn occurs(&self, name: &'static str, percent: impl FnOnce(&FaultProfile) -> f64) -> bool {
        let occurs = self.with(|profile, random| roll(random) < percent(profile));
        if occurs {
            self.count(name);
        }
        occurs
    }

    /// The same for a fault that decides nothing while it is off, so that it doesn't change when the others occur.
    pub(super) fn breaks_out(&self, name: &'static str, percent: impl Fn(&FaultProfile) -> f64) -> bool {
        percent(&self.profile()) > 0.0 && self.occurs(name, percent)
    }

    /// The faults of one invocation's calls.
    pub(super) fn plan(&self) -> FaultPlan {
        let crash = self.with(|profile, random| {
            (roll(random) < profile.crash).then(|| (random.usize(1..=CRASH_WITHIN_CALLS), random.bool()))
        });
        let injector = self.clone();
        FaultPlan::new(move |call| {
            let occurs = match crash {
                Some((number, true)) if number == call.number => Some(("crash", Fault::CrashBefore)),
                Some((number, false)) if number == call.number => Some(("crash", Fault::CrashAfter)),
                _ => injector.with(|profile, random| fault(profile, random, call)),
            };
            let Some((name, fault)) = occurs else { return Fault::None };
            injector.count(name);
            fault
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut FaultProfile, &mut fastrand::Rng) -> T) -> T {
        let mut state = self.decisions.lock().unwrap_or_else(PoisonError::into_inner);
        let (profile, random) = &mut *state;
        act(profile, random)
    }

    fn counts(&self) -> MutexGuard<'_, InjectedFaults> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A random number from 0 to just below 100.
fn roll(random: &mut fastrand::Rng) -> f64 {
    random.f64() * 100.0
}

/// The fault of a call, if any, with its name in the profile. Several names stand for the same fault.
fn fault(profile: &FaultProfile, random: &mut fastrand::Rng, call: &Call) -> Option<(&'static str, Fault)> {
    let mut rest = roll(random);
    let mut hit = |percent: f64| {
        rest -= percent;
        rest < 0.0
    };
    if hit(profile.lose) {
        return Some(("lose", if random.bool() { Fault::LoseRequest } else { Fault::LoseResponse }));
    }
    if hit(profile.throttle) {
        return Some(("throttle", Fault::Throttle));
    }
    if hit(profile.conflict) {
        return Some(("conflict", Fault::TransactionConflict));
    }
    if hit(profile.unavailable) {
        return Some(("503", Fault::Status503));
    }
    match call.service {
        Service::S3 if hit(profile.slow) => Some(("slow", Fault::Delay(SLOW_BY))),
        Service::S3 if hit(profile.denied) => Some(("denied", Fault::AccessDenied)),
        Service::S3 if hit(profile.s3) => Some(("s3", Fault::Status503)),
        Service::DynamoDb if hit(profile.tables) => Some(("tables", Fault::Throttle)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_occur_at_their_percentage_until_it_changes() {
        let injector = FaultInjector::new("redeliver=20".parse().unwrap(), 7);
        let count = || (0..10_000).filter(|_| injector.occurs("redeliver", |profile| profile.redeliver)).count();
        assert!((1_800..2_200).contains(&count()));
        injector.set(FaultProfile::default());
        assert_eq!(count(), 0);
    }

    #[test]
    fn outages_of_one_service_leave_the_others_alone() {
        let injector = FaultInjector::new("denied=100,tables=100".parse().unwrap(), 7);
        let call = |service, operation: &str| Call {
            number: 1,
            service,
            operation: operation.to_owned(),
            path: "/".to_owned(),
        };
        let mut plan = injector.plan();
        assert_eq!(plan.fault(&call(Service::S3, "PutObject")), Fault::AccessDenied);
        assert_eq!(plan.fault(&call(Service::DynamoDb, "PutItem")), Fault::Throttle);
        assert_eq!(plan.fault(&call(Service::CloudWatch, "PutMetricData")), Fault::None);
        assert!(!injector.breaks_out("exit", |profile| profile.exit));
        // Outages used to be counted as the faults that they are made of.
        injector.set("s3=100".parse().unwrap());
        assert_eq!(injector.plan().fault(&call(Service::S3, "PutObject")), Fault::Status503);
        assert_eq!(injector.injected(), InjectedFaults::from([("denied", 1), ("s3", 1), ("tables", 1)]));
    }

    #[test]
    fn each_fault_is_counted_once_by_the_injector_that_injected_it() {
        let all = FaultInjector::new("refuse=100,conflict=100".parse().unwrap(), 7);
        let one = all.counting_separately();
        assert!(one.occurs("refuse", |profile| profile.refuse));
        assert!(!one.occurs("redeliver", |profile| profile.redeliver));
        let put = Call { number: 1, service: Service::DynamoDb, operation: "PutItem".to_owned(), path: "/".to_owned() };
        assert_eq!(one.plan().fault(&put), Fault::TransactionConflict);
        assert_eq!(one.injected(), InjectedFaults::from([("conflict", 1), ("refuse", 1)]));
        assert_eq!(all.injected(), InjectedFaults::default());
        all.set("crash=100".parse().unwrap());
        let mut plan = one.plan();
        for number in 1..=CRASH_WITHIN_CALLS {
            plan.fault(&Call { number, ..put.clone() });
        }
        assert_eq!(one.injected().get("crash"), Some(&1));
    }
}
