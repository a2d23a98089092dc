//! Two jobs that compact the same unit, in every order of their requests, and of those of a function that archives meanwhile.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::Database;
use laptop::emulators::in_process;

use super::place::{END, HOUR, Place, compact};
use crate::gate::{Actor, Gate, Schedule, Work};

/// How many changes of job `make test` enumerates; CHANGES=20 enumerates every order.
fn changes() -> usize {
    std::env::var("CHANGES").map_or(3, |text| text.parse().expect("a whole number"))
}

/// A job.
fn job(place: &Place, http: SharedHttpClient) -> Work {
    let (compactor, schema) = (place.compactor_over(http), Arc::clone(&place.schema));
    Box::pin(async move {
        compact(&compactor, &schema).await.unwrap();
    })
}

/// The function archives records 2 and 3, and then a job starts.
fn late_job(place: &Place, http: SharedHttpClient) -> Work {
    let (put, job) = (place.put_raw_over(http.clone(), &[2, 3]), job(place, http));
    Box::pin(async move {
        put.await.unwrap();
        job.await;
    })
}

/// Whose requests are interleaved.
type Start = fn(&Place, SharedHttpClient) -> Work;

/// Runs every schedule with at most so many changes from one to the other.
fn enumerate(
    starts: [Start; 2],
    changes: usize,
    prepare: impl AsyncFn(&Place),
    check: impl AsyncFn(&Place, &Schedule),
) -> usize {
    let mut schedule = Some(Schedule::default());
    let mut count = 0;
    while let Some(next) = schedule {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let made = runtime.block_on(async {
            let place = Place::new();
            prepare(&place).await;
            let actors = starts.iter().map(|start| {
                let gate = Gate::new();
                let http = in_process::client(Database::memory().unwrap(), place.objects.clone());
                let work = start(&place, gate.client(&http));
                Actor::new(gate, work)
            });
            let made = next.run(actors.collect()).await;
            check(&place, &made).await;
            made
        });
        count += 1;
        schedule = made.next(changes);
    }
    println!("{count} schedules");
    count
}

/// The rows of all Parquet files.
fn rows(place: &Place) -> Vec<u64> {
    let mut rows: Vec<u64> = place.compacted().values().flat_map(|file| file.rows.iter().copied()).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn two_jobs_publish_once() {
    let prepare = async |place: &Place| {
        place.put_raw(&[1, 2, 3]);
        place.set_time(END + HOUR);
    };
    let count = enumerate([job, job], changes(), prepare, async |place, made| {
        assert_eq!((place.parquet_keys().len(), rows(place)), (1, vec![1, 2, 3]), "{made:?}");
    });
    assert!(count >= 100, "{count}");
}

#[test]
fn two_jobs_add_late_rows_once() {
    let prepare = async |place: &Place| {
        place.put_raw(&[1, 2]);
        place.set_time(END + HOUR);
        place.compact().await.unwrap();
        place.put_raw(&[2, 3]);
        place.set_time(END + 5 * HOUR);
    };
    enumerate([job, job], changes(), prepare, async |place, made| {
        assert_eq!((place.parquet_keys().len(), rows(place)), (2, vec![1, 2, 3]), "{made:?}");
    });
}

/// Two jobs that have found different raw files want to put different files of the same name. If the second one replaced the
/// first, the next job would have put the rows of the late file already, and they would be there twice.
#[test]
fn two_jobs_that_found_different_files_publish_each_row_once() {
    let prepare = async |place: &Place| {
        place.put_raw(&[1, 2]);
        // So late that jobs don't wait until nothing arrives any more.
        place.set_time(END + 5 * HOUR);
    };
    enumerate([job, late_job], changes().min(4), prepare, async |place, made| {
        // What arrived after the first job had looked for the last time.
        place.compact().await.unwrap();
        assert_eq!(rows(place), [1, 2, 3], "{made:?}");
    });
}
