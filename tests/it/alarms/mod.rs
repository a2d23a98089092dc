//! The alarms of template.yaml, proven by drills: each fault happens to the real code in virtual time, and the table in
//! docs/operations.md says exactly which alarms fire, how soon, and when they clear.

mod compaction;
mod drill;
mod queue;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use drill::{DEFAULT, Deployed, Drill};
use laptop::emulators::{State, Transition};

use crate::template;

const BEGIN: &str =
    "<!-- drills: begin (UPDATE_DRILLS=1 cargo test -p usagectl --test it alarms writes this table) -->\n";
const END: &str = "<!-- drills: end -->\n";

/// One fault, and how long it lasts.
#[derive(Clone, Copy)]
struct Fault {
    name: &'static str,
    /// How to cause it in a local run or a deployment.
    how: &'static str,
    /// The faults of the function that appends and of the one that folds.
    append: &'static str,
    fold: &'static str,
    /// Every how many records one is rejected.
    poison: u64,
    /// How long everything is well before the fault.
    before: u64,
    minutes: u64,
    /// How long everything is well again before `end`.
    calm: u64,
    after: u64,
    deployed: Deployed,
    /// What else begins the fault and what ends it.
    begin: fn(&Drill),
    end: fn(&Drill),
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

const FAILS: Deployed = Deployed { rejected: "fail", ..DEFAULT };

/// A fault of the function that compacts the archive. Records come every half hour.
const fn of_compaction(name: &'static str, how: &'static str) -> Fault {
    let deployed = Deployed { slow: true, compacts: true, ..DEFAULT };
    Fault { name, how, deployed, minutes: 8 * 60, after: 4 * 60, ..NONE }
}

const FAULTS: [Fault; 21] = [
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

/// What a drill shows.
struct Row {
    fault: Fault,
    /// The minutes from the start of the fault until each alarm fired.
    pages: Vec<(String, i64)>,
    tickets: Vec<(String, i64)>,
    /// The minutes from the end of the fault until the last alarm cleared.
    cleared: i64,
}

impl Row {
    fn line(&self) -> String {
        let listed = |alarms: &[(String, i64)]| match alarms {
            [] => "–".to_owned(),
            alarms => {
                alarms.iter().map(|(name, after)| format!("{name} ({})", span(*after))).collect::<Vec<_>>().join(", ")
            }
        };
        let Fault { name, how, .. } = self.fault;
        format!("| {name} | {how} | {} | {} | {} |", listed(&self.pages), listed(&self.tickets), span(self.cleared))
    }
}

fn span(minutes: i64) -> String {
    match minutes {
        minutes if minutes >= 24 * 60 => format!("{:.1} d", minutes as f64 / 1_440.0),
        minutes if minutes >= 180 => format!("{:.1} h", minutes as f64 / 60.0),
        minutes => format!("{minutes} min"),
    }
}

/// Runs a fault in a deployment of its own.
async fn run(fault: Fault) -> Row {
    let name = fault.name;
    let drill = Drill::start(fault.deployed);
    drill.minutes(fault.before).await;
    let fired = |log: &[Transition]| log.iter().filter(|change| change.state == State::Alarm).count();
    assert_eq!(fired(&drill.log()), 0, "{name}: an alarm fires although nothing is wrong: {:?}", drill.log());
    let began = drill.now();
    drill.inject(fault.append, fault.fold);
    drill.poison(fault.poison);
    (fault.begin)(&drill);
    drill.minutes(fault.minutes).await;
    drill.inject("none", "none");
    drill.poison(0);
    drill.minutes(fault.calm).await;
    let ended = drill.now();
    (fault.end)(&drill);
    drill.minutes(fault.after).await;
    let firing = drill.firing();
    assert!(firing.is_empty(), "{name}: {firing:?} never clear: {:#?}", drill.log());
    let mut first = BTreeMap::new();
    let mut cleared = 0;
    for Transition { name, at, state } in drill.log().into_iter().filter(|change| change.at.micros() > began.micros()) {
        match state {
            State::Alarm => {
                first.entry(name).or_insert((at.seconds() - began.seconds()) / 60);
            }
            State::Ok | State::InsufficientData => cleared = ((at.seconds() - ended.seconds()) / 60).max(cleared),
        }
    }
    row(fault, &drill.pages(), first, cleared)
}

/// Sorts alarms by whether they page, and checks that the composites agree.
fn row(fault: Fault, pages: &BTreeMap<String, bool>, mut fired: BTreeMap<String, i64>, cleared: i64) -> Row {
    let composites = ["Page", "Ticket"].map(|composite| fired.remove(composite));
    let mut alarms: Vec<(String, i64)> = fired.into_iter().collect();
    alarms.sort_by_key(|(_, after)| *after);
    let (paging, tickets): (Vec<_>, Vec<_>) = alarms.into_iter().partition(|(name, _)| pages[name]);
    let first = |alarms: &[(String, i64)]| alarms.first().map(|(_, after)| *after);
    assert_eq!(
        composites,
        [first(&paging), first(&tickets)],
        "{}: the composites differ from their alarms",
        fault.name
    );
    Row { fault, pages: paging, tickets, cleared }
}

/// Runs all drills, each in virtual time of its own, on all cores.
fn rows() -> Vec<Row> {
    let drill = |fault: Fault| {
        // The SDK's jitter.
        fastrand::seed(7);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().unwrap().block_on(run(fault))
    };
    std::thread::scope(|scope| {
        let threads = FAULTS.map(|fault| scope.spawn(move || drill(fault)));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn each_fault_fires_exactly_the_alarms_that_the_document_lists_and_all_of_them_clear() {
    let rows = rows();
    let head =
        "| fault | `usagectl faults …` | pages (after) | tickets (after) | all clear after |\n|---|---|---|---|---|\n";
    let table: String = head.to_owned() + &rows.iter().map(|row| row.line() + "\n").collect::<String>();
    let document = template::file("docs/operations.md");
    let (before, rest) = document.split_once(BEGIN).expect("docs/operations.md has the markers of the drills");
    let (documented, after) = rest.split_once(END).expect("docs/operations.md has the end of the drills");
    if std::env::var_os("UPDATE_DRILLS").is_some() {
        std::fs::write(template::root().join("docs/operations.md"), [before, BEGIN, &table, END, after].concat())
            .unwrap();
    } else {
        assert_eq!(documented, table);
    }
}
