//! The failure destination: whether there is one, whether it takes what it is given, and what waits there.

use serde_json::json;

use super::super::facts::{Facts, Keeps, Mapping, Unseen};
use super::super::finding::{Look, ok, problem, warning};
use super::super::policy::{Allowed, allowed};
use super::mapping::change;
use super::{of, quoted, span};

const DAY: i64 = 86_400;
/// 6 hours and 3 days: when FailureMessagesLast and FailureObjectsOld page.
const LAST_HOURS: i64 = 6 * 3_600;
const LONG: i64 = 3 * DAY;

/// There is a destination.
pub fn exists(facts: &Facts) -> Look {
    let mapping = facts.the_mapping()?;
    match &mapping.on_failure {
        Some(arn) => ok(format!("what is given up goes to {arn}")),
        None => problem(
            "the mapping has no failure destination: what is given up is lost, and no metric counts it",
            change(mapping, &format!("--destination-config {}", to(&known(facts)))),
        ),
    }
}

/// The setting that names a destination.
pub fn to(arn: &str) -> String {
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

/// The destination takes what the function's role sends: by policy, and by a probe where one was asked for.
pub fn accepts(facts: &Facts) -> Look {
    let mapping = facts.the_mapping()?;
    let Some(arn) = &mapping.on_failure else {
        return Err(Unseen::NoData("there is no destination".to_owned()));
    };
    let destination = of(&facts.destination)?;
    let role = of(&facts.role)?;
    for (action, resource) in wanted(arn, &mapping.uuid) {
        match allowed(&role.policies, action, &resource) {
            Allowed::Yes => {}
            Allowed::Perhaps => {
                return warning(
                    format!(
                        "the role {} may {action} on {resource} under a condition only, which isn't evaluated here",
                        role.name
                    ),
                    simulate(facts, action, &resource),
                );
            }
            Allowed::No => {
                return problem(
                    format!("the role {} may not {action} on {resource}: what is given up is dropped", role.name),
                    grant(&role.name, action, &resource),
                );
            }
        }
    }
    match &destination.probe {
        None => ok(format!(
            "the role {} may write to {arn}, judged by its policies alone; --probe writes something as you",
            role.name
        )),
        Some(Ok(left)) => ok(format!("the role {} may write to {arn}, judged by its policies; {left}", role.name)),
        Some(Err(error)) => problem(
            format!("{arn} refuses a probe that was written as you: {error}"),
            simulate(facts, action_on(arn), arn),
        ),
    }
}

/// What Lambda does with the function's role, by kind of destination.
fn wanted(arn: &str, uuid: &str) -> Vec<(&'static str, String)> {
    if arn.starts_with("arn:aws:s3:::") {
        // Lambda wants both: it looks whether the bucket is there before it writes.
        return vec![("s3:PutObject", format!("{arn}/aws/lambda/{uuid}/*")), ("s3:ListBucket", arn.to_owned())];
    }
    vec![(action_on(arn), arn.to_owned())]
}

/// The same for a mapping's destination, if it has one.
pub fn wanted_of(mapping: &Mapping) -> Vec<(&'static str, String)> {
    mapping.on_failure.as_deref().map(|arn| wanted(arn, &mapping.uuid)).unwrap_or_default()
}

fn action_on(arn: &str) -> &'static str {
    match arn.split(':').nth(2) {
        Some("s3") => "s3:PutObject",
        Some("sns") => "sns:Publish",
        _ => "sqs:SendMessage",
    }
}

/// A command that lets a role do it.
pub fn grant(role: &str, action: &str, resource: &str) -> String {
    let statement = json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    let name = action.replace(':', "-");
    format!(
        "aws iam put-role-policy --role-name {role} --policy-name allow-{name} --policy-document {}",
        quoted(&policy.to_string())
    )
}

pub fn simulate(facts: &Facts, action: &str, resource: &str) -> String {
    let role = facts.function.as_ref().map_or("ROLE_ARN", |function| function.role_arn.as_str());
    format!(
        "aws iam simulate-principal-policy --policy-source-arn {role} --action-names {action} --resource-arns \"{resource}\""
    )
}

/// Nothing waits; else for how long it can still be redriven.
pub fn waiting(facts: &Facts) -> Look {
    let waiting = of(&facts.waiting)?;
    if waiting.count == 0 {
        return ok("nothing waits in the failure destination");
    }
    let many = if waiting.more { "more than " } else { "" };
    let batches = if waiting.count == 1 { "batch waits" } else { "batches wait" };
    let what = format!("{many}{} {batches} in the failure destination", waiting.count);
    let redrive = match &facts.stack {
        Some(stack) => format!("usagectl redrive --stack {stack} --dry-run"),
        None => "usagectl redrive --local --dry-run".to_owned(),
    };
    let Some(oldest) = waiting.oldest else {
        return warning(format!("{what}; how old they are isn't known"), redrive);
    };
    let age = facts.now.seconds() - oldest.seconds();
    let left = match waiting.keeps {
        Keeps::Records => of(&facts.horizon_days)? * DAY - age,
        Keeps::Positions { retention_seconds } => facts.the_source()?.retention_seconds.min(retention_seconds) - age,
    };
    let (until, past) = match waiting.keeps {
        Keeps::Records => {
            ("until the horizon, after which the counters refuse them", "the horizon is past, the counters refuse it")
        }
        Keeps::Positions { .. } => {
            ("at most until the stream forgets the records", "the stream has forgotten its records")
        }
    };
    let meaning = match left {
        left if left <= 0 => format!("{what}, the oldest for {}: {past}", span(age)),
        left => format!("{what}, the oldest for {}; {} left {until}", span(age), span(left)),
    };
    if left < LAST_HOURS || age > LONG { problem(meaning, redrive) } else { warning(meaning, redrive) }
}

/// The horizon is longer than a record may be under way.
pub fn horizon(facts: &Facts) -> Look {
    if !facts.counts() {
        return Err(Unseen::LeftOut("the pipeline counts nothing"));
    }
    let days = *of(&facts.horizon_days)?;
    let kept = match of(&facts.waiting)?.keeps {
        // The bucket keeps batches for longer, for the archive's sake; a person has as long as a queue would give.
        Keeps::Records => 14,
        Keeps::Positions { retention_seconds } => retention_seconds.div_euclid(DAY),
    };
    let retention = -(-facts.the_source()?.retention_seconds).div_euclid(DAY);
    let needed = retention + kept + 1;
    if days >= needed {
        return ok(format!(
            "HORIZON_DAYS is {days}: {retention} of the stream, {kept} of the failure destination and 1 are {needed}"
        ));
    }
    warning(
        format!(
            "HORIZON_DAYS is {days}, and a record may come {needed} days late ({retention} of the stream, {kept} of the failure destination, 1 to spare): it would be refused as too_old; docs/semantics.md says how to raise it"
        ),
        facts.deploy(&format!("HorizonDays={needed}")),
    )
}
