//! DynamoDB: the pages and states of the ledger, read as the fold reads them.

use futures::{StreamExt, TryStreamExt, stream};
use usage_aggregator::fold::{Folder, Shown};
use usage_aggregator::ledger::{LedgerTable, Level, WindowKey};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;
use usage_aggregator::window::Zone;

use super::super::facts::{Fact, LargestState, LedgerContents, Part, StuckMinute, Unavailable};

/// The minutes to examine. More would read more pages.
const MINUTES: i64 = 15;
/// 60 s beyond two windows: when the alarm FoldAge fires.
const LATE_SECONDS: i64 = 60;
const MINUTE_SECONDS: i64 = 60;
/// How many windows are read at once.
const CONCURRENT_REQUESTS: usize = 8;

/// What the ledger of `folder` holds, if its pages are folded within `fold_window_seconds`.
pub(super) async fn of(folder: &Folder, fold_window_seconds: i64, now: Timestamp) -> Fact<LedgerContents> {
    let shown = async |window: WindowKey| match folder.show(None, window, None).await {
        Ok(shown) => Ok((window, shown)),
        Err(error) => Err(unavailable(&error.to_string(), &folder.ledger.name)),
    };
    let minutes = due(fold_window_seconds, now, folder.ledger.zone);
    let read: Vec<(WindowKey, Shown)> =
        stream::iter(&minutes).map(|minute| shown(*minute)).buffered(CONCURRENT_REQUESTS).try_collect().await?;
    let LedgerTable { windows, zone, .. } = &folder.ledger;
    let open = Level::needed(windows).map(|level| WindowKey::containing(level, now, *zone));
    let parents: Vec<(WindowKey, Shown)> =
        stream::iter(open).map(shown).buffered(CONCURRENT_REQUESTS).try_collect().await?;
    Ok(LedgerContents {
        minutes: read.len(),
        stuck: read.iter().filter_map(stuck).collect(),
        largest: read.iter().chain(&parents).filter_map(largest).max_by_key(|state| state.bytes),
    })
}

/// The minutes that should be folded by now, oldest first.
fn due(fold_window_seconds: i64, now: Timestamp, zone: Zone) -> Vec<WindowKey> {
    let end = now.seconds() - 2 * fold_window_seconds - LATE_SECONDS;
    let minutes = (1..=MINUTES).rev().map(|ago| end - ago * MINUTE_SECONDS);
    minutes.map(|at| WindowKey::minute(Segment::at(at), zone)).collect()
}

fn stuck((window, shown): &(WindowKey, Shown)) -> Option<StuckMinute> {
    let pages = shown.pages.iter().filter(|page| !page.is_folded).count();
    (pages > 0).then(|| StuckMinute { minute: window.text(), pages })
}

fn largest((window, shown): &(WindowKey, Shown)) -> Option<LargestState> {
    let bytes = shown.states.iter().map(|state| state.bytes).max()?;
    Some(LargestState { window: window.text(), bytes, parts: shown.states.len() })
}

fn unavailable(error: &str, table: &str) -> Unavailable {
    if error.contains("AccessDenied") {
        return Unavailable::Denied { action: "dynamodb:Query" };
    }
    if error.contains("ResourceNotFound") {
        return Unavailable::Missing(Part::Table(table.to_owned()));
    }
    Unavailable::Failed(format!("failed to read the ledger {table}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minutes_that_should_be_folded_end_two_windows_and_a_minute_ago() {
        let texts = |window| -> Vec<String> {
            let now = Timestamp::parse("2026-11-28T09:10:30Z").unwrap();
            due(window, now, Zone::UTC).into_iter().map(WindowKey::text).collect()
        };
        let (usual, at_once) = (texts(30), texts(0));
        assert_eq!((usual.len(), &*usual[0], &*usual[14]), (15, "2026-11-28T08:53", "2026-11-28T09:07"));
        assert_eq!(&*at_once[14], "2026-11-28T09:08");
    }
}
