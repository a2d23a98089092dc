//! The function's own settings.

use super::super::facts::{Facts, Recursion};
use super::super::finding::{Look, no_data, ok, problem, warning};
use super::{MILLISECONDS, float, of, seconds};

/// 80 %: where DurationHigh alarms. Half: no room for a slow day.
const NEAR: f64 = 0.8;
const HALF: f64 = 0.5;
/// 900 s: Lambda's limit.
const LONGEST: f64 = 900.0;

/// The 99th percentile of durations is well below the timeout.
pub fn timeout(facts: &Facts) -> Look {
    let function = facts.the_function()?;
    let Some(p99) = facts.the_numbers()?.p99_duration_ms else {
        return no_data(format!("no invocation {}", facts.over()));
    };
    let timeout = float(function.timeout_seconds) * MILLISECONDS;
    let meaning = format!("p99 duration {} of a timeout of {}", seconds(p99), seconds(timeout));
    let advised = (p99 * 5.0 / MILLISECONDS).ceil().clamp(5.0, LONGEST);
    let command =
        format!("aws lambda update-function-configuration --function-name {} --timeout {advised:.0}", function.name);
    match p99 / timeout {
        share if share > NEAR => {
            problem(format!("{meaning}: invocations are cut off and come again as a whole"), command)
        }
        share if share > HALF => warning(format!("{meaning}: five times the p99 is advised"), command),
        _ => ok(meaning),
    }
}

/// Enough executions at once for all shards.
pub fn concurrency(facts: &Facts) -> Look {
    let (function, mapping) = (facts.the_function()?, facts.the_mapping()?);
    let reserve = |n: i64| {
        format!(
            "aws lambda put-function-concurrency --function-name {} --reserved-concurrent-executions {n}",
            function.name
        )
    };
    if function.reserved == Some(0) {
        return problem(
            "0 executions are reserved, the kill switch: the function is never invoked, records wait in the stream",
            reserve(10),
        );
    }
    let shards = i64::try_from(*of(&facts.the_source()?.shards)?).unwrap_or(i64::MAX);
    let needed = shards.saturating_mul(mapping.factor);
    let need = format!("{shards} shards × factor {}: {needed} at once", mapping.factor);
    match function.reserved {
        Some(reserved) if reserved < needed => warning(
            format!("{reserved} executions are reserved for {need}; the function throttles itself"),
            reserve(needed),
        ),
        Some(reserved) => ok(format!("{reserved} executions are reserved for {need}")),
        None => ok(format!("none are reserved; {need} come out of what the account has left")),
    }
}

/// Lambda ends a loop of the function's own.
pub fn recursion(facts: &Facts) -> Look {
    let function = facts.the_function()?;
    match of(&facts.recursion)? {
        Recursion::Terminates => ok("Lambda ends a loop of the function's own (RecursiveLoop Terminate)"),
        Recursion::Allowed => warning(
            "Lambda lets the function loop (RecursiveLoop Allow): a wrong filter or trigger would cost without end",
            format!(
                "aws lambda put-function-recursion-config --function-name {} --recursive-loop Terminate",
                function.name
            ),
        ),
    }
}

/// What runs is what this tool is of.
pub fn version(facts: &Facts) -> Look {
    let function = facts.the_function()?;
    let ours = facts.version;
    if function.runtime != "provided.al2023" {
        return problem(
            format!("the function's runtime is {}; the binary is built for provided.al2023", function.runtime),
            facts.deploy(""),
        );
    }
    let what = format!("on {} {}, code {}", function.runtime, function.architecture, function.code_sha256);
    match function.version.as_deref() {
        Some(version) if version == ours => ok(format!("version {version} runs, as this tool's, {what}")),
        Some(version) => warning(
            format!(
                "version {version} runs {what}, and this tool is {ours}: they may read one another's data differently"
            ),
            facts.deploy(""),
        ),
        None => warning(
            format!(
                "the function doesn't say its version (no tag usage-aggregator-version), {what}: it was deployed by an older template or by hand"
            ),
            facts.deploy(""),
        ),
    }
}
