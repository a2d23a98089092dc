//! The facts of a stack: first what says the names of the rest, then everything at once.

use super::super::facts::{Facts, Function, Mapping, Seen, Unseen};
use super::{Probe, alarms, bucket, destination, function, glue, logs, mapping, metrics, role, source, table};
use crate::shell::options::Options;
use crate::stack::{Account, Names};
use usage_aggregator::time::Timestamp;

pub async fn facts(
    account: Account,
    names: Names,
    stack: Option<String>,
    options: &Options,
    now: Timestamp,
    probe: Probe,
) -> anyhow::Result<Facts> {
    let (function, mapping) = futures::join!(function::of(&account, &names), mapping::of(&account, &names));
    let names = completed(names, &function, &mapping);
    let configured = function.as_ref().map(|function| function.variables.clone()).unwrap_or_default();
    let pipeline = names.variables(options, configured).with_metrics_sink("none").config()?.pipeline;
    let clients = account.clients();
    let counts = pipeline.routes.iter().any(|route| route.usage.is_some());
    let archives = pipeline.schemas().next().is_some();
    let types: Vec<String> = pipeline.schemas().map(|(name, _)| name.to_owned()).collect();
    let prefix = names.archive_prefix.clone().unwrap_or_else(|| pipeline.archive_prefix.clone());
    let if_it = |does: bool, why: &'static str| if does { Ok(()) } else { Err(Unseen::LeftOut(why)) };
    let (counts, archives) =
        (if_it(counts, "the pipeline counts nothing"), if_it(archives, "the pipeline archives nothing"));

    let tables = async {
        let table = |name, option| table::of(&clients.dynamodb, &counts, name, option);
        futures::join!(table(&names.usage_table, "--usage-table"), table(&names.claims_table, "--claims-table"))
    };
    let lake = async {
        futures::join!(
            bucket::of(&clients.s3, &archives, &names.archive_bucket),
            bucket::newest_file(&clients.s3, &archives, &names.archive_bucket, &prefix, &types, now),
            glue::of(&account, &archives, &names.database),
        )
    };
    let failures = async {
        // First what waits: a probe would be counted with it.
        let waiting = destination::waiting(&account, &names, now).await;
        let (destination, role) =
            futures::join!(destination::of(&account, &mapping, probe), role::of(&account, &function));
        (destination, waiting, role)
    };
    let watching = async {
        let name = stack.as_deref().or(names.function.as_deref());
        futures::join!(
            alarms::of(&clients.cloudwatch, name),
            logs::of(&account, &names.log_group),
            metrics::own(&clients.cloudwatch, &names.metrics_namespace),
            metrics::of(&clients.cloudwatch, &names, now),
        )
    };
    let (source, recursion, tables, lake, failures, watching) = futures::join!(
        source::of(&account, &names),
        function::recursion(&account, &names),
        tables,
        lake,
        failures,
        watching
    );
    // 18: the function's own default.
    let horizon =
        |function: &Function| function.variables.get("HORIZON_DAYS").and_then(|days| days.parse().ok()).unwrap_or(18);
    let horizon_days = function.as_ref().map(horizon).map_err(Clone::clone);
    let ((usage_table, claims_table), (archive, newest_file, glue)) = (tables, lake);
    let ((destination, waiting, role), (alarms, log_group, own_metrics, measured)) = (failures, watching);
    Ok(Facts {
        now,
        here: false,
        stack,
        names,
        pipeline,
        version: env!("CARGO_PKG_VERSION"),
        source,
        mapping,
        function,
        recursion,
        role,
        destination,
        waiting,
        usage_table,
        claims_table,
        archive,
        newest_file,
        newest_snapshot: Err(Unseen::LeftOut("the metrics say it")),
        glue,
        log_group,
        alarms,
        measured,
        own_metrics,
        horizon_days,
    })
}

/// The names that the function's variables and the mapping give where the stack has said nothing.
fn completed(names: Names, function: &Seen<Function>, mapping: &Seen<Mapping>) -> Names {
    let variable = |name: &str| {
        let value = function.as_ref().ok()?.variables.get(name)?;
        Some(value.clone()).filter(|value| !value.is_empty())
    };
    let known = Names {
        function: function.as_ref().ok().map(|function| function.name.clone()),
        mapping: mapping.as_ref().ok().map(|mapping| mapping.uuid.clone()),
        source_arn: mapping.as_ref().ok().map(|mapping| mapping.source_arn.clone()),
        usage_table: variable("USAGE_TABLE"),
        claims_table: variable("CLAIMS_TABLE"),
        archive_bucket: variable("ARCHIVE_BUCKET"),
        archive_prefix: variable("ARCHIVE_PREFIX"),
        failure_bucket: bucket_of(mapping),
        metrics_namespace: variable("METRICS_NAMESPACE"),
        pipeline: variable("PIPELINE"),
        ..Names::default()
    };
    names.or(known)
}

fn bucket_of(mapping: &Seen<Mapping>) -> Option<String> {
    let arn = mapping.as_ref().ok()?.on_failure.as_deref()?;
    arn.strip_prefix("arn:aws:s3:::").map(str::to_owned)
}
