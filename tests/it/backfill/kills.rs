//! A backfill that is killed at any request, and the next one.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use tokio::sync::mpsc;

use super::export::{full, picture};
use super::table::Table;
use super::{agrees, report};
use crate::redrive::lambda::{Lost, proxy};
use crate::world::services;

/// How many requests are still answered.
static ANSWERED: AtomicUsize = AtomicUsize::new(usize::MAX);

fn is_last(_: &Request) -> bool {
    ANSWERED.fetch_sub(1, Ordering::SeqCst) == 1
}

/// 12, or BACKFILL_KILLS.
fn kills() -> usize {
    std::env::var("BACKFILL_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12)
}

/// What stands between the command and the services, for all of its runs: a proxy for each run would keep its connections open.
struct Proxies {
    urls: [String; 2],
    stops: [mpsc::UnboundedReceiver<()>; 2],
}

impl Proxies {
    async fn new(lost: Lost) -> Proxies {
        let (dynamodb, stops) = proxy(services().dynamodb_url(), is_last, lost).await;
        let (s3, other_stops) = proxy(services().s3_url(), is_last, lost).await;
        Proxies { urls: [dynamodb, s3], stops: [stops, other_stops] }
    }
}

/// Runs the command until it has sent this many requests, and kills it (-9). Returns how many it has sent if it ended before.
async fn run_until(table: &Table, export: &str, requests: usize, proxies: &mut Proxies) -> Option<usize> {
    let Proxies { urls: [dynamodb, s3], stops: [stops, other_stops] } = proxies;
    ANSWERED.store(requests, Ordering::SeqCst);
    let mut command = table.command(&[export, "--parallel", "2"]);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb).env("AWS_ENDPOINT_URL_S3", s3);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ends = async {
        while process.try_wait().unwrap().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let ended = tokio::select! {
        _ = stops.recv() => false,
        _ = other_stops.recv() => false,
        () = ends => true,
    };
    let sent = requests.wrapping_sub(ANSWERED.swap(usize::MAX, Ordering::SeqCst));
    process.kill().unwrap();
    process.wait().unwrap();
    ended.then_some(sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_killed_at_any_request_counts_and_archives_nothing_twice() {
    let mut table = Table::new("bf-kills", 40).await;
    table.attach_stream().await;
    table.change(20, 50).await;
    let export = full(&table, "01-full", &picture(&table).await);
    let export = export.to_str().unwrap();
    let mut proxies = [Proxies::new(Lost::Request).await, Proxies::new(Lost::Response).await];
    let remembered = table.fixture.0.path().join(".usage");
    let mut most = run_until(&table, export, usize::MAX, &mut proxies[0]).await.unwrap();
    std::fs::remove_dir_all(&remembered).unwrap();
    let (mut killed, mut finished) = (0, 0);
    while killed < kills() {
        table.change(2, 50).await;
        let requests = table.random.usize(1..=most);
        match run_until(&table, export, requests, &mut proxies[killed % 2]).await {
            None => killed += 1,
            // It is done: start over, without what it remembers.
            Some(sent) => {
                (finished, most) = (finished + 1, most.max(sent));
                std::fs::remove_dir_all(&remembered).unwrap();
            }
        }
    }
    let run = table.backfill(&[export, "--json"]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(report(&run)["rejected"].as_array().unwrap().is_empty());
    agrees(&mut table).await;
    assert_eq!(table.backfilled_rows().await.len(), 40, "each item that existed is archived");
    println!("{killed} backfills of at most {most} requests killed, {finished} finished: no record is lost or doubled");
}
