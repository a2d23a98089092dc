//! Sums that contain a record more than once have a note, and commands without a pipeline use that of the last events.

use crate::fixture::{Fixture, two_orders};

/// A folder in which the sample of `api-usage` is counted.
fn counted() -> Fixture {
    let fixture = Fixture::new();
    let sample = crate::repository().join("events/api-usage.json").display().to_string();
    let run = fixture.run(&["invoke", &sample]);
    assert_eq!(run.code, Some(0), "{run:?}");
    fixture
}

/// `usage top` showed a tenant with twice its bytes, and shares of a total of tenants and plans, without a word.
#[test]
fn regression_sums_that_contain_a_record_more_than_once_have_a_note() {
    let fixture = counted();
    let resources = "that may count the same records; choose one with --resource\n";
    let entities = "only the usage of each one is exact\n";
    let cases: [(&[&str], &str); 10] = [
        (&["usage", "top", "--local", "--measure", "requests"], resources),
        (&["usage", "top", "--local", "--measure", "requests", "--csv"], resources),
        (&["usage", "top", "--local", "--measure", "requests", "--json"], ""),
        (&["usage", "top", "--local", "--measure", "requests", "--resource", "requests"], entities),
        (&["usage", "top", "--local", "--measure", "latency_ms_max"], ""),
        (&["usage", "list", "--local", "--resource", "subscriptions"], entities),
        (&["usage", "list", "--local"], resources),
        (&["usage", "show", "acme", "--local"], resources),
        (&["usage", "show", "acme", "--local", "--resource", "requests"], ""),
        (&["snapshots", "--window", "day"], resources),
    ];
    for (arguments, note) in cases {
        let run = fixture.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        assert!(run.stderr.ends_with(note) && run.stderr.is_empty() == note.is_empty(), "{arguments:?}: {run:?}");
    }
}

/// Without an option that chose it, `snapshots` looked for another pipeline's table, and `alerts` reported that there are none.
#[test]
fn regression_the_pipeline_of_the_last_events_is_remembered() {
    let fixture = counted();
    assert!(fixture.run(&["snapshots"]).stdout.contains("seat_hours"));
    let alerts = fixture.run(&["alerts", "--local"]);
    assert!(alerts.stdout.contains("of pipeline api-usage in these windows"), "{alerts:?}");
    fixture.write("orders.json", &two_orders());
    assert_eq!(fixture.run(&["invoke", "orders.json"]).code, Some(0));
    let orders = fixture.run(&["snapshots"]);
    assert!(orders.stdout.contains("amount") && !orders.stdout.contains("seat_hours"), "{orders:?}");
    let sample = crate::repository().join("events/api-usage.json").display().to_string();
    assert_eq!(fixture.run(&["invoke", "orders.json", &sample]).code, Some(0));
    assert_eq!(fixture.run(&["snapshots"]).stdout, orders.stdout, "events of two pipelines choose none");
    let alerts = fixture.run(&["alerts", "--local"]);
    assert!(alerts.stdout.starts_with("no alerts: "), "{alerts:?}");
}
