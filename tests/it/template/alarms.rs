//! Alarms and dashboard: every row of docs/operations.md matches the template, every alarm notifies someone, and
//! every metric that is named is one that exists.

use std::collections::{BTreeMap, BTreeSet};

use laptop::emulators::{Alarms, Stack};
use serde_json::Value;
use usage_aggregator::record::Code;

use super::{file, members, properties, resources, template, text};

/// One alarm, as it is in both the document's table and the template.
#[derive(Debug, PartialEq, Eq)]
struct Alarm {
    metrics: BTreeSet<String>,
    statistic: String,
    threshold: String,
    periods: String,
    severity: String,
}

/// `| AnyError | AWS/Lambda `Errors` | Sum | > 0 | 1 of 1 × 5 min | ticket | [errors](#errors) |`
fn documented() -> BTreeMap<String, (Alarm, String)> {
    let operations = file("docs/operations.md");
    let rows = operations.lines().skip_while(|line| !line.starts_with("| alarm |")).skip(2);
    let alarms: BTreeMap<_, _> = rows.take_while(|line| line.starts_with('|')).map(row).collect();
    assert!(!alarms.is_empty(), "docs/operations.md has no table of alarms");
    alarms
}

fn row(line: &str) -> (String, (Alarm, String)) {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [name, metric, statistic, threshold, periods, severity, runbook] = cells[..] else { panic!("{line}") };
    let alarm = Alarm {
        metrics: metric.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        statistic: statistic.to_owned(),
        threshold: threshold
            .split(' ')
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
            .replace(',', "")
            .trim_end_matches('%')
            .to_owned(),
        periods: periods.to_owned(),
        severity: severity.to_owned(),
    };
    let anchor = runbook.split_once("(#").and_then(|(_, rest)| rest.strip_suffix(')')).expect("a link to a runbook");
    (name.to_owned(), (alarm, anchor.to_owned()))
}

fn deployed(name: &str, alarm: &Value) -> Alarm {
    let parts: Vec<&Value> = match alarm["Metrics"].as_array() {
        Some(metrics) => metrics.iter().filter_map(|metric| metric.get("MetricStat")).collect(),
        None => vec![alarm],
    };
    let metric = |part: &Value| -> String {
        let metric = part.get("Metric").unwrap_or(part);
        text(&metric["MetricName"])
    };
    let statistic = |part: &Value| -> String {
        let names = ["Stat", "Statistic", "ExtendedStatistic"];
        text(names.iter().find_map(|name| part.get(name)).unwrap())
    };
    let statistics: BTreeSet<String> = parts.iter().map(|part| statistic(part)).collect();
    let periods: BTreeSet<String> = parts.iter().map(|part| text(&part["Period"])).collect();
    assert_eq!((statistics.len(), periods.len()), (1, 1), "{name}");
    let seconds: u32 = periods.first().unwrap().parse().unwrap();
    let period = match seconds {
        86_400 => "1 day".to_owned(),
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds => format!("{} min", seconds / 60),
    };
    let comparison = match alarm["ComparisonOperator"].as_str().unwrap() {
        "GreaterThanThreshold" => ">",
        "GreaterThanOrEqualToThreshold" => "≥",
        "LessThanThreshold" => "<",
        "GreaterThanUpperThreshold" => "> band",
        other => panic!("{name}: {other}"),
    };
    let threshold = alarm.get("Threshold").map(|threshold| format!("{comparison} {}", text(threshold)));
    Alarm {
        metrics: parts.iter().map(|part| metric(part)).collect(),
        statistic: statistics.first().unwrap().clone(),
        threshold: threshold.unwrap_or_else(|| comparison.to_owned()),
        periods: format!("{} of {} × {period}", text(&alarm["DatapointsToAlarm"]), text(&alarm["EvaluationPeriods"])),
        severity: if composite("Page").contains(name) { "page" } else { "ticket" }.to_owned(),
    }
}

/// The alarms that a composite is made of.
pub(super) fn composite(name: &str) -> BTreeSet<String> {
    let rule = &properties(name)["AlarmRule"]["Fn::Join"][1];
    let calls = members(rule).into_iter().filter_map(|member| member["Fn::Sub"].as_str());
    calls.map(|call| call.trim_start_matches("ALARM(\"${").trim_end_matches("}\")").to_owned()).collect()
}

/// All alarms: logical id and properties.
pub(super) fn alarms() -> BTreeMap<&'static str, &'static Value> {
    resources("AWS::CloudWatch::Alarm").into_iter().collect()
}

#[test]
fn every_alarm_of_the_document_is_deployed_as_it_says_and_no_other() {
    let (documented, deployed_alarms) = (documented(), alarms());
    let names: BTreeSet<&str> = documented.keys().map(String::as_str).collect();
    assert_eq!(names, deployed_alarms.keys().copied().collect());
    for (name, (alarm, _)) in &documented {
        assert_eq!(deployed(name, deployed_alarms[name.as_str()]), *alarm, "{name}");
    }
}

#[test]
fn every_alarm_has_its_runbook() {
    let operations = file("docs/operations.md");
    let anchor = |heading: &str| heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    let anchors: BTreeSet<String> = operations.lines().filter(|line| line.starts_with("##")).map(anchor).collect();
    for (name, (_, runbook)) in documented() {
        assert!(anchors.contains(&runbook), "{name}: docs/operations.md has no heading {runbook}");
        let description = alarms()[name.as_str()]["AlarmDescription"].as_str().unwrap();
        let named = description.split_once(". Runbook: docs/operations.md#").map(|(_, anchor)| anchor);
        assert_eq!(named, Some(runbook.as_str()), "{name}: {description}");
    }
}

#[test]
fn every_alarm_tells_somebody_and_belongs_to_one_composite() {
    for (name, alarm) in alarms() {
        assert_eq!(alarm["AlarmActions"][0]["Ref"], "AlarmTopic", "{name}");
        // Silence means that nothing happens, except where silence is what the alarm is for, and for an age.
        let missing = match name {
            "NoTraffic" | "FoldNoTraffic" | "CompactionStops" | "ArchiveProofStops" => "breaching",
            name if super::faults::AGES.contains(&name) => "ignore",
            _ => "notBreaching",
        };
        assert_eq!(alarm["TreatMissingData"], missing, "{name}");
    }
    let (page, ticket) = (composite("Page"), composite("Ticket"));
    assert!(page.is_disjoint(&ticket));
    let all: BTreeSet<&str> = page.iter().chain(&ticket).map(String::as_str).collect();
    assert_eq!(all, alarms().keys().copied().collect());
    for name in ["Page", "Ticket"] {
        assert_eq!(properties(name)["AlarmActions"][0]["Ref"], format!("{name}Topic"));
    }
}

#[test]
fn readme_and_bill_have_the_number_of_alarms() {
    let readme = file("README.md");
    assert!(
        readme.contains(&format!(" {} alarms with", alarms().len())),
        "README.md: there are {} alarms",
        alarms().len()
    );
    // CloudWatch charges for each metric that an alarm of the default deployment reads.
    let names = template()["Resources"].as_object().unwrap().keys().cloned();
    let mut resources: BTreeMap<String, String> = names.map(|name| (name.clone(), name)).collect();
    resources.insert("FailureQueue.QueueName".to_owned(), "q".to_owned());
    let stack = Stack { parameters: BTreeMap::new(), resources, counts: true };
    let default = Alarms::of_template(&file("template.yaml"), &stack).unwrap();
    let of_alarm = |alarm: &Value| match alarm["Metrics"].as_array() {
        Some(metrics) => metrics.iter().filter(|metric| metric.get("MetricStat").is_some()).count(),
        None => 1,
    };
    let metrics: usize =
        default.statuses().filter_map(|status| alarms().get(status.name.as_str()).copied()).map(of_alarm).sum();
    let row = format!("| alarms: {metrics} metrics monitored, 2 composites |");
    assert!(
        file("docs/cost.md").contains(&row),
        "docs/cost.md has not {row}, which tests compare with `usagectl cost`"
    );
}

/// The metrics that the function or the filters of its log make.
fn own_metrics() -> BTreeSet<String> {
    let report = file("src/handler/report.rs") + &file("src/compact/function/prove.rs") + &file("src/handler.rs");
    let calls = [".count(\"", ".count_unless_zero(\"", ".milliseconds(\""].into_iter();
    let name = |rest: &str| rest.split('"').next().unwrap().to_owned();
    let of_function = calls.flat_map(|call| report.split(call).skip(1).map(name).collect::<Vec<_>>());
    let of_logs = resources("AWS::Logs::MetricFilter").into_iter();
    let of_logs = of_logs.map(|(_, filter)| text(&filter["MetricTransformations"][0]["MetricName"]));
    of_function.chain(of_logs).collect()
}

/// The own metrics that alarms name.
fn watched() -> BTreeSet<String> {
    let namespace = &properties("Function")["Environment"]["Variables"]["METRICS_NAMESPACE"];
    let mut names = BTreeSet::new();
    for alarm in alarms().values() {
        let stats = alarm["Metrics"].as_array().into_iter().flatten().map(|metric| &metric["MetricStat"]["Metric"]);
        let own = stats.chain([*alarm]).filter(|metric| metric["Namespace"] == *namespace);
        names.extend(own.map(|metric| text(&metric["MetricName"])));
    }
    names
}

/// The widgets of the dashboard, with placeholders for CloudFormation's values.
pub(super) fn widgets() -> Vec<Value> {
    let body = properties("Dashboard")["DashboardBody"]["Fn::Sub"][0].as_str().unwrap();
    let body = body
        .replace("${AlarmWidget}", r#"{"type":"alarm","y":0,"properties":{"title":"Alarms"}}"#)
        .replace("${TimeoutSeconds}", "60");
    let body: Value = serde_json::from_str(&body).expect("the dashboard is JSON");
    body["widgets"].as_array().unwrap().clone()
}

/// The own metrics that widgets show.
fn shown() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for widget in widgets() {
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            if metric[0] == "${Namespace}" {
                names.insert(metric[1].as_str().unwrap().to_owned());
            }
        }
    }
    names
}

/// `| 2 | Duration vs. timeout (ms) | AWS/Lambda `Duration`: p50 |`, as row, title and metrics.
type Widget = (usize, String, BTreeSet<String>);

fn documented_widgets() -> Vec<Widget> {
    let operations = file("docs/operations.md");
    let rows = operations.lines().skip_while(|line| !line.starts_with("| row | widget |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, title, shows] = cells[..] else { panic!("{line}") };
        // A log's lines are no metrics.
        let names = if shows.starts_with("the log") { "" } else { shows };
        let metrics = names.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (row.parse().unwrap(), title.to_owned(), metrics)
    });
    rows.collect()
}

#[test]
fn every_row_of_the_dashboard_is_as_the_document_says() {
    let tops: BTreeSet<u64> = widgets().iter().map(|widget| widget["y"].as_u64().unwrap()).collect();
    let widget = |widget: &Value| -> Widget {
        let row = tops.iter().position(|top| widget["y"] == *top).unwrap() + 1;
        let title = widget["properties"]["title"].as_str().unwrap_or("text").to_owned();
        let metrics = widget["properties"]["metrics"].as_array().into_iter().flatten();
        (row, title, metrics.filter_map(|metric| metric[1].as_str().map(str::to_owned)).collect())
    };
    let deployed: Vec<Widget> = widgets().iter().map(widget).collect();
    assert_eq!(deployed, documented_widgets());
    // The contract's rows.
    assert_eq!(tops.len(), 12);
}

#[test]
fn the_dashboard_shows_every_alarm_that_is_always_there() {
    let choices = properties("Dashboard")["DashboardBody"]["Fn::Sub"][1]["AlarmWidget"]["Fn::If"].as_array().unwrap();
    let shown = choices[1]["Fn::Sub"].as_str().unwrap();
    let always = template()["Resources"].as_object().unwrap().iter().filter(|(_, resource)| {
        resource["Condition"] == "WithAlarms" && resource["Type"].as_str().unwrap().ends_with("Alarm")
    });
    for (name, _) in always {
        assert!(shown.contains(&format!("${{{name}.Arn}}")), "{name}");
    }
}

#[test]
fn every_own_metric_that_is_named_exists() {
    let own = own_metrics();
    for name in watched().union(&shown()) {
        assert!(own.contains(name), "nothing sends {name}; there are {own:?}");
    }
    assert!(watched().contains("UsageTooOld") && shown().contains("RecordsProcessed"));
    // What must stay 0 has an alarm and a place on the dashboard.
    for name in [
        "Unpublished",
        "SweepRepaired",
        "ProofDifferences",
        "ArchiveDifferences",
        "Overflow",
        "Conflicts",
        "LedgerBehind",
        "NoticesTooOld",
    ] {
        assert!(own.contains(name) && watched().contains(name) && shown().contains(name), "{name}");
    }
}

/// `usagectl doctor` warns of more custom metrics than these, and the table of its checks is compared with the document.
#[test]
fn the_doctor_knows_how_many_metrics_the_stack_sends() {
    let count = own_metrics().len();
    let verdict = format!("| warning: more than the {count} that the stack sends (10 are free) |");
    assert!(file("docs/operations.md").contains(&verdict), "{count}: {:?}", own_metrics());
    let check = file("src/usagectl/deployment/doctor/checks/money.rs");
    assert!(check.contains(&format!("const SENT: usize = {count};")), "{count}");
}

#[test]
fn what_the_filters_count_is_what_the_function_logs() {
    let report = file("src/handler/report.rs");
    assert!(
        report
            .contains(r#"warn!(%sequence, user_record, code, %field, route, %reason, quarantined, "record rejected")"#)
    );
    let pattern = |name: &str| properties(name)["FilterPattern"].as_str().unwrap();
    let rejected = format!(r#"{{ $.message = "record rejected" && $.code != "{}" }}"#, Code::NotDurable.name());
    assert_eq!(pattern("RejectedCount"), rejected);
    let too_old = format!(r#"{{ $.message = "record rejected" && $.code = "{}" }}"#, Code::TooOld.name());
    assert_eq!(pattern("TooOldCount"), too_old);
}

#[test]
fn the_dashboards_log_queries_use_fields_that_the_function_logs() {
    let report = file("src/handler/report.rs");
    let queries: Vec<String> =
        widgets().iter().filter_map(|widget| widget["properties"]["query"].as_str().map(str::to_owned)).collect();
    assert_eq!(queries.len(), 4);
    let batches = queries.iter().find(|query| query.contains("message = 'batch done'")).unwrap();
    assert!(report.contains("\"batch done\""));
    for field in ["bytes", "records", "files"] {
        assert!(batches.contains(field) && report.contains(&format!("        {field} = ")), "{field}");
    }
}
