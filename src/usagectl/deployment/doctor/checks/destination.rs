//! Checks of the failure destination: whether there is one, whether it can be written to, and what is in it.

use serde_json::json;
use usage_aggregator::time::{DAY_SECONDS, HOUR_SECONDS};

use super::super::facts::{Documents, Facts, FailedBatches, Mapping, Stored, Unavailable};
use super::super::finding::{CheckResult, Verdict, ok, problem, warning};
use super::super::policy::{Allowed, allowed};
use super::mapping::change;
use super::{of, quoted, span};

/// 6 hours: less is too short to plan for. 3 days: when FailureObjectsOld pages.
const LAST_HOURS: i64 = 6 * HOUR_SECONDS;
const LONG: i64 = 3 * DAY_SECONDS;

/// The mapping has a failure destination.
pub(crate) fn exists(facts: &Facts) -> CheckResult {
    let mapping = facts.the_mapping()?;
    match &mapping.on_failure {
        Some(arn) => ok(format!("failed batches go to {arn}")),
        None => problem(
            "the mapping has no failure destination: failed batches are lost, and no metric counts them",
            change(mapping, &format!("--destination-config {}", to(&known(facts)))),
        ),
    }
}

/// The mapping's setting for a destination.
pub(crate) fn to(arn: &str) -> String {
    quoted(&json!({ "OnFailure": { "Destination": arn } }).to_string())
}

fn known(facts: &Facts) -> String {
    match (&facts.names.failure_bucket, facts.names.failure_queue.as_deref().map(queue_arn)) {
        (Some(bucket), _) => format!("arn:aws:s3:::{bucket}"),
        (None, Some(Some(queue))) => queue,
        _ => "arn:aws:s3:::BUCKET".to_owned(),
    }
}

/// `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME` as an ARN.
fn queue_arn(url: &str) -> Option<String> {
    let mut parts = url.split('/').rev();
    let (name, account, host) = (parts.next()?, parts.next()?, parts.next()?);
    let region = host.split('.').nth(1)?;
    Some(format!("arn:aws:sqs:{region}:{account}:{name}"))
}

/// The function's role can write to the destination: according to its policies, and with `--probe` by a test.
pub(crate) fn accepts(facts: &Facts) -> CheckResult {
    let mapping = facts.the_mapping()?;
    let Some(arn) = &mapping.on_failure else {
        return Err(Unavailable::NoData("there is no failure destination".to_owned()));
    };
    let destination = of(&facts.destination)?;
    let role = of(&facts.role)?;
    let quarantine = facts
        .quarantine_bucket()
        .map(|bucket| ("s3:PutObject", format!("arn:aws:s3:::{bucket}/quarantine/{}/*", facts.pipeline.name)));
    for (action, resource) in permissions(arn, &mapping.uuid).into_iter().chain(quarantine) {
        match allowed(&role.policies, action, &resource) {
            Allowed::Yes => {}
            Allowed::Conditionally => {
                return warning(
                    format!(
                        "the role {} is allowed {action} on {resource} only under a condition, which isn't evaluated here",
                        role.name
                    ),
                    simulate(facts, action, &resource),
                );
            }
            Allowed::No => {
                return problem(
                    format!("the role {} isn't allowed {action} on {resource}: {}", role.name, lost(&resource)),
                    grant(&role.name, action, &resource),
                );
            }
        }
    }
    match &destination.probe {
        None => ok(format!(
            "the role {} can write to {arn} according to its own policies; --probe tests it with your credentials",
            role.name
        )),
        Some(Ok(left)) => {
            ok(format!("the role {} can write to {arn} according to its own policies; {left}", role.name))
        }
        Some(Err(error)) => problem(
            format!("{arn} rejects a probe with your credentials: {error}"),
            simulate(facts, action_on(arn), arn),
        ),
    }
}

fn lost(resource: &str) -> &'static str {
    match resource.contains("/quarantine/") {
        true => "rejected records can't be quarantined, so their batches fail",
        false => "failed batches are dropped",
    }
}

/// What Lambda must be allowed to do with the function's role, by kind of destination.
fn permissions(arn: &str, uuid: &str) -> Vec<(&'static str, String)> {
    if arn.starts_with("arn:aws:s3:::") {
        // Lambda needs both: it checks that the bucket exists before it writes.
        return vec![("s3:PutObject", format!("{arn}/aws/lambda/{uuid}/*")), ("s3:ListBucket", arn.to_owned())];
    }
    vec![(action_on(arn), arn.to_owned())]
}

/// The same for the destination of a mapping, if it has one.
pub(crate) fn permissions_for(mapping: &Mapping) -> Vec<(&'static str, String)> {
    mapping.on_failure.as_deref().map(|arn| permissions(arn, &mapping.uuid)).unwrap_or_default()
}

fn action_on(arn: &str) -> &'static str {
    match arn.split(':').nth(2) {
        Some("s3") => "s3:PutObject",
        Some("sns") => "sns:Publish",
        _ => "sqs:SendMessage",
    }
}

/// A command that allows a role to do it.
pub(crate) fn grant(role: &str, action: &str, resource: &str) -> String {
    let statement = json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    let name = action.replace(':', "-");
    format!(
        "aws iam put-role-policy --role-name {role} --policy-name allow-{name} --policy-document {}",
        quoted(&policy.to_string())
    )
}

pub(crate) fn simulate(facts: &Facts, action: &str, resource: &str) -> String {
    let role = facts.function.as_ref().map_or("ROLE_ARN", |function| function.role_arn.as_str());
    format!(
        "aws iam simulate-principal-policy --policy-source-arn {role} --action-names {action} --resource-arns \"{resource}\""
    )
}

/// No failed batch is left; otherwise, how long it can still be redriven.
pub(crate) fn waiting(facts: &Facts) -> CheckResult {
    let FailedBatches { count, more, oldest, keeps, earlier, .. } = *of(&facts.waiting)?;
    let batches = Documents { count, more, oldest };
    let mut found = Vec::new();
    if count > 0 {
        found.push(match keeps {
            Stored::Records => records(facts, batches, "failure destination")?,
            Stored::Positions { retention_seconds } => {
                (Verdict::Problem, positions(facts, batches, retention_seconds)?)
            }
        });
    }
    if let Some(earlier) = earlier.filter(|earlier| earlier.count > 0) {
        found.push(records(facts, earlier, "failure bucket")?);
    }
    let meaning = found.iter().map(|(_, meaning)| meaning.as_str()).collect::<Vec<_>>().join("; ");
    match found.iter().map(|(verdict, _)| *verdict).max() {
        None => ok("the failure destination is empty"),
        Some(Verdict::Problem) => problem(meaning, list(facts)),
        Some(_) => warning(meaning, list(facts)),
    }
}

/// `more than 1000 batches are in the failure bucket`
fn batches(Documents { count, more, .. }: Documents, place: &str) -> String {
    let many = if more { "more than " } else { "" };
    let batches = if count == 1 { "batch is" } else { "batches are" };
    format!("{many}{count} {batches} in the {place}")
}

/// Batches with their records.
fn records(facts: &Facts, found: Documents, place: &str) -> Result<(Verdict, String), Unavailable> {
    let what = batches(found, place);
    let Some(oldest) = found.oldest else { return Ok((Verdict::Warning, format!("{what}; their age is unknown"))) };
    let age = facts.now.seconds() - oldest.seconds();
    let left = of(&facts.horizon_days)? * DAY_SECONDS - age;
    let meaning = match left {
        ..=0 => {
            format!("{what}, the oldest {} old: past the horizon, so it can no longer be counted", span(age))
        }
        left => format!(
            "{what}, the oldest {} old; {} left until the horizon, after which they can't be counted",
            span(age),
            span(left)
        ),
    };
    Ok((if left < LAST_HOURS || age > LONG { Verdict::Problem } else { Verdict::Warning }, meaning))
}

/// Positions in a queue are a problem at once. The age of a message is the time since it was sent, but its records are older:
/// a batch that was discarded as `RecordAgeExceeded` is MaximumRecordAgeInSeconds old by then. Only a redrive reads the times
/// of the records themselves.
fn positions(facts: &Facts, found: Documents, queue_seconds: i64) -> Result<String, Unavailable> {
    let what = batches(found, "failure destination");
    let mapping = facts.the_mapping()?;
    let of_source = time_left_when_sent(mapping, facts.the_source()?.retention_seconds);
    // A table's stream keeps records for 24 hours.
    let of_ledger = facts.ledger_mapping.as_ref().map(|mapping| time_left_when_sent(mapping, DAY_SECONDS));
    let when_sent = of_source.min(of_ledger.unwrap_or(of_source));
    let (sent, age) = match found.oldest {
        None => ("; their age is unknown".to_owned(), 0),
        Some(oldest) => {
            let age = facts.now.seconds() - oldest.seconds();
            (format!(", the oldest sent {} ago", span(age)), age)
        }
    };
    let left = when_sent.min(queue_seconds) - age;
    if left <= 0 {
        return Ok(format!("{what}{sent}; the stream may have trimmed its records"));
    }
    let records = span(when_sent);
    Ok(format!(
        "{what}{sent}; the stream may trim the records of a message {records} after it is sent, so as little as {} may be left",
        span(left)
    ))
}

/// The least time that the stream keeps the records of a batch after the mapping has discarded it.
fn time_left_when_sent(mapping: &Mapping, retention_seconds: i64) -> i64 {
    match mapping.record_age_seconds {
        ..0 => 0,
        limit => (retention_seconds - limit).max(0),
    }
}

/// A command that lists the failed batches and quarantined records by cause.
fn list(facts: &Facts) -> String {
    match &facts.stack {
        Some(stack) => format!("usagectl redrive --stack {stack} --dry-run"),
        None => "usagectl redrive --local --dry-run".to_owned(),
    }
}

/// No quarantined record is left; otherwise, how long it can still be redriven.
pub(crate) fn quarantine(facts: &Facts) -> CheckResult {
    let Some(Documents { count, more, oldest }) = of(&facts.waiting)?.quarantined else {
        return Err(Unavailable::NotApplicable("there is no failure bucket"));
    };
    if count == 0 {
        return ok("no quarantined record is left");
    }
    let many = if more { "more than " } else { "" };
    let records = if count == 1 { "record isn't" } else { "records aren't" };
    let what = format!("{many}{count} quarantined {records} counted");
    let Some(oldest) = oldest else {
        return warning(format!("{what}; their age is unknown"), list(facts));
    };
    let age = facts.now.seconds() - oldest.seconds();
    let left = of(&facts.horizon_days)? * DAY_SECONDS - age;
    let meaning = match left {
        ..=0 => format!("{what}, the oldest for {}: past the horizon, so it can no longer be counted", span(age)),
        _ => format!("{what}, the oldest for {}: fix the cause, then redrive within {}", span(age), span(left)),
    };
    if left < LAST_HOURS || age > LONG { problem(meaning, list(facts)) } else { warning(meaning, list(facts)) }
}

/// The horizon is longer than a record can be delayed.
pub(crate) fn horizon(facts: &Facts) -> CheckResult {
    if !facts.counts() {
        return Err(Unavailable::NotApplicable("the pipeline counts nothing"));
    }
    let days = *of(&facts.horizon_days)?;
    let kept = match of(&facts.waiting)?.keeps {
        // The bucket keeps batches longer, for the archive. 14 days: as long as a queue can keep a message.
        Stored::Records => 14,
        Stored::Positions { retention_seconds } => retention_seconds.div_euclid(DAY_SECONDS),
    };
    let retention = -(-facts.the_source()?.retention_seconds).div_euclid(DAY_SECONDS);
    let needed = retention + kept + 1;
    if days >= needed {
        return ok(format!(
            "HORIZON_DAYS is {days}, and at least {needed} are needed: {retention} for the stream, {kept} for the failure destination, 1 to spare"
        ));
    }
    // What the ledger has already keeps its expiry, so KEEP_DAYS comes first, and HORIZON_DAYS much later.
    let parameter = if facts.keep_days().unwrap_or(days) < needed { "KeepDays" } else { "HorizonDays" };
    warning(
        format!(
            "HORIZON_DAYS is {days}, but a record can be {needed} days late ({retention} for the stream, {kept} for the failure destination, 1 to spare) and would be rejected as too_old; docs/semantics.md explains how and when to raise it"
        ),
        facts.deploy(&format!("{parameter}={needed}")),
    )
}
