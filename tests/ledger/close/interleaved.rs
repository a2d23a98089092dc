//! Two jobs that close the same unit, in every order of their requests.

use dynoxide::Database;
use laptop::emulators::in_process;

use super::place::{END, HOUR, Place, close};
use crate::gate::{Actor, Gate, Schedule, Work};

/// How many changes of job `make test` enumerates; CHANGES=20 enumerates every order.
fn changes() -> usize {
    std::env::var("CHANGES").map_or(3, |text| text.parse().expect("a whole number"))
}

/// Runs every schedule of two jobs with at most so many changes from one to the other.
fn enumerate(prepare: impl AsyncFn(&Place), check: impl Fn(&Place, &Schedule)) -> usize {
    let mut schedule = Some(Schedule::default());
    let mut count = 0;
    while let Some(next) = schedule {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let made = runtime.block_on(async {
            let place = Place::new();
            prepare(&place).await;
            let actors = (0..2).map(|_| {
                let gate = Gate::new();
                let http = in_process::client(Database::memory().unwrap(), place.objects.clone());
                let closer = place.closer_over(gate.client(&http));
                let schema = std::sync::Arc::clone(&place.schema);
                let work: Work = Box::pin(async move {
                    close(&closer, &schema).await.unwrap();
                });
                Actor::new(gate, work)
            });
            let made = next.run(actors.collect()).await;
            check(&place, &made);
            made
        });
        count += 1;
        schedule = made.next(changes());
    }
    println!("{count} schedules");
    count
}

#[test]
fn two_jobs_publish_once() {
    let prepare = async |place: &Place| {
        place.put_raw(&[1, 2, 3]);
        place.set_time(END + HOUR);
    };
    let count = enumerate(prepare, |place, made| {
        let files = place.closed();
        let rows: Vec<u64> = files.values().flat_map(|file| file.rows.iter().copied()).collect();
        assert_eq!((files.len(), rows), (1, vec![1, 2, 3]), "{made:?}");
    });
    assert!(count >= 100, "{count}");
}

#[test]
fn two_jobs_add_late_rows_once() {
    let prepare = async |place: &Place| {
        place.put_raw(&[1, 2]);
        place.set_time(END + HOUR);
        place.close().await.unwrap();
        place.put_raw(&[2, 3]);
        place.set_time(END + 5 * HOUR);
    };
    enumerate(prepare, |place, made| {
        let rows: Vec<u64> = place.closed().values().flat_map(|file| file.rows.iter().copied()).collect();
        assert_eq!((place.parquet_keys().len(), rows), (2, vec![1, 2, 3]), "{made:?}");
    });
}
