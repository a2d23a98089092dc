//! The reference model under faults: random histories of a table's changes are delivered the way Lambda may deliver
//! them (again, in other batches, in parallel, after crashes and lost requests or responses), and what is then stored
//! must be what a few lines of plain arithmetic say.

mod delivery;
pub mod history;
pub mod invariants;
mod reference;

use delivery::Delivery;
use history::History;

/// How many histories run at once: they mostly wait for pauses between attempts.
const PARALLEL: usize = 12;

/// 100 histories with fixed seeds over real HTTP; `make soak-http` runs as many as HISTORIES says, from a seed of its own.
#[test]
fn random_histories_of_faults_leave_every_invariant_intact() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a whole number"));
    let (count, first) = (number("HISTORIES").unwrap_or(100), number("SEED").unwrap_or(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let started = std::time::Instant::now();
    let totals = runtime.block_on(async {
        use futures::StreamExt;
        let one = |seed| async move {
            let history = tokio::spawn(run(seed)).await;
            history.unwrap_or_else(|_| panic!("history {seed} failed: SEED={seed} HISTORIES=1 repeats it"))
        };
        futures::stream::iter(first..first + count)
            .map(one)
            .buffer_unordered(PARALLEL)
            .enumerate()
            .fold(delivery::Counts::default(), |all, (done, one)| async move {
                if done % 1_000 == 999 {
                    println!("{} of {count} histories in {:.0?}", done + 1, started.elapsed());
                }
                all + one
            })
            .await
    });
    println!("{count} histories from seed {first} in {:.0?}: {totals:?}, 0 violations", started.elapsed());
    assert!(count < 100 || totals.covers_everything(), "the histories no longer reach every case: {totals:?}");
}

async fn run(seed: u64) -> delivery::Counts {
    let history = History::random(seed, 3..40);
    let mut delivery = Delivery::new(seed, &history).await;
    delivery.run().await;
    delivery.finish().await
}
