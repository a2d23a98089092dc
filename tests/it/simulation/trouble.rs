//! What happens to an invocation: hazards of the whole invocation, and faults of its calls.

use std::time::Duration;

use laptop::emulators::{Fault, FaultPlan, Service};

use super::chaos::{Chaos, Hazard, Role};

/// What happens to one invocation.
pub struct Trouble {
    pub hazard: Option<Hazard>,
    pub plan: FaultPlan,
    pub deadline: Option<Duration>,
    pub gives_up_after: Duration,
}

impl Trouble {
    /// What happens to invocation `number` of a function. Each has its own random numbers, so that a simplified run
    /// changes little.
    pub fn of(chaos: &Chaos, role: Role, number: usize, is_calm: bool) -> Trouble {
        let own = number as u64 ^ ((role as u64) << 32);
        let mut random = fastrand::Rng::with_seed(chaos.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ own);
        let side = chaos.side(role);
        if is_calm || number > side.troubled_invocations {
            return Trouble {
                hazard: None,
                plan: plan(random, 10, 0, Vec::new(), None),
                deadline: None,
                gives_up_after: Duration::ZERO,
            };
        }
        let hazard = random.choice(&chaos.hazards).copied().filter(|_| random.u8(0..100) < side.hazard_percent);
        let deadline = match (hazard, random.u8(0..4)) {
            (Some(Hazard::Hurried | Hazard::DynamoDbDown | Hazard::S3Down), _) => Some(random.u64(1..120)),
            (Some(Hazard::TimesOut), _) | (_, 0) => None,
            _ => Some(random.u64(300..20_000)),
        };
        let down = match hazard {
            Some(Hazard::DynamoDbDown) => Some(Service::DynamoDb),
            Some(Hazard::S3Down) => Some(Service::S3),
            _ => None,
        };
        let gives_up_after = Duration::from_millis(random.u64(1..3_000));
        let slowest_ms = if hazard == Some(Hazard::TimesOut) { 5_000 } else { 40 };
        let plan = plan(random, slowest_ms, side.fault_percent, chaos.faults.clone(), down);
        Trouble { hazard, plan, deadline: deadline.map(Duration::from_millis), gives_up_after }
    }
}

/// Calls take up to `slowest_ms`, `percent` of them have one of `faults`, and all calls of the service that is `down`
/// fail.
fn plan(
    mut random: fastrand::Rng,
    slowest_ms: u64,
    percent: u8,
    faults: Vec<Fault>,
    down: Option<Service>,
) -> FaultPlan {
    FaultPlan::new(move |call| {
        let (roll, choice) = (random.u8(0..100), random.choice(&faults).copied());
        let delay = Fault::Delay(Duration::from_millis(random.u64(0..slowest_ms)));
        match choice {
            _ if down == Some(call.service) => Fault::Status503,
            Some(fault) if roll < percent => fault,
            _ => delay,
        }
    })
}

/// The name under which a fault is counted. A delay isn't counted.
pub fn name(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::None | Fault::Delay(_) => None,
        Fault::LoseRequest => Some("requests lost"),
        Fault::LoseResponse => Some("responses lost"),
        Fault::Status503 => Some("503s"),
        // Nothing that passes by itself.
        Fault::AccessDenied => None,
        Fault::Throttle => Some("calls throttled"),
        Fault::TransactionConflict => Some("conflicts"),
        Fault::ArriveLate(_) => Some("requests late"),
        Fault::CrashBefore => Some("crashes before a call"),
        Fault::CrashAfter => Some("crashes after a call"),
    }
}
