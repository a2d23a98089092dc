//! Checks of the function's settings.

use super::super::facts::{Facts, Recursion};
use super::super::finding::{CheckResult, no_data, ok, problem, warning};
use super::{MILLISECONDS, float, of, seconds};

/// 80%: the threshold of the alarm DurationHigh.
const PROBLEM_SHARE: f64 = 0.8;
/// 50%: a slow day would time out.
const WARNING_SHARE: f64 = 0.5;
/// 900 s: Lambda's limit.
const MAXIMUM_TIMEOUT: f64 = 900.0;

/// The p99 duration is well below the timeout.
pub(crate) fn timeout(facts: &Facts) -> CheckResult {
    let function = facts.the_function()?;
    let Some(p99) = facts.the_numbers()?.p99_duration_ms else {
        return no_data(format!("no invocation {}", facts.period()));
    };
    let timeout = float(function.timeout_seconds) * MILLISECONDS;
    let meaning = format!("the p99 duration is {}, the timeout {}", seconds(p99), seconds(timeout));
    let advised = (p99 * 5.0 / MILLISECONDS).ceil().clamp(5.0, MAXIMUM_TIMEOUT);
    let command =
        format!("aws lambda update-function-configuration --function-name {} --timeout {advised:.0}", function.name);
    match p99 / timeout {
        share if share > PROBLEM_SHARE => {
            problem(format!("{meaning}: invocations time out, and their batches are retried as a whole"), command)
        }
        share if share > WARNING_SHARE => warning(format!("{meaning}: five times the p99 is recommended"), command),
        _ => ok(meaning),
    }
}

/// The function has enough concurrency for all shards.
pub(crate) fn concurrency(facts: &Facts) -> CheckResult {
    let (function, mapping) = (facts.the_function()?, facts.the_mapping()?);
    let reserve = |n: i64| {
        format!(
            "aws lambda put-function-concurrency --function-name {} --reserved-concurrent-executions {n}",
            function.name
        )
    };
    if function.reserved == Some(0) {
        return problem(
            "the reserved concurrency is 0, the kill switch: the function is never invoked, and records stay in the stream; if the stack reserves concurrency (ReservedConcurrency), restore that value instead of removing the limit",
            format!("aws lambda delete-function-concurrency --function-name {}", function.name),
        );
    }
    let shards = i64::try_from(*of(&facts.the_source()?.shards)?).unwrap_or(i64::MAX);
    let needed = shards.saturating_mul(mapping.factor);
    let plural = if shards == 1 { "" } else { "s" };
    let need = format!("{shards} shard{plural} × factor {} = {needed}", mapping.factor);
    match function.reserved {
        Some(reserved) if reserved < needed => warning(
            format!("the reserved concurrency is {reserved}, less than {need}: the function is throttled"),
            reserve(needed),
        ),
        Some(reserved) => ok(format!("the reserved concurrency is {reserved}, enough for {need}")),
        None => ok(format!("no concurrency is reserved; {need} come from the account's unreserved concurrency")),
    }
}

/// Lambda stops the loops of the function that it can detect. Those through DynamoDB it can't, which is what `own_writes` is for.
pub(crate) fn recursion(facts: &Facts) -> CheckResult {
    let function = facts.the_function()?;
    match of(&facts.recursion)? {
        Recursion::Terminates => ok(
            "Lambda stops loops through SQS, SNS, and S3 (RecursiveLoop Terminate), but can't detect those through DynamoDB",
        ),
        Recursion::Allowed => warning(
            "Lambda lets the function trigger itself through SQS, SNS, and S3 (RecursiveLoop Allow): with a wrong trigger, the cost is unlimited",
            format!(
                "aws lambda put-function-recursion-config --function-name {} --recursive-loop Terminate",
                function.name
            ),
        ),
    }
}

/// The deployed version is the version of this tool.
pub(crate) fn version(facts: &Facts) -> CheckResult {
    let function = facts.the_function()?;
    let ours = facts.version;
    if function.runtime != "provided.al2023" {
        return problem(
            format!("the function's runtime is {}, but the binary is built for provided.al2023", function.runtime),
            facts.deploy(""),
        );
    }
    let what = format!("on {} {}, code {}", function.runtime, function.architecture, function.code_sha256);
    match function.version.as_deref() {
        Some(version) if version == ours => ok(format!("version {version} is deployed, the same as this tool, {what}")),
        Some(version) => warning(
            format!(
                "version {version} is deployed {what}, and this tool is {ours}: they may interpret data differently"
            ),
            facts.deploy(""),
        ),
        None => warning(
            format!(
                "the deployed version is unknown (no tag usage-aggregator-version), {what}: it was deployed by hand or from an older template"
            ),
            facts.deploy(""),
        ),
    }
}
