//! Jobs that die: at every request, and at random in random histories with queries that read while files change, as in
//! ledger-model/compact.py of the design.

use std::collections::BTreeSet;

use fastrand::Rng;
use laptop::emulators::{Fault, FaultPlan};

use super::place::{END, HOUR, MINUTE, Place, Query};

/// Enough memory for all rows.
const MEMORY: usize = 1_000_000;

/// How many histories `make test` runs; `KILLS=1000` runs more.
fn histories() -> u64 {
    std::env::var("KILLS").map_or(50, |text| text.parse().expect("a whole number"))
}

#[tokio::test(start_paused = true)]
async fn a_job_that_dies_at_any_call_loses_and_doubles_nothing() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for number in 1.. {
            let place = Place::new();
            place.put_raw(&[1, 2]);
            place.set_time(END + HOUR);
            place.compact().await.unwrap();
            place.set_time(END + 25 * HOUR + 31 * MINUTE);
            place.put_raw(&[2, 3]);
            place.put_raw(&[1]);
            // It compacts the late row, deletes the old file, and would go on.
            place.http.set_plan(FaultPlan::at(number, fault));
            place.compact_or_die(MEMORY).await;
            let died = place.http.calls().iter().any(|(_, fault)| *fault != Fault::None);
            place.http.set_plan(FaultPlan::none());
            place.compact().await.unwrap();
            place.pass(HOUR);
            assert_eq!(place.query().into_iter().collect::<Vec<_>>(), [(1, 1), (2, 1), (3, 1)], "{fault:?} {number}");
            assert_eq!(place.parquet_keys().len(), 2, "{fault:?} {number}");
            place.pass(25 * HOUR);
            place.compact().await.unwrap();
            assert_eq!((place.raw_keys().len(), place.query().len()), (0, 3), "{fault:?} {number}");
            if !died {
                assert!(number > 8, "only {number} calls");
                break;
            }
        }
    }
}

/// One random history. Returns what is wrong.
async fn history(seed: u64) -> Result<(), String> {
    let mut random = Rng::with_seed(seed);
    let place = Place::new();
    place.set_time(END - 10 * MINUTE);
    let mut puts: Vec<Vec<u64>> = (0..random.u64(3..8))
        .map(|_| {
            let first = random.u64(0..8);
            (first..first + random.u64(1..5)).collect()
        })
        .collect();
    let mut durable: BTreeSet<u64> = BTreeSet::new();
    let mut queries: Vec<(Query, BTreeSet<u64>)> = Vec::new();
    for _ in 0..60 {
        pass(&place, *random.choice(&[0, 0, 1, 3, 11, 60, 60, 24 * 60]).unwrap_or(&0)).await;
        queries.retain(|(query, _)| place.now() - query.start <= 30 * MINUTE);
        match random.u8(0..10) {
            0..2 => {
                if let Some(rows) = puts.pop() {
                    place.put_raw(&rows);
                    durable.extend(rows);
                }
            }
            2..5 => run(&place, &mut random).await,
            5..7 if queries.len() < 3 => queries.push((Query::new(&place), durable.clone())),
            _ if queries.is_empty() => {}
            _ => {
                let index = random.usize(0..queries.len());
                let (query, _) = &mut queries[index];
                if !query.step(&place) {
                    let (query, durable) = queries.swap_remove(index);
                    judge(&query, &durable).map_err(|wrong| format!("seed {seed}: {wrong}"))?;
                }
            }
        }
    }
    for rows in puts.drain(..) {
        place.put_raw(&rows);
        durable.extend(rows);
    }
    place.http.set_plan(FaultPlan::none());
    for _ in 0..3 {
        pass(&place, 26 * 60).await;
        place.compact().await.map_err(|error| format!("seed {seed}: {error}"))?;
    }
    let seen: Vec<(u64, usize)> = place.query().into_iter().collect();
    let expected: Vec<(u64, usize)> = durable.into_iter().map(|row| (row, 1)).collect();
    if seen != expected || !place.raw_keys().is_empty() {
        return Err(format!("seed {seed}: at last {seen:?} and {:?} instead of {expected:?}", place.raw_keys()));
    }
    Ok(())
}

/// Lets minutes pass, in which delayed requests land.
async fn pass(place: &Place, minutes: i64) {
    for _ in 0..minutes.min(6) {
        place.pass(MINUTE);
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    }
    place.pass((minutes - 6).max(0) * MINUTE);
}

/// A job that a fault hits somewhere.
async fn run(place: &Place, random: &mut Rng) {
    let minute = std::time::Duration::from_secs(60);
    let late = Fault::ArriveLate(minute * random.u32(1..5));
    let faults =
        [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseRequest, Fault::LoseResponse, Fault::Status503, late];
    let fault = random.choice(faults).unwrap_or(Fault::None);
    // Most of them at the put, which matters most.
    let plan = match (random.u8(0..4), fault) {
        (0, _) => FaultPlan::none(),
        (1, Fault::CrashBefore | Fault::CrashAfter) => FaultPlan::at(random.usize(1..14), fault),
        _ => {
            let (mut puts, dies) = (0, random.bool());
            FaultPlan::new(move |call| {
                puts += usize::from(call.operation == "PutObject");
                match puts {
                    0 => Fault::None,
                    1 if call.operation == "PutObject" => fault,
                    // The put may be on its way when the job dies.
                    _ if dies => Fault::CrashBefore,
                    _ => Fault::None,
                }
            })
        }
    };
    place.http.set_plan(plan);
    // With little memory, each raw file makes a Parquet file.
    place.compact_or_die(*random.choice(&[MEMORY, 600]).unwrap_or(&MEMORY)).await;
    place.http.set_plan(FaultPlan::none());
}

/// No row twice, and each row that was durable before the query.
fn judge(query: &Query, durable: &BTreeSet<u64>) -> Result<(), String> {
    let seen = query.seen();
    if let Some((row, count)) = seen.iter().find(|(_, count)| **count > 1) {
        return Err(format!("row {row} was seen {count} times"));
    }
    match durable.iter().find(|row| !seen.contains_key(row)) {
        Some(row) => Err(format!("row {row} was not seen")),
        None => Ok(()),
    }
}

#[test]
fn random_jobs_that_die_lose_and_double_nothing() {
    let mut wrong = Vec::new();
    for seed in 0..histories() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        wrong.extend(runtime.block_on(history(seed)).err());
    }
    assert!(wrong.is_empty(), "{} of {}: {}", wrong.len(), histories(), wrong[0]);
}
