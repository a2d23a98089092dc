//! Alarms of small templates, and those of the repository's own.

use event_source_mapping::Clock;

use super::*;

const OWN: &str = include_str!("../../../../template.yaml");

const TEMPLATE: &str = r#"
Resources:
  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub '${AWS::StackName}-Errors'
      AlarmActions: [!Ref Topic]
      Namespace: AWS/Lambda
      MetricName: Errors
      Statistic: Sum
      Dimensions: [{ Name: FunctionName, Value: !Ref Function }]
      Period: 300
      ComparisonOperator: GreaterThanThreshold
      Threshold: 0
      EvaluationPeriods: 1
      TreatMissingData: notBreaching
  Rate:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: rate
      Metrics:
        - { Id: rate, Expression: '100 * FILL(errors, 0) / all' }
        - Id: errors
          ReturnData: false
          MetricStat:
            Metric: { Namespace: AWS/Lambda, MetricName: Errors, Dimensions: [{ Name: FunctionName, Value: !Ref Function }] }
            Stat: Sum
            Period: 60
        - Id: all
          ReturnData: false
          MetricStat: { Metric: { Namespace: N, MetricName: All }, Stat: Sum, Period: 60 }
      ComparisonOperator: GreaterThanOrEqualToThreshold
      Threshold: 50
      EvaluationPeriods: 2
      DatapointsToAlarm: 2
      TreatMissingData: ignore
  Page:
    Type: AWS::CloudWatch::CompositeAlarm
    Properties: { AlarmName: page, AlarmRule: ALARM("rate") }
  Absent:
    Type: AWS::CloudWatch::Alarm
    Condition: Never
    Properties: {}
Conditions:
  Never: !Equals [a, b]
"#;

fn stack() -> Stack {
    Stack { resources: [("Function".to_owned(), "f".to_owned())].into(), ..Stack::default() }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_seconds(1_795_000_020 + minute * 60).unwrap()
}

/// Runs 12 minutes, in which `publish` adds what happens in each; returns the transitions as `minute name state`.
fn run(template: &str, mut publish: impl FnMut(&Metrics, i64)) -> Vec<String> {
    let minute = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let clock = std::sync::Arc::clone(&minute);
    let metrics = Metrics::with_clock(Clock::new(move || at(clock.load(std::sync::atomic::Ordering::Relaxed))));
    let mut alarms = Alarms::of_template(template, &stack()).unwrap();
    let mut lines = Vec::new();
    for number in 0..30 {
        minute.store(number, std::sync::atomic::Ordering::Relaxed);
        for Transition { name, state, .. } in alarms.advance(&metrics, at(number)) {
            lines.push(format!("{number} {name} {}", state.name()));
        }
        publish(&metrics, number);
    }
    lines
}

#[test]
fn alarms_follow_the_metrics_minute_by_minute() {
    let lines = run(TEMPLATE, |metrics, minute| {
        let errors = f64::from(u8::from((5..8).contains(&minute)));
        if minute < 10 {
            metrics.publish("AWS/Lambda", "Errors", ("FunctionName", "f"), errors);
            metrics.publish_of("N", "All", &[], 2.0);
        }
        // Another function's don't count.
        metrics.publish("AWS/Lambda", "Errors", ("FunctionName", "g"), 1.0);
    });
    let expected = [
        "1 Errors OK",
        "1 Rate OK",
        "1 Page OK",
        "6 Errors ALARM",
        // Two of two minutes.
        "7 Rate ALARM",
        "7 Page ALARM",
        "9 Rate OK",
        "9 Page OK",
        // Minutes 8 to 12 have no error.
        "13 Errors OK",
        // Minutes 10 to 14 have no data, so that the period before them is evaluated again. CloudWatch's guide warns of it:
        // an alarm may change its state repeatedly after a metric has stopped.
        "15 Errors ALARM",
        "18 Errors OK",
        "20 Errors ALARM",
        "23 Errors OK",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_alarm_over_more_than_a_day_is_evaluated_every_hour() {
    let template = TEMPLATE.replace("Period: 300", "Period: 86400").replacen(
        "EvaluationPeriods: 1\n",
        "EvaluationPeriods: 2\n",
        1,
    );
    let lines = run(&template, |_, _| {});
    assert!(!lines.iter().any(|line| line.contains("Errors")), "{lines:?}");
}

#[test]
fn a_pause_is_caught_up() {
    let metrics = Metrics::with_clock(Clock::new(|| at(3)));
    let mut alarms = Alarms::of_template(TEMPLATE, &stack()).unwrap();
    assert_eq!(alarms.advance(&metrics, at(0)), []);
    metrics.publish("AWS/Lambda", "Errors", ("FunctionName", "f"), 1.0);
    let changes: Vec<_> = alarms.advance(&metrics, at(9)).into_iter().map(|change| (change.at, change.state)).collect();
    assert_eq!(changes.get(2), Some(&(at(4), State::Alarm)), "{changes:?}");
    let fired = alarms.fired();
    assert_eq!(fired.len(), 1);
    insta::assert_snapshot!(serde_json::to_string(&fired).unwrap());
}

#[test]
fn what_an_alarm_uses_and_is_not_supported_is_named_with_the_alarm() {
    for (from, to, expected) in [
        (
            "FILL(errors, 0)",
            "RATE(errors)",
            "read the alarm Rate of the template: the expression `100 * RATE(errors) / all`: the function RATE",
        ),
        ("/ all", "/ every", "read the alarm Rate of the template: the expression names every, which is not a metric"),
        (
            "      Period: 300",
            "      Period: 10",
            "read the alarm Errors of the template: Period is 10; only multiples of 60",
        ),
        (
            "      Threshold: 0",
            "      ThresholdMetricId: x",
            "read the alarm Errors of the template: the property ThresholdMetricId isn't",
        ),
        (
            "!Ref Function }]\n      Period",
            "!Ref Unknown }]\n      Period",
            "read the alarm Errors of the template: Dimensions: Unknown has no name",
        ),
        ("Statistic: Sum", "Statistic: IQM", "read the alarm Errors of the template: the statistic IQM"),
        ("AlarmRule: ALARM(\"rate\")", "AlarmRule: x", "read the alarm Page of the template: the rule `x`"),
    ] {
        assert!(TEMPLATE.contains(from), "{from}");
        let error = format!("{:#}", Alarms::of_template(&TEMPLATE.replacen(from, to, 1), &stack()).unwrap_err());
        assert!(error.starts_with(expected), "{error}");
    }
}

/// Every alarm of the repository's template, with all of its conditions true.
#[test]
fn every_alarm_of_the_template_is_understood() {
    let names = [
        "Function",
        "FoldFunction",
        "CompactFunction",
        "EventSourceMapping",
        "LedgerMapping",
        "FailureBucket",
        "ArchiveBucket",
        "UsageTable",
        "LedgerTable",
    ];
    let mut resources: BTreeMap<String, String> = names.map(|name| (name.to_owned(), name.to_lowercase())).into();
    resources.insert("FailureQueue.QueueName".to_owned(), "queue".to_owned());
    let parameters = [
        ("SourceType", "KinesisStream"),
        ("SourceArn", "arn:aws:kinesis:us-east-1:000000000000:stream/orders"),
        ("FailureStore", "SQS"),
        ("ReservedConcurrency", "10"),
        ("BillingAlarm", "true"),
    ];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let all = Alarms::of_template(OWN, &Stack { parameters, resources: resources.clone(), counts: false }).unwrap();
    let count = |kind: &str| OWN.lines().filter(|line| *line == format!("    Type: AWS::CloudWatch::{kind}")).count();
    assert_eq!((all.metric.len(), all.composite.len()), (count("Alarm"), count("CompositeAlarm")));
    let of_queue = ["FailureMessages", "FailureMessagesOld"];
    let defaults = Alarms::of_template(OWN, &Stack { resources, ..Stack::default() }).unwrap();
    let names: Vec<&str> = defaults.statuses().map(|status| status.name.as_str()).collect();
    assert!(
        names.contains(&"NoTraffic")
            && !names.iter().any(|name| of_queue.contains(name) || name.starts_with("Kinesis")),
        "{names:?}"
    );
    let pages = defaults.statuses().filter(|status| status.severity == Severity::Page).count();
    assert!(pages > 10, "{pages}");
}
