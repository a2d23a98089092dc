//! Reading from every position, and appending after every kind of interruption.

use super::*;

fn line(number: u64) -> Line {
    // Lines of very different lengths.
    let data = "x".repeat(usize::try_from(number * 37 % 101).unwrap());
    Line { number, time: i64::try_from(number / 4).unwrap(), key: format!("k{number}"), data }
}

fn log(folder: &Path, numbers: impl Iterator<Item = u64>) -> Log {
    let mut log = Log::open(&folder.join("shard")).unwrap();
    numbers.for_each(|number| log.append(&line(number)).unwrap());
    log
}

fn numbers(extent: &Extent, start: Start, limit: usize) -> (Vec<u64>, bool) {
    let (lines, at_end) = extent.read(start, limit).unwrap();
    assert!(lines.iter().all(|read| *read == line(read.number)));
    (lines.iter().map(|line| line.number).collect(), at_end)
}

#[test]
fn every_position_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let even: Vec<u64> = (1..=150).map(|number| number * 2).collect();
    let extent = log(folder.path(), even.iter().copied()).extent(None).unwrap();
    for number in 0..=302 {
        let expected: Vec<u64> = even.iter().copied().filter(|found| *found > number).take(3).collect();
        let at_end = number >= 294;
        assert_eq!(numbers(&extent, Start::AfterNumber(number), 3), (expected, at_end), "{number}");
        let time = i64::try_from(number / 4).unwrap();
        let expected: Vec<u64> = even.iter().copied().filter(|found| found / 4 >= number / 4).take(3).collect();
        assert_eq!(numbers(&extent, Start::AtTime(time), 3).0, expected, "{time}");
    }
    assert_eq!(numbers(&extent, Start::First, 1000), (even, true));
    assert_eq!(extent.last, Some(300));
}

#[test]
fn an_empty_shard_has_no_records() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), 0..0);
    for start in [Start::First, Start::AfterNumber(7), Start::AtTime(7)] {
        assert_eq!(numbers(&log.extent(None).unwrap(), start, 3), (vec![], true));
    }
    assert_eq!((log.last(), log.extent(None).unwrap().last), (None, None));
}

#[test]
fn a_torn_last_line_is_overwritten_wherever_it_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    drop(log(folder.path(), 1..=5));
    let path = folder.path().join("shard");
    let whole = std::fs::read(&path).unwrap();
    let torn = serde_json::to_vec(&line(900)).unwrap();
    for length in 0..=torn.len() {
        std::fs::write(&path, [&whole, &torn[..length]].concat()).unwrap();
        let mut log = Log::open(&path).unwrap();
        assert_eq!(log.last(), Some((5, 1)));
        log.append(&line(6)).unwrap();
        drop(log);
        let log = Log::open(&path).unwrap();
        assert_eq!(numbers(&log.extent(None).unwrap(), Start::First, 10), ((1..=6).collect(), true), "{length}");
    }
    // The first line of all may be the torn one.
    std::fs::write(&path, &torn).unwrap();
    assert_eq!(numbers(&Log::open(&path).unwrap().extent(None).unwrap(), Start::First, 10), (vec![], true));
}

#[test]
fn a_last_line_longer_than_the_first_read_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard");
    let long = |number| Line { data: "x".repeat(300_000), ..line(number) };
    let mut log = Log::open(&path).unwrap();
    (1..=2).for_each(|number| log.append(&long(number)).unwrap());
    assert_eq!(Log::open(&path).unwrap().last(), Some((2, 0)));
    // And so is the line before a torn one of that size.
    std::fs::write(&path, [&std::fs::read(&path).unwrap()[..], &vec![b'x'; 300_000]].concat()).unwrap();
    assert_eq!(Log::open(&path).unwrap().last(), Some((2, 0)));
}

#[test]
fn records_appended_later_are_not_part_of_an_extent() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = log(folder.path(), 1..=3);
    let extent = log.extent(None).unwrap();
    log.append(&line(4)).unwrap();
    assert_eq!(numbers(&extent, Start::AfterNumber(1), 10), (vec![2, 3], true));
    assert_eq!(numbers(&log.extent(None).unwrap(), Start::AfterNumber(1), 10), (vec![2, 3, 4], true));
}

#[test]
fn a_page_ends_at_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(&folder.path().join("shard")).unwrap();
    let large = |number| Line { data: "x".repeat(PAGE_BYTES / 4), ..line(number) };
    (1..=6).for_each(|number| log.append(&large(number)).unwrap());
    let (lines, at_end) = log.extent(None).unwrap().read(Start::First, 10).unwrap();
    assert_eq!((lines.len(), at_end), (4, false));
}

#[test]
fn damage_is_reported_with_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard");
    std::fs::write(&path, "SECRET\n").unwrap();
    let error = format!("{:#}", Log::open(&path).unwrap_err());
    assert!(error.contains("read the shard") && error.contains("its last line is damaged"), "{error}");
    let good = serde_json::to_string(&line(1)).unwrap();
    std::fs::write(&path, format!("{good}\nSECRET\n{good}\n")).unwrap();
    let error = format!("{:#}", Log::open(&path).unwrap().extent(None).unwrap().read(Start::First, 10).unwrap_err());
    assert!(error.contains(&format!("the line at byte {} is damaged", good.len() + 1)), "{error}");
}

#[test]
fn lines_before_the_horizon_are_not_read_and_the_file_loses_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = log(folder.path(), 0..100);
    let rest: Vec<u64> = (80..100).collect();
    let check = |log: &Log| {
        let extent = log.extent(Some(20)).unwrap();
        for start in [Start::First, Start::AtTime(3), Start::AfterNumber(79)] {
            assert_eq!(numbers(&extent, start, 1_000), (rest.clone(), true), "{start:?}");
        }
        for number in [0, 40, 78] {
            let read = extent.read(Start::AfterNumber(number), 10);
            assert!(matches!(read, Err(ReadError::Trimmed)), "{number}: {read:?}");
        }
        assert_eq!(numbers(&extent, Start::AfterNumber(90), 2), (vec![91, 92], false));
    };
    check(&log);
    let (before, length) = (log.extent(None).unwrap(), log.length);
    log.trim(2).unwrap();
    assert_eq!(log.length, length, "little is old");
    log.trim(20).unwrap();
    assert!(log.length < length / 3, "{} of {length}", log.length);
    check(&log);
    assert_eq!(numbers(&before, Start::First, 1_000).0.len(), 100, "a read that had begun has its file");
    check(&Log::open(&folder.path().join("shard")).unwrap());
    log.append(&line(100)).unwrap();
    assert_eq!(numbers(&log.extent(Some(20)).unwrap(), Start::AfterNumber(98), 10), (vec![99, 100], true));
    // All of it is old: the last line stays, which a reader that has it doesn't miss.
    log.trim(1_000).unwrap();
    let extent = log.extent(Some(1_000)).unwrap();
    assert_eq!((numbers(&extent, Start::AfterNumber(100), 10), extent.last), ((vec![], true), Some(100)));
    assert_eq!(numbers(&extent, Start::First, 10), (vec![], true));
    assert!(matches!(extent.read(Start::AfterNumber(99), 10), Err(ReadError::Trimmed)));
}
