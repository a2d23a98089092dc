//! What became of the records: dropped, rejected, counted.

use super::super::facts::{Facts, Unseen};
use super::super::finding::{Look, no_data, ok, problem, warning};
use super::span;

/// An hour: what the other numbers are of.
const RECENT: i64 = 3_600;

/// Nothing was lost on its way to the failure destination.
pub fn dropped(facts: &Facts) -> Look {
    let numbers = facts.the_numbers()?;
    let (dropped, refused) = (numbers.dropped.unwrap_or_default(), numbers.destination_failures.unwrap_or_default());
    if dropped == 0.0 && refused == 0.0 {
        return ok("nothing was dropped, and the failure destination refused nothing");
    }
    let meaning = format!(
        "{dropped:.0} records were dropped and {refused:.0} deliveries refused by the failure destination in the last hour: they are still in the source's table only"
    );
    let command = match &facts.stack {
        Some(stack) => format!("usagectl doctor failure-destination --stack {stack}"),
        None => "usagectl doctor failure-destination --local".to_owned(),
    };
    problem(meaning, command)
}

/// No record was refused.
pub fn rejected(facts: &Facts) -> Look {
    let numbers = facts.the_numbers()?;
    let (rejected, too_old) = (numbers.rejected.unwrap_or_default(), numbers.too_old.unwrap_or_default());
    if rejected == 0.0 && too_old == 0.0 {
        return ok("no record was rejected in the last hour");
    }
    warning(
        format!(
            "{rejected:.0} records were rejected in the last hour, {too_old:.0} of them came after the horizon: each is in the log with its code and field"
        ),
        facts.log_lines("{ $.message = \"record rejected\" }"),
    )
}

/// Batches still succeed.
pub fn last_snapshot(facts: &Facts) -> Look {
    let numbers = facts.measured.as_ref().ok();
    let last = numbers.and_then(|numbers| numbers.last_success).or(facts.newest_snapshot.as_ref().ok().copied());
    let coming = numbers.and_then(|numbers| numbers.polled).unwrap_or_default()
        - numbers.and_then(|numbers| numbers.filtered_out).unwrap_or_default();
    let Some(last) = last else {
        let why = facts.measured.as_ref().err().or(facts.newest_snapshot.as_ref().err());
        return match why {
            Some(Unseen::LeftOut(_)) | None if coming > 0.0 => problem(
                format!("{coming:.0} records came in the last hour, and no batch has succeeded for a day"),
                facts.errors_in_the_log(),
            ),
            Some(Unseen::LeftOut(_)) | None => no_data("no batch has succeeded for a day, and nothing has come"),
            Some(why) => Err(why.clone()),
        };
    };
    let age = facts.now.seconds() - last.seconds();
    let meaning = format!("the last batch that became durable is {} old", span(age));
    if age > RECENT && coming > 0.0 {
        return problem(format!("{meaning}, and {coming:.0} records have come since"), facts.errors_in_the_log());
    }
    ok(meaning)
}
