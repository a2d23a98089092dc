//! What happens in the drills.

use std::sync::atomic::Ordering;

use super::drill::{DEFAULT, Deployed, Drill};
use super::ledger::Orders;

/// One fault, and how long it lasts.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    /// How to cause it in a local run or a deployment.
    pub how: &'static str,
    /// The faults of the function that appends and of the one that folds.
    pub append: &'static str,
    pub fold: &'static str,
    /// Every how many records one is rejected.
    pub poison: u64,
    /// How long everything is well before the fault.
    pub before: u64,
    pub minutes: u64,
    /// How long everything is well again before `end`.
    pub calm: u64,
    pub after: u64,
    pub deployed: Deployed,
    /// What else begins the fault and what ends it.
    pub begin: fn(&Drill),
    pub end: fn(&Drill),
}

const NONE: Fault = Fault {
    name: "",
    how: "",
    append: "none",
    fold: "none",
    poison: 0,
    before: 30,
    minutes: 60,
    calm: 0,
    after: 90,
    deployed: DEFAULT,
    begin: |_| {},
    end: |_| {},
};

/// A fault of the function that appends, by the name that `usagectl faults` gives it.
const fn of_append(name: &'static str, how: &'static str, append: &'static str) -> Fault {
    Fault { name, how, append, ..NONE }
}

const fn of_fold(name: &'static str, how: &'static str, fold: &'static str) -> Fault {
    Fault { name, how, fold, ..NONE }
}

/// A page that only this test puts. The fold reads it once, so the fault is over at once.
const fn of_page(name: &'static str, begin: fn(&Drill)) -> Fault {
    Fault { name, how: "put such a page; only in this test", begin, minutes: 0, after: 30, ..NONE }
}

const FAILS: Deployed = Deployed { rejected: "fail", ..DEFAULT };

/// A fault of the function that compacts the archive. Records come every half hour.
const fn of_compaction(name: &'static str, how: &'static str) -> Fault {
    let deployed = Deployed { slow: true, compacts: true, ..DEFAULT };
    Fault { name, how, deployed, minutes: 8 * 60, after: 4 * 60, ..NONE }
}

pub const FAULTS: [Fault; 29] = [
    of_append("stall: every invocation is throttled", "`refuse=100`", "refuse=100"),
    of_append("crash loop: every invocation exits", "`exit=100`", "exit=100"),
    of_append("one invocation in ten exits", "`exit=10`", "exit=10"),
    of_append("every invocation times out", "`hang=100`", "hang=100"),
    of_append("the mapping is disabled", "`disable`", "disable"),
    Fault { poison: 20, ..of_append("1 in 20 records is rejected and quarantined", "`poison=5`", "none") },
    Fault { poison: 20, deployed: FAILS, ..of_append("the same with RejectedRecords=fail", "`poison=5`", "none") },
    Fault {
        poison: 20,
        deployed: FAILS,
        begin: |drill| drill.objects.delete_bucket("failures"),
        end: |drill| drill.objects.create_bucket("failures"),
        ..of_append("the same, and the failure destination refuses batches", "delete the bucket", "none")
    },
    Fault {
        poison: 20,
        deployed: Deployed { store: "SQS", ..FAILS },
        // Until the last rejected record is discarded and in the queue for more than an hour.
        calm: 90,
        end: Drill::redrive,
        ..of_append("the same with FailureStore=SQS, then a redrive", "`poison=5`", "none")
    },
    Fault {
        poison: 20,
        deployed: Deployed { slow: true, ..DEFAULT },
        minutes: 4 * 24 * 60,
        after: 2 * 24 * 60,
        end: Drill::redrive,
        ..of_append("quarantined records wait for days, then a redrive", "`poison=5`", "none")
    },
    Fault { fold: "tables=100", ..of_append("both tables throttle every request", "`tables=100`", "tables=100") },
    Fault { fold: "tables=20", ..of_append("both tables throttle 20% of the requests", "`tables=20`", "tables=20") },
    of_append("S3 refuses every request (403)", "`denied=100`", "denied=100"),
    of_append("S3 is unavailable (503)", "`s3=100`", "s3=100"),
    of_fold("fold: every invocation is throttled", "`refuse=100` of the fold", "refuse=100"),
    of_fold("fold: every invocation exits", "`exit=100` of the fold", "exit=100"),
    of_fold("fold: the mapping of the ledger is disabled", "`disable` of the fold", "disable"),
    of_fold("fold: 19 of 20 invocations exit", "`exit=95` of the fold", "exit=95"),
    Fault {
        deployed: Deployed { slow: true, sweeps: true, ..DEFAULT },
        minutes: 24 * 60,
        after: 28 * 60,
        end: Drill::redrive,
        ..of_fold("fold: every invocation exits for a day, then a redrive", "`exit=100` of the fold", "exit=100")
    },
    Fault {
        deployed: Deployed { sweeps: true, ..DEFAULT },
        minutes: 3,
        after: 120,
        begin: |drill| drill.notices_are_lost.store(true, Ordering::Relaxed),
        end: |drill| drill.notices_are_lost.store(false, Ordering::Relaxed),
        ..of_fold("the stream of the ledger loses the notices of three minutes", "only in this test", "none")
    },
    Fault {
        begin: Drill::raise_a_version,
        end: Drill::take_the_version_away,
        ..of_fold("a snapshot has a later version than its state", "change an item; deployed only", "none")
    },
    of_page("a sum has more than 38 digits", |drill| {
        let amount = "99999999999999999999999999999999999999";
        drill.put(&Orders { entity: "rich", days_ago: 0, amounts: &[amount, amount] });
    }),
    of_page("two pages of one generation differ about a record", |drill| {
        drill.put(&Orders { entity: "twice", days_ago: 0, amounts: &["1"] });
        drill.put(&Orders { entity: "twice", days_ago: 0, amounts: &["2"] });
    }),
    of_page("DynamoDB refuses the key of a snapshot", |drill| {
        drill.put(&Orders { entity: &"x".repeat(3_000), days_ago: 0, amounts: &["1"] });
    }),
    of_page("a notice is older than the horizon and six days", |drill| {
        drill.put(&Orders { entity: "late", days_ago: 30, amounts: &["1"] });
    }),
    Fault {
        deployed: Deployed { slow: true, ..DEFAULT },
        minutes: 28 * 60,
        after: 26 * 60,
        begin: Drill::change_a_snapshot,
        ..of_fold("someone changes a snapshot that no sweep compares any more", "change an item; deployed only", "none")
    },
    Fault {
        begin: |drill| drill.compaction.is_denied.store(true, Ordering::Relaxed),
        end: |drill| drill.compaction.is_denied.store(false, Ordering::Relaxed),
        ..of_compaction(
            "the compaction function may not put Parquet files",
            "deny `s3:PutObject` below `parquet/`; deployed only",
        )
    },
    Fault {
        // Differences are certain three hours after the deployment.
        before: 5 * 60,
        minutes: 50 * 60,
        after: 26 * 60,
        begin: |drill| drill.objects.create_bucket("archive"),
        ..of_compaction("someone deletes files of the archive", "delete all files; deployed only")
    },
    Fault {
        begin: |drill| drill.compaction.is_disabled.store(true, Ordering::Relaxed),
        end: |drill| drill.compaction.is_disabled.store(false, Ordering::Relaxed),
        ..of_compaction("the schedule of the compaction function is disabled", "disable CompactSchedule; deployed only")
    },
];
