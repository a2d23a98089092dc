//! `usagectl ledger` on a data folder.

use std::io::Write;
use std::process::Stdio;

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Services, sdk_config};
use serde_json::{Value, json};

use crate::fixture::{Fixture, event, order, two_orders};

/// Deletes the page that the ledger of the data folder has.
async fn delete_the_page(fixture: &Fixture) {
    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let items = client.scan().table_name("ledger").send().await.unwrap().items.unwrap_or_default();
    let is_page = |key: &AttributeValue| key.as_s().unwrap().starts_with("p#");
    let pages: Vec<_> = items.into_iter().filter(|item| is_page(&item["pk"])).collect();
    assert_eq!(pages.len(), 1);
    let delete = client.delete_item().table_name("ledger").key("pk", pages[0]["pk"].clone());
    delete.key("sk", pages[0]["sk"].clone()).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_a_page_that_is_gone_names_it_and_needs_consent() {
    const MINUTE: &str = "2026-09-17T13";
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    // Nothing is missing, so there is nothing to ask.
    let rebuilt = fixture.run(&["ledger", "rebuild", MINUTE, "--forget", "--local"]);
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
    delete_the_page(&fixture).await;

    let refused = fixture.run(&["ledger", "rebuild", MINUTE, "--local"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    // The minute is older than the ledger is kept for.
    assert!(
        refused.stderr.contains("rebuild 2026-09-17T13:00: its pages may have expired; rebuild later"),
        "{refused:?}"
    );
    let forget = ["ledger", "rebuild", MINUTE, "--forget", "--local"];
    let asked = fixture.run(&forget);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.stderr.contains("missing: the page 0/"), "{asked:?}");
    assert!(asked.stderr.contains("1 page or state would be forgotten; add --yes"), "{asked:?}");
    // An answer that isn't from a terminal isn't consent either.
    let mut piped =
        fixture.command(&forget).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The command may have ended before it is written to.
    let _ = piped.stdin.take().unwrap().write_all(b"y\n");
    assert_eq!(piped.wait().unwrap().code(), Some(2));
    let rows = |fixture: &Fixture| fixture.run(&["snapshots", "--window", "month", "--json"]).stdout;
    assert!(rows(&fixture).contains("130"), "nothing was written: {}", rows(&fixture));

    let forgotten = fixture.run(&[&forget[..], &["--yes"]].concat());
    assert_eq!(forgotten.code, Some(0), "{forgotten:?}");
    assert!(forgotten.stderr.contains("missing: the page 0/"), "{forgotten:?}");
}

/// An order of another customer.
fn order_of(customer: &str, number: u32) -> Value {
    let mut record = order(number, json!({ "N": "5" }));
    for image in ["Keys", "NewImage"] {
        record["dynamodb"][image]["pk"] = json!({ "S": format!("CUSTOMER#{customer}") });
    }
    record
}

#[test]
fn a_minute_is_shown_with_its_pages_and_its_state() {
    let fixture = Fixture::new();
    fixture.write("first.json", &two_orders());
    // The second page repeats an order of the first one.
    fixture.write("second.json", &event(&[order(2, json!({ "N": "0.1" })), order_of("8", 3)]));
    for batch in ["first.json", "second.json"] {
        assert_eq!(fixture.run(&["invoke", batch]).code, Some(0));
    }
    let mut transcript = String::new();
    for more in [&[][..], &["--entity", "8"], &["--json"], &["--entity", "9", "--json"]] {
        let arguments = [&["ledger", "show", "2026-09-17T13:27", "--local"][..], more].concat();
        let run = fixture.run(&arguments);
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{arguments:?}");
        transcript.push_str(&format!("$ {}\n{}\n", arguments.join(" "), run.stdout));
    }
    insta::assert_snapshot!("ledger_show", transcript);
}
