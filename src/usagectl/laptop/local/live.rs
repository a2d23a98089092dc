//! The output of a local run: how to reach it, its progress, and its result.

use std::io::{self, IsTerminal};
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use laptop::proof::reconcile::Report;
use tokio::time::Instant;

use super::control::Control;
use super::run::LocalRun;
use super::status::Status;
use crate::laptop::serve;
use crate::results::differences;
use crate::shell::console::{self, Done};
use crate::shell::options::Options;
use crate::shell::table;

const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Prints where everything is and how other programs reach it.
pub(super) fn print_start(run: &LocalRun, options: &Options, control: &str) -> anyhow::Result<()> {
    let variables = run.place.services().map(|services| serve::environment(services, &run.variables));
    let variables = variables.unwrap_or_default();
    if options.json {
        let variables = variables.into_iter().collect::<std::collections::BTreeMap<_, _>>();
        let started = serde_json::json!({
            "started": { "source": run.source.arn(), "control": control, "environment": variables }
        });
        return console::print(&started.to_string());
    }
    let mut rows = table::titled(["usagectl local", ""]);
    let mut row = |name: &str, value: &str| {
        rows.add_row([table::text(name), table::text(value)]);
    };
    row("pipeline", &run.site.handler.pipeline().name);
    row("source", run.source.arn());
    let value_of = |name: &str| variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    for (name, variable) in [
        ("DynamoDB", "AWS_ENDPOINT_URL_DYNAMODB"),
        ("S3", "AWS_ENDPOINT_URL_S3"),
        ("Kinesis", "AWS_ENDPOINT_URL_KINESIS"),
    ] {
        row(name, value_of(variable).unwrap_or("not embedded"));
    }
    row("failure destination", &run.destination);
    row("control", &format!("{control}/status, /faults, /stop (or usagectl faults)"));
    console::print(&rows.to_string())?;
    let exports = [
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_KINESIS",
        "AWS_ENDPOINT_URL_CLOUDWATCH",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ];
    let lines = exports.iter().filter_map(|name| Some(format!("export {name}={}", value_of(name)?)));
    console::print(&format!("For the AWS CLI or any SDK:\n  {}\n", lines.collect::<Vec<_>>().join("\n  ")))
}

/// Shows progress until the run stops: a panel on a terminal, otherwise one line per second.
pub(super) async fn watch(run: &LocalRun, options: &Options, control: &Control) -> anyhow::Result<()> {
    let mut stop = control.stop.subscribe();
    let started = Instant::now();
    let panel = (!options.json && io::stderr().is_terminal()).then(Panel::new);
    let interval = if panel.is_some() { TERMINAL_INTERVAL } else { LINE_INTERVAL };
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep(interval) => {}
        }
        let status = update(run, control, started).await;
        match &panel {
            Some(panel) => panel.draw(&status),
            None if options.json => console::print(&serde_json::to_string(&status)?)?,
            None => console::print(&status.line())?,
        }
    }
    update(run, control, started).await;
    Ok(())
}

/// Updates the status and returns it.
async fn update(run: &LocalRun, control: &Control, started: Instant) -> Status {
    let shards = run.source.shards().await.map_or(0, |shards| shards.len());
    run.publish_metrics();
    let mut status = control.status.lock().unwrap_or_else(PoisonError::into_inner);
    status.seconds = started.elapsed().as_secs_f64();
    status.mapping = run.meter.counts();
    status.shards = shards;
    status.faults = control.faults.profile().to_string();
    if let Some(services) = run.place.services() {
        status.add(services.metrics().take());
    }
    status.clone()
}

/// Prints the run's counts and, if there was load, whether all of it was counted.
pub(super) fn print_result(
    run: &LocalRun,
    options: &Options,
    control: &Control,
    proof: Option<&Report>,
) -> anyhow::Result<Done> {
    let mut status = control.status.lock().unwrap_or_else(PoisonError::into_inner);
    status.mapping = run.meter.counts();
    if options.json {
        let ended = serde_json::json!({ "ended": &*status, "reconcile": proof });
        console::print(&ended.to_string())?;
    } else {
        console::print(&status.summary())?;
        proof.map_or(Ok(()), |proof| console::print(&differences::text(&run.site.handler.pipeline().name, proof)))?;
    }
    let dropped = status.mapping.dropped_event_count > 0 || status.mapping.trimmed_gaps > 0;
    let good = proof.is_none_or(Report::agrees) && !dropped;
    Ok(if good { Done::Well } else { Done::WithFailures })
}

/// Lines on stderr that are redrawn in place.
struct Panel {
    lines: [ProgressBar; 4],
    _all: MultiProgress,
}

impl Panel {
    fn new() -> Panel {
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let lines = [(); 4].map(|()| all.add(ProgressBar::new_spinner().with_style(style.clone())));
        Panel { lines, _all: all }
    }

    fn draw(&self, status: &Status) {
        for (line, text) in self.lines.iter().zip(status.panel()) {
            line.set_message(text);
        }
    }
}
