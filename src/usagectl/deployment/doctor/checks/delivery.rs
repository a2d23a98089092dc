//! Checks of what became of the records: dropped, rejected, counted.

use super::super::facts::Facts;
use super::super::finding::{CheckResult, no_data, ok, problem, warning};
use super::{destination, here, of, span};
use usage_aggregator::time::HOUR_SECONDS;

/// An hour: the period of the other metrics.
const RECENT: i64 = HOUR_SECONDS;

/// No failed batch was lost on its way to the failure destination.
pub(crate) fn dropped(facts: &Facts) -> CheckResult {
    let numbers = facts.the_numbers()?;
    let (dropped, refused) = (numbers.dropped.unwrap_or_default(), numbers.destination_failures.unwrap_or_default());
    let period = facts.period();
    if dropped == 0.0 && refused == 0.0 {
        return ok("no record was dropped, and no delivery to the failure destination failed");
    }
    let meaning = format!(
        "records dropped {period}: {dropped:.0}, failed deliveries to the failure destination: {refused:.0}; these records now exist only in the source table"
    );
    // Another check evaluates the role's own policies; IAM knows the others, too.
    let command = match facts
        .mapping
        .as_ref()
        .ok()
        .and_then(|mapping| destination::permissions_for(mapping).into_iter().next())
    {
        Some((action, resource)) => destination::simulate(facts, action, &resource),
        None => facts.errors_in_the_log(),
    };
    problem(meaning, command)
}

/// No record was rejected.
pub(crate) fn rejected(facts: &Facts) -> CheckResult {
    if facts.here {
        return here::rejected(facts);
    }
    let numbers = facts.the_numbers()?;
    let (rejected, too_old) = (numbers.rejected.unwrap_or_default(), numbers.too_old.unwrap_or_default());
    if rejected == 0.0 && too_old == 0.0 {
        return ok("no record was rejected in the last hour");
    }
    let then = match facts.quarantine_bucket() {
        Some(bucket) => format!("they are quarantined in s3://{bucket}/quarantine/"),
        None => {
            "each delivery of such a record counts, and it blocks its shard until its retries are used up".to_owned()
        }
    };
    warning(
        format!(
            "records rejected in the last hour: {rejected:.0}, of which after the horizon: {too_old:.0}; {then}; the log has the code and field of each"
        ),
        facts.log_lines("{ $.message = \"record rejected\" }"),
    )
}

/// Batches still succeed.
pub(crate) fn last_snapshot(facts: &Facts) -> CheckResult {
    let coming = facts
        .measured
        .as_ref()
        .map_or(0.0, |numbers| numbers.polled.unwrap_or_default() - numbers.filtered_out.unwrap_or_default());
    if facts.here {
        let age = facts.now.seconds() - of(&facts.newest_snapshot)?.seconds();
        let meaning = format!("the window of the newest snapshot began {} ago", span(age));
        // While records arrive, the newest hourly snapshot began less than two hours ago.
        return if age > 2 * RECENT && coming > 0.0 { stale(facts, &meaning, coming) } else { ok(meaning) };
    }
    if facts
        .function
        .as_ref()
        .is_ok_and(|function| function.variables.get("METRICS_SINK").is_some_and(|sink| sink == "none"))
    {
        return no_data("METRICS_SINK is none, so it is unknown when a batch last succeeded");
    }
    let Some(last) = of(&facts.measured)?.last_success else {
        let meaning = "no batch has succeeded in the last day";
        return if coming > 0.0 {
            stale(facts, meaning, coming)
        } else {
            no_data(format!("{meaning}, and no record has arrived"))
        };
    };
    let age = facts.now.seconds() - last.seconds();
    let meaning = format!("a batch last succeeded {} ago", span(age));
    if age > RECENT && coming > 0.0 { stale(facts, &meaning, coming) } else { ok(meaning) }
}

fn stale(facts: &Facts, meaning: &str, coming: f64) -> CheckResult {
    problem(
        format!("{meaning}, although {coming:.0} records have arrived {}", facts.period()),
        facts.errors_in_the_log(),
    )
}
