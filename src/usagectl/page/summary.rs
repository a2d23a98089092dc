//! How everything is doing, in words: calm, a warning or a problem, and why.

use serde::Serialize;

use super::buckets::Failures;
use crate::shell::numbers::whole;

/// How everything is doing. A higher one is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Calm,
    Warning,
    Problem,
}

/// A summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Assessment {
    pub level: Level,
    /// One line.
    pub title: String,
    /// What it is about, the worst first.
    pub reasons: Vec<String>,
}

/// What was found, in any order.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<(Level, String)>);

impl Findings {
    /// Adds a finding.
    pub(crate) fn add(&mut self, level: Level, text: String) {
        self.0.push((level, text));
    }

    /// Adds what the failure bucket holds, and what to do with it.
    pub(crate) fn add_stored(&mut self, failures: &Failures) {
        let Failures { batches, quarantined, notices, more } = *failures;
        let kinds = [
            (batches, "failed batch", "failed batches", "redrive"),
            (quarantined, "quarantined record", "quarantined records", "fix what rejects them, then redrive"),
            (notices, "notice was too old to fold", "notices were too old to fold", "run `usagectl ledger sweep`"),
        ];
        for (count, one, many, remedy) in kinds.into_iter().filter(|(count, ..)| *count > 0) {
            let more = if more && count >= LISTED { "+" } else { "" };
            let count_text = whole(u64::try_from(count).unwrap_or(u64::MAX));
            self.add(Level::Warning, format!("{count_text}{more} {}: {remedy}", if count == 1 { one } else { many }));
        }
    }

    /// The summary, with this title if nothing was found.
    pub(crate) fn finish(mut self, calm: &str) -> Assessment {
        self.0.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        let level = self.0.first().map_or(Level::Calm, |(level, _)| *level);
        let title = match (level, self.0.len()) {
            (Level::Calm, _) => calm.to_owned(),
            (Level::Warning, 1) => "Warning: one thing to look at".to_owned(),
            (Level::Warning, findings) => format!("Warning: {findings} things to look at"),
            (Level::Problem, 1) => "Problem: something is wrong".to_owned(),
            (Level::Problem, findings) => format!("Problem: {findings} things are wrong or need a look"),
        };
        Assessment { level, title, reasons: self.0.into_iter().map(|(_, text)| text).collect() }
    }
}

/// A listing of fewer objects is complete.
const LISTED: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_what_is_stored_says_what_to_do() {
        let mut findings = Findings::default();
        findings.add_stored(&Failures { batches: 1_000, quarantined: 1, notices: 0, more: true });
        findings.add(Level::Problem, "A shard is blocked".to_owned());
        let Assessment { level, title, reasons } = findings.finish("Calm");
        assert_eq!((level, title.as_str()), (Level::Problem, "Problem: 3 things are wrong or need a look"));
        assert_eq!(
            reasons,
            [
                "A shard is blocked",
                "1,000+ failed batches: redrive",
                "1 quarantined record: fix what rejects them, then redrive"
            ]
        );
        assert_eq!(Findings::default().finish("Calm: nothing waits").title, "Calm: nothing waits");
    }
}
