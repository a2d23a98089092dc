//! Raw files that arrive after their unit was compacted.

use usage_compact::{Compactor, Due, Timing};

use super::place::{END, HOUR, MINUTE, Place, compact, key, once};

#[tokio::test(start_paused = true)]
async fn late_rows_make_another_file() {
    let place = Place::new();
    place.put_raw(&[1, 2]);
    place.set_time(END + 20 * MINUTE);
    place.compact().await.unwrap();
    // One row is late, the other is a redelivery.
    place.set_time(END + 5 * HOUR);
    place.put_raw(&[2, 3]);
    let compacted = place.compact().await.unwrap();
    assert_eq!((compacted.files[0].rows, compacted.files[0].raw_rows), (1, 2));
    assert!(compacted.files[0].key.ends_with("/2026-11-28T08-001.parquet"));
    // The late row is seen before and after its own file takes effect.
    assert_eq!(place.query(), once(1..=3));
    place.pass(30 * MINUTE);
    assert_eq!(place.query(), once(1..=3));
}

#[tokio::test(start_paused = true)]
async fn regression_late_rows_of_a_compacted_unit_do_not_wait_until_nothing_arrives() {
    let place = Place::new();
    place.put_raw(&[1, 2]);
    place.set_time(END + 20 * MINUTE);
    place.compact().await.unwrap();
    place.set_time(END + 30 * MINUTE);
    place.put_raw(&[3]);
    assert_eq!(place.compact().await.unwrap().files.len(), 1);
    // A unit that hasn't ended waits, even if a part of it was compacted by hand.
    let open = Place::new();
    open.put_raw(&[1]);
    let at_once = Compactor { timing: Timing::Now, ..open.compactor() };
    compact(&at_once, &open.schema).await.unwrap();
    open.put_raw(&[2]);
    assert_eq!(open.compact().await.unwrap().waiting, 1);
}

#[tokio::test(start_paused = true)]
async fn regression_late_files_of_a_compacted_unit_are_overdue_after_a_day() {
    let place = Place::new();
    place.put_raw(&[1, 2]);
    place.set_time(END + HOUR);
    place.compact().await.unwrap();
    // One has a new row. The other one repeats a row, and is kept for a day.
    place.set_time(END + 5 * HOUR);
    let late = [place.put_raw(&[3]), place.put_raw(&[2])];
    let kept_until = END + 25 * HOUR + 30 * MINUTE;
    for (minutes, due) in [(0, Due::Files), (60, Due::Files), (61, Due::Overdue)] {
        place.set_time(kept_until + minutes * MINUTE);
        assert_eq!(place.compactor().tidy(&key()).await.unwrap(), due, "after {minutes} minutes");
    }
    place.compact().await.unwrap();
    place.set_time(kept_until + 26 * HOUR);
    assert_eq!(place.compactor().tidy(&key()).await.unwrap(), Due::Nothing);
    assert_eq!(place.raw_keys().iter().filter(|key| late.contains(key)).count(), 0);
    // Much later, a file is overdue an hour after it arrived.
    place.put_raw(&[4]);
    for (minutes, due) in [(0, Due::Files), (60, Due::Files), (61, Due::Overdue)] {
        place.set_time(kept_until + 26 * HOUR + minutes * MINUTE);
        assert_eq!(place.compactor().tidy(&key()).await.unwrap(), due, "after {minutes} minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_file_without_new_rows_makes_no_file_and_is_deleted() {
    let place = Place::new();
    place.put_raw(&[1, 2]);
    place.set_time(END + HOUR);
    place.compact().await.unwrap();
    place.set_time(END + 25 * HOUR + 30 * MINUTE);
    let late = place.put_raw(&[2]);
    let compacted = place.compact().await.unwrap();
    assert_eq!((compacted.files.len(), compacted.deleted.contains(&late)), (0, true));
    assert_eq!((place.raw_keys().len(), place.parquet_keys().len()), (0, 1));
}
