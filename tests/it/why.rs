//! `usagectl why`: the records behind a number add up to it, or what is missing is named.

use laptop::emulators::{Services, sdk_config};
use serde_json::{Value, json};

use crate::correct::{counted, minute_of, recent};
use crate::fixture::{Fixture, Run, event};
use crate::local::Background;

/// The records and the summary of `why --json`.
fn why(fixture: &Fixture, arguments: &[&str]) -> (Run, Vec<Value>, Value) {
    let run = fixture.run(&[&["why", "7", "orders"], arguments, &["--local", "--json"]].concat());
    let mut lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {run:?}")))
        .collect();
    let summary = lines.pop().unwrap_or_else(|| panic!("{run:?}"))["summary"].clone();
    let records = lines.into_iter().map(|mut line| line["record"].take()).collect();
    (run, records, summary)
}

fn correct(fixture: &Fixture, arguments: &[&str]) {
    let signed = ["--author", "ann", "--reason", "a test", "--local"];
    let run = fixture.run(&[&["correct"], arguments, &signed].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
}

fn amounts(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["amounts"]["amount"].as_str().unwrap()).collect()
}

/// Deletes the items of the ledger whose keys start with these, as if they had expired.
async fn delete(fixture: &Fixture, starts: &[(String, String)]) {
    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let mut deleted = 0;
    for item in client.scan().table_name("ledger").send().await.unwrap().items.unwrap_or_default() {
        let text = |name: &str| item[name].as_s().unwrap().clone();
        if starts.iter().any(|(pk, sk)| text("pk").starts_with(pk) && text("sk").starts_with(sk)) {
            let call =
                client.delete_item().table_name("ledger").key("pk", item["pk"].clone()).key("sk", item["sk"].clone());
            call.send().await.unwrap();
            deleted += 1;
        }
    }
    assert!(deleted > 0, "{starts:?}");
}

#[test]
fn the_records_add_up_to_the_number_with_corrections_and_without_what_was_taken_back() {
    let fixture = counted();
    let (first, second) = (minute_of(recent()), minute_of(recent() + 60));
    let group = ["--entity", "7", "--resource", "orders"];
    correct(&fixture, &[&["add"], &group[..], &["--measure", "amount", "--amount", "-0.05", "--at", &second]].concat());
    let month = &first[..7];
    let (_, records, _) = why(&fixture, &[month]);
    let large = records.iter().find(|record| record["amounts"]["amount"] == "129.9").unwrap();
    correct(&fixture, &["void", "--record", large["record_id"].as_str().unwrap(), "--at", &first]);
    // A redelivery that is cut differently holds copies.
    let cut = crate::correct::order_at(2, "0.1", recent());
    fixture.write("cut.json", &event(&[cut]));
    assert_eq!(fixture.run(&["invoke", "cut.json"]).code, Some(0));

    for window in [month, &first[..10], &first[..13]] {
        let (run, records, summary) = why(&fixture, &[window]);
        assert_eq!(
            (run.code, &summary["explained"], &summary["snapshot"]),
            (Some(0), &json!(true), &json!(true)),
            "{run:?}"
        );
        assert_eq!(summary["measures"]["amount"], json!({ "shown": "70.05", "explained": true }), "{run:?}");
        let mut found = amounts(&records);
        found.sort_unstable();
        assert_eq!(found, ["-0.05", "0.1", "129.9", "70"], "{window}: each record once");
        let of = |amount: &str| records.iter().find(|record| record["amounts"]["amount"] == amount).unwrap();
        assert_eq!((&of("129.9")["standing"], &of("129.9")["author"]), (&json!("taken_back"), &json!("ann")));
        assert_eq!((&of("-0.05")["kind"], &of("-0.05")["minute"]), (&json!("correction"), &json!(second)));
    }
    let (run, records, summary) = why(&fixture, &[&first, "amount"]);
    assert_eq!((run.code, records.len(), &summary["snapshot"]), (Some(0), 2, &json!(false)), "a minute: {run:?}");
    assert_eq!(summary["measures"]["amount"]["shown"], json!("0.1"));

    let text = fixture.run(&["why", "7", "orders", month, "--local", "--limit", "1"]);
    assert!(text.stdout.contains("amount: the records add up to 70.05, as the snapshot says"), "{text:?}");
    assert!(text.stdout.contains("3 more; print all with --limit 4 or --csv"), "{text:?}");
    assert!(!text.stdout.contains("Athena"), "{text:?}");
    let csv = fixture.run(&["why", "7", "orders", month, "amount", "--local", "--csv"]);
    let lines: Vec<&str> = csv.stdout.lines().collect();
    assert_eq!((lines.len(), lines[0]), (5, "minute,record_id,kind,standing,author,reason,amount"), "{csv:?}");
    assert!(lines.iter().any(|line| line.ends_with(",correction,counted,ann,a test,-0.05")), "{csv:?}");
    let sql = fixture.run(&["why", "7", "orders", month, "--local", "--sql"]);
    assert!(sql.stdout.contains("SELECT * FROM \"order_once\"") && sql.stdout.contains("'CUSTOMER#7'"), "{sql:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_named_with_what_it_adds_up_to() {
    let fixture = counted();
    let (first, second) = (minute_of(recent()), minute_of(recent() + 60));
    let month = &first[..7];
    delete(&fixture, &[(format!("p#orders#{second}"), String::new())]).await;
    let (run, records, summary) = why(&fixture, &[month]);
    assert_eq!((run.code, records.len(), &summary["explained"]), (Some(1), 2, &json!(false)), "{run:?}");
    assert_eq!(summary["measures"]["amount"], json!({ "shown": "200", "explained": false }));
    let missing = &summary["missing"][0];
    assert_eq!((&missing["window"], &missing["sums"]["amount"]), (&json!(second), &json!("70")), "{summary:#}");
    assert!(missing["gone"][0].as_str().unwrap().starts_with("page "), "{summary:#}");

    // The states of the minutes are gone, too: the hour still knows what they added up to.
    let hour = &first[..13];
    delete(&fixture, &[("p#orders#".to_owned(), String::new()), (format!("s#orders#{hour}"), String::new())]).await;
    let (run, records, summary) = why(&fixture, &[month]);
    assert_eq!((run.code, records.len()), (Some(1), 0), "{run:?}");
    let missing = &summary["missing"][0];
    assert_eq!((&missing["window"], &missing["sums"]["amount"]), (&json!(hour), &json!("200")), "{summary:#}");
    assert_eq!(missing["gone"], json!([first, second]), "{summary:#}");
    let text = fixture.run(&["why", "7", "orders", month, "amount", "--local"]);
    let says = "amount: the snapshot says 200; 200 of it is in records that the ledger no longer has";
    assert!(text.code == Some(1) && text.stdout.contains(says), "{text:?}");
    assert!(text.stdout.contains("The archived records, in Athena:"), "{text:?}");
}

#[test]
fn what_is_not_counted_is_refused() {
    let fixture = counted();
    let month = &minute_of(recent())[..7];
    for (arguments, expected) in [
        (["8", "orders", month, "amount"], "nothing is counted for 8 orders in"),
        (["7", "orders", month, "amonut"], "unknown measure `amonut`; expected one of amount, changes, orders"),
        (["7", "orders", "2026", "amount"], "`2026` isn't a window"),
    ] {
        let run = fixture.run(&[&["why"], &arguments[..], &["--local"]].concat());
        assert!(run.code == Some(2) && run.stdout.is_empty() && run.stderr.contains(expected), "{run:?}");
    }
}

#[test]
fn every_number_of_a_run_under_faults_is_explained() {
    let fixture = Fixture::new();
    let local = Background::start(&fixture, &["--fold-window", "0", "--faults", "redeliver=30,crash=10,lose=5"]);
    let load = ["simulate", "orders", "--rate", "0", "--entities", "3", "--records", "150"];
    assert_eq!(fixture.run(&load).code, Some(0));
    assert_eq!(fixture.run(&["reconcile", "--wait", "120s"]).code, Some(0));
    let rows = fixture.run(&["snapshots", "--window", "month", "--json"]).stdout;
    for row in rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let text = |name: &str| row[name].as_str().unwrap();
        let month = &text("window_start")[..7];
        let run = fixture.run(&["why", text("entity"), text("resource"), month, "--local", "--csv"]);
        assert!(run.code == Some(0) && run.stdout.lines().count() > 1, "{run:?}");
    }
    local.stop();
}
