//! `usagectl reconcile --stack`: the counters of one window of a deployed stack against its archive. CloudFormation is moto, which
//! has a stack whose outputs name the embedded tables and bucket.

use aws_sdk_cloudformation::types::StackStatus;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::sdk_config;
use serde_json::{Value, json};
use usage_aggregator::time::Timestamp;

use crate::fixture::{Fixture, Run};
use crate::prefix::event;
use crate::redrive::lambda::{Variables, serve_variables};
use crate::redrive::moto::Moto;
use crate::world::{World, at, services};

const NOW: &str = "2026-03-03T12:00:30Z";
/// 2026-03-01T12:00:00Z.
const FIRST_DAY: u64 = 1_772_366_400;

/// A change of an order of the customer with the same number: its total before and after, and the day, counted from 0.
pub fn change(sequence: u128, number: u32, totals: [Option<u32>; 2], day: u64) -> Value {
    let keys = json!({ "pk": { "S": format!("CUSTOMER#{number}") }, "sk": { "S": format!("ORDER#{number}") } });
    let image = |total: u32| {
        let mut image = keys.clone();
        image["status"] = json!({ "S": "OPEN" });
        image["total"] = json!({ "N": total.to_string() });
        image
    };
    let name = match totals {
        [None, _] => "INSERT",
        [_, None] => "REMOVE",
        _ => "MODIFY",
    };
    let mut record = json!({
        "eventID": format!("{sequence:032}"), "eventName": name, "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": FIRST_DAY + day * 86_400, "Keys": keys,
            "SequenceNumber": (100_000_000_000_000_000_000_u128 + sequence).to_string(), "SizeBytes": 80,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
    });
    for (name, total) in ["OldImage", "NewImage"].into_iter().zip(totals) {
        if let Some(total) = total {
            record["dynamodb"][name] = image(total);
        }
    }
    record
}

/// A stack whose outputs name the parts of a world.
pub struct Deployed {
    pub world: World,
    moto: Moto,
    lambda_url: String,
}

impl Deployed {
    pub async fn new(name: &str) -> Deployed {
        let world = World::new(name, "orders").await;
        let moto = Moto::start();
        let output = |value: String| json!({ "Value": value });
        let template = json!({
            "Resources": { "Topic": { "Type": "AWS::SNS::Topic" } },
            "Outputs": {
                "UsageTableName": output(world.variable("USAGE_TABLE")), "LedgerTableName": output(world.variable("LEDGER_TABLE")),
                "ArchiveBucketName": output(world.bucket()), "ArchiveKeyPrefix": output(world.variable("ARCHIVE_PREFIX")),
                "PipelineName": output("orders".to_owned()), "FunctionName": output("append".to_owned()),
            },
        });
        let config = sdk_config(None).into_builder().endpoint_url(&moto.url).build();
        let cloudformation = aws_sdk_cloudformation::Client::new(&config);
        let create = cloudformation.create_stack().stack_name("counted").template_body(template.to_string());
        create.send().await.unwrap();
        let described = cloudformation.describe_stacks().stack_name("counted").send().await.unwrap();
        assert_eq!(described.stacks()[0].stack_status(), Some(&StackStatus::CreateComplete));
        Deployed { world, moto, lambda_url: serve_variables(Variables::default()).await }
    }

    /// Counts three days with changes of three orders, the first of which is March 1.
    pub async fn count_three_days(&self) {
        self.count(&three_days()).await;
    }

    /// Appends and folds.
    async fn count(&self, records: &[Value]) {
        let outcome = self.world.function().handler.append(&event(records), &at(NOW)).await.unwrap();
        assert_eq!(outcome.durable, records.len());
        self.world.fold_all(&at(NOW)).await;
    }

    /// Appends and folds the three days that end today, whose states haven't expired. Returns yesterday.
    async fn count_recently(&self) -> String {
        let now = event_source_mapping::now().unwrap();
        let first = now.seconds().unsigned_abs() / 86_400 * 86_400 - 2 * 86_400;
        let mut records = three_days();
        for record in &mut records {
            let time = &mut record["dynamodb"]["ApproximateCreationDateTime"];
            *time = json!(time.as_u64().unwrap() - FIRST_DAY + first);
        }
        let outcome = self.world.function().handler.append(&event(&records), &at(&now.to_string())).await.unwrap();
        assert_eq!(outcome.durable, records.len());
        self.world.fold_all(&at(&now.to_string())).await;
        Timestamp::from_seconds(now.seconds() - 86_400).unwrap().date().to_string()
    }

    /// Adds 1 to the amount of a customer's day.
    async fn falsify(&self, customer: u32, day: &str) {
        let items = self.world.items("usage").await;
        let is_it = |item: &&crate::world::StoredItem| {
            item["pk"].as_s().unwrap() == &format!("CUSTOMER#{customer}")
                && item["sk"].as_s().unwrap() == &format!("USAGE#orders#day#{day}T00:00:00Z")
        };
        let mut item = items.iter().find(is_it).unwrap().clone();
        let amount: f64 = item["amount"].as_n().unwrap().parse().unwrap();
        item.insert("amount".to_owned(), AttributeValue::N((amount + 1.0).to_string()));
        let put = self.world.dynamodb.put_item().table_name(self.world.variable("USAGE_TABLE"));
        put.set_item(Some(item)).send().await.unwrap();
    }

    async fn reconcile(&self, arguments: &[&str]) -> Run {
        self.run(&[&["reconcile", "--stack", "counted"], arguments].concat()).await
    }

    /// Runs a command with the credentials of the account.
    pub async fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, &self.lambda_url).await
    }

    /// The same with another Lambda.
    pub async fn run_with(&self, arguments: &[&str], lambda_url: &str) -> Run {
        self.run_in(arguments, &[("AWS_ENDPOINT_URL_LAMBDA", lambda_url)]).await
    }

    /// The same with other environment variables.
    pub async fn run_in(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let fixture = Fixture::new();
        let mut command = fixture.command(arguments);
        command.envs([
            ("AWS_ENDPOINT_URL", self.moto.url.as_str()),
            ("AWS_ENDPOINT_URL_LAMBDA", self.lambda_url.as_str()),
            ("AWS_ENDPOINT_URL_DYNAMODB", services().dynamodb_url()),
            ("AWS_ENDPOINT_URL_S3", services().s3_url()),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_REGION", "us-east-1"),
        ]);
        command.envs(variables.iter().copied());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
    }

    pub async fn report(&self, at: &str) -> (Option<i32>, Value) {
        let run = self.reconcile(&["--json", "--at", at]).await;
        let report = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
        (run.code, report)
    }
}

/// Two orders are inserted, changed and removed over three days.
fn three_days() -> Vec<Value> {
    vec![
        change(1, 0, [None, Some(10)], 0),
        change(2, 1, [None, Some(20)], 0),
        change(3, 0, [Some(10), Some(15)], 1),
        change(4, 1, [Some(20), None], 1),
        change(5, 2, [None, Some(5)], 1),
        change(6, 0, [Some(15), Some(30)], 2),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_of_a_stacks_day_are_those_of_the_rows_of_that_day() {
    let deployed = Deployed::new("rs-day").await;
    deployed.count(&three_days()).await;
    // A redelivery that is cut differently repeats rows in other files.
    deployed.count(&three_days()[1..4]).await;
    let text = deployed.reconcile(&["--at", "2026-03-02"]).await;
    let expected = "orders 2026-03-02: 3 of 3 records counted once, 3 of 3 archived";
    assert!(text.code == Some(0) && text.stdout.starts_with(expected), "{text:?}");

    for (at, records) in [("2026-03-01", 2), ("2026-03-02", 3), ("2026-03-03", 1), ("2026-03", 6)] {
        let (code, report) = deployed.report(at).await;
        assert_eq!((code, &report["agrees"], &report["at"]), (Some(0), &json!(true), &json!(at)), "{report:#}");
        assert_eq!(report["counted"]["records"], json!(records), "{report:#}");
        assert_eq!(report["archived"]["records"], json!(records), "{report:#}");
    }
    let (_, day) = deployed.report("2026-03-02").await;
    // A day of three customers; the snapshots of its hour have expired. The number of orders of the one whose order was changed is
    // not.
    let counted = ["counters", "unsure_counters", "expired_windows"].map(|name| &day["counted"][name]);
    assert_eq!(counted, [&json!(8), &json!(0), &json!(1)], "{day:#}");
    let (code, hour) = deployed.report("2026-03-02T12").await;
    let counted = ["records", "counters", "expired_windows"].map(|name| &hour["counted"][name]);
    assert_eq!((code, counted), (Some(0), [&json!(0), &json!(0), &json!(1)]), "{hour:#}");
    assert_eq!(hour["archived"]["records"], json!(3), "{hour:#}");
    assert_eq!(day["archived"]["repeated_rows"], json!(2), "{day:#}");

    deployed.falsify(0, "2026-03-02").await;
    let (code, report) = deployed.report("2026-03-02").await;
    assert_eq!((code, &report["difference_count"]), (Some(1), &json!(1)), "{report:#}");
    let difference = &report["differences"][0];
    let found = ["window", "window_start", "measure", "expected", "found", "difference"].map(|name| &difference[name]);
    assert_eq!(
        found,
        [&json!("day"), &json!("2026-03-02T00:00:00Z"), &json!("amount"), &json!("5"), &json!("6"), &json!("1")]
    );
    assert_eq!(deployed.report("2026-03-01").await.0, Some(0), "another window");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_item_that_is_older_than_the_archive_leaves_only_its_own_counters_unchecked() {
    let deployed = Deployed::new("rs-older").await;
    let older = [change(7, 9, [Some(1), Some(4)], 1), change(8, 9, [Some(4), Some(6)], 2)];
    deployed.count(&[three_days(), older.to_vec()].concat()).await;
    let run = deployed.reconcile(&["--json", "--at", "2026-03-02"]).await;
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("no insertion before it at 100000000000000000007"), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&report["agrees"], &report["counted"]["unsure_counters"]), (&json!(true), &json!(2)), "{report:#}");
    // From the day after, its history is known.
    let (code, report) = deployed.report("2026-03-03").await;
    assert_eq!((code, &report["counted"]["records"]), (Some(0), &json!(2)), "{report:#}");

    deployed.falsify(2, "2026-03-02").await;
    let (code, report) = deployed.report("2026-03-02").await;
    assert_eq!((code, &report["difference_count"]), (Some(1), &json!(1)), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_writes_what_follows_from_the_ledger_with_an_audit_entry_and_compares_again() {
    let deployed = Deployed::new("rs-repair").await;
    let day = deployed.count_recently().await;
    let day = day.as_str();
    deployed.falsify(0, day).await;
    let repair = ["--at", day, "--repair", "--author", "ann"];
    let dry = deployed.reconcile(&[&repair[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.code, Some(1), "{dry:?}");
    let would = format!("  {day} 0 orders amount: 6 -> 5\n1 counter would be written from the ledger");
    assert!(dry.stdout.contains(&would), "{dry:?}");
    let history = async || deployed.run(&["prove", "--history", "--stack", "counted"]).await.stdout;
    assert_eq!(history().await, "no repairs found\n");
    assert_eq!(deployed.report(day).await.0, Some(1), "nothing was written");

    let repaired = deployed.reconcile(&repair).await;
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    assert!(repaired.stdout.contains("1 snapshot written again from the ledger; audit entry "), "{repaired:?}");
    let exact = format!("orders {day}: 3 of 3 records counted once, 3 of 3 archived\n");
    assert!(repaired.stdout.ends_with(&exact), "{repaired:?}");
    let history = history().await;
    let expected = format!("by ann: 1 counter in {day} repaired\n  {day} 0 orders amount: 6 -> 5\n");
    assert!(history.ends_with(&expected), "{history}");
    assert_eq!(deployed.report(day).await.0, Some(0));
    // Nothing is left to repair, and nothing is written.
    let again = deployed.reconcile(&repair).await;
    assert!(again.code == Some(0) && !again.stdout.contains("written again"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_repair_cannot_explain_by_the_ledger_stays_a_difference() {
    let deployed = Deployed::new("rs-lost").await;
    deployed.count(&three_days()).await;
    for key in deployed.world.objects().await.into_keys() {
        deployed.world.s3.delete_object().bucket(deployed.world.bucket()).key(key).send().await.unwrap();
    }
    let repaired = deployed.reconcile(&["--at", "2026-03-02", "--repair", "--author", "ann"]).await;
    assert_eq!(repaired.code, Some(1), "{repaired:?}");
    assert!(repaired.stdout.contains("0 snapshots written again from the ledger"), "{repaired:?}");
    let next = "next: `usagectl prove 2026-03-02 --stack counted` explains what differs in ledger and archive";
    assert!(repaired.stderr.contains(next), "{repaired:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_does_not_exist_and_a_window_that_is_not_one_are_refused() {
    let deployed = Deployed::new("rs-wrong").await;
    for (at, expected) in [
        ("2026-03-02T25", "`2026-03-02T25` isn't a window"),
        // The pipeline's windows are in UTC.
        ("2026-03-02T08+01:00", "isn't a window"),
        ("2026-03-02T08:57", "--at: a minute has no snapshots; choose an hour"),
        ("total", "--at: the total has every record"),
    ] {
        let refused = deployed.reconcile(&["--at", at]).await;
        assert!((refused.code, &*refused.stdout) == (Some(2), "") && refused.stderr.contains(expected), "{refused:?}");
    }
    let fixture = Fixture::new();
    for wrong in [
        &["--at", "2026-03-02"][..],
        &["--stack", "s", "--archive"],
        &["--stack", "s", "--ledger", "l"],
        &["--repair"],
        &["--stack", "s", "--dry-run"],
    ] {
        let run = fixture.run(&[&["reconcile"], wrong].concat());
        assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{wrong:?}: {run:?}");
    }
}
