//! The restore of docs/operations.md, from the loss to the numbers: with the commands that an operator enters, on the embedded
//! services. Lambda only has to remember a function's variables here, and what the mappings would deliver is given to the
//! handler. At the end, `usagectl reconcile --stack` derives every counter from the archive.

mod stack;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::reconcile_stack::change;
use crate::world::StoredItem;
use stack::Stack;

/// How many of the changes were made before the moment R, to which a table is restored.
const BEFORE: usize = 4;
const MINUTE: u64 = 60;
/// FoldEpoch × 2^48.
const EPOCH: u64 = 1 << 48;

/// Six changes of three orders within three minutes.
fn changes(start: u64) -> Vec<Value> {
    let at = |minute: u64, sequence, number, totals| {
        let mut change = change(sequence, number, totals, 0);
        change["dynamodb"]["ApproximateCreationDateTime"] = json!(start + minute * MINUTE);
        change
    };
    vec![
        at(0, 1, 0, [None, Some(10)]),
        at(0, 2, 1, [None, Some(20)]),
        at(1, 3, 0, [Some(10), Some(15)]),
        at(1, 4, 1, [Some(20), None]),
        at(2, 5, 2, [None, Some(5)]),
        at(2, 6, 0, [Some(15), Some(30)]),
    ]
}

/// What snapshots say, without their versions.
fn values(snapshots: &[StoredItem]) -> BTreeMap<String, BTreeMap<String, String>> {
    let key = |item: &StoredItem| format!("{} {}", item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap());
    let attributes = |item: &StoredItem| {
        let others = item.iter().filter(|(name, _)| *name != "usage_version");
        others.map(|(name, value)| (name.clone(), format!("{value:?}"))).collect()
    };
    snapshots.iter().map(|item| (key(item), attributes(item))).collect()
}

fn lowest_version(snapshots: &[StoredItem]) -> u64 {
    let version = |item: &StoredItem| item["usage_version"].as_b().unwrap().as_ref().try_into().map(u64::from_be_bytes);
    snapshots.iter().map(|item| version(item).unwrap()).min().unwrap()
}

/// The tables at the moment R, and the snapshots before the loss.
struct Backup {
    usage: Vec<StoredItem>,
    ledger: Vec<StoredItem>,
    lost: BTreeMap<String, BTreeMap<String, String>>,
}

/// A stack that has counted everything, and its backup.
async fn counted(name: &str) -> (Stack, Backup) {
    let stack = Stack::new(name).await;
    let changes = changes(stack.start);
    stack.count(&changes[..BEFORE]).await;
    let (usage, ledger) = (stack.items("usage").await, stack.items("ledger").await);
    for change in &changes[BEFORE..] {
        stack.count(std::slice::from_ref(change)).await;
    }
    stack.reconciles().await;
    let lost = values(&stack.items("usage").await);
    assert_ne!(values(&usage), lost);
    (stack, Backup { usage, ledger, lost })
}

/// "Restore the ledger": the steps 1 to 4, from the backup of R. Returns the stack with both functions on the new table.
async fn restore_the_ledger(stack: Stack, backup: &Backup) -> Stack {
    let restored = stack.create("ledger-restored", &backup.ledger).await;
    let stack = stack.configure("LEDGER_TABLE", &restored).configure("FOLD_EPOCH", "1");
    // The new mapping of the source begins at TRIM_HORIZON, before R, and that of the ledger with the first new page.
    stack.count(&changes(stack.start)[1..]).await;
    let swept = stack.sweep(&["--ledger-table", &restored]).await;
    assert!(swept["pages"].as_u64() > Some(0), "{swept}");
    assert_eq!(stack.sweep(&["--ledger-table", &restored]).await["repaired"], 0, "a second sweep has nothing to do");
    let shown = stack.usagectl(&["ledger", "show", &stack.day[..7], "--ledger-table", &restored]).await;
    assert!(shown.code == Some(0) && shown.stdout.contains("of epoch 1"), "{shown:?}");
    stack
}

async fn assert_exact(stack: &Stack, backup: &Backup) {
    let snapshots = stack.items("usage").await;
    assert_eq!(values(&snapshots), backup.lost);
    stack.reconciles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_usage_table_is_written_again_by_a_sweep() {
    let (stack, backup) = counted("rs-usage").await;
    // Nothing is left of it, and then what an earlier moment had.
    for restored in [&[][..], &backup.usage] {
        stack.replace("usage", restored).await;
        let different = stack.usagectl(&["reconcile", "--at", &stack.day]).await;
        assert_eq!(different.code, Some(1), "{different:?}");
        assert!(stack.sweep(&[]).await["repaired"].as_u64() > Some(0));
        assert_exact(&stack, &backup).await;
        assert_eq!(stack.sweep(&[]).await["repaired"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_restored_to_an_earlier_moment_is_exact_after_the_source_is_read_again() {
    let (stack, backup) = counted("rs-ledger").await;
    // Without a new epoch, versions begin below those of the snapshots: folds refuse to overwrite the snapshots, which LedgerBehind reports.
    let copy = stack.create("ledger-same-epoch", &backup.ledger).await;
    let stack = stack.configure("LEDGER_TABLE", &copy);
    let pages = stack.append(&changes(stack.start)[BEFORE + 1..]).await;
    let refused = stack.fold(&pages).await.unwrap_err().to_string();
    assert!(refused.contains("snapshots are ahead of the ledger"), "{refused}");
    assert_exact(&stack, &backup).await;

    let stack = restore_the_ledger(stack, &backup).await;
    assert_exact(&stack, &backup).await;
    assert!(lowest_version(&stack.items("usage").await) > EPOCH);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_restored_to_different_moments_are_exact_after_one_sweep() {
    let (stack, backup) = counted("rs-both").await;
    // The usage table is that of R, or older than the ledger.
    let older: Vec<StoredItem> = backup.usage.iter().take(2).cloned().collect();
    stack.replace("usage", &older).await;
    stack.replace("ledger", &[]).await;
    let stack = restore_the_ledger(stack, &backup).await;
    assert_exact(&stack, &backup).await;
    assert!(lowest_version(&stack.items("usage").await) > EPOCH);
}

/// The day of a first minute to count is the start of each window only if it begins a month.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_lost_without_a_backup_begins_with_the_next_windows() {
    let (stack, backup) = counted("rs-empty").await;
    stack.replace("ledger", &[]).await;
    let empty = stack.create("ledger-restored", &[]).await;
    let (first_day, first_second) = stack.next_month();
    let stack = stack.configure("LEDGER_TABLE", &empty).configure("FOLD_EPOCH", "1");
    let stack = stack.configure("COUNT_FROM", &format!("{first_day}T00:00"));
    // What is read again is archived once more and not counted; the open windows keep what was published.
    stack.count(&changes(stack.start)).await;
    assert_eq!(stack.sweep(&["--ledger-table", &empty]).await["repaired"], 0);
    assert_eq!(values(&stack.items("usage").await), backup.lost);

    let mut later = vec![change(7, 3, [None, Some(8)], 0), change(8, 0, [Some(30), Some(31)], 0)];
    for change in &mut later {
        change["dynamodb"]["ApproximateCreationDateTime"] = json!(first_second + 9 * MINUTE);
    }
    stack.count_at(&later, first_second + 10 * MINUTE).await;
    for at in [&*first_day, &first_day[..7]] {
        let exact = stack.usagectl(&["reconcile", "--at", at]).await;
        assert_eq!(exact.code, Some(0), "{exact:?}");
    }
    let now = values(&stack.items("usage").await);
    assert!(now.len() > backup.lost.len() && backup.lost.iter().all(|(key, value)| now.get(key) == Some(value)));

    // Step 5: a mapping reads the stream again, and the function still has the first minute to count.
    let runbook = std::fs::read_to_string(crate::repository().join("docs/operations.md")).unwrap();
    assert!(
        runbook.contains("In step 5, also deploy `CountFrom=2026-12-01T00:00`"),
        "the deployment would drop COUNT_FROM"
    );
    stack.count(&changes(stack.start)).await;
    assert_eq!(values(&stack.items("usage").await), now);
}
