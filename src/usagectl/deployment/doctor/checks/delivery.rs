//! What became of the records: dropped, rejected, counted.

use super::super::facts::{Facts, Unseen};
use super::super::finding::{Look, no_data, ok, problem, warning};
use super::{destination, of, span};

/// An hour: what the other numbers are of.
const RECENT: i64 = 3_600;

/// Nothing was lost on its way to the failure destination.
pub fn dropped(facts: &Facts) -> Look {
    let numbers = facts.the_numbers()?;
    let (dropped, refused) = (numbers.dropped.unwrap_or_default(), numbers.destination_failures.unwrap_or_default());
    let over = facts.over();
    if dropped == 0.0 && refused == 0.0 {
        return ok("nothing was dropped, and the failure destination refused nothing");
    }
    let meaning = format!(
        "records dropped {over}: {dropped:.0}, deliveries that the failure destination refused: {refused:.0}; the records are in the source's table only"
    );
    // The role's own policies are the doctor's to judge; this asks IAM itself.
    let command =
        match facts.mapping.as_ref().ok().and_then(|mapping| destination::wanted_of(mapping).into_iter().next()) {
            Some((action, resource)) => destination::simulate(facts, action, &resource),
            None => facts.errors_in_the_log(),
        };
    problem(meaning, command)
}

/// No record was refused.
pub fn rejected(facts: &Facts) -> Look {
    if facts.here {
        return Err(Unseen::LeftOut("the local run doesn't count it"));
    }
    let numbers = facts.the_numbers()?;
    let (rejected, too_old) = (numbers.rejected.unwrap_or_default(), numbers.too_old.unwrap_or_default());
    if rejected == 0.0 && too_old == 0.0 {
        return ok("no record was rejected in the last hour");
    }
    warning(
        format!(
            "records rejected in the last hour: {rejected:.0}, after the horizon: {too_old:.0}; each is in the log with its code and field"
        ),
        facts.log_lines("{ $.message = \"record rejected\" }"),
    )
}

/// Batches still succeed.
pub fn last_snapshot(facts: &Facts) -> Look {
    let coming = facts
        .measured
        .as_ref()
        .map_or(0.0, |numbers| numbers.polled.unwrap_or_default() - numbers.filtered_out.unwrap_or_default());
    if facts.here {
        let age = facts.now.seconds() - of(&facts.newest_snapshot)?.seconds();
        let meaning = format!("the newest snapshot's window began {} ago", span(age));
        // Every snapshot of an hour's window is of the last two hours, if records still come.
        return if age > 2 * RECENT && coming > 0.0 { stale(facts, &meaning, coming) } else { ok(meaning) };
    }
    if facts
        .function
        .as_ref()
        .is_ok_and(|function| function.variables.get("METRICS_SINK").is_some_and(|sink| sink == "none"))
    {
        return no_data("METRICS_SINK is none, so nothing says when a batch succeeded");
    }
    let Some(last) = of(&facts.measured)?.last_success else {
        let meaning = "no batch has succeeded for a day";
        return if coming > 0.0 {
            stale(facts, meaning, coming)
        } else {
            no_data(format!("{meaning}, and nothing has come"))
        };
    };
    let age = facts.now.seconds() - last.seconds();
    let meaning = format!("the last batch that became durable is {} old", span(age));
    if age > RECENT && coming > 0.0 { stale(facts, &meaning, coming) } else { ok(meaning) }
}

fn stale(facts: &Facts, meaning: &str, coming: f64) -> Look {
    problem(format!("{meaning}, and {coming:.0} records have come {}", facts.over()), facts.errors_in_the_log())
}
