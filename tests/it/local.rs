//! `usagectl local` as a user runs it: whole runs under every fault, other programs that write to it, shutdown and restart.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;

use aws_sdk_dynamodb::types::{AttributeValue, StreamSpecification, StreamViewType};
use laptop::emulators::sdk_config;
use serde_json::{Value, json};

use crate::fixture::Fixture;

mod both_mappings;
mod destinations;
mod leaving;

/// The last line of a run.
fn end(fixture: &Fixture, arguments: &[&str]) -> Value {
    let run = fixture.run(&[&["local", "--json"], arguments].concat());
    let last: Value = serde_json::from_str(run.stdout.lines().last().unwrap_or_default()).unwrap();
    assert_eq!(run.code, Some(0), "{last:#}\n{}", run.stderr);
    last
}

#[test]
fn load_under_every_fault_is_counted_once() {
    let fixture = Fixture::new();
    // An indicator would make further records.
    fixture.write_orders(|text| text.split("\n[[indicator]]").next().unwrap_or_default().to_owned());
    let load = ["--pipeline-dir", "orders", "--simulate", "orders", "--records", "250", "--rate", "150"];
    let patient = ["--retry-attempts", "3", "--maximum-backoff", "200", "--parallelization-factor", "3"];
    let end = end(&fixture, &[&load[..], &patient, &["--faults", "all,poison=1,split=1s,restart=3s"]].concat());
    let (proof, mapping) = (&end["reconcile"], &end["ended"]["mapping"]);
    assert_eq!(proof["counted"]["records"], proof["counted"]["agreeing_records"]);
    assert!(mapping["errors"].as_u64() > Some(0) && mapping["shards_finished"].as_u64() > Some(0), "{end:#}");
    assert_eq!(proof["poison"]["records"], proof["poison"]["found_records"]);
    // However often they were delivered, by restarted mappings and by two at once. This used to be a sum over deliveries.
    let distinct = |name: &str| mapping[name].as_u64().unwrap();
    let settled = distinct("distinct_processed") + distinct("distinct_discarded");
    // The last records may be counted although the response that settles them was lost.
    let waiting = end["ended"]["waiting"]["records"].as_u64().unwrap();
    assert!(settled <= 250 && settled + waiting >= 250, "{end:#}");
    assert!(mapping["invoked_event_count"].as_u64() > Some(250), "{end:#}");
}

#[test]
fn changes_that_arrive_through_kinesis_twice_and_out_of_order_are_counted_once() {
    let kinesis = ["--stream", "kinesis-for-dynamodb", "--faults", "repeat=30", "--polling-interval", "100"];
    let end =
        end(&Fixture::new(), &[&kinesis[..], &["--simulate", "orders", "--records", "150", "--rate", "0"]].concat());
    let polled = end["ended"]["mapping"]["polled_event_count"].as_u64().unwrap();
    assert!(polled > 150, "{end:#}");
    // Those of the indicators' writes are repeated as well.
    assert!(
        end["ended"]["injected"]["repeat"].as_u64().is_some_and(|repeats| repeats > 0 && repeats < polled),
        "{end:#}"
    );
    assert_eq!(end["reconcile"]["archived"]["agreeing_records"], json!(150));
}

/// Repetitions used to be off for the whole run, and poison used to be on from the start.
#[test]
fn no_fault_occurs_before_faults_after_and_all_may_occur_then() {
    let kinesis = ["--stream", "kinesis-for-dynamodb", "--polling-interval", "100", "--simulate", "orders"];
    let later = ["--faults", "repeat=100", "--faults-after", "1", "--records", "120", "--rate", "40"];
    let repeated = end(&Fixture::new(), &[&kinesis[..], &later].concat());
    assert!(repeated["ended"]["mapping"]["polled_event_count"].as_u64() > Some(120), "{repeated:#}");
    let never = ["--faults", "poison=100", "--faults-after", "3600", "--records", "30", "--rate", "0"];
    let sound = end(&Fixture::new(), &[&["--simulate", "orders"], &never[..]].concat());
    assert_eq!(sound["reconcile"]["poison_records"], json!(0), "{sound:#}");
}

/// The default. Before, one rejected record held up its shard for two minutes.
#[test]
fn rejected_records_are_quarantined_and_hold_nothing_up() {
    let load = ["--simulate", "orders", "--records", "300", "--rate", "0", "--faults", "poison=4"];
    let end = end(&Fixture::new(), &load);
    let (proof, ended) = (&end["reconcile"], &end["ended"]);
    let poison = proof["poison_records"].as_u64().unwrap();
    assert!(poison > 3, "{end:#}");
    assert_eq!(&proof["poison"]["found_records"], &json!(poison));
    assert_eq!(&ended["injected"]["poison"], &json!(poison), "{ended:#}");
    assert_eq!(
        (&proof["poison"]["quarantined_records"], &ended["quarantined"]["records"]),
        (&json!(poison), &json!(poison))
    );
    assert_eq!(ended["quarantined"]["last"]["code"], json!("invalid_value"), "{end:#}");
    // Each write of an indicator is a record as well.
    assert!(ended["mapping"]["distinct_processed"].as_u64() >= Some(300), "{end:#}");
    assert_eq!(ended["waiting"]["blocked"], json!([]), "{end:#}");
    assert_eq!(ended["mapping"]["failures_by_cause"], json!({}));
}

/// Every command names the record, instead of listing what waits as missing.
#[test]
fn a_record_that_blocks_its_shard_is_named_by_every_command() {
    let fixture = Fixture::new();
    let mut local = Background::start(&fixture, &["--rejected-records", "fail"]);
    let written = fixture.run(&["simulate", "orders", "--records", "60", "--rate", "0", "--poison", "5"]);
    assert_eq!(written.code, Some(0), "{written:?}");
    let blocked = local.wait_for(|line| {
        line["waiting"]["blocked"][0]["failed_attempts"].as_u64() > Some(3)
            && line["mapping"]["polled_event_count"].as_u64() >= Some(60)
    });
    let waiting = &blocked["waiting"]["blocked"][0];
    assert_eq!((&waiting["cause"]["kind"], &waiting["maximum_attempts"]), (&json!("reported"), &json!(11)));
    let reason = json!({ "code": "invalid_value", "field": "NewImage.total", "reason": "expected N, found S" });
    assert_eq!(waiting["cause"]["detail"], reason);
    assert!(blocked["mapping"]["failures_by_cause"]["invalid_value NewImage.total"].as_u64() > Some(3), "{blocked:#}");
    let record = waiting["sequence_number"].as_str().unwrap();

    let reconcile = fixture.run(&["reconcile"]);
    assert_eq!(reconcile.code, Some(1), "waiting is not agreement: {reconcile:?}");
    assert!(reconcile.stdout.contains(&format!(" wait behind record {record} (")), "{reconcile:?}");
    assert!(reconcile.stdout.contains("Nothing else differs."), "{reconcile:?}");
    assert!(!reconcile.stdout.contains("counted once"), "counters lack what waits: {reconcile:?}");
    assert!(!reconcile.stdout.contains('┌'), "nothing is listed as missing: {reconcile:?}");
    let json: Value = serde_json::from_str(&fixture.run(&["reconcile", "--json"]).stdout).unwrap();
    assert_eq!((&json["agrees"], &json["difference_count"]), (&json!(false), &json!(0)));
    let behind = &json["waiting"]["behind"][0];
    assert_eq!((&behind["sequence_number"], &behind["code"]), (&json!(record), &json!("invalid_value")));

    let doctor = fixture.run(&["doctor", "--local"]);
    assert_eq!(doctor.code, Some(2), "a shard that is blocked now is a problem: {doctor:?}");
    assert!(doctor.stdout.contains(&format!("record {record} blocks the shard")), "{doctor:?}");
    assert!(doctor.stdout.contains(&format!("the last rejected record is {record}")), "{doctor:?}");
    assert!(!doctor.stdout.contains("aws "), "{doctor:?}");

    let ended = local.stop();
    assert_eq!(ended["ended"]["waiting"]["blocked"][0]["sequence_number"], json!(record), "it still waits");
    let after = fixture.run(&["reconcile"]);
    assert_eq!(after.code, Some(1));
    assert!(after.stdout.contains(&format!(" wait behind record {record} (")), "{after:?}");
    assert!(after.stdout.contains("start `usagectl local` again"), "{after:?}");

    let local = Background::start(&fixture, &[]);
    let done = fixture.run(&["reconcile", "--wait", "60s"]);
    assert_eq!(done.code, Some(0), "quarantine lets everything through: {done:?}");
    local.stop();
}

#[tokio::test]
async fn a_stream_without_the_images_that_the_pipeline_needs_is_refused_with_the_commands_that_replace_it() {
    let fixture = Fixture::new();
    let local = Background::start(&fixture, &[]);
    let client = local.dynamodb();
    let stream = |view_type: Option<StreamViewType>| {
        let on = StreamSpecification::builder().stream_enabled(view_type.is_some()).set_stream_view_type(view_type);
        client.update_table().table_name("orders").stream_specification(on.build().unwrap()).send()
    };
    stream(None).await.unwrap();
    stream(Some(StreamViewType::NewImage)).await.unwrap();
    local.kill();
    let refused = fixture.run(&["local"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(2), ""), "{refused:?}");
    insta::assert_snapshot!("local_wrong_view_type", refused.stderr);
}

/// Time to live on `ttl` used to be enabled on every source, which deleted items whose `ttl` is a duration.
#[tokio::test]
async fn items_of_a_source_do_not_expire_by_an_attribute_that_nobody_chose() {
    let fixture = Fixture::new();
    let local = Background::start(&fixture, &[]);
    let client = local.dynamodb();
    let ours = local.started["environment"]["USAGE_TABLE"].as_str().unwrap();
    for (table, attribute) in [("orders", None), (ours, Some("expires_at"))] {
        let ttl = client.describe_time_to_live().table_name(table).send().await.unwrap();
        assert_eq!(ttl.time_to_live_description.unwrap().attribute_name(), attribute, "{table}");
    }
    local.stop();
}

/// The page used to be calm, and the records used to be missing.
#[tokio::test]
async fn records_of_a_disabled_mapping_wait() {
    let fixture = Fixture::new();
    let mut local = Background::start(&fixture, &[]);
    assert_eq!(fixture.run(&["faults", "disable"]).code, Some(0));
    let waiting = local.wait_for(|line| line["waiting"]["disabled"] == json!(true));
    assert_eq!((&waiting["waiting"]["more_unread"], &waiting["waiting"]["records"]), (&json!(true), &json!(0)));
    let written = fixture.run(&["simulate", "orders", "--records", "20", "--rate", "0"]);
    assert_eq!(written.code, Some(0), "{written:?}");

    let reconcile = fixture.run(&["reconcile"]);
    assert_eq!(reconcile.code, Some(1), "{reconcile:?}");
    assert!(reconcile.stdout.contains("20 records are missing because they wait in the stream"), "{reconcile:?}");
    assert!(reconcile.stdout.contains("Nothing else differs."), "{reconcile:?}");
    let page = crate::page::Client::new(local.started["page"].as_str().unwrap().trim_end_matches('/'));
    let events = page.events(2).await;
    let shown = json!(events).to_string();
    assert!(shown.contains("The mapping is disabled: nothing is read"), "{shown}");

    assert_eq!(fixture.run(&["faults", "none"]).code, Some(0));
    let done = fixture.run(&["reconcile", "--wait", "60s"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    local.stop();
}

#[test]
fn faults_that_could_not_occur_are_refused() {
    let fixture = Fixture::new();
    let run = fixture.run(&["local", "--faults", "repeat=1"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("--faults: `repeat` needs `usagectl local --stream kinesis-for-dynamodb`"), "{run:?}");
    let local = Background::start(&fixture, &[]);
    let run = fixture.run(&["faults", "poison=5"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("`poison` needs a load that can be rejected"), "{run:?}");
    assert_eq!(fixture.run(&["faults"]).stdout, "none\n");
    assert_eq!(fixture.run(&["faults", "all"]).code, Some(0));
    local.stop();
}

#[test]
fn a_race_is_counted_once() {
    let race = ["--pipeline", "alleycat", "--simulate", "alleycat", "--records", "300", "--rate", "0"];
    let end = end(&Fixture::new(), &[&race[..], &["--polling-interval", "100"]].concat());
    assert_eq!(end["reconcile"]["counted"]["agreeing_records"], json!(300));
}

#[test]
fn a_race_whose_messages_are_aggregated_is_counted_once_despite_faults() {
    let race = ["--pipeline", "alleycat", "--simulate", "alleycat", "--records", "300", "--rate", "0"];
    let aggregated = ["--aggregate", "20", "--polling-interval", "100", "--faults", "redeliver=20,crash=10,lose=5"];
    let end = end(&Fixture::new(), &[&race[..], &aggregated].concat());
    assert_eq!(end["reconcile"]["counted"]["agreeing_records"], json!(300));
    assert!(end["ended"]["mapping"]["polled_event_count"].as_u64() < Some(300), "{end:#}");
    // Messages used to be counted as records of the stream, of which most were still waiting.
    assert_eq!(end["ended"]["waiting"]["records"], json!(0), "{end:#}");
}

/// A Kinesis stream used to keep its records however old they were.
#[test]
fn messages_that_are_older_than_the_retention_are_trimmed_and_reported_as_lost() {
    let fixture = Fixture::new();
    let race = ["--pipeline", "alleycat", "--simulate", "alleycat", "--rate", "0", "--polling-interval", "100"];
    end(&fixture, &[&race[..], &["--records", "20"]].concat());
    // As if it were two hours ago, and one more message had come afterward.
    let file = fixture.0.path().join(".usage/kinesis/alleycat/shardId-000000000000.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut unread = lines.last().unwrap().clone();
    unread["number"] = json!(unread["number"].as_u64().unwrap() + 1);
    lines.push(unread);
    lines.iter_mut().for_each(|line| line["time"] = json!(line["time"].as_i64().unwrap() - 7_200_000_000));
    std::fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let again = [&["local", "--json"], &race[..], &["--records", "10", "--retention", "1"]].concat();
    let run = fixture.run(&again);
    let last: Value = serde_json::from_str(run.stdout.lines().last().unwrap_or_default()).unwrap();
    let mapping = &last["ended"]["mapping"];
    assert_eq!((run.code, &mapping["trimmed_gaps"]), (Some(1), &json!(1)), "{last:#}\n{}", run.stderr);
    assert_eq!(mapping["distinct_processed"], json!(10), "{last:#}");
    assert!(std::fs::read_to_string(&file).unwrap().lines().count() < 20, "the file has lost them");
}

#[test]
fn rate_limiter_buckets_are_counted_once_by_the_shipped_pipeline() {
    let buckets = ["--pipeline", "zae-limiter", "--simulate", "bucket", "--records", "120", "--rate", "0"];
    assert_eq!(end(&Fixture::new(), &buckets)["reconcile"]["counted"]["agreeing_records"], json!(120));
}

#[test]
fn requests_count_once_in_the_windows_of_their_own_time_despite_faults() {
    let load = ["--pipeline", "api-usage", "--simulate", "api-usage", "--records", "400", "--rate", "0"];
    let faults = ["--polling-interval", "100", "--faults", "redeliver=20,crash=10,lose=5,poison=2"];
    let end = end(&Fixture::new(), &[&load[..], &faults].concat());
    let proof = &end["reconcile"];
    let number = |value: &Value| value.as_u64().unwrap();
    let (archived, rejected) = (number(&proof["archived"]["agreeing_records"]), number(&proof["poison_records"]));
    assert_eq!((&proof["difference_count"], archived + rejected), (&json!(0), 400), "{proof:#}");
    assert_eq!(&proof["poison"]["found_records"], &json!(rejected), "requests that are more than 7 days late");
    assert!(rejected > 0, "{proof:#}");
    assert!(proof["counted"]["counters"].as_u64() > Some(200), "{proof:#}");
    assert_eq!(proof["skipped"], Value::Null, "measures of every kind are recounted");
}

/// A run in the background that has printed its first line.
pub struct Background {
    process: Child,
    pub started: Value,
    /// Read as they arrive, because a full pipe would block the run.
    lines: mpsc::Receiver<String>,
}

impl Background {
    pub fn start(fixture: &Fixture, arguments: &[&str]) -> Background {
        Background::start_with(fixture, arguments, &[])
    }

    /// Starts with these environment variables.
    pub fn start_with(fixture: &Fixture, arguments: &[&str], variables: &[(&str, &str)]) -> Background {
        let mut command = fixture.command(&[&["local", "--json"], arguments].concat());
        let mut process = command.envs(variables.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let started: Value = serde_json::from_str(&lines.recv().unwrap()).unwrap();
        Background { process, started: started["started"].clone(), lines }
    }

    /// A client of its DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let endpoint = self.started["environment"]["AWS_ENDPOINT_URL_DYNAMODB"].as_str().unwrap();
        let config = aws_sdk_dynamodb::config::Builder::from(&sdk_config(None)).endpoint_url(endpoint).build();
        aws_sdk_dynamodb::Client::from_conf(config)
    }

    /// Reads until a line matches.
    pub fn wait_for(&mut self, wanted: impl FnMut(&Value) -> bool) -> Value {
        let mut lines = self.lines.iter().map(|line| serde_json::from_str(&line).unwrap());
        lines.find(wanted).expect("a line that matches")
    }

    /// Waits for a line, and returns the last one.
    pub fn latest(&mut self) -> Value {
        let line = self.lines.recv().expect("a line");
        serde_json::from_str(&self.lines.try_iter().last().unwrap_or(line)).unwrap()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn stop(self) -> Value {
        self.stop_with(0)
    }

    /// Stops it, and expects this exit code.
    pub fn stop_with(mut self, code: i32) -> Value {
        // SIGTERM has the same effect as Ctrl-C.
        let kill = std::process::Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(kill.success());
        let last = self.wait_for(|line| line["ended"].is_object());
        assert_eq!(self.process.wait().unwrap().code(), Some(code), "{last:#}");
        last
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It has exited already if the test succeeded.
        let _ = self.process.kill();
    }
}

#[tokio::test]
async fn other_programs_can_write_and_a_restart_resumes_where_the_run_ended() {
    let fixture = Fixture::new();
    let mut local = Background::start(&fixture, &[]);
    let client = local.dynamodb();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = client.put_item().table_name("orders").item("pk", text("CUSTOMER#7")).item("sk", text("ORDER#1"));
    let put =
        put.item("status", text("NEW")).item("currency", text("EUR")).item("ordered_at", text("2026-09-17T13:27:38Z"));
    put.item("total", AttributeValue::N("12.5".to_owned())).send().await.unwrap();
    local.wait_for(|line| line["function"]["SnapshotsUpdated"].as_f64() > Some(0.0));
    let rows = fixture.run(&["snapshots", "--entity", "7", "--window", "day"]);
    assert!(rows.stdout.contains("12.5"), "{rows:?}");

    assert_eq!(fixture.run(&["faults"]).stdout, "none\n");
    assert_eq!(fixture.run(&["faults", "crash=5,split=9s"]).stdout, "crash=5,split=9s\n");
    assert_eq!(fixture.run(&["faults", "crash=500"]).code, Some(2));
    local.wait_for(|line| line["faults"] == json!("crash=5,split=9s"));
    let ended = local.stop();
    assert_eq!(ended["ended"]["mapping"]["polled_event_count"], json!(1));

    let mut again = Background::start(&fixture, &[]);
    assert_eq!(fixture.run(&["simulate", "orders", "--records", "1"]).code, Some(0));
    let look = again.wait_for(|line| line["mapping"]["polled_event_count"].as_u64() > Some(0));
    assert_eq!(look["mapping"]["polled_event_count"], json!(1), "the first record isn't read again");
    again.stop();
    assert_eq!(fixture.run(&["faults"]).code, Some(1), "no run is left");
}

/// The keys of failed batches start with the UUID, so it must not depend on how the data folder is spelled.
#[test]
fn regression_the_mapping_uuid_is_the_stored_one_however_the_folder_is_named() {
    let fixture = Fixture::new();
    let mut local = Background::start(&fixture, &["--retry-attempts", "0", "--bisect", "off", "--faults", "crash=100"]);
    assert_eq!(fixture.run(&["simulate", "orders", "--records", "40", "--rate", "0"]).code, Some(0));
    local.wait_for(|line| line["mapping"]["on_failure_destination_delivered_event_count"].as_u64() > Some(0));
    local.stop();

    let absolute = fixture.0.path().join(".usage").display().to_string();
    let local = Background::start(&fixture, &["--data", &absolute]);
    let read = |file: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(fixture.0.path().join(file)).unwrap()).unwrap()
    };
    let stored = &read(".usage/mapping/dynamodb-orders.json")["mapping_uuid"];
    assert_eq!(&read(".usage/running.json")["mapping"]["uuid"], stored);
    let redriven = fixture.run(&["redrive", "--local", "--dry-run", "--json"]);
    let last: Value = serde_json::from_str(redriven.stdout.lines().last().unwrap()).unwrap();
    let summary = &last["summary"];
    assert!(summary["documents"].as_u64() > Some(0), "{redriven:?}");
    assert_eq!(summary["skipped"], json!(0), "{redriven:?}");
    local.stop();
}

#[test]
fn all_invalid_settings_are_reported_before_anything_starts() {
    let fixture = Fixture::new();
    let wrong = ["--batch-size", "0", "--parallelization-factor", "11", "--retry-attempts", "-2", "--record-age", "5"];
    let run = fixture.run(&[&["local", "--filter", r#"{"a":[{"cidr":"10.0.0.0/8"}]}"#], &wrong[..]].concat());
    assert_eq!((run.code, &*run.stdout), (Some(2), ""));
    insta::assert_snapshot!("local_wrong_settings", run.stderr);
    let latest = ["local", "--starting-position", "2026-11-21T03:00:00Z"];
    assert!(fixture.run(&latest).stderr.contains("AT_TIMESTAMP works with Kinesis only"));
    let elsewhere = ["local", "--dynamodb-endpoint", "http://dynamodb.us-east-1.amazonaws.com"];
    assert!(fixture.run(&elsewhere).stderr.contains("is not this machine"));
    assert!(!fixture.0.path().join(".usage").exists());
}

/// The function itself can't read its archive, so the local run and `make deploy` check.
#[test]
fn a_start_on_an_archive_that_the_schemas_cannot_be_read_with_is_refused_with_the_remedy() {
    let fixture = Fixture::new();
    let (orders, event) = (fixture.0.path().join("orders"), crate::repository().join("events/insert.json"));
    std::fs::create_dir(&orders).unwrap();
    for file in std::fs::read_dir(crate::repository().join("schemas/orders")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), orders.join(file.file_name())).unwrap();
    }
    let invoked = fixture.run(&["invoke", "--pipeline-dir", "orders", event.to_str().unwrap()]);
    assert_eq!(invoked.code, Some(0), "{invoked:?}");
    let schema = std::fs::read_to_string(orders.join("order.avsc")).unwrap();
    std::fs::write(orders.join("order.avsc"), schema.replace(r#""scale": 2"#, r#""scale": 4"#)).unwrap();
    let load = ["--simulate", "orders", "--records", "5", "--rate", "0"];
    let refused = fixture.run(&[&["local", "--pipeline-dir", "orders"], &load[..]].concat());
    assert_eq!((refused.code, &*refused.stdout), (Some(1), ""), "{refused:?}");
    for part in ["  order total: ", "add a new field", "start over with --fresh"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    let fresh = fixture.run(&[&["local", "--fresh", "--pipeline-dir", "orders"], &load[..]].concat());
    assert_eq!(fresh.code, Some(0), "{fresh:?}");
}
