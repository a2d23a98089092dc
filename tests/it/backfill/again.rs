//! A backfill that is run again: for another ledger, for a later COUNT_FROM, and while another one runs.

use std::collections::BTreeSet;

use laptop::emulators::{TableSpec, ensure_tables};
use serde_json::{Value, json};

use super::export::{full, picture};
use super::report;
use super::table::Table;
use crate::fixture::Run;
use crate::world::{page_keys, text};

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

/// Scans from two data folders, and an export between them, write only rows. The rows of the first must be there once.
async fn only_one_picture_has_rows(table: &Table, claim: &str) {
    let rows = ["--archive-only", "--scan"];
    let first = durable(&run(table, &rows, &[]).await);
    assert_eq!(first, json!(9));
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let export = full(table, "01-full", &picture(table).await);
    for picture in [&["--scan"], &[export.to_str().unwrap()]] {
        let again = run(table, &[&rows[..1], picture, &["--data", "elsewhere"]].concat(), &[]).await;
        assert!(again.code == Some(2) && again.stderr.contains("every item would have a second row"), "{again:?}");
        assert!(again.stderr.contains(" as it was at 20"), "{again:?}");
    }
    assert_eq!(durable(&run(table, &rows, &[]).await), json!(0), "the first one is finished");
    let objects = table.world.objects().await;
    let of_rows = objects.iter().filter(|(key, _)| key.contains("/avro/"));
    let rows: Vec<String> =
        of_rows.flat_map(|(_, body)| crate::world::rows(body)).map(|row| text(&row, "record_id")).collect();
    let ids: BTreeSet<&String> = rows.iter().collect();
    assert_eq!((rows.len(), ids.len()), (9, 9));
    assert_eq!(objects.keys().filter(|key| key.contains("/backfill/")).count(), usize::from(claim == "object"));
    let ledger = table.world.items("ledger").await;
    assert_eq!((ledger.len(), page_keys(&ledger).len()), (usize::from(claim == "item"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_rows_of_another_picture_are_refused() {
    let table = Table::new("bf-pictures", 9).await;
    only_one_picture_has_rows(&table, "item").await;
    // A complete backfill has a claim of its own.
    table.attach_stream().await;
    assert_eq!(durable(&run(&table, &["--scan", "--data", "complete"], &[]).await), json!(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_rows_of_another_picture_are_refused_without_a_ledger() {
    let table = Table::new("bf-no-ledger", 9).await;
    let file = table.pipeline().join("pipeline.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (archived, counted) = (text.find("[[record]]").unwrap(), text.find("entity = ").unwrap());
    let archive = text.find("[record.archive]").unwrap();
    std::fs::write(&file, [&text[archived..counted], &text[archive..]].concat()).unwrap();
    only_one_picture_has_rows(&table, "object").await;
}
