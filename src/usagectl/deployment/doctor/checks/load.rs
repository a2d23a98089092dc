//! Checks of whether the function keeps up with the stream.

use super::super::facts::Facts;
use super::super::finding::{CheckResult, no_data, ok, problem, warning};
use super::{MILLISECONDS, float, here, mapping, of, seconds};
use crate::stack::BlockedShard;

/// 30 s: the threshold of the alarm IteratorAgeWarning.
const WARNING_AGE_MS: f64 = 30_000.0;
/// 120 s: the threshold of the alarm IteratorAgeHigh.
const PROBLEM_AGE_MS: f64 = 120_000.0;
/// 1%: the threshold of the alarm ErrorRate.
const ERROR_RATE: f64 = 0.01;

/// The function keeps up with the stream.
pub(crate) fn iterator_age(facts: &Facts) -> CheckResult {
    let Some(age) = facts.the_numbers()?.iterator_age_ms else {
        return no_data(format!("no batch was read {}", facts.period()));
    };
    let share = facts.source.as_ref().map(|source| age / 10.0 / float(source.retention_seconds)).ok();
    let share = share.map(|percent| format!(", {percent:.1}% of the stream's retention")).unwrap_or_default();
    let meaning = format!("the highest iterator age {} is {}{share}", facts.period(), seconds(age));
    if age <= WARNING_AGE_MS {
        return ok(meaning);
    }
    let meaning = format!("{meaning}: at 100%, records are lost");
    if facts.the_numbers()?.any_failed() {
        // A failing batch holds up its shard, however many others run at once.
        let meaning = format!("{meaning}; deliveries failed meanwhile, and a failing batch delays its shard");
        let command = facts.errors_in_the_log();
        return if age > PROBLEM_AGE_MS { problem(meaning, command) } else { warning(meaning, command) };
    }
    let command = match &facts.mapping {
        Ok(found) => mapping::change(found, &format!("--parallelization-factor {}", (found.factor + 1).min(10))),
        Err(_) => "usagectl local --parallelization-factor 2".to_owned(),
    };
    if age > PROBLEM_AGE_MS { problem(meaning, command) } else { warning(meaning, command) }
}

/// Invocations don't fail.
pub(crate) fn errors(facts: &Facts) -> CheckResult {
    let numbers = facts.the_numbers()?;
    let Some(invocations) = numbers.invocations.filter(|n| *n > 0.0) else {
        return no_data(format!("no invocation {}", facts.period()));
    };
    let errors = numbers.errors.unwrap_or_default();
    let failed = numbers.failed_deliveries.unwrap_or_default();
    let mut meaning = format!("{errors:.0} of {invocations:.0} invocations failed {}", facts.period());
    if failed > 0.0 {
        meaning = format!("{meaning}; deliveries of {failed:.0} records failed as a whole or in part");
    }
    if let Some(discarded) = numbers.discarded.filter(|discarded| *discarded > 0.0) {
        meaning = format!("{meaning}; {discarded:.0} records were discarded to the failure destination");
    }
    if errors == 0.0 && failed == 0.0 {
        return ok(meaning);
    }
    let meaning = format!("{meaning}; a failing batch blocks its shard until its retries are used up");
    let command = facts.errors_in_the_log();
    let delivered = numbers.invoked.filter(|delivered| *delivered > 0.0);
    let many = errors / invocations > ERROR_RATE || delivered.is_some_and(|delivered| failed / delivered > ERROR_RATE);
    if many { problem(meaning, command) } else { warning(meaning, command) }
}

/// No shard is blocked now, however many batches succeeded before, or succeed in other shards.
pub(crate) fn blocked_shard(facts: &Facts) -> CheckResult {
    if facts.here {
        return here::blocked_shard(facts);
    }
    let numbers = facts.the_numbers()?;
    match numbers.blocked {
        Some(BlockedShard { age_seconds, growing_seconds }) => problem(
            format!(
                "a shard is blocked now: deliveries fail, and the iterator age has been growing for {}, to {}; all records behind the failing batch wait",
                seconds(growing_seconds * MILLISECONDS),
                seconds(age_seconds * MILLISECONDS)
            ),
            facts.errors_in_the_log(),
        ),
        None if numbers.iterator_age_ms.is_none() => no_data(format!("no batch was read {}", facts.period())),
        None if numbers.any_failed() => ok("deliveries failed in the last hour, but no shard is blocked now"),
        None => ok("no delivery failed in the last hour"),
    }
}

/// Invocations aren't throttled, nor are reads and writes of a Kinesis source.
pub(crate) fn throttles(facts: &Facts) -> CheckResult {
    let numbers = facts.the_numbers()?;
    let throttles = numbers.throttles.unwrap_or_default();
    let period = facts.period();
    if let Some(refused) = numbers.source_throttles.filter(|refused| *refused > 0.0) {
        let source = facts.the_source()?;
        let shards = 2 * of(&source.shards)?;
        return warning(
            format!("throttled reads and writes of the Kinesis stream {} {period}: {refused:.0}", source.name),
            format!(
                "aws kinesis update-shard-count --stream-name {} --target-shard-count {shards} --scaling-type UNIFORM_SCALING",
                source.name
            ),
        );
    }
    if throttles == 0.0 {
        return ok(format!("no invocation was throttled {period}"));
    }
    let meaning = format!(
        "invocations throttled {period}: {throttles:.0}; their records are delayed, and it doesn't count as a retry"
    );
    warning(meaning, more_concurrency(facts))
}

/// The command that gives a throttled function more concurrency.
fn more_concurrency(facts: &Facts) -> String {
    let (Ok(function), Ok(source), Ok(mapping)) = (&facts.function, &facts.source, &facts.mapping) else {
        return "usagectl faults".to_owned();
    };
    let name = &function.name;
    match function.reserved {
        // The kill switch.
        Some(0) => format!("aws lambda delete-function-concurrency --function-name {name}"),
        Some(reserved) => {
            let shards = source.shards.as_ref().map_or(1, |shards| i64::try_from(*shards).unwrap_or(1));
            let advised = (shards * mapping.factor).max(reserved * 2);
            format!(
                "aws lambda put-function-concurrency --function-name {name} --reserved-concurrent-executions {advised}"
            )
        }
        // The account's concurrency is used up: how much it is, and how much of it is unreserved.
        None => "aws lambda get-account-settings --query AccountLimit".to_owned(),
    }
}

/// Records are polled and delivered.
pub(crate) fn traffic(facts: &Facts) -> CheckResult {
    let numbers = facts.the_numbers()?;
    let Some(polled) = numbers.polled else {
        return match &facts.mapping {
            Ok(mapping) => warning(
                "nothing was polled in the last hour, or the mapping doesn't count events (MetricsConfig EventCount)",
                mapping::change(mapping, "--metrics-config Metrics=EventCount"),
            ),
            Err(_) => no_data("nothing has been polled yet"),
        };
    };
    let period = facts.period();
    let (invoked, filtered) = (numbers.invoked.unwrap_or_default(), numbers.filtered_out.unwrap_or_default());
    let meaning = format!(
        "{polled:.0} records were polled {period}, {filtered:.0} filtered out, {invoked:.0} delivered to the function"
    );
    if polled > 0.0 && invoked == 0.0 && filtered > 0.0 {
        let command = match &facts.mapping {
            Ok(mapping) => {
                format!("aws lambda get-event-source-mapping --uuid {} --query FilterCriteria", mapping.uuid)
            }
            Err(_) => "usagectl local --help".to_owned(),
        };
        return warning(format!("{meaning}: the filter excludes everything"), command);
    }
    if polled > 0.0 && invoked == 0.0 {
        return problem(format!("{meaning}: polled records aren't delivered"), facts.errors_in_the_log());
    }
    ok(meaning)
}

/// Batches are large enough for their number.
pub(crate) fn batches(facts: &Facts) -> CheckResult {
    /// With fewer records, a batch's request and writes are hardly shared.
    const SMALL: f64 = 10.0;
    /// 1,000 per hour are 0.7 million per month, which cost cents.
    const MANY: f64 = 1_000.0;
    let numbers = facts.the_numbers()?;
    let (Some(invocations), Some(invoked)) = (numbers.invocations.filter(|n| *n > 0.0), numbers.invoked) else {
        return no_data(format!("no invocation {}", facts.period()));
    };
    let each = invoked / invocations;
    let meaning = format!("{each:.0} records per batch, {invocations:.0} batches {}", facts.period());
    if each >= SMALL || invocations < MANY {
        return ok(meaning);
    }
    warning(
        format!("{meaning}: a counter costs per batch, so a longer batching window saves most of the cost"),
        facts.deploy("BatchWindowSeconds=5"),
    )
}
