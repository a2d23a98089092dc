//! `usagectl backfill` of a deployed function, which is invoked with batches.

use serde_json::json;

use super::export::{full, picture};
use super::table::Table;
use super::{agrees, report};
use crate::fixture::Run;
use crate::redrive::lambda::{Code, FUNCTION, Lambda};
use crate::world::{page_keys, services};

/// The function of a table, behind Lambda's API.
struct Deployed {
    lambda: Lambda,
    url: String,
}

impl Deployed {
    async fn of(table: &Table) -> Deployed {
        let now = Box::leak(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into_boxed_str());
        let lambda = Lambda::new(Code::Handler(Box::new(table.world.function())), now, &[]);
        let url = lambda.serve().await;
        Deployed { lambda, url }
    }

    /// Runs the command for a function that reads this source.
    async fn run(&self, table: &Table, source: &str, more: &[&str]) -> Run {
        let (usage, ledger) = (table.world.variable("USAGE_TABLE"), table.world.variable("LEDGER_TABLE"));
        let (bucket, prefix) = (table.world.bucket(), table.world.variable("ARCHIVE_PREFIX"));
        let names = [
            ["--pipeline-dir", "stock"],
            ["--table", &table.name],
            ["--function", FUNCTION],
            ["--source-arn", source],
            ["--usage-table", &usage],
            ["--ledger-table", &ledger],
            ["--archive-bucket", &bucket],
            ["--archive-prefix", &prefix],
        ];
        let mut command = table.fixture.command(&[&["backfill", "--json"], more, names.as_flattened()].concat());
        command.envs([
            ("AWS_ENDPOINT_URL_LAMBDA", &*self.url),
            ("AWS_ENDPOINT_URL_DYNAMODB", services().dynamodb_url()),
            ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", services().dynamodb_url()),
            ("AWS_ENDPOINT_URL_S3", services().s3_url()),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_REGION", "us-east-1"),
        ]);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_function_is_invoked_with_batches() {
    let table = Table::new("bf-stack", 30).await;
    let export = full(&table, "01-full", &picture(&table).await);
    let export = export.to_str().unwrap();
    let deployed = Deployed::of(&table).await;
    let source = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{}", table.name);
    // The function reads a Kinesis stream, which doesn't say what was counted.
    let refused = deployed.run(&table, &source, &[export]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("has no DynamoDB stream that the function reads"), "{refused:?}");
    let rows = deployed.run(&table, &source, &[export, "--archive-only"]).await;
    assert_eq!((rows.code, &report(&rows)["durable"]), (Some(0), &json!(30)), "{rows:?}");
    assert_eq!(*deployed.lambda.invocations.lock().unwrap(), [10; 3]);
    assert_eq!(table.world.rows().await.len(), 30);
    let claims = table.world.items("ledger").await;
    assert_eq!((page_keys(&claims).len(), claims.len()), (0, 1), "nothing is counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_function_counts_opening_values() {
    let mut table = Table::new("bf-opens", 30).await;
    table.attach_stream().await;
    table.change(20, 40).await;
    let export = full(&table, "01-full", &picture(&table).await);
    let export = export.to_str().unwrap();
    // The preview reads the stream, and is continued. Embedded, the stream is never late, so nothing is waited for.
    let dry = table.backfill(&[export, "--dry-run", "--json"]).await;
    assert_eq!(report(&dry)["opening"]["items"], json!("30"), "{dry:?}");
    table.change(20, 40).await;
    let described = table.world.dynamodb.describe_table().table_name(&table.name).send().await.unwrap();
    let source = described.table.unwrap().latest_stream_arn.unwrap();
    let deployed = Deployed::of(&table).await;
    let run = deployed.run(&table, &source, &[export]).await;
    assert_eq!((run.code, &report(&run)["durable"]), (Some(0), &json!(30)), "{run:?}");
    assert_eq!(deployed.lambda.invocations.lock().unwrap().iter().sum::<usize>(), 30);
    agrees(&mut table).await;
}
