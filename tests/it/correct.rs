//! `usagectl correct`: what people add and take back counts once, is refused where it can't be exact, and survives a command that is
//! killed at any step.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use laptop::emulators::{Services, sdk_config};
use serde_json::{Value, json};
use usage_aggregator::ledger::{LedgerTable, PageContent, PageKind, Registered, Signature};
use usage_aggregator::usage::{CounterKey, Segment};

use crate::fixture::{Fixture, Run, event, order};
use crate::local::Background;
use crate::reconcile_stack::Deployed;
use crate::redrive::lambda::listen;
use crate::world::{at, ledger_in};

/// 5 minutes past the hour, two hours ago, in seconds since the epoch.
pub fn recent() -> i64 {
    let now = jiff::Timestamp::now().as_second();
    now - now.rem_euclid(3_600) - 7_200 + 300
}

/// The minute of a second.
pub fn minute_of(second: i64) -> String {
    Segment::at(second).text()
}

/// An order of customer 7 with a total, created at a second.
pub fn order_at(number: u32, total: &str, second: i64) -> Value {
    let mut record = order(number, json!({ "N": total }));
    record["dynamodb"]["ApproximateCreationDateTime"] = json!(second);
    record
}

/// A data folder with three orders of customer 7: 129.9 and 0.1 in one minute, and 70 in the next.
pub fn counted() -> Fixture {
    let fixture = Fixture::new();
    let second = recent();
    let records = [order_at(1, "129.9", second), order_at(2, "0.1", second), order_at(3, "70", second + 60)];
    fixture.write("event.json", &event(&records));
    let run = fixture.run(&["invoke", "event.json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    fixture
}

const GROUP: [&str; 4] = ["--entity", "7", "--resource", "orders"];
const SIGNED: [&str; 5] = ["--author", "ann", "--reason", "it was a test", "--local"];

fn add<'a>(measure: &'a str, amount: &'a str, at: &'a str) -> Vec<&'a str> {
    let what = ["--measure", measure, "--amount", amount, "--at", at];
    [&["correct", "add"], &GROUP[..], &what, &SIGNED].concat()
}

/// The measures of customer 7 in the month.
pub fn month(fixture: &Fixture) -> Value {
    let run = fixture.run(&["snapshots", "--entity", "7", "--window", "month", "--json"]);
    let row: Value =
        serde_json::from_str(run.stdout.lines().next_back().unwrap()).unwrap_or_else(|_| panic!("{run:?}"));
    row["measures"].clone()
}

fn agrees(fixture: &Fixture) {
    let run = fixture.run(&["reconcile", "--archive"]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

fn refused(fixture: &Fixture, arguments: &[&str], expected: &str) {
    let run = fixture.run(arguments);
    assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{run:?}");
    assert!(run.stderr.contains(expected), "expected {expected}: {run:?}");
}

#[test]
fn a_correction_counts_once_however_often_it_is_put() {
    let fixture = counted();
    let at = minute_of(recent());
    let dry = fixture.json(&[&add("amount", "-29.95", &at)[..], &["--dry-run"]].concat());
    assert_eq!((&dry["dry_run"], &dry["shown"]), (&json!(true), &Value::Null), "{dry:#}");
    assert_eq!(month(&fixture)["amount"], json!("200"), "a dry run writes nothing");

    let first = fixture.json(&add("amount", "-29.95", &at));
    let windows: Vec<Value> =
        first["windows"].as_array().unwrap().iter().map(|window| json!([window["before"], window["after"]])).collect();
    assert_eq!(windows, vec![json!(["200", "170.05"]); 3], "{first:#}");
    assert_eq!((&first["shown"], &first["counted_before"], &first["id"]), (&json!(true), &json!(false), &dry["id"]));
    assert_eq!(month(&fixture)["amount"], json!("170.05"));
    agrees(&fixture);

    let again = fixture.run(&add("amount", "-29.95", &at));
    assert!(again.stdout.contains("It was in the ledger already, so nothing changed."), "{again:?}");
    assert_eq!(month(&fixture), json!({ "amount": "170.05", "changes": "3", "orders": "3" }));
    // The printed command names everything, so that it makes the same record after a restore.
    let command = first["command"].as_str().unwrap();
    let words: Vec<String> =
        command.replace("'it was a test'", "it_was_a_test").split(' ').map(|word| word.replace('_', " ")).collect();
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    assert_eq!(fixture.json(&words)["counted_before"], json!(true), "{command}");
    // What is redelivered and swept still doesn't change it.
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    let swept = fixture.json(&["ledger", "sweep", &at, "--windows", "--local"]);
    assert_eq!((&swept["repaired"], &month(&fixture)["amount"]), (&json!(0), &json!("170.05")), "{swept}");
}

#[test]
fn a_name_stands_for_one_correction() {
    let fixture = counted();
    let (at, next) = (minute_of(recent()), minute_of(recent() + 60));
    let with_id = |measure, amount, at| [&add(measure, amount, at)[..], &["--id", "T-1"]].concat();
    assert_eq!(fixture.run(&with_id("amount", "5", &at)).code, Some(0));
    let taken = "--id: `T-1` is already the correction of";
    refused(&fixture, &with_id("amount", "5", &next), taken);
    refused(&fixture, &with_id("amount", "6", &at), taken);
    refused(&fixture, &with_id("orders", "5", &at), taken);
    let mut by_another = with_id("amount", "5", &at);
    let author = by_another.iter().position(|word| *word == "ann").unwrap();
    by_another[author] = "bob";
    // Nobody is advised to count it a second time under another name.
    let same = "by ann (it was a test), with the same values; to repeat it, specify the same --author and --reason\n";
    refused(&fixture, &by_another, same);
    let for_another_reason: Vec<&str> = with_id("amount", "5", &at)
        .into_iter()
        .map(|word| if word == "it was a test" { "it was one" } else { word })
        .collect();
    refused(&fixture, &for_another_reason, same);
    assert_eq!(month(&fixture)["amount"], json!("205"));
    // Without a name, another reason or amount is another correction.
    assert_eq!(fixture.run(&add("amount", "6", &at)).code, Some(0));
    assert_eq!(month(&fixture)["amount"], json!("211"));
    agrees(&fixture);
}

#[test]
fn what_could_not_be_exact_is_refused_with_what_to_do() {
    let fixture = counted();
    let at = minute_of(recent());
    let now = jiff::Timestamp::now().as_second();
    refused(&fixture, &add("amount", "1", &minute_of(now + 7_200)), "is in the future; choose a minute that has begun");
    refused(&fixture, &add("amount", "1", &minute_of(now - 19 * 86_400)), "before the horizon of 18 days");
    refused(&fixture, &add("amonut", "1", &at), "unknown measure `amonut`; expected one of amount, changes, orders");
    refused(&fixture, &add("amount", "0", &at), "0 changes nothing");
    refused(&fixture, &add("amount", "1e38x", &at), "expected a decimal number");
    let digits = format!("0.{}1", "0".repeat(37));
    refused(&fixture, &add("amount", &digits, &at), "would need more than 38 digits");
    let mut misspelled = add("amount", "1", &at);
    misspelled[3] = "77";
    refused(&fixture, &misspelled, "77 orders has no usage in");
    misspelled.push("--new");
    assert_eq!(fixture.run(&misspelled).code, Some(0));
    let unsigned: Vec<&str> =
        add("amount", "1", &at).into_iter().filter(|word| !["--author", "ann"].contains(word)).collect();
    refused(&fixture, &unsigned, "USER isn't set; specify a name with --author");
    let mut by_user = fixture.command(&unsigned);
    let run: Run = by_user.env("USER", "carl").output().unwrap().into();
    assert!(run.code == Some(0) && run.stdout.contains("by carl: it was a test"), "{run:?}");
    assert_eq!(month(&fixture)["amount"], json!("201"), "nothing else was written");
    agrees(&fixture);
}

#[test]
fn regression_no_amount_is_added_to_a_measure_that_is_not_a_sum() {
    let fixture = Fixture::new();
    let event = crate::repository().join("events/api-usage.json");
    let run = fixture.run(&["invoke", "--pipeline", "api-usage", event.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let at = minute_of(recent());
    for measure in ["latency_ms", "latency_ms_max"] {
        let what = ["correct", "add", "--pipeline", "api-usage", "--entity", "acme", "--resource", "all", "--new"];
        let amount = ["--measure", measure, "--amount", "5", "--at", &at];
        refused(&fixture, &[&what[..], &amount, &SIGNED].concat(), "isn't a sum, so no amount can be added to it");
    }
}

/// The records of the fixture's first minute, by amount.
fn record(fixture: &Fixture, amount: &str) -> String {
    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (pages, _) = runtime.block_on(stored(&ledger(&services)));
    let found = pages.iter().find_map(|content| {
        let group = &content.groups[0];
        let measure = content.measures.iter().position(|measure| &*measure.name == "amount").unwrap();
        let row = (0..group.ids.len()).find(|row| group.columns[measure].value(*row).unwrap().to_string() == amount)?;
        Some(format!("{:016x}", group.ids[row]))
    });
    found.unwrap()
}

fn ledger(services: &Services) -> LedgerTable {
    ledger_in(services.dynamodb_client(&sdk_config(None)), "ledger")
}

/// The pages of usage of the fixture's minutes, and all corrections.
async fn stored(ledger: &LedgerTable) -> (Vec<PageContent>, Vec<Registered>) {
    let mut pages = Vec::new();
    for minute in [Segment::at(recent()), Segment::at(recent() + 60)] {
        let read = ledger.pages(minute, 0..1, None).await.unwrap();
        pages.extend(read.into_iter().filter(|page| page.kind == PageKind::Usage).map(|page| page.content));
    }
    (pages, ledger.registered(None).await.unwrap())
}

fn void<'a>(records: &[&'a str], at: &'a str) -> Vec<&'a str> {
    [&["correct", "void", "--at", at], &SIGNED[..], &["--record"], records].concat()
}

#[test]
fn a_record_that_was_taken_back_counts_nowhere_even_if_it_is_delivered_again() {
    let fixture = counted();
    let at = minute_of(recent());
    let large = record(&fixture, "129.9");
    refused(&fixture, &void(&["00000000000000aa", &large], &at), "has no record 00000000000000aa");
    refused(&fixture, &void(&[&large], &minute_of(recent() + 60)), "has no record");
    let dry = fixture.json(&[&void(&[&large], &at)[..], &["--dry-run"]].concat());
    assert_eq!(dry["records"][0]["amounts"], json!({ "amount": "129.9", "changes": "1", "orders": "1" }), "{dry:#}");
    assert_eq!(month(&fixture)["amount"], json!("200"));

    let taken = fixture.json(&void(&[&large], &at));
    assert_eq!((&taken["shown"], &taken["registered_before"]), (&json!(true), &json!(false)), "{taken:#}");
    let rest = json!({ "amount": "70.1", "changes": "2", "orders": "2" });
    assert_eq!(month(&fixture), rest);
    agrees(&fixture);
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0), "delivered again");
    assert_eq!(month(&fixture), rest);
    let again = fixture.json(&void(&[&large], &at));
    assert_eq!((&again["registered_before"], &again["page"]), (&json!(true), &taken["page"]), "{again:#}");
    // With another reason, there is nothing left to take back; of two records, only the other one is.
    let other = |records: &[&str]| {
        let mut words: Vec<String> = void(&[], &at).iter().map(|word| word.replace("it was a test", "twice")).collect();
        words.extend(records.iter().map(|record| (*record).to_owned()));
        fixture.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(other(&[&large]).stdout.contains("nothing to take back: the record was taken back before"));
    let small = record(&fixture, "0.1");
    let both = other(&[&large, &small]);
    assert!(both.code == Some(0) && both.stderr.contains("note: skipping 1 record taken back before"), "{both:?}");
    assert_eq!(month(&fixture), json!({ "amount": "70", "changes": "1", "orders": "1" }));
    agrees(&fixture);
}

#[test]
fn a_name_of_a_void_stands_for_its_records() {
    let fixture = counted();
    let at = minute_of(recent());
    let (large, small) = (record(&fixture, "129.9"), record(&fixture, "0.1"));
    let named = |id: &'static str, records: &[&str]| {
        let mut words: Vec<String> = void(records, &at).into_iter().map(str::to_owned).collect();
        words.extend(["--id".to_owned(), id.to_owned()]);
        words
    };
    let run = |words: Vec<String>| fixture.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(run(named("T-1", &[&large])).code, Some(0));
    // The other record still counts, so this is not the same request.
    let more = run(named("T-1", &[&large, &small]));
    assert_eq!((more.code, &*more.stdout), (Some(2), ""), "{more:?}");
    let taken = format!(
        "--id: `T-1` is already the void of {at} by ann (it was a test), with other values; choose another name"
    );
    assert!(more.stderr.contains(&taken), "{more:?}");
    let rest = json!({ "amount": "70.1", "changes": "2", "orders": "2" });
    assert_eq!(month(&fixture), rest, "nothing is taken back under a name that stands for something else");
    // A record that was already taken back under another name is skipped, so the repeated command names it, too.
    assert_eq!(run(named("T-2", &[&large, &small])).code, Some(0));
    let repeated = run(named("T-2", &[&large, &small]));
    assert!(repeated.code == Some(0) && repeated.stdout.contains("so nothing changed"), "{repeated:?}");
    assert_eq!(month(&fixture), json!({ "amount": "70", "changes": "1", "orders": "1" }));
    agrees(&fixture);
}

/// As in a stack that reads Kinesis, which stores whole ids.
#[test]
fn a_void_of_whole_ids_is_repeated() {
    let fixture = Fixture::new();
    let whole =
        |words: &[&str]| -> Run { fixture.command(words).env("RECORD_ID_BYTES", "16").output().unwrap().into() };
    fixture.write("event.json", &event(&[order_at(1, "129.9", recent()), order_at(2, "0.1", recent())]));
    assert_eq!(whole(&["invoke", "event.json"]).code, Some(0));
    let (at, id) = (minute_of(recent()), format!("{:0>32}", record(&fixture, "129.9")));
    let words = [&void(&[&id], &at)[..], &["--id", "T-1"]].concat();
    let (taken, again) = (whole(&words), whole(&words));
    assert!(taken.code == Some(0) && taken.stdout.contains(&id), "{taken:?}");
    assert!(again.code == Some(0) && again.stdout.contains("so nothing changed"), "{again:?}");
}

/// A correction has its whole id, and a void has as much of it as the other pages of the minute have.
#[test]
fn a_correction_that_was_taken_back_is_nowhere_shown_as_counting() {
    for id_bytes in ["8", "16"] {
        let fixture = Fixture::new();
        let run = |words: &[&str]| -> Run {
            fixture.command(words).env("RECORD_ID_BYTES", id_bytes).output().unwrap().into()
        };
        fixture.write("event.json", &event(&[order_at(1, "129.9", recent())]));
        assert_eq!(run(&["invoke", "event.json"]).code, Some(0));
        let at = minute_of(recent());
        assert_eq!(run(&[&add("amount", "1000", &at)[..], &["--id", "T-1"]].concat()).code, Some(0));
        let corrections = || {
            let exported = run(&["export", "--local", "--json", "--corrections"]).stdout;
            let listed = run(&["correct", "list", "--local", "--json"]).stdout;
            (exported.matches(r#""kind":"correction""#).count() > 0, listed.contains(r#""standing":"taken_back""#))
        };
        assert_eq!(corrections(), (true, false), "{id_bytes}");
        assert_eq!(run(&[&["correct", "void", "--correction", "T-1"], &SIGNED[..]].concat()).code, Some(0));
        assert_eq!(corrections(), (false, true), "{id_bytes}");
    }
}

#[test]
fn the_command_that_repeats_a_correction_names_its_data_folder() {
    let fixture = counted();
    std::fs::rename(fixture.0.path().join(".usage"), fixture.0.path().join("it's mine")).unwrap();
    let at = minute_of(recent());
    let elsewhere = ["--data", "it's mine"];
    let added = fixture.json(&[&add("amount", "5", &at)[..], &elsewhere].concat());
    let command = added["command"].as_str().unwrap();
    assert!(command.contains(r" --data='it'\''s mine' --local"), "{command}");
    let mut by_variable = fixture.command(&add("amount", "5", &at));
    let run: Run = by_variable.env("USAGECTL_DATA", "it's mine").output().unwrap().into();
    assert!(run.code == Some(0) && run.stderr.contains(r" --data='it'\''s mine' --local"), "{run:?}");
}

#[test]
fn a_correction_that_was_taken_back_adds_nothing() {
    let fixture = counted();
    let at = minute_of(recent());
    let name = fixture.json(&add("amount", "1000", &at))["id"].as_str().unwrap().to_owned();
    assert_eq!(month(&fixture)["amount"], json!("1200"));
    let large = record(&fixture, "129.9");
    assert_eq!(fixture.run(&void(&[&large], &at)).code, Some(0));
    assert_eq!(month(&fixture)["amount"], json!("1070.1"), "a correction and a void of one minute");
    refused(
        &fixture,
        &[&["correct", "void", "--correction", "T-9"], &SIGNED[..]].concat(),
        "no correction has the name `T-9`",
    );
    let taken = fixture.run(&[&["correct", "void", "--correction", &name], &SIGNED[..]].concat());
    assert_eq!(taken.code, Some(0), "{taken:?}");
    assert_eq!(month(&fixture)["amount"], json!("70.1"));
    agrees(&fixture);
    // Putting it again doesn't bring it back.
    assert_eq!(fixture.run(&add("amount", "1000", &at)).code, Some(0));
    assert_eq!(month(&fixture)["amount"], json!("70.1"));

    let listed = fixture.run(&["correct", "list", "--local", "--json"]);
    let lines: Vec<Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_kind = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of_kind("correction").len(), of_kind("void").len()), (1, 2), "{listed:?}");
    let correction = of_kind("correction")[0];
    assert_eq!((&correction["standing"], &correction["author"]), (&json!("taken_back"), &json!("ann")));
    assert_eq!(correction["records"][0]["amounts"], json!({ "amount": "1000" }));
    let table = fixture.run(&["correct", "list", "--local", "--entity", "7"]).stdout;
    assert!(table.contains("takes back") && table.contains("it was a test"), "{table}");
    assert!(fixture.run(&["correct", "list", "--local", "--entity", "8"]).stdout.contains("no corrections found"));
}

/// A command that was killed has left a registered correction, or that and its page.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_killed_at_any_step_is_completed_by_the_next_one() {
    for has_page in [false, true] {
        let fixture = counted();
        let at = minute_of(recent());
        let arguments = [&add("amount", "5", &at)[..], &["--id", "T-1"]].concat();
        {
            let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
            let ledger = ledger(&services);
            let signature = Signature { id: "T-1".into(), author: "ann".into(), reason: "it was a test".into() };
            let key = CounterKey(vec!["7".to_owned(), "orders".to_owned()]);
            let amount = ("amount", usage_aggregator::decimal::Decimal::from(5));
            let (page, kind) = signature.correction(Segment::at(recent()), &key, amount, 1).unwrap();
            ledger.register(&signature, &page, &kind, None).await.unwrap();
            if has_page {
                ledger.put_page(&page, &kind, None).await.unwrap();
            }
        }
        assert_eq!(month(&fixture)["amount"], json!("200"), "it isn't folded yet");
        let listed = fixture.json(&["correct", "list", "--local"]);
        assert_eq!(listed["standing"], json!(if has_page { "counts" } else { "unfinished" }));
        if !has_page {
            // What was never put isn't expected.
            agrees(&fixture);
        }
        assert_eq!(fixture.run(&arguments).code, Some(0));
        assert_eq!(month(&fixture)["amount"], json!("205"), "page: {has_page}");
        agrees(&fixture);
    }
}

/// The standing of each correction and void, by name.
fn standings(fixture: &Fixture) -> Vec<(String, String)> {
    let listed = fixture.run(&["correct", "list", "--local", "--json"]).stdout;
    let lines = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| ["id", "standing"].map(|name| line[name].as_str().unwrap().to_owned()).into()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_that_was_killed_at_any_step_is_completed_by_the_next_one() {
    for has_page in [false, true] {
        let fixture = counted();
        let at = minute_of(recent());
        assert_eq!(fixture.run(&[&add("amount", "5", &at)[..], &["--id", "C-1"]].concat()).code, Some(0));
        {
            let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
            let ledger = ledger(&services);
            let content = ledger.registered_as("C-1", None).await.unwrap().unwrap().content;
            let signature = Signature { id: "V-1".into(), author: "ann".into(), reason: "it was a test".into() };
            let (page, kind) = signature.void(Segment::at(recent()), content);
            ledger.register(&signature, &page, &kind, None).await.unwrap();
            if has_page {
                ledger.put_page(&page, &kind, None).await.unwrap();
            }
        }
        let expected = if has_page { ["taken_back", "counts"] } else { ["counts", "unfinished"] };
        let expected = [("C-1", expected[0]), ("V-1", expected[1])].map(|(id, standing)| (id.into(), standing.into()));
        assert_eq!(standings(&fixture), expected, "page: {has_page}");
        if !has_page {
            agrees(&fixture);
        }
        let arguments = [&["correct", "void", "--correction", "C-1", "--id", "V-1"], &SIGNED[..]].concat();
        let report = fixture.json(&[&arguments[..], &["--dry-run"]].concat());
        let before = [&report["registered_before"], &report["counted_before"]];
        assert_eq!(before, [&json!(true), &json!(has_page)], "{report:#}");
        let run = fixture.run(&arguments);
        let says_nothing_changed = run.stdout.contains("It was in the ledger already, so nothing changed.");
        assert_eq!((run.code, says_nothing_changed), (Some(0), has_page), "{run:?}");
        assert_eq!(month(&fixture)["amount"], json!("200"), "page: {has_page}");
        agrees(&fixture);
    }
}

/// An earlier command was killed before it put the page.
#[tokio::test(flavor = "multi_thread")]
async fn a_void_of_a_window_that_has_closed_meanwhile_is_not_completed() {
    let fixture = counted();
    fixture.write_orders(|text| {
        let customer = "entity = \"{customer}\"\n";
        let time = format!("window_time = {{ attribute = \"placed_at\", beyond = \"reject\" }}\n{customer}");
        let closing = "[snapshot]\nclosing = { grace = \"1m\", late = \"adjust\" }\n";
        text.replace("[snapshot]\n", closing).replace(customer, &time)
    });
    let at = minute_of(recent() + 60);
    let id = tokio::task::block_in_place(|| record(&fixture, "70"));
    let arguments = [&void(&[&id], &at)[..], &["--id", "V-1"]].concat();
    {
        let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
        let ledger = ledger(&services);
        let minute = Segment::at(recent() + 60);
        let content = ledger.pages(minute, 0..1, None).await.unwrap().remove(0).content;
        let signature = Signature { id: "V-1".into(), author: "ann".into(), reason: "it was a test".into() };
        let (page, kind) = signature.void(minute, content);
        ledger.register(&signature, &page, &kind, None).await.unwrap();
    }
    refused(&fixture, &[&arguments[..], &["--pipeline-dir", "orders"]].concat(), "closed windows don't change");
    assert_eq!(month(&fixture)["amount"], json!("200"));
    // Without such a rule, it is completed.
    assert_eq!(fixture.run(&arguments).code, Some(0));
    assert_eq!(month(&fixture)["amount"], json!("130"));
}

/// Pages expire, and the register doesn't.
#[tokio::test(flavor = "multi_thread")]
async fn a_correction_that_was_never_put_does_not_count_after_its_minute_has_expired() {
    let fixture = counted();
    {
        let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
        let ledger = ledger(&services);
        let key = CounterKey(vec!["7".to_owned(), "orders".to_owned()]);
        let amount = ("amount", usage_aggregator::decimal::Decimal::from(5));
        let signature = Signature { id: "C-1".into(), author: "ann".into(), reason: "late".into() };
        let (page, kind) = signature.correction(Segment::at(recent() - 60 * 86_400), &key, amount, 1).unwrap();
        ledger.register(&signature, &page, &kind, None).await.unwrap();
    }
    let with = |standing: &str| vec![("C-1".to_owned(), standing.to_owned())];
    assert_eq!(standings(&fixture), with("not_known"));
    assert!(fixture.run(&["correct", "list", "--local"]).stdout.contains("expired, not known"));
    agrees(&fixture);
    {
        let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
        let ledger = ledger(&services);
        let registered = ledger.registered_as("C-1", None).await.unwrap().unwrap();
        ledger.note_put(&registered, None).await.unwrap();
    }
    assert_eq!(standings(&fixture), with("counts"), "its page is known to have been put");
}

#[test]
fn a_name_in_an_error_does_not_control_the_terminal() {
    let fixture = counted();
    let at = minute_of(recent());
    let run = fixture.run(&add("am\u{1b}[2Jount\u{9b}31m", "1", &at));
    assert!(run.stderr.starts_with("error: --measure: unknown measure `am\u{fffd}[2Jount\u{fffd}31m`"), "{run:?}");
    let controls = run.stderr.chars().filter(|c| c.is_control() && *c != '\n').count();
    assert_eq!((run.code, controls), (Some(2), 0), "{run:?}");
}

#[test]
fn a_running_local_folds_corrections_while_it_folds_load() {
    let fixture = Fixture::new();
    let local = Background::start(&fixture, &["--fold-window", "0"]);
    let load = ["simulate", "orders", "--rate", "0", "--entities", "3", "--records"];
    assert_eq!(fixture.run(&[&load[..], &["60"]].concat()).code, Some(0));
    assert_eq!(fixture.run(&["reconcile", "--wait", "60s"]).code, Some(0));
    let entity = {
        let rows = fixture.run(&["snapshots", "--window", "month", "--json"]).stdout;
        let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
        row["entity"].as_str().unwrap().to_owned()
    };
    let at = minute_of(jiff::Timestamp::now().as_second());
    let mut arguments = add("orders", "1000", &at);
    arguments[3] = &entity;
    // More load arrives and is folded in the same minute.
    let mut writing = fixture.command(&[&load[..], &["200"]].concat()).spawn().unwrap();
    let run = fixture.run(&arguments);
    assert!(run.code == Some(0) && run.stdout.contains("The snapshots show it"), "{run:?}");
    assert_eq!(writing.wait().unwrap().code(), Some(0));
    let again = fixture.run(&arguments);
    assert!(again.stdout.contains("It was in the ledger already"), "{again:?}");
    let exact = fixture.run(&["reconcile", "--wait", "60s"]);
    assert_eq!(exact.code, Some(0), "{exact:?}");
    local.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_stack_the_author_is_the_caller_and_the_fold_function_does_the_rest() {
    let deployed = Deployed::new("correct-stack").await;
    let second = recent();
    let now = at(&jiff::Timestamp::from_second(second + 60).unwrap().to_string());
    let records = [order_at(1, "129.9", second)];
    deployed.world.function().handler.append(&crate::prefix::event(&records), &now).await.unwrap();
    deployed.world.fold_all(&now).await;
    let minute = minute_of(second);
    let what = ["--measure", "amount", "--amount=-9.9", "--at", &minute, "--reason", "too much", "--stack", "counted"];
    let run = deployed.run(&[&["correct", "add"], &GROUP[..], &what, &["--json"]].concat()).await;
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    assert!(report["author"].as_str().unwrap().starts_with("arn:aws:"), "{report:#}");
    assert_eq!((&report["shown"], &report["windows"][0]["after"]), (&json!(false), &json!("120")), "{report:#}");
    let amount = async || -> Vec<AttributeValue> {
        deployed.world.items("usage").await.into_iter().map(|mut item| item.remove("amount").unwrap()).collect()
    };
    assert_eq!(amount().await, vec![AttributeValue::N("129.9".to_owned()); 3], "the fold function hasn't run");
    deployed.world.fold_all(&now).await;
    assert_eq!(amount().await, vec![AttributeValue::N("120".to_owned()); 3]);
    let day = minute.get(..10).unwrap();
    let (code, report) = deployed.report(day).await;
    assert_eq!((code, &report["agrees"]), (Some(0), &json!(true)), "{report:#}");
}

/// STS whose every answer names another session of a role, as for a profile with `role_arn` and no `role_session_name`.
async fn serve_sessions() -> String {
    let sessions = Arc::new(AtomicUsize::new(1_764_500_000));
    let caller = async |State(sessions): State<Arc<AtomicUsize>>| {
        let session = sessions.fetch_add(1, Ordering::Relaxed);
        let arn = format!("arn:aws:sts::123456789012:assumed-role/Admin/{session}");
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>{arn}</Arn><UserId>A:{session}</UserId><Account>123456789012</Account></GetCallerIdentityResult>\
             <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        )
    };
    listen(Router::new().route("/", post(caller)).with_state(sessions)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_that_another_session_of_the_role_repeats_counts_once() {
    let deployed = Deployed::new("correct-sessions").await;
    let sts = serve_sessions().await;
    let second = recent();
    let now = at(&jiff::Timestamp::from_second(second + 60).unwrap().to_string());
    deployed
        .world
        .function()
        .handler
        .append(&crate::prefix::event(&[order_at(1, "129.9", second)]), &now)
        .await
        .unwrap();
    deployed.world.fold_all(&now).await;
    let minute = minute_of(second);
    let run = async |arguments: &[&str]| -> Value {
        let signed = ["--reason", "too much", "--stack", "counted", "--json"];
        let run =
            deployed.run_in(&[&["correct"], arguments, &signed].concat(), &[("AWS_ENDPOINT_URL_STS", &sts)]).await;
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    };
    let add = |amount: &'static str, id: &[&'static str]| {
        [&["add"], &GROUP[..], &["--measure", "amount", "--at", &minute, amount], id].concat()
    };
    let named = ["--id", "T-1"];
    for arguments in [
        add("--amount=-9.9", &[]),
        add("--amount=1", &named),
        vec!["void", "--correction", "T-1"],
        vec!["void", "--correction", "T-1", "--id", "T-2"],
    ] {
        let first = run(&arguments).await;
        let again = run(&arguments).await;
        if arguments.contains(&"T-2") {
            assert_eq!(first["records"], json!([]), "it was taken back before: {first:#}");
            continue;
        }
        let counted = [&first["counted_before"], &again["counted_before"]];
        assert_eq!(counted, [&json!(false), &json!(true)], "{arguments:?} {first:#} {again:#}");
        let names = ["id", "page", "author", "record_id", "command"];
        assert_eq!(names.map(|name| &first[name]), names.map(|name| &again[name]), "{arguments:?}");
        assert!(first["author"].as_str().unwrap().contains(":assumed-role/Admin/17645"), "{first:#}");
    }
    deployed.world.fold_all(&now).await;
    let amounts: Vec<AttributeValue> =
        deployed.world.items("usage").await.into_iter().map(|mut item| item.remove("amount").unwrap()).collect();
    assert_eq!(amounts, vec![AttributeValue::N("120".to_owned()); 3]);
    let listed = deployed.run(&["correct", "list", "--stack", "counted", "--json"]).await;
    assert_eq!(listed.stdout.lines().count(), 3, "two corrections and a void: {listed:?}");
}
