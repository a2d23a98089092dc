//! `usagectl reconcile --archive` and `usagectl prove` of a table that was backfilled.

use serde_json::json;

use super::export::{full, picture};
use super::report;
use super::table::{Table, today};
use crate::fixture::Run;

async fn reconcile(table: &Table) -> Run {
    table.run(&["reconcile", "--archive", "--json"]).await
}

async fn prove(table: &Table) -> Run {
    table.run(&["prove", &today().now.to_string()[..7], "--local", "--json"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reconcile_and_prove_are_exact_on_a_table_that_was_backfilled() {
    let mut table = Table::with_windows("bf-proof", 60, r#"["day", "month", "total"]"#).await;
    table.attach_stream().await;
    table.change(40, 80).await;
    table.deliver().await;
    let export = full(&table, "01-full", &picture(&table).await);
    table.change(40, 80).await;
    let run = table.backfill(&[export.to_str().unwrap(), "--json"]).await;
    assert_eq!((run.code, &report(&run)["rows"]["item"]), (Some(0), &json!(60)), "{run:?}");
    table.change(40, 80).await;
    table.deliver().await;
    table.world.fold_all(&today()).await;

    let reconciled = reconcile(&table).await;
    let compared = report(&reconciled);
    assert_eq!((reconciled.code, &compared["agrees"]), (Some(0), &json!(true)), "{compared:#}");
    let counted = &compared["counted"];
    assert_eq!(counted["records"], counted["agreeing_records"], "{compared:#}");
    assert_eq!(counted["records"], json!(60 + table.records().await.len()), "opening values and changes: {compared:#}");
    let proven = prove(&table).await;
    let proof = report(&proven);
    assert_eq!((proven.code, &proof["agrees"]), (Some(0), &json!(true)), "{proof:#}");
    assert_eq!(proof["archive"]["continuity"]["gap_count"], json!(0), "{proof:#}");
    assert_eq!(proof["archive"]["continuity"]["records"], counted["records"], "{proof:#}");
}
