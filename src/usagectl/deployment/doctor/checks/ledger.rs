//! Checks of the ledger and the fold: whether what was appended becomes snapshots.

use super::super::facts::{Facts, Mapping, Unavailable};
use super::super::finding::{CheckResult, no_data, ok, problem, warning};
use super::{MILLISECONDS, float, mapping, of, seconds};

/// The attribute by which pages and states expire.
const EXPIRY: &str = "expires_at";
/// 60 s beyond two windows: the threshold of the alarms FoldAge and FoldIteratorAge.
const LATE_SECONDS: f64 = 60.0;
/// 20,000: about as many pages as a fold can read of one minute within its time.
const MOST_PAGES: f64 = 20_000.0;
/// Half of that leaves time to react.
const MANY_PAGES: f64 = 10_000.0;
/// Below this, one partition is far from its 1,000 write units per second.
const FEW_PAGES: f64 = 1_000.0;
/// The variables that append and fold must agree on.
const SHARED: [&str; 7] =
    ["PIPELINE", "USAGE_TABLE", "LEDGER_TABLE", "COUNT_FROM", "FOLD_EPOCH", "HORIZON_DAYS", "KEEP_DAYS"];

/// The ledger's stream is on with keys, and its items expire.
pub(crate) fn table(facts: &Facts) -> CheckResult {
    let table = of(&facts.ledger_table)?;
    let name = &table.name;
    let stream = |view: &str| {
        format!(
            "aws dynamodb update-table --table-name {name} --stream-specification StreamEnabled=true,StreamViewType={view}"
        )
    };
    let Some(view) = &table.stream_view else {
        return problem(
            format!(
                "the stream of the ledger {name} is off: nothing that is appended becomes a snapshot. Turned on again, it is another stream, which also needs a mapping of its own and the permission to read it: step 1 of Fold blocked in docs/operations.md"
            ),
            stream("KEYS_ONLY"),
        );
    };
    if of(&table.time_to_live)?.as_deref() != Some(EXPIRY) {
        let found = of(&table.time_to_live)?.as_deref().unwrap_or("off");
        return warning(
            format!(
                "pages and states never expire (time to live of {name} is {found}): the ledger grows without limit"
            ),
            format!(
                "aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification Enabled=true,AttributeName={EXPIRY}"
            ),
        );
    }
    if view != "KEYS_ONLY" {
        return warning(
            format!(
                "the stream of {name} has the view type {view}: fewer notices fit into an event than with KEYS_ONLY, and a stream's view type can't be changed"
            ),
            format!(
                "aws dynamodb describe-table --table-name {name} --query 'Table.[StreamSpecification, LatestStreamArn]'"
            ),
        );
    }
    ok(format!("the stream of {name} has keys only, and its items expire by {EXPIRY}"))
}

/// The mapping of the ledger's stream delivers every notice.
pub(crate) fn ledger_mapping(facts: &Facts) -> CheckResult {
    let found = of(&facts.ledger_mapping)?;
    let result = found.last_result.as_deref().unwrap_or("none yet");
    if found.state == "Disabled" {
        return problem(
            "the mapping of the ledger's stream is disabled: pages aren't folded, and after 24 h only a sweep finds them",
            mapping::change(found, "--enabled"),
        );
    }
    if let Some(newest) = newer_stream(facts, found) {
        return problem(
            format!(
                "the ledger's mapping reads {}, but the newest stream of the ledger is {newest}: new pages are folded by sweeps only, 90 minutes late. Step 1 of Fold blocked in docs/operations.md creates a mapping that reads it",
                found.source_arn
            ),
            describe_stream(newest),
        );
    }
    if result.contains("PROBLEM") {
        return problem(format!("the last result of the ledger's mapping: {result}"), facts.errors_of_the_fold());
    }
    if !found.reports_item_failures {
        return problem(
            "partial batch responses of the ledger's mapping are off: notices that the fold reports as unsettled are lost",
            mapping::change(found, "--function-response-types ReportBatchItemFailures"),
        );
    }
    if !delivers_pages(found, &facts.pipeline.name) {
        return problem(
            format!(
                "the filter of the ledger's mapping must let pages pass, whose keys start with p#{}#",
                facts.pipeline.name
            ),
            facts.deploy(""),
        );
    }
    if found.factor > 1 || found.retries != -1 {
        return warning(
            format!(
                "the ledger's mapping has ParallelizationFactor {} and MaximumRetryAttempts {}: folds of one minute compete, or notices are given up",
                found.factor, found.retries
            ),
            mapping::change(found, "--parallelization-factor 1 --maximum-retry-attempts -1"),
        );
    }
    ok(format!(
        "the ledger's mapping is enabled with a window of {} s; its last result: {result}",
        found.window_seconds
    ))
}

/// The ARN of the ledger's newest stream, if the mapping reads another one.
fn newer_stream<'f>(facts: &'f Facts, mapping: &Mapping) -> Option<&'f str> {
    let table = facts.ledger_table.as_ref().ok()?;
    table.stream_arn.as_deref().filter(|newest| *newest != mapping.source_arn)
}

fn describe_stream(arn: &str) -> String {
    format!(
        "aws dynamodbstreams describe-stream --stream-arn {arn} --query 'StreamDescription.[StreamStatus, StreamViewType]'"
    )
}

fn delivers_pages(mapping: &Mapping, pipeline: &str) -> bool {
    let prefix = format!("p#{pipeline}#");
    mapping.filters.is_empty() || mapping.filters.iter().any(|pattern| pattern.contains(&prefix))
}

/// Snapshots follow the pages as fast as the window allows.
pub(crate) fn fold_age(facts: &Facts) -> CheckResult {
    let fold = &facts.the_fold_numbers()?;
    let Some(age) = [fold.age_ms, fold.iterator_age_ms].into_iter().flatten().reduce(f64::max) else {
        return no_data(format!("nothing was folded {}", facts.period()));
    };
    let window = match (&facts.ledger_mapping, &facts.local) {
        (Ok(mapping), _) => float(mapping.window_seconds),
        (Err(_), Ok(local)) => float(local.fold_window_seconds),
        (Err(_), Err(_)) => 0.0,
    };
    let limit = (2.0 * window + LATE_SECONDS) * MILLISECONDS;
    let meaning = format!("the oldest notice {} was {} old when it was folded", facts.period(), seconds(age));
    if age <= limit {
        return ok(meaning);
    }
    let meaning = format!("{meaning}, more than two windows of {window:.0} s and a minute");
    // The age is the highest of the whole run, which may have begun with notices that had waited for it.
    if facts.here && fold.iterator_age_ms.is_none_or(|age| age <= limit) {
        return warning(format!("{meaning}: snapshots lagged, but no longer do"), facts.errors_of_the_fold());
    }
    problem(format!("{meaning}: snapshots lag"), facts.errors_of_the_fold())
}

/// What is appended is folded.
pub(crate) fn unfolded(facts: &Facts) -> CheckResult {
    let fold = facts.the_fold_numbers()?;
    let Some(pages) = fold.pages_written.filter(|pages| *pages > 0.0) else {
        return no_data(format!("no page was written {}", facts.period()));
    };
    let notices = fold.notices.unwrap_or_default();
    let meaning = format!("pages written {}: {pages:.0}; notices folded: {notices:.0}", facts.period());
    let failed = [fold.errors, fold.unsettled].into_iter().flatten().any(|count| count > 0.0);
    if notices == 0.0 && facts.here && !failed {
        // A local run may have just begun.
        return no_data(format!("{meaning}: none has been delivered yet"));
    }
    if notices == 0.0 {
        return problem(
            format!("{meaning}: the fold has stopped, and snapshots stand still"),
            facts.errors_of_the_fold(),
        );
    }
    ok(meaning)
}

/// Folds don't fail.
pub(crate) fn fold_errors(facts: &Facts) -> CheckResult {
    let fold = facts.the_fold_numbers()?;
    let count = |number: Option<f64>| number.unwrap_or_default();
    let period = facts.period();
    if count(fold.ledger_behind) > 0.0 {
        return problem(
            format!(
                "snapshots are ahead of the ledger {period}: the ledger was restored or replaced, and nothing is folded"
            ),
            facts.deploy(&format!("FoldEpoch={}", epoch(facts) + 1)),
        );
    }
    let (errors, unsettled) = (count(fold.errors), count(fold.unsettled));
    let meaning = format!(
        "failed invocations of the fold {period}: {errors:.0}; notices that weren't settled at once: {unsettled:.0}"
    );
    if errors > 0.0 || unsettled > 0.0 {
        return warning(format!("{meaning}; they are delivered again"), facts.errors_of_the_fold());
    }
    ok(meaning)
}

fn epoch(facts: &Facts) -> i64 {
    let configured = facts.function.as_ref().ok().and_then(|function| function.variables.get("FOLD_EPOCH"));
    configured.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// What must stay 0 is 0.
pub(crate) fn fold_repairs(facts: &Facts) -> CheckResult {
    let fold = facts.the_fold_numbers()?;
    let counts = [
        (fold.repaired, "snapshots that a sweep had to repair"),
        (fold.unpublished, "snapshots that DynamoDB refused"),
        (fold.overflow, "sums with more than 38 digits"),
        (fold.conflicts, "records that two pages disagree about"),
        (fold.too_old, "notices after the horizon"),
        (fold.discarded, "notices that were given up"),
    ];
    let found: Vec<String> = counts
        .into_iter()
        .filter_map(|(count, what)| count.filter(|count| *count > 0.0).map(|count| format!("{count:.0} {what}")))
        .collect();
    if found.is_empty() {
        return ok(format!("no sweep repaired a snapshot {}, and every snapshot was published", facts.period()));
    }
    warning(format!("{} {}", found.join(", "), facts.period()), facts.errors_of_the_fold())
}

/// A minute has few enough pages for one fold, and no more buckets than it needs.
pub(crate) fn pages(facts: &Facts) -> CheckResult {
    let Some(pages) = facts.the_fold_numbers()?.pages_in_minute else {
        return no_data(format!("nothing was folded {}", facts.period()));
    };
    let buckets = facts.function.as_ref().ok().and_then(|function| function.variables.get("LEDGER_BUCKETS"));
    let buckets = buckets.and_then(|text| text.parse().ok()).unwrap_or(1_i64);
    let meaning = format!("the fullest minute {} has {pages:.0} pages in {buckets} bucket(s)", facts.period());
    let larger = facts.deploy("BatchSize=10000 BatchWindowSeconds=5");
    match pages {
        pages if pages > MOST_PAGES => problem(format!("{meaning}, more than a fold can read in its time"), larger),
        pages if pages > MANY_PAGES => warning(format!("{meaning}; a fold can read about {MOST_PAGES:.0}"), larger),
        pages if buckets > 1 && pages < FEW_PAGES => warning(
            format!("{meaning}: folds of several buckets compete for a minute"),
            facts.deploy("LedgerBuckets=1"),
        ),
        _ => ok(meaning),
    }
}

/// Append and fold have the same settings, and the ledger is kept at least as long as records are accepted.
pub(crate) fn settings(facts: &Facts) -> CheckResult {
    let (append, fold) = (facts.the_function()?, of(&facts.fold)?);
    let differs = |name: &&&str| append.variables.get(**name) != fold.variables.get(**name);
    let names: Vec<&str> = SHARED.iter().filter(differs).copied().collect();
    if !names.is_empty() {
        return problem(
            format!("append and fold have different values of {}: deploy them together", names.join(", ")),
            facts.deploy(""),
        );
    }
    let horizon = *of(&facts.horizon_days)?;
    let keep = facts.keep_days();
    if let Some(keep) = keep.filter(|keep| *keep < horizon) {
        return warning(
            format!("KEEP_DAYS is {keep}, below HORIZON_DAYS ({horizon}), so the ledger is kept for {horizon} days"),
            facts.deploy(&format!("KeepDays={horizon}")),
        );
    }
    if append.version != fold.version || append.code_sha256 != fold.code_sha256 {
        return warning("append and fold run different code: deploy them together", facts.deploy(""));
    }
    ok(format!("append and fold have the same settings; the ledger is kept for {} days", keep.unwrap_or(horizon)))
}

impl Facts {
    fn the_fold_numbers(&self) -> Result<super::super::facts::FoldMetrics, Unavailable> {
        if !self.counts() {
            return Err(Unavailable::NotApplicable("the pipeline counts nothing"));
        }
        Ok(self.the_numbers()?.fold)
    }

    /// A command that shows the errors in the log of the fold function.
    pub fn errors_of_the_fold(&self) -> String {
        if self.here {
            return "usagectl local --verbose".to_owned();
        }
        let log = self.names.fold_log_group.as_deref().unwrap_or("/aws/lambda/FOLD_FUNCTION");
        super::filter_log(log, "{ $.level = \"ERROR\" || $.level = \"WARN\" }")
    }
}
