//! Everything that happens during one run, derived from its seed: the settings of both mappings, the steps that
//! affect a mapping and its stream, and the faults of the functions. A failing run is simplified by removing parts of it.

use std::time::Duration;

use event_source_mapping::Settings;
use laptop::emulators::Fault;

use super::table::Touch;
use super::upgrade::{Alias, Aliases};
use crate::model::history::History;
use crate::model::indicators::Missing;

/// One run.
#[derive(Debug, Clone)]
pub struct Chaos {
    pub seed: u64,
    /// The changes of the history that take place.
    pub changes: Vec<usize>,
    /// Whether rejected records are quarantined.
    pub quarantines: bool,
    /// Whether orders count when they were placed, in windows that are closed, with alerts.
    pub by_event_time: bool,
    /// What serves both functions at first, if another release and generation are deployed meanwhile.
    pub upgrade: Option<Aliases>,
    /// What the function does about missing targets, if the pipeline has an indicator.
    pub indicator: Option<Missing>,
    /// What an application does to the targets.
    pub touches: Vec<Touch>,
    /// The source's mapping and the ledger's.
    pub sides: [Side; 2],
    /// The steps, each with the mapping that it affects and the pause after it.
    pub steps: Vec<(Role, Step, Duration)>,
    /// What may happen to invocations.
    pub hazards: Vec<Hazard>,
    /// What may happen to calls of DynamoDB and S3.
    pub faults: Vec<Fault>,
}

/// What a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It appends the records of the source.
    Append,
    /// It folds the notices of the ledger.
    Fold,
}

impl Role {
    pub const ALL: [Role; 2] = [Role::Append, Role::Fold];
}

/// A mapping and its function.
#[derive(Debug, Clone)]
pub struct Side {
    pub shards: usize,
    pub settings: Settings,
    /// How many percent of invocations have a hazard.
    pub hazard_percent: u8,
    /// How many percent of calls have a fault.
    pub fault_percent: u8,
    /// The number of invocations after which hazards and faults stop.
    pub troubled_invocations: usize,
}

impl Side {
    fn random(random: &mut fastrand::Rng) -> Side {
        Side {
            shards: random.usize(1..4),
            settings: settings(random),
            hazard_percent: [0, 10, 30, 60][random.usize(0..4)],
            fault_percent: [0, 5, 15, 40][random.usize(0..4)],
            troubled_invocations: random.usize(4..20),
        }
    }
}

/// A step that affects a mapping or its stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// This many changes take place.
    Write(usize),
    Split,
    Merge,
    /// The mapping is shut down and started with another batch size and parallelization factor.
    Update(usize, usize),
    /// The mapping crashes and is started again from checkpoints that are this many changes old.
    Crash(usize),
    /// A second mapping reads the same stream at the same time.
    Rival(Progress),
    RivalDies,
    /// The contents of the failure destination are delivered again.
    Redrive,
    /// The function's alias divides invocations in another way.
    Shift(Alias),
}

/// Where a rival starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// At the mapping's checkpoints: two pollers of the same mapping.
    Shared,
    /// At the beginning of the stream: a mapping that was created again.
    FromStart,
}

/// What may happen to an invocation as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hazard {
    /// Lambda throttles it.
    Throttled,
    /// It crashes before it has done anything.
    DiesAtOnce,
    /// It succeeds, but its response is lost, so the whole batch is delivered again.
    ResponseLost,
    /// Lambda gives up on it, but it continues slowly: a zombie that runs at the same time as its own retry.
    TimesOut,
    /// Its deadline is very close.
    Hurried,
    DynamoDbDown,
    S3Down,
}

const HAZARDS: [Hazard; 7] = [
    Hazard::Throttled,
    Hazard::DiesAtOnce,
    Hazard::ResponseLost,
    Hazard::TimesOut,
    Hazard::Hurried,
    Hazard::DynamoDbDown,
    Hazard::S3Down,
];

impl Chaos {
    pub fn random(seed: u64, history: &History) -> Chaos {
        // A different random sequence than the history's.
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5DEE_CE66);
        let late = Duration::from_millis(random.u64(1..4_000));
        let changes = history.changes.len();
        let missing = if (seed / 16).is_multiple_of(2) { Missing::Skipped } else { Missing::Created };
        let indicator = (seed / 2 % 8 == 4).then_some(missing);
        Chaos {
            seed,
            changes: (0..changes).collect(),
            // From the seed itself, so that it doesn't change the other random numbers.
            quarantines: seed.is_multiple_of(2),
            by_event_time: (seed / 2).is_multiple_of(8),
            upgrade: None,
            indicator,
            touches: indicator
                .map_or_else(Vec::new, |_| Touch::random(&mut fastrand::Rng::with_seed(seed ^ 0x7AB1_E000))),
            sides: [Side::random(&mut random), Side::random(&mut random)],
            steps: steps(&mut random, changes),
            hazards: HAZARDS.to_vec(),
            faults: Fault::ALL.into_iter().chain([Fault::ArriveLate(late)]).collect(),
        }
    }

    pub fn side(&self, role: Role) -> &Side {
        &self.sides[role as usize]
    }

    /// Simpler runs, each with something removed, largest parts first.
    pub fn simpler(&self) -> Vec<Chaos> {
        let mut simpler = Vec::new();
        let mut with = |change: &dyn Fn(&mut Chaos)| {
            let mut chaos = self.clone();
            change(&mut chaos);
            simpler.push(chaos);
        };
        for part in [self.changes.len() / 2, self.changes.len() / 4, 1] {
            let starts = (0..self.changes.len()).step_by(part.max(1)).filter(|_| part > 0);
            starts.for_each(|start| {
                let end = (start + part).min(self.changes.len());
                with(&|chaos| drop(chaos.changes.drain(start..end)));
            });
        }
        (0..self.steps.len()).for_each(|index| with(&|chaos| _ = chaos.steps.remove(index)));
        (0..self.touches.len()).for_each(|index| with(&|chaos| _ = chaos.touches.remove(index)));
        (0..self.hazards.len()).for_each(|index| with(&|chaos| _ = chaos.hazards.remove(index)));
        (0..self.faults.len()).for_each(|index| with(&|chaos| _ = chaos.faults.remove(index)));
        for (number, side) in self.sides.iter().enumerate() {
            let mut with = |change: &dyn Fn(&mut Side)| with(&|chaos| change(&mut chaos.sides[number]));
            if side.troubled_invocations > 0 {
                with(&|side| side.troubled_invocations /= 2);
                with(&|side| side.troubled_invocations -= 1);
            }
            if side.shards > 1 {
                with(&|side| side.shards = 1);
            }
            if side.settings.parallelization_factor > 1 {
                with(&|side| side.settings.parallelization_factor = 1);
            }
            if side.settings.bisect_batch_on_function_error {
                with(&|side| side.settings.bisect_batch_on_function_error = false);
            }
            if !side.settings.batching_window.is_zero() {
                with(&|side| side.settings.batching_window = Duration::ZERO);
            }
            if side.settings.maximum_record_age.is_some() {
                with(&|side| side.settings.maximum_record_age = None);
            }
        }
        simpler
    }
}

fn settings(random: &mut fastrand::Rng) -> Settings {
    let age = Duration::from_secs(random.u64(60..4_000));
    Settings {
        batch_size: batch_size(random),
        batching_window: Duration::from_secs([0, 0, 1, 4][random.usize(0..4)]),
        parallelization_factor: random.usize(1..4),
        maximum_retry_attempts: [None, Some(0), Some(1), Some(3)][random.usize(0..4)],
        maximum_record_age: [None, None, None, Some(age)][random.usize(0..4)],
        bisect_batch_on_function_error: random.bool(),
        report_batch_item_failures: random.u8(0..4) > 0,
        maximum_backoff: Duration::from_millis([200, 2_000, 30_000][random.usize(0..3)]),
        ..Settings::new(Duration::from_millis(250))
    }
}

fn batch_size(random: &mut fastrand::Rng) -> usize {
    [1, 2, 3, 5, 8, 20, 100][random.usize(0..7)]
}

fn steps(random: &mut fastrand::Rng, changes: usize) -> Vec<(Role, Step, Duration)> {
    // Changes that no step writes are written at the end.
    let mut steps = vec![(Role::Append, Step::Write(random.usize(0..=changes)), pause(random))];
    for _ in 0..random.usize(1..12) {
        let step = match random.u8(0..12) {
            0..=2 => Step::Write(random.usize(1..=changes)),
            3 => Step::Split,
            4 => Step::Merge,
            5 => Step::Update(batch_size(random), random.usize(1..4)),
            6 => Step::Crash(0),
            7 => Step::Crash(random.usize(1..8)),
            8 => Step::Rival(if random.bool() { Progress::Shared } else { Progress::FromStart }),
            9 => Step::RivalDies,
            _ => Step::Redrive,
        };
        let role = match step {
            Step::Write(_) => Role::Append,
            _ => Role::ALL[random.usize(0..2)],
        };
        steps.push((role, step, pause(random)));
    }
    steps
}

/// A pause between zero, so that steps overlap with running work, and the duration of a few retries.
fn pause(random: &mut fastrand::Rng) -> Duration {
    let longest = [1, 50, 500, 5_000][random.usize(0..4)];
    Duration::from_millis(random.u64(0..longest))
}
