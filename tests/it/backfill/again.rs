//! A backfill that is run again: for another ledger, for a later COUNT_FROM, and while another one runs.

use laptop::emulators::{TableSpec, ensure_tables};
use serde_json::{Value, json};

use super::export::{full, picture};
use super::report;
use super::table::Table;
use crate::fixture::Run;
use crate::world::page_keys;

/// Creates a table for a ledger.
async fn create(table: &Table, name: &str) {
    let spec = TableSpec { name, partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream: None };
    ensure_tables(&table.world.dynamodb, &[spec]).await.unwrap();
}

/// Runs the command with more variables.
async fn run(table: &Table, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = table.command(&[arguments, &["--json"]].concat());
    command.envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
}

fn durable(run: &Run) -> Value {
    assert_eq!(run.code, Some(0), "{run:?}");
    report(run)["durable"].clone()
}

/// The stream is gone, as if it had lost everything that the picture replaced.
async fn detach_stream(table: &Table) {
    let off = aws_sdk_dynamodb::types::StreamSpecification::builder().stream_enabled(false).build().unwrap();
    let update = table.world.dynamodb.update_table().table_name(&table.name);
    update.stream_specification(off).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_ledger_gets_everything_from_what_was_read_before() {
    let mut table = Table::new("bf-restored", 20).await;
    table.attach_stream().await;
    table.change(10, 30).await;
    let described = table.world.dynamodb.describe_table().table_name(&table.name).send().await.unwrap();
    let stream = described.table.unwrap().latest_stream_arn.unwrap();
    let export = full(&table, "01-full", &picture(&table).await);
    let first = [export.to_str().unwrap(), "--source-arn", &stream];
    let sent = durable(&run(&table, &first, &[]).await);
    assert_eq!(sent, json!(20));
    let pages = page_keys(&table.world.items("ledger").await);
    assert_eq!(durable(&run(&table, &first, &[]).await), json!(0), "every file is finished");
    detach_stream(&table).await;

    // A ledger of another name, as in the runbook.
    let restored = "bf-restored-ledger-2";
    create(&table, restored).await;
    let to_restored = [&first[..], &["--ledger-table", restored]].concat();
    let again = run(&table, &to_restored, &[("LEDGER_TABLE", restored)]).await;
    assert_eq!(durable(&again), sent, "{again:?}");
    let note = "note: the ledger or the archive is another one than before, so everything is sent again";
    assert!(again.stderr.contains(note), "{again:?}");
    let scan = table.world.dynamodb.scan().table_name(restored).send().await.unwrap();
    assert_eq!(page_keys(&scan.items.unwrap_or_default()), pages, "the opening values are there");

    // The same name again, and a new table.
    let ledger = table.world.variable("LEDGER_TABLE");
    table.world.dynamodb.delete_table().table_name(&ledger).send().await.unwrap();
    create(&table, &ledger).await;
    assert_eq!(durable(&run(&table, &first, &[]).await), sent);
    assert_eq!(page_keys(&table.world.items("ledger").await), pages);
    assert_eq!(durable(&run(&table, &first, &[]).await), json!(0), "every file is finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_count_from_has_a_cut_of_its_own() {
    let table = Table::new("bf-later", 12).await;
    table.attach_stream().await;
    let export = full(&table, "01-full", &picture(&table).await);
    let export = [export.to_str().unwrap()];
    let dry = run(&table, &[export[0], "--dry-run"], &[]).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    // A minute that hasn't begun, which only a new cut shows.
    let next = (jiff::Timestamp::now().as_second() / 60 + 2) * 60;
    let next = jiff::Timestamp::from_second(next).unwrap().strftime("%Y-%m-%dT%H:%M").to_string();
    let later = run(&table, &export, &[("COUNT_FROM", &next)]).await;
    assert!(later.code == Some(2) && later.stderr.contains(&format!("COUNT_FROM is {next}")), "{later:?}");
    assert_eq!(table.world.items("ledger").await.len(), 0, "no cut is stored");
    assert_eq!(durable(&run(&table, &export, &[]).await), json!(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_command_is_refused_while_the_first_one_runs() {
    let table = Table::new("bf-locked", 3).await;
    table.attach_stream().await;
    let dry = run(&table, &["--scan", "--dry-run"], &[]).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    let mut folders = std::fs::read_dir(table.fixture.0.path().join(".usage/backfill")).unwrap();
    let folder = folders.next().unwrap().unwrap().path();
    let lock = std::fs::File::open(folder.join("usagectl.lock")).unwrap();
    lock.lock().unwrap();
    let refused = run(&table, &["--scan"], &[]).await;
    assert!(refused.code == Some(1) && refused.stdout.contains("another usagectl backfill uses "), "{refused:?}");
    drop(lock);
    assert_eq!(durable(&run(&table, &["--scan"], &[]).await), json!(3));
}
