//! Upgrades and rollbacks under load: releases of the function that serve the same two mappings at once, behind aliases whose weights
//! change at any moment, in any direction.
//!
//! The releases differ in all that a release may change without a new ledger: the generation of the pipeline, what it counts where,
//! the formats of pages and states that it writes, the length of the record ids in pages, and the number of buckets (see
//! [`super::bench`]). Each can read what the other ones write, which is what allows them to run side by side.

use std::time::Duration;

use super::chaos::{Chaos, Role, Step};
use crate::model::history::GENERATION_BY_PLACED;

/// The generations of the pipeline, each of a release of its own: the first one; one that counts orders when they were placed and has
/// alerts, so that its pages and states have the second format; and one that counts as the first one did, which is how a pipeline
/// goes back.
pub const GENERATIONS: [u64; 3] = [1, GENERATION_BY_PLACED, 3];

/// How often each generation has served an invocation.
pub const SERVED: [&str; 3] = ["served by generation 1", "served by generation 2", "served by generation 3"];

/// An alias of a function: two of its versions, of which the second one serves some invocations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alias {
    main: u64,
    additional: u64,
    percent: u8,
}

/// The aliases of both functions.
pub type Aliases = [Alias; 2];

/// Before the first upgrade.
const AT_FIRST: Aliases = [Alias { main: 1, additional: 1, percent: 0 }; 2];

impl Alias {
    fn random(random: &mut fastrand::Rng) -> Alias {
        let [main, additional] = [(); 2].map(|()| GENERATIONS[random.usize(0..GENERATIONS.len())]);
        Alias { main, additional, percent: [0, 10, 50, 90][random.usize(0..4)] }
    }

    /// The generation that serves an invocation. Each has its own random number.
    pub fn generation(self, seed: u64, role: Role, number: usize) -> u64 {
        let own = (number as u64) << 1 | role as u64;
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ own ^ 0xA11A_5000_0000);
        if random.u8(0..100) < self.percent { self.additional } else { self.main }
    }
}

/// The same run while releases are upgraded: shifts of both aliases between its steps, forth, back, gradual, and at once, of one
/// function before the other.
pub fn upgraded(mut chaos: Chaos) -> Chaos {
    let mut random = fastrand::Rng::with_seed(chaos.seed ^ 0x5417_F700);
    let steps = &mut chaos.steps;
    for _ in 0..random.usize(3..9) {
        let role = Role::ALL[random.usize(0..2)];
        let shift = Step::Shift(Alias::random(&mut random));
        let longest = [1, 500, 5_000][random.usize(0..3)];
        let pause = Duration::from_millis(random.u64(0..longest));
        steps.insert(random.usize(0..=steps.len()), (role, shift, pause));
    }
    Chaos { upgrade: Some(AT_FIRST), by_event_time: false, indicator: None, touches: Vec::new(), ..chaos }
}
