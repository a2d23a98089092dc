//! The facts of a stack: first the function and the mapping, which name the other parts, then everything else at once.

use super::super::facts::{
    Alarm, Bucket, Destination, Fact, Facts, FailedBatches, Function, GlueTable, LedgerContents, LogGroup, Mapping,
    RecentMetrics, Role, Table, Topic, Unavailable,
};
use super::{
    Probe, alarms, bucket, destination, function, glue, ledger, logs, mapping, metrics, named, role, source, table,
    topics,
};
use crate::shell::options::Options;
use crate::stack::{Account, FunctionName, Names, Where};
use usage_aggregator::fold::Folder;
use usage_aggregator::handler::folder;
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::time::{Date, Timestamp};

/// FoldWindowSeconds of the template, where the mapping can't be read.
const DEFAULT_FOLD_WINDOW: i64 = 30;

pub(super) async fn facts(
    account: Account,
    names: Names,
    place: &Where,
    options: &Options,
    now: Timestamp,
    probe: Probe,
) -> anyhow::Result<Facts> {
    let mapping = mapping::of(&account, &names).await;
    let names = Names { function: invoked(names.function.clone(), &mapping), ..names };
    let function = function::of(&account, &names).await;
    let names = completed(names, &place.names, &function, &mapping);
    let configured = function.as_ref().map(|function| function.variables.clone()).unwrap_or_default();
    let config = names.variables(options, configured).with_metrics_sink("none").config()?;
    let folder = folder(&config, &account.clients().dynamodb);
    let pipeline = config.pipeline;
    let (counts, archives) = applicable(&pipeline);

    let (fold, ledger_mapping) = folds(&account, &names, &counts).await;
    let window_seconds = ledger_mapping.as_ref().map_or(DEFAULT_FOLD_WINDOW, |mapping| mapping.window_seconds);
    let (ledger_contents, source, recursion, tables, archive, failures, monitoring) = futures::join!(
        ledger_contents(folder.as_ref(), &names, window_seconds, now),
        source::of(&account, &names),
        function::recursion(&account, &names),
        tables(&account, &names, &counts),
        archive(&account, &names, &pipeline, &archives, now),
        failures(&account, &names, &mapping, &function, probe, now),
        monitoring(&account, &names, place.stack.as_deref(), now)
    );
    let horizon_days = function.as_ref().map(horizon_days).map_err(Clone::clone);
    let ((usage_table, ledger_table), (archive, newest_file, partition_dates, glue)) = (tables, archive);
    let ((destination, waiting, role), ((alarms, topics), log_group, own_metrics, measured)) = (failures, monitoring);
    Ok(Facts {
        now,
        here: false,
        stack: place.stack.clone(),
        names,
        pipeline,
        version: env!("CARGO_PKG_VERSION"),
        source,
        mapping,
        function,
        fold,
        ledger_mapping,
        recursion,
        role,
        destination,
        waiting,
        usage_table,
        ledger_table,
        ledger_contents,
        archive,
        newest_file,
        partition_dates,
        newest_snapshot: Err(Unavailable::NotApplicable("the metrics show it")),
        glue,
        log_group,
        alarms,
        topics,
        measured,
        local: Err(Unavailable::NotApplicable("only a local run has it")),
        own_metrics,
        horizon_days,
    })
}

/// The function that folds, and its mapping.
async fn folds(account: &Account, names: &Names, counts: &Result<(), Unavailable>) -> (Fact<Function>, Fact<Mapping>) {
    if let Err(nothing) = counts {
        return (Err(nothing.clone()), Err(nothing.clone()));
    }
    let mapping = mapping::of_ledger(account, names).await;
    let fold_function = invoked(names.fold_function.clone(), &mapping);
    let function = function::of_fold(account, &Names { fold_function, ..names.clone() }).await;
    (function, mapping)
}

/// The function `named` as its mapping invokes it, by an alias or without one. Another function than the mapping's is named on
/// purpose.
fn invoked(named: Option<String>, mapping: &Fact<Mapping>) -> Option<String> {
    let named = named?;
    let Ok(mapping) = mapping else { return Some(named) };
    let (target, ours) = (FunctionName::parse(&mapping.function_arn), FunctionName::parse(&named));
    let invoked = match target.qualifier {
        Some(alias) => format!("{}:{alias}", ours.unqualified),
        None => ours.unqualified.to_owned(),
    };
    Some(if ours.name == target.name { invoked } else { named })
}

/// Whether the facts about counting, and those about the archive, apply to a pipeline.
fn applicable(pipeline: &Pipeline) -> (Result<(), Unavailable>, Result<(), Unavailable>) {
    let applies = |does: bool, why| if does { Ok(()) } else { Err(Unavailable::NotApplicable(why)) };
    let counts = pipeline.routes.iter().any(|route| !route.counters.is_empty());
    let archives = pipeline.schemas().next().is_some();
    (applies(counts, "the pipeline counts nothing"), applies(archives, "the pipeline archives nothing"))
}

async fn tables(account: &Account, names: &Names, counts: &Result<(), Unavailable>) -> (Fact<Table>, Fact<Table>) {
    let client = account.clients().dynamodb;
    futures::join!(
        table::of(&client, counts, &names.usage_table, "--usage-table"),
        table::of(&client, counts, &names.ledger_table, "--ledger-table"),
    )
}

async fn ledger_contents(
    folder: Option<&Folder>,
    names: &Names,
    fold_window_seconds: i64,
    now: Timestamp,
) -> Fact<LedgerContents> {
    let folder = folder.ok_or(Unavailable::NotApplicable("the pipeline counts nothing"))?;
    named(&names.ledger_table, "--ledger-table")?;
    ledger::of(folder, fold_window_seconds, now).await
}

type Failures = (Fact<Destination>, Fact<FailedBatches>, Fact<Role>);

async fn failures(
    account: &Account,
    names: &Names,
    mapping: &Fact<Mapping>,
    function: &Fact<Function>,
    probe: Probe,
    now: Timestamp,
) -> Failures {
    // Before the probe, which would be counted, too.
    let waiting = destination::waiting(account, names, now).await;
    let (destination, role) = futures::join!(destination::of(account, mapping, probe), role::of(account, function));
    (destination, waiting, role)
}

type Archive = (Fact<Bucket>, Fact<Timestamp>, Fact<Vec<(String, Date, Date)>>, Fact<Vec<GlueTable>>);

async fn archive(
    account: &Account,
    names: &Names,
    pipeline: &Pipeline,
    archives: &Result<(), Unavailable>,
    now: Timestamp,
) -> Archive {
    let s3 = account.clients().s3;
    let types: Vec<String> = pipeline.schemas().map(|(name, _)| name.to_owned()).collect();
    let prefix = names.archive_prefix.as_ref().unwrap_or(&pipeline.archive_prefix);
    futures::join!(
        bucket::of(&s3, archives, &names.archive_bucket),
        bucket::newest_file(&s3, archives, &names.archive_bucket, prefix, &types, now),
        bucket::partition_dates(&s3, archives, &names.archive_bucket, prefix, &types),
        glue::of(account, archives, &names.database),
    )
}

type Monitoring = ((Fact<Vec<Alarm>>, Fact<Vec<Topic>>), Fact<LogGroup>, Fact<usize>, Fact<RecentMetrics>);

async fn monitoring(account: &Account, names: &Names, stack: Option<&str>, now: Timestamp) -> Monitoring {
    let cloudwatch = account.clients().cloudwatch;
    let prefix = stack.or(names.function.as_deref().map(|function| FunctionName::parse(function).name));
    let notified = async {
        let alarms = alarms::of(&cloudwatch, prefix).await;
        let topics = topics::of(&account.sns(), &alarms).await;
        (alarms, topics)
    };
    futures::join!(
        notified,
        logs::of(account, &names.log_group),
        metrics::own(&cloudwatch, &names.metrics_namespace),
        metrics::of(&cloudwatch, names, now),
    )
}

fn horizon_days(function: &Function) -> i64 {
    // The function's own default.
    const DEFAULT: i64 = 18;
    function.variables.get("HORIZON_DAYS").and_then(|days| days.parse().ok()).unwrap_or(DEFAULT)
}

/// Adds the names in the function's variables and the mapping to those that the stack has no outputs for. The source is the
/// one that the mapping reads, whatever the stack was created with, unless it is `given` on the command line.
fn completed(names: Names, given: &Names, function: &Fact<Function>, mapping: &Fact<Mapping>) -> Names {
    let variable = |name: &str| {
        let value = function.as_ref().ok()?.variables.get(name)?;
        Some(value.clone()).filter(|value| !value.is_empty())
    };
    let known = Names {
        function: function.as_ref().ok().map(|function| function.name.clone()),
        mapping: mapping.as_ref().ok().map(|mapping| mapping.uuid.clone()),
        source_arn: mapping.as_ref().ok().map(|mapping| mapping.source_arn.clone()),
        usage_table: variable("USAGE_TABLE"),
        ledger_table: variable("LEDGER_TABLE"),
        archive_bucket: variable("ARCHIVE_BUCKET"),
        archive_prefix: variable("ARCHIVE_PREFIX"),
        failure_bucket: bucket_of(mapping).or_else(|| variable("FAILURE_BUCKET")),
        metrics_namespace: variable("METRICS_NAMESPACE"),
        pipeline: variable("PIPELINE"),
        ..Names::default()
    };
    let read = known.source_arn.clone().filter(|arn| !arn.is_empty());
    let source_arn = given.source_arn.clone().or(read).or_else(|| names.source_arn.clone());
    Names { source_arn, ..names.or(known) }
}

fn bucket_of(mapping: &Fact<Mapping>) -> Option<String> {
    let arn = mapping.as_ref().ok()?.on_failure.as_deref()?;
    arn.strip_prefix("arn:aws:s3:::").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::good::{STREAM, good};
    use super::*;

    #[test]
    fn the_function_is_the_alias_that_the_mapping_invokes() {
        let mapping = |suffix: &str| {
            let mapping = good().mapping.unwrap();
            Ok(Mapping { function_arn: format!("{}{suffix}", mapping.function_arn), ..mapping })
        };
        let function = |named: Option<&str>, mapping| invoked(named.map(str::to_owned), &mapping);
        assert_eq!(function(Some("usage"), mapping(":live")).as_deref(), Some("usage:live"));
        assert_eq!(function(Some("usage:old"), mapping(":live")).as_deref(), Some("usage:live"));
        assert_eq!(function(Some("usage"), mapping("")).as_deref(), Some("usage"));
        assert_eq!(
            function(Some("usage:live"), mapping("")).as_deref(),
            Some("usage"),
            "the mapping was changed by hand"
        );
        assert_eq!(function(Some("other"), mapping(":live")).as_deref(), Some("other"), "it is named on purpose");
        assert_eq!(function(None, mapping(":live")), None);
        let unreadable = Err(Unavailable::Denied { action: "lambda:GetEventSourceMapping" });
        assert_eq!(function(Some("usage:live"), unreadable).as_deref(), Some("usage:live"));
    }

    /// Issue 14: the doctor looked at the source that the stack was created with.
    #[test]
    fn regression_the_source_is_the_one_that_the_mapping_reads() {
        let facts = good();
        let arn =
            |table: &str| Some(format!("arn:aws:dynamodb:us-east-1:1:table/{table}/stream/2026-01-01T00:00:00.000"));
        let names = |table| Names { source_arn: arn(table), ..Names::default() };
        let source = |given: &Names, mapping| completed(names("default"), given, &facts.function, mapping).source_arn;
        assert_eq!(source(&Names::default(), &facts.mapping).as_deref(), Some(STREAM));
        assert_eq!(source(&names("given"), &facts.mapping), arn("given"));
        let unreadable = Err(Unavailable::Denied { action: "lambda:GetEventSourceMapping" });
        assert_eq!(source(&Names::default(), &unreadable), arn("default"));
    }
}
