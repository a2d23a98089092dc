//! The alarms of template.yaml, proven by drills: each fault happens to the real code in virtual time, and the table in
//! docs/operations.md says exactly which alarms fire, how soon, and when they clear.

mod compaction;
mod drill;
mod faults;
mod ledger;
mod queue;

use std::collections::BTreeMap;

use drill::Drill;
use faults::{FAULTS, Fault};
use laptop::emulators::{State, Transition};

use crate::template;

const BEGIN: &str =
    "<!-- drills: begin (UPDATE_DRILLS=1 cargo test -p usagectl --test it alarms writes this table) -->\n";
const END: &str = "<!-- drills: end -->\n";

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
