//! The reference model under faults. Random histories of a table's changes are delivered in the ways that Lambda may
//! deliver them: repeatedly, in other batches, in parallel, after crashes and lost requests or responses. What is
//! stored afterwards must equal the result of a few lines of plain arithmetic.

pub mod alerts;
mod delivery;
pub mod history;
pub mod indicators;
pub mod invariants;
mod reference;

use delivery::Delivery;
use history::History;

/// The number of histories that run at once. They mostly wait for pauses between attempts.
const PARALLEL: usize = 12;

/// 100 histories with fixed seeds over real HTTP. `make soak-http` runs HISTORIES of them, starting with another seed.
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
            history.unwrap_or_else(|_| panic!("history {seed} failed; repeat it with SEED={seed} HISTORIES=1"))
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
    let mut delivery = Delivery::new(seed, history).await;
    delivery.run().await;
    delivery.finish().await
}
