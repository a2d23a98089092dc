//! How an alarm is evaluated, and how missing data points are treated: the rules and examples of "Configuring how CloudWatch
//! alarms treat missing data" in the CloudWatch user guide.
//!
//! CloudWatch retrieves more data points than the alarm evaluates. Where some are missing, it first uses the older ones
//! that exist, and only then what `TreatMissingData` says.

use super::State;

/// How many more data points than its evaluation periods an alarm retrieves. CloudWatch doesn't document the number; its
/// examples retrieve 5 for 3.
pub(super) const MORE: usize = 2;

/// What a missing data point counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Without any data, the state is INSUFFICIENT_DATA.
    Insufficient,
    Ignore,
    Breaching,
    NotBreaching,
}

impl Missing {
    pub(super) fn parse(text: &str) -> Option<Missing> {
        Some(match text {
            "missing" => Missing::Insufficient,
            "ignore" => Missing::Ignore,
            "breaching" => Missing::Breaching,
            "notBreaching" => Missing::NotBreaching,
            _ => return None,
        })
    }
}

/// How many of how many data points must breach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Periods {
    pub to_alarm: usize,
    pub evaluated: usize,
}

/// The state that follows from the retrieved data points, oldest first: whether each is breaching, or `None` where it is
/// missing. `None` keeps the current state.
pub(super) fn state(points: &[Option<bool>], periods: Periods, missing: Missing) -> Option<State> {
    // Newest first, with its age in periods.
    let existing: Vec<(usize, bool)> =
        (1..).zip(points.iter().rev()).filter_map(|(age, point)| Some((age, (*point)?))).collect();
    let evaluated = existing.get(..periods.evaluated).unwrap_or(&existing);
    let breaching = evaluated.iter().filter(|(_, breaching)| *breaching).count();
    let filled = periods.evaluated - evaluated.len();
    if breaching >= periods.to_alarm {
        return Some(State::Alarm);
    }
    if filled == 0 {
        return Some(State::Ok);
    }
    let only_breaching = breaching == evaluated.len();
    match missing {
        Missing::NotBreaching => Some(State::Ok),
        Missing::Breaching if breaching + filled >= periods.to_alarm => Some(State::Alarm),
        Missing::Breaching => Some(State::Ok),
        Missing::Insufficient if evaluated.is_empty() => Some(State::InsufficientData),
        Missing::Insufficient | Missing::Ignore if !only_breaching => Some(State::Ok),
        Missing::Ignore => None,
        // A data point that breached long enough ago for as many to have followed, none of which is known to be good.
        Missing::Insufficient if evaluated.last().is_some_and(|(age, _)| *age >= periods.to_alarm) => {
            Some(State::Alarm)
        }
        Missing::Insufficient => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREATMENTS: [Missing; 4] =
        [Missing::Insufficient, Missing::Ignore, Missing::Breaching, Missing::NotBreaching];

    /// `X` breaches, `0` doesn't, `-` is missing.
    fn check(table: &[(&str, [Option<State>; 4])], periods: Periods) {
        for (points, expected) in table {
            let retrieved: Vec<Option<bool>> =
                points.split(' ').map(|point| (point != "-").then_some(point == "X")).collect();
            assert_eq!(TREATMENTS.map(|missing| state(&retrieved, periods, missing)), *expected, "{points}");
        }
    }

    const OK: Option<State> = Some(State::Ok);
    const ALARM: Option<State> = Some(State::Alarm);
    const UNKNOWN: Option<State> = Some(State::InsufficientData);

    /// The user guide's own examples.
    #[test]
    fn three_of_three_data_points_are_evaluated_as_cloudwatch_documents() {
        let table = [
            ("0 - X - X", [OK; 4]),
            ("- - - - 0", [OK; 4]),
            ("- - - - -", [UNKNOWN, None, ALARM, OK]),
            ("0 X X - X", [ALARM; 4]),
            ("- - X - -", [ALARM, None, ALARM, OK]),
        ];
        check(&table, Periods { to_alarm: 3, evaluated: 3 });
    }

    #[test]
    fn two_of_three_data_points_are_evaluated_as_cloudwatch_documents() {
        let table = [
            ("0 - X - X", [ALARM; 4]),
            ("0 0 X 0 X", [ALARM; 4]),
            ("0 - X - -", [OK, OK, ALARM, OK]),
            ("- - - - 0", [OK, OK, ALARM, OK]),
            ("- - - X -", [ALARM, None, ALARM, OK]),
        ];
        check(&table, Periods { to_alarm: 2, evaluated: 3 });
    }

    #[test]
    fn a_single_data_point_is_evaluated_again_until_it_is_out_of_range() {
        let table =
            [("- - X", [ALARM; 4]), ("X - -", [ALARM; 4]), ("X - 0", [OK; 4]), ("- - -", [UNKNOWN, None, ALARM, OK])];
        check(&table, Periods { to_alarm: 1, evaluated: 1 });
    }
}
