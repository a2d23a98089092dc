//! `usagectl ledger rebuild --from-archive`: snapshots of windows that the ledger no longer has are written as they were; what the
//! archive doesn't show is named and left alone.

use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Run};
use crate::world::{StoredItem, World, at, services};

const PIPELINE: &str = r##"
[snapshot]
windows = ["hour", "day", "month"]
partition_key = { name = "pk", value = "OWNER#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window_key}" }
attributes = { owner = "{entity}" }

[[record]]
type = "item"
match = { pk = "OWNER#{owner}", sk = "ITEM#{item}" }
entity = "{owner}"
resource = "stock"

[[record.measure]]
name = "units"
kind = "delta"
attribute = "units"

[[record.measure]]
name = "changes"
kind = "count"

[[record.measure]]
name = "most"
kind = "max"
attribute = "units"

[[record.measure]]
name = "last"
kind = "latest"
attribute = "color"

[[record.measure]]
name = "colors"
kind = "distinct"
attribute = "color"

[[record.measure]]
name = "spread"
kind = "quantile"
attribute = "units"

[record.archive]
schema = "item.avsc"
"##;

const SCHEMA: &str = include_str!("../stock/item.avsc");

/// A world whose records are from long ago.
struct Old {
    world: World,
    fixture: Fixture,
    sequence: u32,
}

impl Old {
    async fn new(name: &str, text: &str) -> Old {
        let fixture = Fixture::new();
        let pipeline = fixture.0.path().join("stock");
        std::fs::create_dir(&pipeline).unwrap();
        std::fs::write(pipeline.join("pipeline.toml"), text).unwrap();
        std::fs::write(pipeline.join("item.avsc"), SCHEMA).unwrap();
        let world = World::of_folder(name, &pipeline).await;
        Old { world, fixture, sequence: 0 }
    }

    /// Counts and archives changes of an owner's item at once: from some units and a color to others.
    async fn change(
        &mut self,
        owner: u32,
        item: u32,
        time: &str,
        from: Option<(&str, &str)>,
        to: Option<(&str, &str)>,
    ) {
        self.sequence += 1;
        let keys = json!({ "pk": { "S": format!("OWNER#{owner}") }, "sk": { "S": format!("ITEM#{item}") } });
        let name = match (from, to) {
            (None, _) => "INSERT",
            (_, None) => "REMOVE",
            _ => "MODIFY",
        };
        let seconds = at(time).now.seconds();
        let mut record = json!({
            "eventID": format!("{:032x}", self.sequence), "eventName": name, "eventVersion": "1.1",
            "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/stock/stream/2024-01-01T00:00:00.000",
            "dynamodb": {
                "ApproximateCreationDateTime": seconds, "Keys": keys, "SizeBytes": 100,
                "SequenceNumber": format!("8000000000000000{:05}", self.sequence), "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        });
        for (image, values) in [("OldImage", from), ("NewImage", to)] {
            if let Some((units, color)) = values {
                record["dynamodb"][image] = keys.clone();
                record["dynamodb"][image]["units"] = json!({ "N": units });
                record["dynamodb"][image]["color"] = json!({ "S": color });
            }
        }
        let event = json!({ "Records": [record] }).to_string();
        let outcome = self.world.function().handler.append(event.as_bytes(), &at(time)).await.unwrap();
        assert_eq!(outcome.durable, 1);
    }

    /// Three owners in two days, counted and published.
    async fn filled(name: &str) -> Old {
        Old::filled_by(name, PIPELINE).await
    }

    async fn filled_by(name: &str, pipeline: &str) -> Old {
        let mut old = Old::new(name, pipeline).await;
        for owner in [1, 2, 3] {
            old.change(owner, 1, "2024-03-13T23:59:59Z", None, Some(("5", "red"))).await;
            old.change(owner, 1, "2024-03-14T10:00:00Z", Some(("5", "red")), Some(("7.25", "blue"))).await;
            old.change(owner, 2, "2024-03-14T10:20:00Z", None, Some(("3", "green"))).await;
            old.change(owner, 1, "2024-03-14T12:00:00Z", Some(("7.25", "blue")), None).await;
            old.change(owner, 2, "2024-03-15T08:00:00Z", Some(("3", "green")), Some(("4", "red"))).await;
        }
        old.world.fold_all(&at("2024-03-15T09:00:00Z")).await;
        old
    }

    /// Time to live has deleted everything from the ledger.
    async fn expire(&self) {
        let ledger = self.world.variable("LEDGER_TABLE");
        for item in self.world.items("ledger").await {
            let delete = self.world.dynamodb.delete_item().table_name(&ledger);
            delete.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
        }
    }

    async fn delete(&self, owner: u32, window: &str) {
        let text = |text: String| AttributeValue::S(text);
        let delete = self.world.dynamodb.delete_item().table_name(self.world.variable("USAGE_TABLE"));
        let delete = delete.key("pk", text(format!("OWNER#{owner}"))).key("sk", text(format!("stock#{window}")));
        let deleted = delete.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld).send().await.unwrap();
        assert!(deleted.attributes.is_some(), "{owner} {window}");
    }

    /// Deletes the file of the archive with the row of this change.
    async fn lose(&self, owner: u32, item: u32, time: &str) {
        let wanted = [format!("OWNER#{owner}"), format!("ITEM#{item}"), time.to_owned()];
        let has = |row: &crate::world::Row| {
            [("pk", &wanted[0]), ("sk", &wanted[1])].iter().all(|(name, text)| &crate::world::text(row, name) == *text)
                && crate::world::text(row, "created_at").starts_with(&wanted[2])
        };
        let objects = self.world.objects().await;
        let key = objects.iter().find(|(_, body)| crate::world::rows(body).iter().any(has)).unwrap().0;
        self.world.s3.delete_object().bucket(self.world.bucket()).key(key).send().await.unwrap();
    }

    /// The snapshots of an owner, by window, without versions.
    async fn snapshots(&self, owner: u32) -> Vec<StoredItem> {
        let mut items = self.world.items("usage").await;
        items.retain(|item| item["pk"] == AttributeValue::S(format!("OWNER#{owner}")));
        items.iter_mut().for_each(|item| drop(item.remove("usage_version")));
        items.sort_by_key(|item| item["sk"].as_s().unwrap().clone());
        items
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let pipeline = self.fixture.0.path().join("stock");
        let always = ["--local", "--pipeline-dir", Path::to_str(&pipeline).unwrap()];
        let mut command = self.fixture.command(&[arguments, &always].concat());
        command.envs([
            ("AWS_ENDPOINT_URL_DYNAMODB", services().dynamodb_url()),
            ("AWS_ENDPOINT_URL_S3", services().s3_url()),
        ]);
        for name in ["USAGE_TABLE", "LEDGER_TABLE", "ARCHIVE_BUCKET", "ARCHIVE_PREFIX"] {
            command.env(name, self.world.variable(name));
        }
        command.output().unwrap().into()
    }

    fn rebuild(&self, window: &str, more: &[&str]) -> (Option<i32>, Value) {
        let rebuild = ["ledger", "rebuild", window, "--from-archive", "--author", "ann", "--json"];
        let run = self.run(&[&rebuild, more].concat());
        (run.code, serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}")))
    }
}

fn windows(rebuilt: &Value) -> Vec<(&str, &str)> {
    let listed = rebuilt.as_array().unwrap();
    listed.iter().map(|one| (one["group"][0].as_str().unwrap(), one["window"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_pages_have_expired_is_rebuilt_exactly() {
    let old = Old::filled("rebuild-exact").await;
    let before = old.snapshots(1).await;
    old.expire().await;
    old.delete(1, "2024-03-14").await;
    old.delete(1, "2024-03-14T10").await;
    let (code, dry) = old.rebuild("2024-03-14", &["--dry-run"]);
    assert_eq!(
        (code, windows(&dry["rebuilt"])),
        (Some(0), vec![("1", "2024-03-14"), ("1", "2024-03-14T10")]),
        "{dry:#}"
    );
    assert_eq!(
        (old.snapshots(1).await.len(), &dry["audits"]),
        (before.len() - 2, &json!([])),
        "a dry run writes nothing"
    );

    let (code, rebuilt) = old.rebuild("2024-03-14", &[]);
    assert_eq!((code, &rebuilt["left"]), (Some(0), &json!([])), "{rebuilt:#}");
    assert_eq!(old.snapshots(1).await, before);
    let history = old.run(&["prove", "--history"]).stdout;
    assert!(history.contains("by ann: ") && history.contains("in 2024-03-14 rebuilt from the archive"), "{history}");
    assert!(history.contains("2024-03-14 1 stock units: none -> "), "{history}");
    // A month is shown by its days.
    old.delete(1, "2024-03").await;
    assert_eq!(old.rebuild("2024-03", &[]).0, Some(0));
    assert_eq!(old.snapshots(1).await, before);
    // Nothing is left to rebuild.
    let (code, again) = old.rebuild("2024-03", &[]);
    assert_eq!((code, &again["rebuilt"], &again["audits"]), (Some(0), &json!([]), &json!([])), "{again:#}");
}

/// The version of a snapshot stays as it is, so nothing else tells whoever has sent an invoice.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_closed_window_that_is_rebuilt_says_when() {
    let closing = "closing = { grace = \"30d\" }\n\n[[record]]";
    let old = Old::filled_by("rebuild-closed", &PIPELINE.replacen("[[record]]", closing, 1)).await;
    let before = old.snapshots(1).await;
    assert!(before.iter().all(|item| !item.contains_key("restated_at")), "{before:#?}");
    old.expire().await;
    old.delete(1, "2024-03-14").await;
    assert_eq!(old.rebuild("2024-03-14", &[]).0, Some(0));
    let mut after = old.snapshots(1).await;
    let restated = |item: &&mut StoredItem| item.contains_key("restated_at");
    let restated: Vec<&mut StoredItem> = after.iter_mut().filter(restated).collect();
    let [day] = <[_; 1]>::try_from(restated).unwrap();
    assert!(day["sk"].as_s().unwrap().ends_with("#2024-03-14"), "{day:?}");
    let at = day.remove("restated_at").unwrap();
    assert!(at.as_s().unwrap().as_str() > "2026", "{at:?}");
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_has_expired_is_left_alone_and_not_in_the_audit_entry() {
    let old = Old::filled("rebuild-expired").await;
    old.expire().await;
    old.delete(1, "2024-03-14").await;
    old.delete(1, "2024-03-14T10").await;
    let expiring = "[snapshot]\ntime_to_live = { attribute = \"ttl\", hour_days = 7 }";
    let pipeline = PIPELINE.replacen("[snapshot]", expiring, 1);
    std::fs::write(old.fixture.0.path().join("stock/pipeline.toml"), pipeline).unwrap();
    let (code, rebuilt) = old.rebuild("2024-03-14", &[]);
    assert_eq!((code, windows(&rebuilt["rebuilt"])), (Some(1), vec![("1", "2024-03-14")]), "{rebuilt:#}");
    assert_eq!(windows(&rebuilt["left"]), [("1", "2024-03-14T10")], "{rebuilt:#}");
    assert_eq!(rebuilt["left"][0]["reason"], json!("it has expired"));
    let history = old.run(&["prove", "--history"]).stdout;
    assert!(history.contains("  2024-03-14 1 stock") && !history.contains("2024-03-14T10"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_with_missing_rows_is_named_and_left_alone() {
    let old = Old::filled("rebuild-left").await;
    let before = old.snapshots(1).await;
    old.expire().await;
    for owner in [1, 2, 3] {
        old.delete(owner, "2024-03-14").await;
    }
    let incomplete = [old.snapshots(2).await, old.snapshots(3).await];
    // One of a removal, which no later row needs, and one of an insertion, from which the next row continues.
    old.lose(2, 1, "2024-03-14T12:00:00").await;
    old.lose(3, 2, "2024-03-14T10:20:00").await;
    let (code, rebuilt) = old.rebuild("2024-03-14", &[]);
    assert_eq!((code, windows(&rebuilt["rebuilt"])), (Some(1), vec![("1", "2024-03-14")]), "{rebuilt:#}");
    assert_eq!(old.snapshots(1).await, before);
    assert_eq!([old.snapshots(2).await, old.snapshots(3).await], incomplete, "they are as they were");
    let left = &rebuilt["left"].as_array().unwrap();
    let reason = |owner: &str| {
        let reasons = left.iter().filter(|one| one["group"][0] == json!(owner) && one["window"] == json!("2024-03-14"));
        reasons.map(|one| one["reason"].as_str().unwrap()).next().unwrap()
    };
    assert!(reason("2").starts_with("rows may be missing: those of 2024-03"), "{rebuilt:#}");
    assert!(reason("3").contains("ITEM#2") || reason("3").starts_with("rows may be missing"), "{rebuilt:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_the_ledger_has_is_left_to_the_ledger() {
    let old = Old::filled("rebuild-held").await;
    old.delete(1, "2024-03-14").await;
    // Its state is there.
    let (code, held) = old.rebuild("2024-03-14", &[]);
    assert_eq!((code, &held["rebuilt"]), (Some(1), &json!([])), "{held:#}");
    let reason = held["left"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the ledger still has what it was made of; use `usagectl ledger sweep"), "{held:#}");
    let refused = old.run(&["ledger", "rebuild", "2024-03-14T10:20", "--from-archive"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
}
