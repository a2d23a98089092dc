//! Recommends FoldWindowSeconds: how much a longer window saves, and how much older it makes the snapshots. Pure.

use super::model::Outcome;
use super::rules::{Advice, Rules};
use super::settings::Settings;
use crate::deployment::assume::MONTH_SECONDS;
use crate::deployment::cost::model::MILLION;
use crate::shell::numbers::{dollars, number, seconds};

/// 30 s: the template's default.
const DEFAULT: f64 = 30.0;
/// 300 s: the longest batching window of an event source mapping.
const LONGEST: f64 = 300.0;
/// The windows to choose from, besides the one that the goal allows.
const WINDOWS: [f64; 6] = [0.0, 10.0, DEFAULT, 60.0, 120.0, LONGEST];
/// 60 s: a longer window is proposed only for a goal that allows it.
const LONGEST_WITHOUT_GOAL: f64 = 60.0;
/// A longer window is worth its delay if it saves at least a third of the cost.
const WORTHWHILE_SHARE: f64 = 2.0 / 3.0;
/// And at least this much per month.
const WORTHWHILE_DOLLARS: f64 = 10.0;

impl Rules<'_> {
    /// The recommendation for FoldWindowSeconds; `None` if the pipeline counts nothing.
    pub(super) fn fold_window(&self, settled: &Settings) -> Option<Advice> {
        let now = self.now.fold_window_seconds?;
        if settled.folds_at_once {
            let reason =
                "with Freshness=now, each batch writes its own snapshots; the fold only confirms them".to_owned();
            return Some(Advice { value: LONGEST, fine: (LONGEST, LONGEST), reason });
        }
        let goal = self.load.freshness;
        let allowed = goal.map(|goal| self.longest_within(goal, settled));
        let longest = allowed.unwrap_or(LONGEST_WITHOUT_GOAL);
        let worth = self.worthwhile(settled, longest);
        let least = if self.longer_pays(settled, now, longest) { worth } else { worth.min(now) };
        let most = allowed.unwrap_or_else(|| self.worthwhile(settled, LONGEST).max(DEFAULT));
        let value = worth.max(DEFAULT).min(most);
        let reason = match goal {
            Some(goal) if now > most => {
                format!("snapshots lag by the fold window, and the freshness goal is {}", seconds(goal))
            }
            _ if now > value => "a longer fold window makes snapshots older and saves little".to_owned(),
            _ => self.savings(settled, now, value),
        };
        Some(Advice { value, fine: (least.min(most), most), reason })
    }

    fn folded(&self, settled: &Settings, window: f64) -> Outcome {
        self.outcome(Settings { fold_window_seconds: Some(window), ..*settled })
    }

    fn dollars_per_month(&self, outcome: &Outcome) -> f64 {
        outcome.dollars * self.load.rate * MONTH_SECONDS / MILLION
    }

    /// The longest window with which snapshots are as fresh as the goal.
    fn longest_within(&self, goal: f64, settled: &Settings) -> f64 {
        let mut window = goal.floor().clamp(0.0, LONGEST);
        while window > 0.0 && self.folded(settled, window).freshness > goal {
            window -= 1.0;
        }
        window
    }

    /// The shortest window than which no longer one, up to `most`, is worth its delay.
    fn worthwhile(&self, settled: &Settings, most: f64) -> f64 {
        let windows = WINDOWS.into_iter().filter(|window| *window < most);
        windows.into_iter().find(|window| !self.longer_pays(settled, *window, most)).unwrap_or(most)
    }

    /// Whether a longer window, up to `most`, saves enough.
    fn longer_pays(&self, settled: &Settings, window: f64, most: f64) -> bool {
        let short = self.folded(settled, window);
        let pays = |longer: f64| {
            let long = self.folded(settled, longer);
            let saved = self.dollars_per_month(&short) - self.dollars_per_month(&long);
            long.dollars <= short.dollars * WORTHWHILE_SHARE && saved >= WORTHWHILE_DOLLARS
        };
        WINDOWS.into_iter().filter(|longer| *longer < most).chain([most]).any(|longer| longer > window && pays(longer))
    }

    fn savings(&self, settled: &Settings, now: f64, value: f64) -> String {
        let [before, after] = [now, value].map(|window| self.folded(settled, window));
        let saved = (self.dollars_per_month(&before) - self.dollars_per_month(&after)).max(0.0);
        format!(
            "a fold writes each snapshot once, however many records changed it: {} entities cost {} less per month, and snapshots lag by up to {} instead of {}",
            number(self.load.entities.round()),
            dollars(saved),
            seconds(after.freshness),
            seconds(before.freshness)
        )
    }
}
