//! What a command does without the settings of the deployed function: one that writes refuses, and one that only reads assumes the
//! defaults and says so.

use axum::Router;
use serde_json::json;

use crate::fixture::Run;
use crate::reconcile_stack::Deployed;
use crate::redrive::lambda::{listen, serve_denials};
use crate::world::StoredItem;

const MINUTE: &str = "2026-03-02T12:00";
const SIGNED: [&str; 4] = ["--author", "ann", "--reason", "a test"];
/// Lambda's answer to a caller who may read a function but not use its key.
const UNDECRYPTED: &str = "Lambda was unable to decrypt your environment variables because the KMS access was denied";
const CAUSE: &str = "read the configuration of the function append (lambda:GetFunctionConfiguration): AccessDeniedException: not allowed";

/// Commands that write what depends on the settings, also as dry runs.
fn writing() -> Vec<Vec<&'static str>> {
    let correct = |command, what: &[&'static str]| [&["correct", command, "--at", MINUTE], what, &SIGNED].concat();
    let group = ["--entity", "0", "--resource", "orders", "--measure", "amount", "--amount", "1"];
    vec![
        vec!["ledger", "sweep", MINUTE],
        vec!["ledger", "rebuild", MINUTE],
        vec!["ledger", "rebuild", "2026-03-02", "--from-archive", "--dry-run"],
        correct("add", &group),
        correct("void", &["--record", "5d41402abc4b2a76"]),
        vec!["prove", "2026-03-02", "--repair"],
        vec!["reconcile", "--at", "2026-03-02", "--repair"],
        vec!["compact"],
        vec!["compact", "--dry-run"],
        vec!["indicators", "rebuild", "--table", "orders"],
        vec!["backfill", "--scan", "--table", "orders"],
        vec!["backfill", "--scan", "--table", "orders", "--dry-run"],
        vec!["export", "--start", "2026-03", "--window", "day", "--to", "openmeter", "--dry-run"],
    ]
}

fn refused(cause: &str) -> String {
    format!(
        "nothing was written: the settings of the function append decide what this command writes; allow lambda:GetFunctionConfiguration on it, and kms:Decrypt on its key if it has one: {cause}"
    )
}

/// Serves functions whose variables the caller can't decrypt: Lambda answers with 200, and without them.
async fn serve_undecrypted() -> String {
    let configuration = async || {
        let error = json!({ "ErrorCode": "AccessDeniedException", "Message": UNDECRYPTED });
        json!({ "FunctionName": "append", "Environment": { "Error": error } }).to_string()
    };
    listen(Router::new().fallback(configuration)).await
}

fn on_stack(command: &[&'static str]) -> Vec<&'static str> {
    [command, &["--stack", "counted"]].concat()
}

async fn tables(deployed: &Deployed) -> [Vec<StoredItem>; 2] {
    [deployed.world.items("usage").await, deployed.world.items("ledger").await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_writes_refuses_to_assume_settings() {
    let deployed = Deployed::new("settings-write").await;
    deployed.count_three_days().await;
    let denied = serve_denials().await;
    let (before, objects) = (tables(&deployed).await, deployed.world.objects().await);
    for command in writing() {
        let run = deployed.run_with(&on_stack(&command), &denied).await;
        assert_eq!(run.code, Some(1), "{command:?}: {run:?}");
        let expected = refused(CAUSE);
        assert!(run.stderr.contains(&expected) || run.stdout.contains(&expected), "{command:?}: {run:?}");
        assert!(!run.stderr.contains("assum"), "{command:?}: {run:?}");
    }
    assert_eq!(tables(&deployed).await, before);
    assert_eq!(deployed.world.objects().await, objects);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_only_reads_assumes_the_defaults_and_reports_why() {
    let deployed = Deployed::new("settings-read").await;
    deployed.count_three_days().await;
    let denied = serve_denials().await;
    let note =
        format!("note: assuming default settings, which may differ from those of the function append: {CAUSE}\n");
    for command in [
        &["reconcile", "--at", "2026-03-02"][..],
        &["usage", "top", "--measure", "amount"],
        &["correct", "list"],
        &["export", "--start", "2026-03", "--window", "day"],
    ] {
        let run: Run = deployed.run_with(&on_stack(command), &denied).await;
        assert_eq!((run.code, run.stderr.matches(&note).count()), (Some(0), 1), "{command:?}: {run:?}");
    }
}

/// Variables that can't be decrypted were taken for none: a command that writes assumed the defaults, and nothing said so.
#[tokio::test(flavor = "multi_thread")]
async fn regression_settings_that_cannot_be_decrypted_are_not_assumed() {
    let deployed = Deployed::new("settings-key").await;
    deployed.count_three_days().await;
    let undecrypted = serve_undecrypted().await;
    let cause = format!(
        "read the environment variables of the function append (kms:Decrypt): AccessDeniedException: {UNDECRYPTED}"
    );
    let before = tables(&deployed).await;
    for command in writing() {
        let run = deployed.run_with(&on_stack(&command), &undecrypted).await;
        let expected = refused(&cause);
        assert_eq!(run.code, Some(1), "{command:?}: {run:?}");
        assert!(run.stderr.contains(&expected) || run.stdout.contains(&expected), "{command:?}: {run:?}");
    }
    assert_eq!(tables(&deployed).await, before);
    let run = deployed.run_with(&on_stack(&["usage", "top", "--measure", "amount"]), &undecrypted).await;
    let note = format!("which may differ from those of the function append: {cause}\n");
    assert!(run.code == Some(0) && run.stderr.contains(&note), "{run:?}");
}

/// Without a stack, the function isn't known unless it is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_writes_needs_the_name_of_the_function() {
    let deployed = Deployed::new("settings-name").await;
    let (usage, ledger) = (deployed.world.variable("USAGE_TABLE"), deployed.world.variable("LEDGER_TABLE"));
    let names = ["--usage-table", &*usage, "--ledger-table", &*ledger, "--pipeline", "orders"];
    let sweep = [&["ledger", "sweep", MINUTE][..], &names].concat();
    let run = deployed.run(&sweep).await;
    assert!(run.code == Some(2) && run.stderr.contains("--function is required"), "{run:?}");
    let named = deployed.run(&[&sweep[..], &["--function", "append"]].concat()).await;
    assert_eq!(named.code, Some(0), "{named:?}");
}
