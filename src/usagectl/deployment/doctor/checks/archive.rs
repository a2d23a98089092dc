//! Checks of the archive: its bucket, and whether files arrive.

use serde_json::{Value, json};
use usage_aggregator::time::DAY_SECONDS;

use super::super::facts::{Bucket, Facts, Unavailable};
use super::super::finding::{CheckResult, no_data, ok, problem, warning};
use super::super::policy::{Allowed, allowed, requires_tls};
use super::destination::{grant, simulate};
use super::{of, quoted, span};

/// A day: a file this old is stale.
const STALE: i64 = DAY_SECONDS;

fn bucket(facts: &Facts) -> Result<&Bucket, Unavailable> {
    if facts.pipeline.schemas().next().is_none() {
        return Err(Unavailable::NotApplicable("the pipeline archives nothing"));
    }
    of(&facts.archive)
}

fn prefix(facts: &Facts) -> &str {
    facts.names.archive_prefix.as_deref().unwrap_or(&facts.pipeline.archive_prefix)
}

fn name(facts: &Facts) -> &str {
    facts.names.archive_bucket.as_deref().unwrap_or("BUCKET")
}

/// The ARN of the files that the function writes.
fn a_file(facts: &Facts) -> String {
    format!("arn:aws:s3:::{}/{}/avro/*", name(facts), prefix(facts))
}

/// A command that lets IAM evaluate the policies.
pub(crate) fn simulation(facts: &Facts) -> String {
    simulate(facts, "s3:PutObject", &a_file(facts))
}

/// A command that lists the archive.
pub(crate) fn listing(facts: &Facts) -> String {
    let (bucket, prefix) = (name(facts), prefix(facts));
    format!(
        "aws s3api list-objects-v2 --bucket \"{bucket}\" --prefix \"{prefix}/avro/\" --max-items 20 --query 'Contents[].Key'"
    )
}

/// The role's policies allow it to write files.
pub(crate) fn access(facts: &Facts) -> CheckResult {
    let bucket = bucket(facts)?;
    let role = of(&facts.role)?;
    let (prefix, resource) = (prefix(facts), a_file(facts));
    let judged = "according to its own policies (bucket, key and organization policies aren't checked)";
    match allowed(&role.policies, "s3:PutObject", &resource) {
        Allowed::Yes => ok(format!("the role {} can write files to {}/{prefix}, {judged}", role.name, bucket.name)),
        Allowed::Conditionally => warning(
            format!(
                "the role {} can write files to {}/{prefix} only under a condition, {judged}",
                role.name, bucket.name
            ),
            simulate(facts, "s3:PutObject", &resource),
        ),
        Allowed::No => problem(
            format!("the role {} can't write files to {}/{prefix}, {judged}", role.name, bucket.name),
            grant(&role.name, "s3:PutObject", &resource),
        ),
    }
}

/// Files are written when records are processed.
pub(crate) fn files(facts: &Facts) -> CheckResult {
    let bucket = bucket(facts)?;
    let newest = match &facts.newest_file {
        Err(Unavailable::NoData(_)) => None,
        other => Some(*of(other)?),
    };
    let numbers = facts.measured.as_ref().ok();
    let records = numbers.and_then(|numbers| numbers.records).unwrap_or_default();
    let files = numbers.and_then(|numbers| numbers.files).unwrap_or_default();
    let period = facts.period();
    let age = newest.map(|newest| facts.now.seconds() - newest.seconds());
    let shown =
        age.map_or_else(|| "there is no file yet".to_owned(), |age| format!("the newest file is {} old", span(age)));
    if records > 0.0 && files == 0.0 && !facts.pipeline.routes.iter().all(|route| route.archive.is_some()) {
        return no_data(format!(
            "{records:.0} records were processed {period} and no file was written; {shown}, and some record types aren't archived"
        ));
    }
    if records > 0.0 && files == 0.0 && age.is_none_or(|age| age > STALE) {
        return warning(
            format!(
                "{records:.0} records were processed {period} and no file was written; {shown}: their record types aren't archived"
            ),
            facts.log_lines("{ $.message = \"batch done\" }"),
        );
    }
    match age {
        None => no_data(format!("there is no file in {} yet", bucket.name)),
        Some(_) => ok(format!("{shown}; {files:.0} files {period}")),
    }
}

/// All requests use TLS.
pub(crate) fn policy(facts: &Facts) -> CheckResult {
    let bucket = bucket(facts)?;
    let name = &bucket.name;
    let policy = of(&bucket.policy)?;
    if policy.as_ref().is_some_and(requires_tls) {
        return ok(format!("the policy of {name} denies requests without TLS"));
    }
    warning(
        format!("the bucket {name} allows requests without TLS"),
        format!(
            "aws s3api put-bucket-policy --bucket {name} --policy {}",
            quoted(&with_tls(policy.clone(), name).to_string())
        ),
    )
}

/// The bucket policy with a statement that requires TLS.
fn with_tls(policy: Option<Value>, bucket: &str) -> Value {
    let arn = format!("arn:aws:s3:::{bucket}");
    let ours = json!({
        "Sid": "OnlyByTls", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, format!("{arn}/*")],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    });
    let mut policy = policy.unwrap_or_else(|| json!({ "Version": "2012-10-17", "Statement": [] }));
    match policy.get_mut("Statement") {
        Some(Value::Array(statements)) => statements.push(ours),
        Some(single) => *single = json!([single.take(), ours]),
        None => drop(policy.as_object_mut().map(|fields| fields.insert("Statement".to_owned(), json!([ours])))),
    }
    policy
}

/// The bucket blocks public access and is encrypted.
pub(crate) fn locks(facts: &Facts) -> CheckResult {
    let bucket = bucket(facts)?;
    let name = &bucket.name;
    if !*of(&bucket.blocks_public)? {
        return problem(
            format!("the bucket {name} doesn't block public access"),
            format!(
                "aws s3api put-public-access-block --bucket {name} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
            ),
        );
    }
    match of(&bucket.encryption)? {
        Some(algorithm) => ok(format!("{name} blocks public access and is encrypted ({algorithm})")),
        None => warning(
            format!("the bucket {name} has no default encryption"),
            format!(
                "aws s3api put-bucket-encryption --bucket {name} --server-side-encryption-configuration '{{\"Rules\":[{{\"ApplyServerSideEncryptionByDefault\":{{\"SSEAlgorithm\":\"AES256\"}}}}]}}'"
            ),
        ),
    }
}
