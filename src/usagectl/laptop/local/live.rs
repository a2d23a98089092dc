//! The output of a local run: how to reach it, its progress, and its result.

use std::io::{self, IsTerminal};
use std::sync::PoisonError;
use std::time::Duration;

use event_source_mapping::Timestamp;
use laptop::proof::reconcile::Report;
use tokio::time::Instant;
use usage_aggregator::quarantine;

use super::StreamChoice;
use super::control::Control;
use super::ending;
use super::panel::Panel;
use super::run::LocalRun;
use super::screen::{self, Row};
use super::status::{MappingStatus, Status};
use crate::laptop::serve;
use crate::results::differences;
use crate::shell::console::{self, Done};
use crate::shell::lines::{USUAL_WIDTH, cut, terminal_width};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Variables;

const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Prints where everything is and how other programs reach it.
pub(super) fn print_start(run: &LocalRun, options: &Options, control: &str) -> anyhow::Result<()> {
    let variables = run.place.services().map(|services| serve::environment(services, &run.variables));
    let variables = variables.unwrap_or_default();
    if options.json {
        let variables = variables.into_iter().collect::<std::collections::BTreeMap<_, _>>();
        let started = serde_json::json!({
            "started": { "source": run.mapping.running.source_arn, "control": control, "page": format!("{control}/"), "environment": variables }
        });
        return console::print(&started.to_string());
    }
    let value_of = |name: &str| variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let service = |variable| value_of(variable).unwrap_or("not embedded").to_owned();
    let rows = [
        ("pipeline", run.site.handler.pipeline().name.clone()),
        ("source", described(run.kind, &run.source_name)),
        ("DynamoDB", service("AWS_ENDPOINT_URL_DYNAMODB")),
        ("S3", service("AWS_ENDPOINT_URL_S3")),
        ("Kinesis", service("AWS_ENDPOINT_URL_KINESIS")),
        ("failed batches", run.destination.clone()),
        ("rejected records", rejected(&run.variables)),
        ("control", format!("{control}/status, /faults, /stop")),
        ("live page", format!("{control}/")),
    ];
    let width = terminal_width();
    let rows = rows.map(|(name, value)| start_row(name, &console::plain(&value), width));
    console::print(&rows.join("\n"))?;
    let exports = [
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_KINESIS",
        "AWS_ENDPOINT_URL_CLOUDWATCH",
        "AWS_ENDPOINT_URL_EVENTBRIDGE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ];
    let lines = exports.iter().filter_map(|name| Some(format!("export {name}={}", value_of(name)?)));
    console::print(&format!("For the AWS CLI or any SDK:\n  {}\n", lines.collect::<Vec<_>>().join("\n  ")))
}

/// A row of the start: on a narrow terminal, the value is on a line of its own, because an address that is cut is of no use.
fn start_row(name: &str, value: &str, width: usize) -> String {
    let row = format!("{name:<18}{value}");
    if row.chars().count() <= width { row } else { format!("{name}\n  {}", cut(value, USUAL_WIDTH.max(width) - 2)) }
}

fn described(kind: StreamChoice, name: &str) -> String {
    match kind {
        StreamChoice::Dynamodb => format!("table {name}"),
        StreamChoice::Kinesis => format!("Kinesis stream {name}"),
        StreamChoice::KinesisForDynamodb => format!("table {name}, through Kinesis"),
    }
}

/// What happens to rejected records.
fn rejected(variables: &Variables) -> String {
    match (variables.value("REJECTED_RECORDS").as_deref(), variables.value("FAILURE_BUCKET")) {
        (Some("quarantine"), Some(bucket)) => format!("quarantined in s3://{bucket}/{}", quarantine::PREFIX),
        _ => "fail, and are retried".to_owned(),
    }
}

/// Shows progress until the run stops: a panel on a terminal, otherwise what has changed.
pub(super) async fn watch(run: &LocalRun, options: &Options, control: &Control) -> anyhow::Result<()> {
    let mut stop = control.stop.subscribe();
    let started = Instant::now();
    let mut panel = (!options.json && io::stderr().is_terminal()).then(Panel::new);
    let interval = if panel.is_some() { TERMINAL_INTERVAL } else { LINE_INTERVAL };
    let mut printed = Printed::default();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep(interval) => {}
        }
        let (status, now) = (update(run, control, started).await, run.clock.now());
        let changed = match &mut panel {
            Some(panel) => {
                panel.draw(&status, now);
                None
            }
            None if options.json => printed.json(&status, now)?,
            None => printed.text(&status, now),
        };
        changed.map_or(Ok(()), |changed| console::print(&changed))?;
    }
    update(run, control, started).await;
    Ok(())
}

/// Updates the status and returns it.
async fn update(run: &LocalRun, control: &Control, started: Instant) -> Status {
    let progress = progress(run).await;
    run.publish_metrics();
    let alarms = run.evaluate_alarms().await;
    let mut status = control.status.lock().unwrap_or_else(PoisonError::into_inner);
    status.seconds = started.elapsed().as_secs_f64();
    status.faults = control.faults.profile().to_string();
    set_progress(&mut status, run, control, progress);
    status.alarms = alarms;
    if let Some(services) = run.place.services() {
        status.add(services.metrics().take());
        let events = services.events().events_after(status.alerts.events);
        status.alerts.add(&events);
    }
    status.clone()
}

/// What the mappings report.
async fn progress(run: &LocalRun) -> (MappingStatus, Option<MappingStatus>) {
    let fold = match &run.folding {
        Some(folding) => Some(folding.status().await),
        None => None,
    };
    (run.mapping.status().await, fold)
}

/// Sets what the mappings and the function report.
fn set_progress(
    status: &mut Status,
    run: &LocalRun,
    control: &Control,
    (source, fold): (MappingStatus, Option<MappingStatus>),
) {
    let MappingStatus { mapping, waiting, shards, mut injected } = source;
    // What neither a mapping nor a function meets: poison of the load, and records that are put twice.
    injected.extend(control.faults.injected());
    (status.mapping, status.shards, status.injected, status.fold) = (mapping, shards, injected, fold);
    status.set_waiting(waiting);
    status.quarantined = run.rejections.as_ref().map(|rejections| rejections.quarantined());
}

/// Prints the run's counts and, if there was load, whether all of it was counted.
pub(super) async fn print_result(
    run: &LocalRun,
    options: &Options,
    control: &Control,
    proof: Option<&Report>,
) -> anyhow::Result<Done> {
    let progress = progress(run).await;
    // A run with a load ends after all of it was compared; any other is stopped in the middle of what others write.
    let [unread, unread_pages] = if proof.is_none() { run.unread().await } else { [false; 2] };
    let mut status = control.status.lock().unwrap_or_else(PoisonError::into_inner);
    set_progress(&mut status, run, control, progress);
    status.waiting.more_unread |= unread;
    status.fold.iter_mut().for_each(|fold| fold.waiting.more_unread |= unread_pages);
    let unfolded = status.fold.as_ref().map(|fold| fold.waiting.clone()).unwrap_or_default();
    run.leave(status.waiting.clone(), unfolded.clone(), options)?;
    if options.json {
        let ended = serde_json::json!({ "ended": &*status, "reconcile": proof });
        console::print(&ended.to_string())?;
    } else {
        console::print(&status.summary())?;
        status.alerts.summary(&options.data).map_or(Ok(()), |alerts| console::print(&alerts))?;
        let name = &run.site.handler.pipeline().name;
        let proven = proof.map(|proof| [Some(differences::text(name, proof)), differences::outside(proof)]);
        proven.into_iter().flatten().flatten().try_for_each(|text| console::print(&text))?;
        let left = ending::text(&status.waiting, &unfolded, std::env::args());
        left.map_or(Ok(()), |left| console::print(&left))?;
    }
    let good = proof.is_none_or(Report::agrees) && !has_lost(&status);
    Ok(if good { Done::Well } else { Done::WithFailures })
}

/// Whether either mapping has lost anything, or couldn't read its stream in the end.
fn has_lost(status: &Status) -> bool {
    let fold = status.fold.as_ref().map(|fold| (&fold.mapping, &fold.waiting));
    let mut mappings = [(&status.mapping, &status.waiting)].into_iter().chain(fold);
    mappings.any(|(counts, waiting)| counts.lost_records() > 0 || counts.trimmed_gaps > 0 || waiting.is_unreadable())
}

/// What was printed last, so that only changes are printed.
#[derive(Default)]
struct Printed {
    status: Option<Status>,
    rows: Vec<Row>,
}

/// The width of the time before a row.
const TIME: usize = 9;

impl Printed {
    /// The status as JSON, if anything but the clock has changed.
    fn json(&mut self, status: &Status, now: Timestamp) -> anyhow::Result<Option<String>> {
        let comparable = Some(status.without_clock(now));
        if self.status == comparable {
            return Ok(None);
        }
        self.status = comparable;
        Ok(Some(serde_json::to_string(status)?))
    }

    /// The rows in which anything but the clock has changed.
    fn text(&mut self, status: &Status, now: Timestamp) -> Option<String> {
        let comparable = screen::rows(&status.without_clock(now), now);
        let is_new = |row: &&Row| !self.rows.contains(row);
        let changed: Vec<&str> = comparable.iter().filter(is_new).map(|row| row.label).collect();
        let shown = screen::rows(status, now).into_iter().filter(|row| changed.contains(&row.label));
        let lines = shown.flat_map(|row| row.lines(USUAL_WIDTH - TIME)).enumerate();
        let time = |line| if line == 0 { format!("{:>6.0} s", status.seconds) } else { String::new() };
        let lines: Vec<String> = lines.map(|(line, text)| format!("{:<TIME$}{text}", time(line))).collect();
        self.rows = comparable;
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::waiting::Waiting;
    use crate::shell::waiting::tests::{blocked, now};

    #[test]
    fn outside_a_terminal_only_changed_rows_are_printed() {
        let mut printed = Printed::default();
        let mut status = Status { faults: "none".to_owned(), ..Status::default() };
        status.mapping.distinct_processed = 40;
        status.mapping.invocations = 1;
        status.seconds = 1.0;
        let first = printed.text(&status, now()).unwrap();
        assert_eq!(first, "     1 s processed   40 records\n         deliveries  0 in 1 invocation, up to 0 per batch");
        status.seconds = 2.0;
        assert_eq!(printed.text(&status, now()), None);
        status.waiting = Waiting { records: 5, blocked: vec![blocked()], ..Waiting::default() };
        insta::assert_snapshot!(printed.text(&status, now()).unwrap());
        status.waiting.oldest_age_ms += 1_000;
        assert_eq!(printed.text(&status, now()), None, "time alone is no change");
        status.waiting.blocked[0].failed_attempts += 1;
        let again = printed.text(&status, now()).unwrap();
        assert_eq!(again, "     2 s   attempts  6 of 11, next in 3.2 s");
    }

    #[test]
    fn the_start_fits_narrow_terminals_without_losing_an_address() {
        let url = "http://127.0.0.1:41234";
        assert_eq!(start_row("DynamoDB", url, 80), format!("DynamoDB          {url}"));
        assert_eq!(start_row("DynamoDB", url, 40), format!("DynamoDB          {url}"));
        let place = "quarantined in s3://failures/quarantine/";
        let narrow = start_row("rejected records", place, 40);
        assert_eq!(narrow, format!("rejected records\n  {place}"));
    }

    #[test]
    fn records_that_are_discarded_without_a_destination_are_lost() {
        let mut status = Status { fold: Some(MappingStatus::default()), ..Status::default() };
        status.mapping.on_failure_destination_delivered_event_count = 3;
        status.mapping.distinct_discarded = 3;
        assert!(!has_lost(&status), "the destination has them");
        status.fold.as_mut().unwrap().mapping.discarded_without_destination = 1;
        assert!(has_lost(&status));
        let waiting = Waiting { stream_gone: true, ..Waiting::default() };
        assert!(has_lost(&Status { waiting, ..Status::default() }));
    }

    #[test]
    fn json_is_printed_on_change_only() {
        let (mut printed, mut status) = (Printed::default(), Status::default());
        assert!(printed.json(&status, now()).unwrap().is_some());
        status.seconds += 1.0;
        status.mapping.polls += 4;
        assert_eq!(printed.json(&status, now()).unwrap(), None);
        status.mapping.polled_event_count += 1;
        assert!(printed.json(&status, now()).unwrap().is_some());
    }
}
