//! `usagectl export` as a person uses it: files that independent readers read, and events for billing systems.

mod apis;
mod server;
mod targets;

use std::process::Command;

use laptop::emulators::{Services, sdk_config};
use serde_json::{Value, json};
use usage_aggregator::decimal::Decimal;
use usage_aggregator::ledger::{Column, PageContent, PageKind};
use usage_aggregator::usage::{Cell, Segment};

use crate::fixture::{Fixture, Run, event, order, two_orders};
use crate::readers::venv;
use crate::world::ledger_in;

/// A folder in which two orders of customer 7 are counted.
pub(crate) fn counted() -> Fixture {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    fixture
}

/// An order of another customer.
pub(crate) fn order_of(customer: &str, number: u32, total: &str) -> Value {
    let mut order = order(number, json!({ "N": total }));
    let key = json!({ "S": format!("CUSTOMER#{customer}") });
    order["dynamodb"]["Keys"]["pk"] = key.clone();
    order["dynamodb"]["NewImage"]["pk"] = key;
    order
}

fn lines(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn help_of_export() {
    let run = Fixture::new().run(&["export", "--help"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    insta::assert_snapshot!("help_export", run.stdout);
}

#[test]
fn a_month_is_exported_as_csv_and_as_json_lines() {
    let fixture = counted();
    let csv = fixture.run(&["export", "--local", "--start", "2026-09"]);
    assert_eq!((csv.code, &*csv.stderr), (Some(0), ""));
    let json = fixture.run(&[
        "export",
        "--local",
        "--window",
        "day",
        "--start",
        "2026-09-17",
        "--measure",
        "amount",
        "--json",
    ]);
    assert_eq!((json.code, &*json.stderr), (Some(0), ""));
    insta::assert_snapshot!("export", format!("{}\n{}", csv.stdout, json.stdout));
    // The filters.
    for (filter, rows) in [
        (&["--entity", "7"][..], 3),
        (&["--entity", "8"], 0),
        (&["--resource", "orders", "--measure", "changes", "--measure", "amount"], 2),
        (&["--start", "2026-10"], 0),
        (&["--start", "2026-08", "--end", "2026-09"], 3),
        (&["--window", "hour"], 3),
    ] {
        let run = fixture.run(&[&["export", "--local", "--json"], filter].concat());
        assert_eq!((run.code, lines(&run).len()), (Some(0), rows), "{filter:?}: {run:?}");
        assert_eq!(run.stderr.contains("no usage found"), rows == 0, "{run:?}");
    }
}

#[test]
fn a_window_is_provisional_until_the_grace_has_passed() {
    let fixture = counted();
    let never = ["export", "--local", "--json", "--grace", "20000d"];
    let run = fixture.run(&never);
    assert!(lines(&run).iter().all(|row| row["status"] == "provisional"), "{run:?}");
    assert!(
        run.stderr.starts_with("note: 3 rows are provisional: a window is closed 20000 d after its end"),
        "{run:?}"
    );
    assert_eq!(fixture.run(&[&never[..], &["--closed"]].concat()).stdout, "");
    let file = fixture.json(&["export", "--local", "--output", "usage.csv"]);
    let expected = json!({
        "file": "usage.csv", "rows": 3, "closed": 3, "provisional": 0, "corrections": 0, "expired_windows": 0,
    });
    assert_eq!(file, expected);
}

#[test]
fn regression_an_export_says_that_windows_may_have_expired() {
    let fixture = counted();
    // Hours are kept for 90 days, and months forever.
    let hours = ["export", "--local", "--window", "hour", "--start", "2026-01"];
    let run = fixture.run(&hours);
    let note = "note: snapshots of 744 hours may have expired (`time_to_live`), so usage may be missing: use a longer --window, or \
                a later --start\n";
    assert!(run.code == Some(0) && run.stderr.starts_with(note), "{run:?}");
    let file = fixture.json(&[&hours[..], &["--output", "usage.csv"]].concat());
    assert_eq!(file["expired_windows"], 744);
    let sent = fixture.run(&[&hours[..], &["--to", "openmeter", "--dry-run"]].concat());
    assert!(sent.code == Some(0) && sent.stderr.starts_with(note), "{sent:?}");
    let month = fixture.run(&["export", "--local", "--start", "2026-01"]);
    assert!(!month.stderr.contains("expired"), "{month:?}");
}

#[test]
fn mistakes_on_the_command_line_are_explained() {
    let fixture = counted();
    for (arguments, message) in [
        (&["--start", "2026-09-17"][..], "--start 2026-09-17 is shorter than a month"),
        (&["--start", "2026-09", "--end", "2026-08"], "--end 2026-08 is before --start 2026-09"),
        (&["--end", "2026-09"], "--start <START>"),
        (&["--start", "september"], "expected 2026-11, 2026-11-21 or 2026-11-21T03"),
        (&["--format", "parquet", "--json"], "remove --format, or add --output FILE"),
        (&["--format", "xml"], "invalid value 'xml'"),
        (&["--to", "stripe"], "Stripe aggregates meter events by hour or day"),
        (&["--to", "lago"], "LAGO_API_KEY is not set"),
        (&["--to", "lago", "--output", "x"], "cannot be used with"),
        (&["--dry-run"], "--to <TARGET>"),
        (
            &["--to", "lago", "--dry-run", "--event-name", "{plan}"],
            "unknown variable `plan`; expected one of pipeline, measure, resource",
        ),
        (&["--to", "openmeter", "--url", "openmeter"], "`openmeter` is not a valid URL"),
        // They exported nothing, without an error.
        (&["--measure", "amuont"], "--measure: unknown measure `amuont`; expected one of amount, "),
        (&["--window", "day", "--to", "stripe", "--dry-run", "--measure", "amuont"], "unknown measure `amuont`"),
        (&["--window", "week"], "--window: the pipeline doesn't count by week; expected one of hour, day, month"),
    ] {
        let run = fixture.run(&[&["export", "--local"], arguments].concat());
        assert!(run.code == Some(2) && run.stderr.contains(message), "{arguments:?}: {run:?}");
        assert_eq!(run.stdout, "");
    }
    let missing = fixture.run(&["export", "--local", "--output", "no-folder/usage.csv"]);
    assert!(missing.code == Some(1) && missing.stderr.contains("create no-folder/usage.csv.partial"), "{missing:?}");
    assert_eq!(std::fs::read_dir(fixture.0.path()).unwrap().count(), 2, "the event and the data folder");
}

const READERS: &str = r#"
import csv, datafusion, json, sys
with open("usage.csv", encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file))
context = datafusion.SessionContext()
context.register_parquet("usage", "usage.parquet")
query = "SELECT *, CAST(value AS DECIMAL(38, 6)) AS exact FROM usage ORDER BY window_start, entity, resource, measure"
print(json.dumps({"csv": rows, "parquet": context.sql(query).to_pylist()}, default=str))
"#;

#[test]
fn other_programs_read_the_csv_and_the_parquet_file() {
    let fixture = Fixture::new();
    // Names that need quotes, and a number that no double holds.
    let customers = [("7", "129.9"), ("a,b \"c\"", "123456789012345678.01"), ("zoë\nx", "-0.5")];
    let orders = customers.iter().zip(1..).map(|((customer, total), number)| order_of(customer, number, total));
    fixture.write("event.json", &event(&orders.collect::<Vec<_>>()));
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    for format in ["csv", "parquet"] {
        let file = format!("usage.{format}");
        let run = fixture.run(&["export", "--local", "--measure", "amount", "--format", format, "--output", &file]);
        assert_eq!((run.code, run.stdout), (Some(0), format!("{file}: 3 rows\n")));
    }
    let read =
        Command::new(venv().join("python")).args(["-c", READERS]).current_dir(fixture.0.path()).output().unwrap();
    let read = Run::from(read);
    assert_eq!(read.code, Some(0), "{read:?}");
    let read: Value = serde_json::from_str(&read.stdout).unwrap();
    for (place, (customer, total)) in customers.iter().enumerate() {
        let (csv, parquet) = (&read["csv"][place], &read["parquet"][place]);
        for row in [csv, parquet] {
            assert_eq!((&row["entity"], &row["value"]), (&json!(customer), &json!(total)), "{read:#}");
            assert_eq!((&row["status"], &row["kind"]), (&json!("closed"), &json!("usage")));
        }
        assert_eq!((&csv["version"], &csv["window_start"]), (&json!("1"), &json!("2026-09-01T00:00:00Z")));
        assert_eq!((&csv["author"], &parquet["author"]), (&json!(""), &Value::Null));
        assert_eq!(
            (&parquet["version"], &parquet["window_start"]),
            (&json!(1), &json!("2026-09-01 00:00:00+00:00")),
            "{read:#}"
        );
        let exact = Decimal::parse(parquet["exact"].as_str().unwrap()).unwrap();
        assert_eq!(exact, Decimal::parse(total).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_are_rows_of_their_own_unless_they_were_taken_back() {
    let fixture = counted();
    let services =
        Services::start_on(Some(&fixture.0.path().join(".usage")), laptop::emulators::Ports::default()).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let ledger = ledger_in(client, "ledger");
    let minute = Segment::parse("2026-09-17T13:27").unwrap();
    let counted = ledger.pages(minute, 0..1, None).await.unwrap();
    let [page] = counted.as_slice() else { panic!("{counted:?}") };
    // Two corrections of 1 and 2, of which the second is taken back.
    for (id, reason) in [(1, "Ticket 41"), (2, "Ticket 42")] {
        let kind = PageKind::Correction("ana".to_owned(), reason.to_owned());
        let page = correction(&page.content, id).into_page(minute, &kind);
        ledger.put_page(&page, &kind, None).await.unwrap();
    }
    let void = PageKind::Void("ana".to_owned(), "Ticket 43".to_owned());
    ledger.put_page(&correction(&page.content, 2).into_page(minute, &void), &void, None).await.unwrap();
    let url = services.dynamodb_url();
    let listed = |arguments: &[&str]| {
        let run = fixture
            .run(&[&["export", "--local", "--json", "--dynamodb-endpoint", url, "--corrections"], arguments].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        lines(&run)
    };
    let rows = listed(&["--start", "2026-09"]);
    let kinds: Vec<&str> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "correction").count(), 1, "{rows:#?}");
    let place = kinds.iter().position(|kind| *kind == "correction").unwrap();
    assert_eq!(rows[place - 1]["measure"], rows[place]["measure"], "it follows the value that it is part of");
    let corrected = json!({
        "pipeline": "orders", "window": "month", "window_start": "2026-09-01T00:00:00Z", "window_end": "2026-10-01T00:00:00Z",
        "entity": "7", "resource": "orders", "measure": "amount", "kind": "correction", "value": "1", "status": "closed",
        "corrected_at": "2026-09-17T13:27", "author": "ana", "reason": "Ticket 41",
    });
    assert_eq!(rows[place], corrected);
    for (arguments, corrections) in
        [(&["--start", "2026-10"][..], 0), (&["--entity", "8"], 0), (&["--window", "hour"], 1)]
    {
        let rows = listed(arguments);
        assert_eq!(rows.iter().filter(|row| row["kind"] == "correction").count(), corrections, "{arguments:?}");
    }
}

/// A page that adds its id to the amount of the only group of another page.
fn correction(page: &PageContent, id: u128) -> PageContent {
    let mut content = page.clone();
    content.groups.truncate(1);
    let amount = content.measures.iter().position(|measure| &*measure.name == "amount").unwrap();
    let value = Decimal::parse(&id.to_string()).unwrap();
    content.groups[0].ids = vec![id];
    for (place, column) in content.groups[0].columns.iter_mut().enumerate() {
        *column = if place == amount { Column::Same(Cell::Number(value)) } else { Column::None };
    }
    content
}

#[test]
fn the_results_of_queries_are_printed_as_csv() {
    let fixture = counted();
    let mut transcript = String::new();
    for arguments in [
        &["usage", "top", "--local", "--measure", "amount", "--csv"][..],
        &["usage", "list", "--local", "--window", "month", "--csv"],
        &["usage", "show", "7", "--local", "--csv"],
    ] {
        let run = fixture.run(arguments);
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{arguments:?}");
        transcript.push_str(&format!("$ {}\n{}\n", arguments.join(" "), run.stdout));
    }
    insta::assert_snapshot!("usage_csv", transcript);
    let nothing = fixture.run(&["usage", "show", "8", "--local", "--csv"]);
    assert_eq!((nothing.code, &*nothing.stdout), (Some(0), ""));
    assert!(nothing.stderr.contains("no snapshots found"), "{nothing:?}");
    let both = fixture.run(&["usage", "top", "--local", "--csv", "--json"]);
    assert!(both.code == Some(2) && both.stderr.contains("cannot be used with"), "{both:?}");
}
