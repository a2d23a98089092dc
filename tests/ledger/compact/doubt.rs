//! Differences of the daily proof over the archive that aren't losses, or aren't certain: they are counted as unlinked, and raise no alarm.

use std::path::Path;
use std::time::Duration;

use laptop::emulators::in_process;
use serde_json::json;
use tokio::time::{Instant, sleep};
use usage_aggregator::pipeline::shipped;
use usage_aggregator::time::Timestamp;
use usage_compact::Answer;

use super::proof::{Deployed, changes, without};
use crate::place::Place;

/// A pipeline that sums up orders by what `matched` names, in files by `date`.
fn pipeline(folder: &Path, matched: &str, date: &str) -> String {
    let text = format!(
        r#"
sources = ["orders"]
[snapshot]
windows = ["hour"]
partition_key = {{ name = "pk", value = "CUSTOMER#{{entity}}" }}
sort_key = {{ name = "sk", value = "USAGE#{{resource}}#{{window}}#{{window_start}}" }}
[[record]]
type = "order"
match = {{ {matched} }}
entity = "{{customer}}"
resource = "orders"
[[record.measure]]
name = "amount"
kind = "delta"
attribute = "total"
scale = 2
[record.archive]
schema = "order.avsc"
partition_date = "{date}"
"#
    );
    let folder = folder.join("sums");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("pipeline.toml"), text).unwrap();
    std::fs::write(folder.join("order.avsc"), &shipped("orders").unwrap().files["order.avsc"]).unwrap();
    folder.to_str().unwrap().to_owned()
}

const BOTH_KEYS: &str = r#"pk = "CUSTOMER#{customer}", sk = "ORDER#{order}""#;

#[tokio::test(start_paused = true)]
async fn items_that_share_a_history_because_match_names_one_of_two_keys_raise_no_alarm() {
    let folder = tempfile::tempdir().unwrap();
    for (matched, exact) in [(BOTH_KEYS, true), (r#"pk = "CUSTOMER#{customer}""#, false)] {
        let folder = pipeline(folder.path(), matched, "created_at");
        let deployed = Deployed::with(&[("PIPELINE", ""), ("PIPELINE_DIR", &folder)]);
        deployed.deliver(&changes()).await;
        let [differences, unlinked] = deployed.proven().await;
        assert_eq!((differences, unlinked == 0), (0, exact), "{matched}");
    }
}

#[tokio::test(start_paused = true)]
async fn differences_of_a_stream_that_does_not_show_the_keys_are_counted_as_unlinked() {
    // As for changes that came through Kinesis, and for those of other tables.
    let other = [("SOURCE_ARN", "arn:aws:kinesis:eu-west-1:1:stream/orders")];
    let deployed = Deployed::with(&other);
    deployed.deliver(&changes()).await;
    assert_eq!(deployed.proven().await, [0, 0], "what fits is compared");
    let deployed = Deployed::with(&other);
    deployed.deliver(&without(&[3])).await;
    assert_eq!(deployed.proven().await, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn records_without_any_rows_are_lost_for_certain_if_the_keys_of_the_table_are_known() {
    let unknown = [("SOURCE_ARN", "arn:aws:dynamodb:eu-west-1:1:table/unknown/stream/1")];
    for (variables, found) in [(&[][..], [8, 0]), (&unknown, [0, 8])] {
        let deployed = Deployed::with(variables);
        deployed.deliver(&changes()).await;
        deployed.place.objects.delete_bucket("archive");
        deployed.place.objects.create_bucket("archive");
        assert_eq!(deployed.proven().await, found);
    }
}

#[tokio::test(start_paused = true)]
async fn records_from_before_a_change_of_what_is_counted_raise_no_alarm() {
    let deployed = Deployed::new();
    deployed.deliver(&changes()).await;
    deployed.take_page();
    assert_eq!(deployed.proven().await, [1, 0]);
    let deployed = Deployed::new();
    // The pipeline has counted since two hours before the record, when a gradual deployment may not have ended.
    deployed.deliver_only(&changes()[..5]).await;
    deployed.compact(4).await;
    deployed.deliver_only(&changes()[5..]).await;
    deployed.take_page();
    assert_eq!(deployed.proven().await, [0, 1]);
}

#[tokio::test]
async fn a_definition_counts_from_when_it_replaced_another_one() {
    let place = Place::new();
    let since = async |definition: &str, second: i64| {
        let now = Timestamp::from_seconds(1_795_816_800 + second).unwrap();
        place.folder.ledger.defined_since(definition, now, None).await.unwrap().seconds() - 1_795_816_800
    };
    assert_eq!(since("a", 10).await, 10);
    assert_eq!(since("a", 20).await, 10);
    assert_eq!(since("b", 30).await, 30);
    assert_eq!(since("a", 40).await, 40, "the one before was restored");
}

#[tokio::test(start_paused = true)]
async fn an_hour_that_differs_is_proven_again_before_it_is_reported() {
    let deployed = Deployed::new();
    deployed.deliver(&changes()).await;
    let page = deployed.take_page();
    let late = async {
        sleep(Duration::from_secs(30)).await;
        let client = in_process::clients(deployed.place.http.client()).dynamodb;
        client.put_item().table_name("ledger").set_item(Some(page)).send().await.unwrap();
    };
    let (proven, ()) = tokio::join!(deployed.proven(), late);
    assert_eq!(proven, [0, 0], "the page arrived in between");
    deployed.take_page();
    let soon = Instant::now() + Duration::from_secs(50);
    assert_eq!(deployed.proven_by(Some(soon)).await, [4, 0, 0], "no time is left to prove it again");
    assert_eq!(deployed.proven().await, [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn files_by_the_date_of_an_attribute_are_found_by_the_hour_of_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let folder = pipeline(folder.path(), BOTH_KEYS, "ship_on");
    let deployed = Deployed::with(&[("PIPELINE", ""), ("PIPELINE_DIR", &folder)]);
    deployed.deliver(&changes()).await;
    assert!(deployed.files("partition_date=2026-12-02").len() > 1);
    let listed =
        || deployed.place.http.calls().iter().filter(|(call, _)| call.path.trim_matches('/') == "archive").count();
    let before = listed();
    assert_eq!(deployed.proven().await, [0, 0]);
    assert_eq!(listed() - before, 5, "both kinds for their dates, and each of the three dates once, for all hours");
    deployed.compact(40).await;
    deployed.compact(40 + 25).await;
    assert_eq!(deployed.proven().await, [0, 0], "Parquet files only");
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_row_before_is_older_than_a_day_is_not_compared_and_counted() {
    let deployed = Deployed::new();
    let old = [(0, (-30, 1, None, Some(10))), (1, (3, 1, Some(9), Some(11))), (2, (4, 1, Some(11), Some(12)))];
    deployed.deliver(&old).await;
    assert_eq!(deployed.proven().await, [0, 1]);
}

#[tokio::test]
async fn a_proof_without_time_proves_nothing_and_says_so() {
    let deployed = Deployed::new();
    deployed.deliver(&changes()).await;
    let event = json!({ "prove": { "from": "2026-11-28T00", "hours": 3 } });
    let answer = deployed.function.handle(&event, Some(Instant::now())).await;
    assert!(answer.is_err() || answer.unwrap() == Answer::default());
}
