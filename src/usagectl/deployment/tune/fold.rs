//! Whether the fold keeps up: what is measured of the fold function, and what follows from it. If it lags or fails, snapshots are
//! late, however well the append function does.

use crate::shell::numbers::{number, seconds};
use crate::stack::{BlockedShard, Figure, Figures, Names, Statistic, blocked};

/// 60 s beyond two windows: what the alarm FoldIteratorAge allows.
const ALLOWED_SECONDS: f64 = 60.0;
const MILLISECONDS: f64 = 1_000.0;

/// What was measured of the fold.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FoldHealth {
    /// The highest iterator age.
    pub age_seconds: f64,
    /// Invocations that failed as a whole.
    pub errors: f64,
    /// Notices that a fold has left to the next one.
    pub unsettled: f64,
    /// A shard of the ledger's stream that makes no progress now.
    pub blocked: Option<BlockedShard>,
}

/// The metrics of the fold.
pub(super) struct FoldFigures {
    age: Figure,
    errors: Figure,
    unsettled: Figure,
}

impl FoldFigures {
    /// The metrics of the fold function, if its name is known.
    pub(super) fn new(names: &Names) -> Option<FoldFigures> {
        let of = |metric, statistic| {
            names.fold_function.as_deref().map(|function| Figure::of_function(function, metric, statistic))
        };
        Some(FoldFigures {
            age: of("IteratorAge", Statistic::Maximum)?,
            errors: of("Errors", Statistic::Sum)?,
            unsettled: names.own_figure("FoldErrors", Statistic::Sum),
        })
    }

    pub(super) fn all(&self) -> [&Figure; 3] {
        [&self.age, &self.errors, &self.unsettled]
    }

    pub(super) fn health(&self, figures: &Figures, now: i64) -> FoldHealth {
        let sum = |figure: &Figure| figures.sum(figure).unwrap_or_default();
        // The same failures, counted by the function and by Lambda, if the function isn't stopped.
        let counted = if sum(&self.unsettled) > 0.0 { &self.unsettled } else { &self.errors };
        FoldHealth {
            age_seconds: figures.highest(&self.age).unwrap_or_default() / MILLISECONDS,
            errors: sum(&self.errors),
            unsettled: sum(&self.unsettled),
            blocked: blocked(&figures.points(&self.age), &figures.points(counted), now),
        }
    }
}

impl FoldHealth {
    /// What no setting changes: that folds fail, or that they are behind although none fails.
    pub(super) fn note(&self, window: f64) -> Option<String> {
        let FoldHealth { age_seconds, errors, unsettled, blocked } = self;
        if let Some(BlockedShard { age_seconds, growing_seconds }) = blocked {
            return Some(format!(
                "the fold is blocked now: folds fail, and its iterator age has been growing for {}, to {}, so snapshots stand still. No setting changes that; `usagectl doctor fold-blocked` shows why they fail",
                seconds(*growing_seconds),
                seconds(*age_seconds),
            ));
        }
        let counts =
            [(*errors, "folds failed as a whole"), (*unsettled, "notices weren't settled by their first fold")];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0.0)
            .map(|(count, what)| format!("{} {what}", number(*count)))
            .collect();
        let age = seconds(*age_seconds);
        if !counts.is_empty() {
            return Some(format!(
                "{}, and the fold's iterator age was up to {age}; their snapshots are late until a retry succeeds: `usagectl doctor fold-blocked` shows why folds fail",
                counts.join(", ")
            ));
        }
        (*age_seconds > 2.0 * window + ALLOWED_SECONDS).then(|| {
            format!(
                "the fold lags: its iterator age was up to {age}, more than two windows and a minute, although no fold failed; `usagectl doctor fold-lags` shows what holds it up"
            )
        })
    }
}
