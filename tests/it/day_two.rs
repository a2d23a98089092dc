//! `usagectl cost`, `tune` and `usage` as a person uses them: with assumptions, with data in a folder, with a running local,
//! and with a stack on moto and the embedded CloudWatch.

mod double;
mod mistakes;

use aws_sdk_cloudwatch::types as sdk;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Services, sdk_config};
use serde_json::{Value, json};

use crate::fixture::{Fixture, Run, two_orders};
use crate::local::Background;
use crate::template::moto::Stack;

/// The load of a cell of docs/cost.md.
fn cell(entities: u32, fold_seconds: u32) -> String {
    format!("records=1000/s,batch=1000,entities={entities},fold={fold_seconds}s")
}

#[test]
fn help_of_each_command() {
    let fixture = Fixture::new();
    for (name, command) in [
        ("help_cost", &["cost"][..]),
        ("help_tune", &["tune"]),
        ("help_usage", &["usage"]),
        ("help_usage_top", &["usage", "top"]),
        ("help_usage_list", &["usage", "list"]),
        ("help_usage_show", &["usage", "show"]),
    ] {
        let run = fixture.run(&[command, &["--help"]].concat());
        assert_eq!((run.code, &*run.stderr), (Some(0), ""));
        insta::assert_snapshot!(name, run.stdout);
    }
}

#[test]
fn the_document_says_what_the_command_computes() {
    let fixture = Fixture::new();
    let document = std::fs::read_to_string(crate::repository().join("docs/cost.md")).unwrap();
    for (row, entities) in [("| 1 |", 1), ("| 50 |", 50), ("| 500 |", 500), ("| 5,000 |", 5_000)] {
        let line = document.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("no row {row}"));
        for (place, fold_seconds) in [10, 30, 60, 300].into_iter().enumerate() {
            let bill = fixture.json(&["cost", "--assume", &cell(entities, fold_seconds)]);
            let shown = line.split('|').nth(place + 2).unwrap().trim().trim_start_matches('$');
            agree(shown, &bill["million_records"]["dollars"]);
        }
    }
    let month = fixture.json(&["cost", "--assume", &cell(50, 30)]);
    let fixed = month["month"]["fixed"].as_array().unwrap();
    let dollars = |names: &[&str]| -> f64 {
        let lines = fixed.iter().filter(|line| names.contains(&line["what"].as_str().unwrap()));
        lines.map(|line| line["dollars"].as_f64().unwrap()).sum()
    };
    for (row, names) in [
        ("| alarms:", &["alarm metrics", "composite alarms"][..]),
        ("| own metrics", &["custom metrics", "event source mapping metrics"]),
        ("| S3 request metrics", &["S3 request metrics"]),
        ("| dashboard |", &["dashboard"]),
        ("| key of", &["KMS key of the topics"]),
    ] {
        let line = document.lines().find(|line| line.starts_with(row)).unwrap();
        let shown = line.split('|').nth(2).unwrap().trim().trim_start_matches('$');
        agree(shown, &json!(dollars(names)));
    }
}

/// Whether a number equals the other one, rounded as it is displayed.
fn agree(shown: &str, number: &Value) {
    let decimals = shown.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let half = 0.5 * 0.1_f64.powi(i32::try_from(decimals).unwrap()) + 1e-9;
    assert!((number.as_f64().unwrap() - shown.parse::<f64>().unwrap()).abs() <= half, "{shown}: {number}");
}

#[test]
fn a_bill_and_a_plan_as_people_read_them() {
    let fixture = Fixture::new();
    let bill = fixture.run(&["cost", "--assume", "records=1e6/day,batch=1000,entities=50,windows=3"]);
    assert_eq!((bill.code, &*bill.stderr), (Some(0), ""));
    insta::assert_snapshot!("cost_assumed", bill.stdout);
    let plan = fixture.run(&["tune", "--what-if", "rate=5000/s,entities=200,size=700,shards=2"]);
    assert_eq!((plan.code, &*plan.stderr), (Some(0), ""));
    insta::assert_snapshot!("tune_what_if", plan.stdout);
    let right = fixture.run(&["tune", "--what-if", "rate=50/s,latency=2s"]);
    assert!(right.stdout.contains("nothing to change: BatchSize 1000, BatchWindowSeconds 1"), "{right:?}");
    // The sharp case of docs/tuning.md.
    let race = fixture.json(&["tune", "--what-if", "rate=1000/s,entities=1000,size=600,windows=2,shards=2,latency=1s"]);
    insta::assert_json_snapshot!(
        "tune_race",
        race["proposals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|proposal| { json!([proposal["parameter"], proposal["now"], proposal["value"], proposal["reason"]]) })
            .collect::<Vec<_>>()
    );
    assert!(!fixture.0.path().join(".usage").exists());
}

#[test]
fn a_file_overrides_the_built_in_prices() {
    let fixture = Fixture::new();
    std::fs::write(fixture.0.path().join("prices.toml"), "[write_unit]\ndollars = 1.25\nper = 1_000_000\n").unwrap();
    let assume = ["cost", "--assume", "records=1000/h,batch=1000,groups=10"];
    let [ours, own] = [&[][..], &["--prices", "prices.toml"]].map(|more| fixture.json(&[&assume[..], more].concat()));
    let write_units = |bill: &Value| bill["million_records"]["lines"][0]["dollars"].as_f64().unwrap();
    assert!((write_units(&own) - write_units(&ours) * 2.0).abs() < 1e-12);
    assert_eq!(fixture.run(&["cost", "--assume", "batch=10", "--prices", "none.toml"]).code, Some(1));
}

#[test]
fn usage_is_shown_as_tables_bars_and_lines() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    let mut transcript = String::new();
    for arguments in [
        &["usage", "top", "--local", "--measure", "amount"][..],
        &["usage", "top", "--local", "--window", "month", "--json"],
        &["usage", "top", "--local", "--at", "2026-09-18"],
        &["usage", "list", "--local"],
        &["usage", "list", "--local", "--measure", "amount", "--plot", "--window", "hour"],
        &["usage", "list", "--local", "--resource", "orders", "--json"],
        &["usage", "list", "--local", "--from", "2026-09-18"],
        &["usage", "show", "7", "--local"],
        &["usage", "show", "7", "--local", "--at", "2026-09-17", "--plot", "--measure", "amount"],
        &["usage", "show", "7", "--local", "--json"],
        &["usage", "show", "8", "--local"],
    ] {
        let run = fixture.run(arguments);
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{arguments:?}");
        transcript.push_str(&format!("$ {}\n{}\n", arguments.join(" "), run.stdout));
    }
    insta::assert_snapshot!("usage", transcript);
}

/// Issue 16: the embedded services stopped before the ledger was read, so the command waited forever.
#[test]
fn regression_the_ledger_of_a_data_folder_is_shown_and_swept() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    let shown = fixture.run(&["ledger", "show", "2026-09-17T13", "--local"]);
    assert!(shown.code == Some(0) && shown.stdout.starts_with("state 2026-09-17T13: version 1, "), "{shown:?}");
    let swept = fixture.run(&["ledger", "sweep", "2026-09-17T13", "--local"]);
    assert_eq!((swept.code, &*swept.stdout), (Some(0), "60 minutes with 1 page: 0 snapshots repaired\n"), "{swept:?}");
}

/// Issue 13: with `--local`, the names of tables on the command line were ignored in favor of the defaults.
#[test]
fn regression_the_usage_table_on_the_command_line_is_read_with_local() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let mut invoke = fixture.command(&["invoke", "event.json"]);
    assert!(invoke.env("USAGE_TABLE", "other-usage").output().unwrap().status.success());
    let top =
        |table| fixture.run(&["usage", "top", "--local", "--measure", "amount", "--usage-table", table, "--json"]);
    assert!(top("other-usage").stdout.contains(r#""sum":"130""#), "{:?}", top("other-usage"));
    let missing = top("missing-usage");
    assert!(missing.code == Some(1) && missing.stderr.contains("scan the usage table missing-usage"), "{missing:?}");
    let invalid = top("ab");
    assert!(invalid.code == Some(2) && invalid.stderr.contains("USAGE_TABLE: "), "{invalid:?}");
    for option in ["--log-group", "--database"] {
        let refused = fixture.run(&["usage", "top", "--local", option, "name"]);
        assert!(refused.code == Some(2) && refused.stderr.contains("cannot be used with"), "{refused:?}");
    }
}

#[test]
fn a_running_local_is_read_like_a_stack() {
    let fixture = Fixture::new();
    let mut local =
        Background::start(&fixture, &["--polling-interval", "50", "--batch-size", "50", "--fold-window", "2"]);
    let load = ["simulate", "orders", "--records", "200", "--rate", "0", "--entities", "8"];
    assert_eq!(fixture.run(&load).code, Some(0));
    let last = local.wait_for(|line| {
        let (processed, invoked) = (&line["function"]["RecordsProcessed"], &line["mapping"]["invoked_event_count"]);
        let snapshots = &line["function"]["SnapshotsUpdated"];
        processed.as_f64() >= Some(200.0) && invoked.as_f64() >= Some(200.0) && snapshots.as_f64() > Some(0.0)
    });

    let bill = fixture.json(&["cost", "--local"]);
    assert!(bill["basis"]["records"].as_f64() >= Some(200.0), "{bill:#}");
    assert_eq!(bill["load"]["fold_seconds"], json!(2.0));
    let lines = bill["million_records"]["lines"].as_array().unwrap();
    let measured = |what: &str| lines.iter().find(|line| line["what"] == what).unwrap()["measured"].clone();
    assert_eq!(
        (measured("requests"), measured("PUTs"), measured("write units")),
        (json!(true), json!(true), json!(false))
    );

    let plan = fixture.json(&["tune", "--local", "--what-if", "rate=2000/s"]);
    assert_eq!((&plan["now"]["BatchSize"], &plan["load"]["records_per_second"]), (&json!(50.0), &json!(2_000.0)));
    assert_eq!(plan["now"]["FoldWindowSeconds"], json!(2.0));
    let seen = &plan["seen"];
    assert!(seen["batch"].as_f64() <= Some(50.0) && seen["seconds"].as_f64() > Some(0.0), "{plan:#}");
    assert!(seen["concurrency"].as_f64() >= Some(1.0) && seen["errors"] == json!(0.0), "{plan:#}\n{last:#}");
    assert!(plan["command"].as_str().unwrap().starts_with("usagectl local --batch"), "{plan:#}");

    let top = fixture.run(&["usage", "top", "--local", "--measure", "changes", "--window", "month", "--json"]);
    let lines: Vec<Value> = top.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sums: Vec<f64> = lines.iter().map(|line| line["sum"].as_str().unwrap().parse().unwrap()).collect();
    assert!(lines.len() > 1 && sums.is_sorted_by(|a, b| a >= b), "{top:?}");
    // The series has the same sum.
    let list = fixture.json(&["usage", "list", "--local", "--measure", "changes", "--window", "month"]);
    let total: f64 = list["measures"]["changes"].as_str().unwrap().parse().unwrap();
    assert_eq!((sums.iter().sum::<f64>(), &list["entities"]), (total, &json!(lines.len())));
    local.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_read_by_its_outputs_parameters_and_metrics() {
    let stack = Stack::create(&[
        "Pipeline=orders",
        "MemoryMegabytes=512",
        "BatchSize=100",
        "Alarms=false",
        "FoldMemoryMegabytes=256",
        "FoldWindowSeconds=45",
        "ReservedConcurrency=10",
    ]);
    let cloudwatch = Services::start(None).unwrap();
    let (function, mapping) = (stack.text("outputs", "FunctionName"), stack.text("outputs", "EventSourceMappingId"));
    let publish = |metric: &str, dimension, value| cloudwatch.metrics().publish("AWS/Lambda", metric, dimension, value);
    for _ in 0..10 {
        publish("InvokedEventCount", ("EventSourceMappingUUID", mapping), 100.0);
        for (metric, value) in
            [("Invocations", 1.0), ("Duration", 400.0), ("IteratorAge", 90_000.0), ("Throttles", 1.0)]
        {
            publish(metric, ("FunctionName", function), value);
        }
    }
    for metric in [("Invocations", 4.0), ("Duration", 6_000.0), ("IteratorAge", 200_000.0)] {
        publish(metric.0, ("FunctionName", stack.text("outputs", "FoldFunctionName")), metric.1);
    }
    let own = stack.text("outputs", "MetricsNamespaceName");
    cloudwatch.metrics().publish(own, "SnapshotsUpdated", ("Pipeline", "orders"), 3.0 * 43.5);
    for table in ["UsageTableName", "LedgerTableName"] {
        let dimension = ("TableName", stack.text("outputs", table));
        cloudwatch.metrics().publish("AWS/DynamoDB", "ConsumedWriteCapacityUnits", dimension, 800.0);
    }

    // The template's own source: records of 2,000 bytes.
    let (table, label) = stack.text("outputs", "SourceStreamArn").split_once("/stream/").unwrap();
    let source = [("Operation", "GetRecords"), ("StreamLabel", label), ("TableName", table.split('/').nth(1).unwrap())];
    put(&cloudwatch, "AWS/DynamoDB", &source, [("ReturnedBytes", 2e6), ("ReturnedRecordsCount", 1e3)]).await;
    let url = stack.report["url"].as_str().unwrap();
    let config = sdk_config(None).into_builder().endpoint_url(url).build();
    let [pk, sk] = ["CUSTOMER#7", "USAGE#orders#day#2026-09-17T00:00:00Z"].map(|key| AttributeValue::S(key.to_owned()));
    let item = aws_sdk_dynamodb::Client::new(&config).put_item().table_name(stack.text("outputs", "UsageTableName"));
    item.item("pk", pk).item("sk", sk).item("amount", AttributeValue::N("12.5".to_owned())).send().await.unwrap();

    let fixture = Fixture::new();
    let asked = |arguments: &[&str]| -> Value {
        let mut command = fixture.command(&[arguments, &["--stack", "moto", "--json"]].concat());
        command.envs([("AWS_ENDPOINT_URL", url), ("AWS_ENDPOINT_URL_CLOUDWATCH", cloudwatch.cloudwatch_url())]);
        command.envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_REGION", "us-east-1")]);
        let run: Run = command.output().unwrap().into();
        assert_eq!(run.code, Some(0), "{run:?}");
        serde_json::from_str(&run.stdout).unwrap()
    };
    let bill = asked(&["cost", "--span", "1h"]);
    assert_eq!((&bill["basis"]["records"], &bill["load"]["memory_gb"]), (&json!(1_000.0), &json!(0.5)));
    assert_eq!(bill["load"]["batch"], json!(100.0));
    // 43.5 counters in the folds of a minute with a window of 45 s are those of about 33 entities.
    assert!((30.0..36.0).contains(&bill["load"]["groups"].as_f64().unwrap()), "{bill:#}");
    let units = &bill["million_records"]["lines"][0];
    assert_eq!((&units["quantity"], &units["measured"]), (&json!(1_600_000.0), &json!(true)));
    let gb_seconds = &bill["million_records"]["lines"][3];
    // 4 s of append at 512 MB and 6 s of fold at 256 MB.
    assert_eq!((&gb_seconds["what"], &gb_seconds["quantity"]), (&json!("GB-seconds"), &json!(3_500.0)));
    let requests = &bill["million_records"]["lines"][2];
    assert_eq!((&requests["what"], &requests["quantity"]), (&json!("requests"), &json!(14_000.0)));
    assert_eq!(bill["load"]["fold_seconds"], json!(45.0));
    let fixed: Vec<&str> =
        bill["month"]["fixed"].as_array().unwrap().iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(fixed, ["custom metrics", "event source mapping metrics", "S3 request metrics", "dashboard"]);

    let plan = asked(&["tune", "--span", "1h"]);
    let now = &plan["now"];
    assert_eq!((&now["BatchSize"], &now["MemoryMegabytes"]), (&json!(100.0), &json!(512.0)));
    assert_eq!(now["FoldWindowSeconds"], json!(45.0));
    assert_eq!((&now["ReservedConcurrency"], &now["TimeoutSeconds"]), (&json!(10.0), &json!(60.0)));
    assert_eq!((&plan["seen"]["throttles"], &plan["seen"]["iterator_age_seconds"]), (&json!(10.0), &json!(90.0)));
    assert_eq!(
        plan["seen"]["fold"],
        json!({ "iterator_age_seconds": 200.0, "errors": 0.0, "unsettled": 0.0, "blocked": null })
    );
    assert!(plan["notes"].to_string().contains("the fold lags: its iterator age was up to 200 s"), "{plan:#}");
    assert_eq!(plan["load"]["record_bytes"], json!(2_000.0));
    let proposals = plan["proposals"].as_array().unwrap();
    let reserved = proposals.iter().find(|proposal| proposal["parameter"] == "ReservedConcurrency").unwrap();
    assert_eq!((&reserved["value"], &reserved["reason"]), (&json!(20.0), &json!("10 invocations were throttled")));
    assert!(plan["command"].as_str().unwrap().starts_with("make deploy STACK=moto PARAMETERS='"), "{plan:#}");
    let top = asked(&["usage", "top"]);
    assert_eq!((&top["entity"], &top["sum"], &top["at"]), (&json!("7"), &json!("12.5"), &json!("2026-09-17")));
    let row = asked(&["export", "--window", "day", "--start", "2026-09"]);
    assert_eq!((&row["entity"], &row["value"], &row["status"]), (&json!("7"), &json!("12.5"), &json!("closed")));
}

/// Puts metrics with several dimensions, as a service of AWS would.
async fn put(cloudwatch: &Services, namespace: &str, dimensions: &[(&str, &str)], values: [(&str, f64); 2]) {
    let dimension = |(name, value): &(&str, &str)| sdk::Dimension::builder().name(*name).value(*value).build();
    let datum = |(metric, value): (&str, f64)| {
        let dimensions = dimensions.iter().map(dimension).collect();
        sdk::MetricDatum::builder().metric_name(metric).value(value).set_dimensions(Some(dimensions)).build()
    };
    let client = cloudwatch.cloudwatch_client(&sdk_config(None));
    let data = values.map(datum).to_vec();
    client.put_metric_data().namespace(namespace).set_metric_data(Some(data)).send().await.unwrap();
}
