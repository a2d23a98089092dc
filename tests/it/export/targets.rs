//! Events for OpenMeter, Stripe and Lago: they are what the APIs take, and whatever happens, each counts once.

use std::collections::BTreeSet;
use std::sync::Mutex;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value, json};

use super::apis::{api, events, id};
use super::server::{Received, Reply, Server};
use super::{counted, order_of};
use crate::correct::minute_of;
use crate::fixture::{Fixture, Run, event};
use crate::prove::change;

/// Days that are closed and recent enough for Stripe.
fn recent(customers: usize) -> Fixture {
    let fixture = Fixture::new();
    let second = event_source_mapping::now().unwrap().seconds() - 3 * 86_400;
    let orders: Vec<Value> = (0..customers)
        .map(|customer| {
            let number = u32::try_from(customer).unwrap() + 1;
            let mut order = order_of(&format!("{customer:03}"), number, &number.to_string());
            order["dynamodb"]["ApproximateCreationDateTime"] = json!(second);
            order
        })
        .collect();
    fixture.write("event.json", &event(&orders));
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    fixture
}

fn sent(fixture: &Fixture, target: &str, server: &Server, arguments: &[&str]) -> Run {
    let fixed = ["export", "--local", "--window", "day", "--measure", "amount", "--to", target, "--url", &server.url];
    let mut command = fixture.command(&[&fixed, arguments].concat());
    for name in ["OPENMETER_API_KEY", "STRIPE_API_KEY", "LAGO_API_KEY"] {
        command.env(name, format!("secret-of-{name}"));
    }
    command.output().unwrap().into()
}

fn success(target: &str) -> Reply {
    Reply::status(u16::try_from(api(target)["success"].as_u64().unwrap()).unwrap(), "{}")
}

/// The identifiers in these requests, which must be what the API takes.
fn ids(target: &str, requests: &[Received]) -> Vec<String> {
    requests.iter().flat_map(|request| events(target, request)).map(|event| id(&event)).collect()
}

const TARGETS: [&str; 3] = ["openmeter", "stripe", "lago"];

#[test]
fn events_are_what_each_api_takes_and_a_second_run_sends_the_same_identifiers() {
    let fixture = recent(3);
    for target in TARGETS {
        let server = Server::start(move |_, _| success(target));
        let run = sent(&fixture, target, &server, &[]);
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run:?}");
        assert!(run.stdout.starts_with("3 events sent to "), "{run:?}");
        let first = server.take();
        assert!(first.iter().all(|request| request.headers["authorization"].starts_with("Bearer secret-of-")));
        assert_eq!(first.len(), if target == "stripe" { 3 } else { 1 });
        let all: Vec<Map<String, Value>> = first.iter().flat_map(|request| events(target, request)).collect();
        for (customer, value) in [("000", "1"), ("001", "2"), ("002", "3")] {
            let is_its = |event: &&Map<String, Value>| {
                ["subject", "external_subscription_id", "payload[stripe_customer_id]"]
                    .iter()
                    .any(|name| event.get(*name).is_some_and(|found| found == customer))
            };
            let event = all.iter().find(is_its).unwrap();
            let values = ["/data/value", "/properties/value", "/payload[value]"];
            let event = Value::Object(event.clone());
            assert!(values.iter().any(|place| event.pointer(place) == Some(&json!(value))), "{event:#}");
        }
        let names = ["type", "event_name", "code"];
        assert!(all.iter().all(|event| names.iter().any(|name| event.get(*name) == Some(&json!("orders_amount")))));

        let again = sent(&fixture, target, &server, &["--json"]);
        let report: Value = serde_json::from_str(&again.stdout).unwrap();
        assert_eq!((&report["target"], &report["sent"]), (&json!(target), &json!(3)));
        let [first, second] = [ids(target, &first), ids(target, &server.take())].map(BTreeSet::from_iter);
        assert_eq!(first, second, "{target}");
        assert_eq!(first.len(), 3);
    }
}

/// 429, a server error, and a connection that is lost after the request has arrived: the same request is sent again.
#[test]
fn a_request_is_repeated_until_it_is_answered() {
    let fixture = recent(1);
    for target in TARGETS {
        let server = Server::start(move |_, before| match before {
            0 => Reply::Status(429, "retry-after: 0\r\n", "slow down".to_owned()),
            1 => Reply::status(500, "oops"),
            2 => Reply::Lost,
            3 => Reply::status(503, ""),
            _ => success(target),
        });
        let run = sent(&fixture, target, &server, &[]);
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run:?}");
        let requests = server.take();
        assert_eq!(requests.len(), 5, "{target}");
        assert_eq!(BTreeSet::from_iter(ids(target, &requests)).len(), 1);
        // With this header, Stripe would answer each repetition with the stored server error.
        assert!(requests.iter().all(|request| !request.headers.contains_key("idempotency-key")));
    }
}

#[test]
fn a_server_that_asks_for_a_long_pause_is_named_and_nothing_is_lost() {
    let fixture = recent(1);
    let server = Server::start(|_, _| Reply::Status(429, "retry-after: 3600\r\n", "quota".to_owned()));
    let run = sent(&fixture, "lago", &server, &[]);
    assert!(
        run.code == Some(1) && run.stderr.contains("429 quota (attempt 1); run the command again later"),
        "{run:?}"
    );
}

/// A server that stores events as Lago does: a batch with a known event, or with one that isn't valid, is refused as a whole.
/// The place that a server names would get the events, and with another scheme or host, the API key.
#[test]
fn a_redirect_is_not_followed() {
    let fixture = recent(1);
    let elsewhere = Server::start(|_, _| success("openmeter"));
    let location: &str = format!("location: {}/api/v1/events\r\n", elsewhere.url).leak();
    let server = Server::start(move |_, _| Reply::Status(307, location, String::new()));
    let run = sent(&fixture, "openmeter", &server, &[]);
    assert_ne!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("307"), "{run:?}");
    assert_eq!((server.take().len(), elsewhere.take().len()), (1, 0));
}

fn lago(stored: &'static Mutex<Vec<String>>, invalid: &'static str) -> Server {
    Server::start(move |request, _| {
        let mut stored = stored.lock().unwrap();
        let (mut errors, mut new) = (Map::new(), Vec::new());
        for (place, event) in events("lago", request).iter().enumerate() {
            if event["external_subscription_id"] == invalid {
                errors.insert(place.to_string(), json!({ "timestamp": ["invalid_format"] }));
            } else if stored.contains(&id(event)) {
                errors.insert(place.to_string(), json!({ "transaction_id": ["value_already_exist"] }));
            }
            new.push(id(event));
        }
        if errors.is_empty() {
            stored.extend(new);
            return success("lago");
        }
        let body = json!({ "status": 422, "code": "validation_errors", "error_details": errors });
        Reply::status(422, &body.to_string())
    })
}

#[test]
fn lago_stores_each_event_once_however_often_the_command_runs() {
    static STORED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let fixture = recent(205);
    let server = lago(&STORED, "");
    let run = sent(&fixture, "lago", &server, &["--entity", "120"]);
    assert_eq!(run.stdout, "1 event sent to Lago\n");
    // The second batch has an event that is already there.
    let run = sent(&fixture, "lago", &server, &[]);
    assert_eq!((run.code, &*run.stdout), (Some(0), "204 events sent to Lago, 1 already there\n"), "{run:?}");
    let run = sent(&fixture, "lago", &server, &[]);
    assert_eq!((run.code, &*run.stdout), (Some(0), "0 events sent to Lago, 205 already there\n"), "{run:?}");
    let stored = STORED.lock().unwrap();
    assert_eq!((stored.len(), stored.iter().collect::<BTreeSet<_>>().len()), (205, 205));
}

#[test]
fn a_refused_event_is_named_with_its_row_and_the_others_are_sent() {
    static STORED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let fixture = recent(12);
    let server = lago(&STORED, "007");
    let run = sent(&fixture, "lago", &server, &[]);
    assert_eq!((run.code, &*run.stdout), (Some(1), "11 events sent to Lago, 1 refused\n"), "{run:?}");
    let named = "entity 007, resource orders, amount 8: 422 {\"timestamp\":[\"invalid_format\"]}";
    assert!(run.stderr.starts_with("refused: day ") && run.stderr.contains(named), "{run:?}");

    // OpenMeter doesn't say which event is the reason: it is found by halves.
    let server =
        Server::start(|request, _| match events("openmeter", request).iter().any(|event| event["subject"] == "007") {
            true => Reply::status(400, r#"{"title":"Bad Request","detail":"unknown subject"}"#),
            false => success("openmeter"),
        });
    let run = sent(&fixture, "openmeter", &server, &["--json"]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &report["sent"]), (Some(1), &json!(11)), "{run:?}");
    assert_eq!(report["refused"][0]["reason"], "400 unknown subject");
    assert!(report["refused"][0]["row"].as_str().unwrap().contains("entity 007"), "{report:#}");
}

/// Stripe uses the last event of a customer and meter in an hour or day. The other systems add all events up.
#[test]
fn stripe_gets_one_event_of_a_customer_and_meter_in_each_window() {
    let fixture = recent(2);
    std::fs::write(fixture.0.path().join("customers.csv"), "entity,customer\n000,cus_1\n001,cus_1\n").unwrap();
    for (target, expected) in [("stripe", "1 event sent to Stripe, 1 refused\n"), ("lago", "2 events sent to Lago\n")] {
        let server = Server::start(move |_, _| success(target));
        let run = sent(&fixture, target, &server, &["--customers", "customers.csv"]);
        assert_eq!((run.code, &*run.stdout), (Some(i32::from(target == "stripe")), expected), "{run:?}");
        let refused =
            "entity 001, resource orders, amount 2: another row of this window has the same customer and event name";
        assert_eq!(run.stderr.contains(refused), target == "stripe", "{run:?}");
    }
}

/// Stripe takes an identifier once in 24 hours, and uses the event of a customer, meter, and window that it got last.
#[tokio::test(flavor = "multi_thread")]
async fn stripe_gets_a_value_again_that_a_repair_brings_back() {
    static STORED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
    let fixture = Fixture::new();
    fixture.write_orders(|text| text.replacen("[snapshot]\n", "[snapshot]\nclosing = { grace = \"1h\" }\n", 1));
    let second = event_source_mapping::now().unwrap().seconds() - 3 * 86_400;
    let mut order = order_of("7", 1, "10");
    order["dynamodb"]["ApproximateCreationDateTime"] = json!(second);
    fixture.write("event.json", &event(&[order]));
    assert_eq!(fixture.run(&["invoke", "event.json", "--pipeline-dir", "orders"]).code, Some(0));
    let server = Server::start(|request, _| {
        let events = events("stripe", request);
        let (id, value) = (id(&events[0]), events[0]["payload[value]"].as_str().unwrap().to_owned());
        let mut stored = STORED.lock().unwrap();
        if stored.iter().any(|(known, _)| *known == id) {
            let message = format!("An event already exists with identifier {id}.");
            return Reply::status(400, &json!({ "error": { "message": message } }).to_string());
        }
        stored.push((id, value));
        success("stripe")
    });
    let send = |expected: &str| {
        let run = sent(&fixture, "stripe", &server, &["--pipeline-dir", "orders"]);
        assert_eq!((run.code, &*run.stdout), (Some(0), expected), "{run:?}");
    };
    send("1 event sent to Stripe\n");
    change(&fixture, "day", &[("amount", AttributeValue::N("99".to_owned()))]).await;
    send("1 event sent to Stripe\n");
    let day = minute_of(second)[..10].to_owned();
    let repair = ["prove", &day, "--local", "--pipeline-dir", "orders", "--repair", "--author", "ann"];
    let repaired = fixture.run(&repair);
    assert!(repaired.stdout.contains("1 snapshot written again from the ledger"), "{repaired:?}");
    send("1 event sent to Stripe\n");
    send("0 events sent to Stripe, 1 already there\n");
    let stored = STORED.lock().unwrap();
    assert_eq!(stored.iter().map(|(_, value)| &**value).collect::<Vec<_>>(), ["10", "99", "10"]);
}

#[test]
fn what_stripe_refuses_is_named_without_a_request() {
    let fixture = Fixture::new();
    fixture.write("event.json", &event(&[order_of("7", 1, "129.9")]));
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    let server = Server::start(|_, _| success("stripe"));
    let run = sent(&fixture, "stripe", &server, &[]);
    assert_eq!((run.code, server.take().len()), (Some(1), 0), "{run:?}");
    assert!(run.stderr.contains("entity 7, resource orders, amount 129.9: Stripe takes whole numbers only"), "{run:?}");
}

#[test]
fn a_key_that_is_not_valid_stops_the_command() {
    let fixture = recent(3);
    for target in TARGETS {
        let server = Server::start(|_, _| Reply::status(401, r#"{"error":{"message":"Invalid API Key"}}"#));
        let run = sent(&fixture, target, &server, &[]);
        assert!(run.code == Some(1) && run.stderr.contains("denied access: 401 Invalid API Key; check "), "{run:?}");
        assert!(!run.stderr.contains("secret-of"), "{run:?}");
    }
}

#[test]
fn customers_come_from_a_file_and_provisional_rows_are_not_sent() {
    let fixture = recent(2);
    std::fs::write(fixture.0.path().join("customers.csv"), "entity,customer\n001,cus_NciAYcXfLnqBoz\n").unwrap();
    let server = Server::start(|_, _| success("stripe"));
    let run = sent(&fixture, "stripe", &server, &["--customers", "customers.csv"]);
    assert_eq!((run.code, &*run.stdout), (Some(1), "1 event sent to Stripe, 1 refused\n"), "{run:?}");
    assert!(
        run.stderr.contains("entity 000, resource orders, amount 1: the --customers file has no line for this entity"),
        "{run:?}"
    );
    let requests = server.take();
    assert_eq!(events("stripe", &requests[0])[0]["payload[stripe_customer_id]"], "cus_NciAYcXfLnqBoz");

    let run = sent(&fixture, "stripe", &server, &["--grace", "20000d"]);
    assert_eq!((run.code, &*run.stdout, server.take().len()), (Some(0), "0 events sent to Stripe\n", 0));
    assert!(run.stderr.starts_with("note: 2 provisional rows not sent: run the command again"), "{run:?}");
}

#[test]
fn a_dry_run_prints_the_exact_requests_and_needs_no_key() {
    let fixture = counted();
    let mut printed = String::new();
    for (target, window) in [("openmeter", "month"), ("lago", "month")] {
        let run = fixture.run(&["export", "--local", "--window", window, "--to", target, "--dry-run"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        printed.push_str(&format!("$ {target}\n{}{}\n", run.stdout, run.stderr));
    }
    insta::assert_snapshot!("export_dry_run", printed);
    let fixture = recent(1);
    let server = Server::start(|_, _| success("stripe"));
    let dry = sent(&fixture, "stripe", &server, &["--dry-run", "--json"]);
    assert_eq!((dry.code, server.take().len()), (Some(0), 0));
    let dry: Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(sent(&fixture, "stripe", &server, &[]).code, Some(0));
    let requests = server.take();
    let [real] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((&dry["body"], &dry["url"]), (&json!(real.body), &json!(format!("{}{}", server.url, real.path))));
    for (name, value) in dry["headers"].as_object().unwrap() {
        let sent = real.headers[&name.to_lowercase()].as_str();
        let shown = sent.replace("secret-of-", "$");
        assert_eq!(value.as_str(), Some(shown.as_str()));
    }
}
