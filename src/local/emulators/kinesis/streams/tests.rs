//! Streams after restarts, damage, and changes of their shards.

use std::num::NonZeroU32;

use super::*;
use stream_types::SequenceNumber;

fn shards(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_795_230_305 + seconds).unwrap()
}

fn number(placed: &Placed) -> SequenceNumber<'static> {
    SequenceNumber::parse(placed.sequence_number.clone()).unwrap()
}

/// The partition keys that a shard holds, in order.
fn keys(streams: &Streams, shard: &str) -> Vec<String> {
    let held = streams.held("clicks", shard).unwrap().unwrap();
    let (lines, at_end) = held.records.read(crate::emulators::kinesis::log::Start::First, usize::MAX).unwrap();
    assert!(at_end);
    lines.into_iter().map(|line| line.key).collect()
}

/// Each shard's parents and whether it is open.
fn lineage(streams: &Streams) -> Vec<(String, Vec<String>, bool)> {
    let shards = streams.describe("clicks").unwrap().shards;
    shards.into_iter().map(|shard| (shard.id, shard.parents, shard.ending_sequence_number.is_none())).collect()
}

#[test]
fn a_partition_key_belongs_to_one_shard_and_sequence_numbers_rise() {
    let folder = tempfile::tempdir().unwrap();
    let streams = Streams::open(folder.path()).unwrap();
    streams.create_stream("clicks", shards(4), time(0)).unwrap();
    let mut last = SequenceNumber::parse("0").unwrap();
    let mut used = BTreeMap::new();
    for round in 0..200 {
        let key = format!("key {}", round % 50);
        let placed = streams.put("clicks", &key, b"{}", time(0)).unwrap();
        let number = number(&placed);
        assert!(number > last && number.as_str().len() == 56);
        last = number;
        assert_eq!(*used.entry(key).or_insert(placed.shard_id.clone()), placed.shard_id);
    }
    let different: std::collections::BTreeSet<_> = used.into_values().collect();
    assert_eq!(different.len(), 4);
    // MD5 of "a" begins with 0c, the first sixteenth; an explicit hash key overrules it.
    assert_eq!(streams.put("clicks", "a", b"", time(0)).unwrap().shard_id, "shardId-000000000000");
    let placed = streams.put_at("clicks", "a", u128::MAX, b"", time(0)).unwrap();
    assert_eq!(placed.shard_id, "shardId-000000000003");
}

#[test]
fn records_and_shards_survive_the_process_and_a_torn_line_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = SequenceNumber::parse("0").unwrap();
    for round in 0..3 {
        let streams = Streams::open(folder.path()).unwrap();
        streams.ensure_stream("clicks", shards(1), time(0)).unwrap();
        // The clock stands still, or was even set back: numbers rise all the same.
        let placed = streams.put("clicks", &format!("{round}"), b"{}", time(-round)).unwrap();
        assert!(number(&placed) > last);
        last = number(&placed);
        let file = folder.path().join("clicks/shardId-000000000000.jsonl");
        let torn = [std::fs::read(&file).unwrap(), br#"{"number":179523"#.to_vec()].concat();
        std::fs::write(&file, torn).unwrap();
    }
    let streams = Streams::open(folder.path()).unwrap();
    assert_eq!(keys(&streams, "shardId-000000000000"), ["0", "1", "2"]);
    assert_eq!(streams.names(), ["clicks"]);
    assert_eq!(streams.describe("clicks").unwrap().created_at, time(0));
}

#[test]
fn shards_are_split_and_merged_with_their_parents() {
    let folder = tempfile::tempdir().unwrap();
    let streams = Streams::open(folder.path()).unwrap();
    streams.create_stream("clicks", shards(1), time(0)).unwrap();
    let all: Vec<String> = (0..20).map(|key| format!("{key}")).collect();
    let put_all =
        |streams: &Streams| all.iter().map(|key| streams.put("clicks", key, b"{}", time(1)).unwrap()).collect();
    let first: Vec<Placed> = put_all(&streams);
    let [low, high] = streams.split_shard("clicks", "shardId-000000000000", None).unwrap();
    let second: Vec<Placed> = put_all(&streams);
    // A restart in between changes nothing.
    let streams = Streams::open(folder.path()).unwrap();
    let merged = streams.merge_shards("clicks", &high, &low).unwrap();
    let third: Vec<Placed> = put_all(&streams);
    let lines = [
        ("shardId-000000000000".to_owned(), vec![], false),
        (low.clone(), vec!["shardId-000000000000".to_owned()], false),
        (high.clone(), vec!["shardId-000000000000".to_owned()], false),
        (merged.clone(), vec![high.clone(), low.clone()], true),
    ];
    assert_eq!(lineage(&streams), lines);
    assert_eq!(keys(&streams, "shardId-000000000000"), all);
    assert_eq!(keys(&streams, &merged), all);
    assert_eq!(keys(&streams, &low).len() + keys(&streams, &high).len(), 20);
    assert!(!keys(&streams, &low).is_empty() && !keys(&streams, &high).is_empty());
    let puts: Vec<_> = [first, second, third].concat().iter().map(number).collect();
    assert!(puts.is_sorted_by(|a, b| a < b));
    // A shard's range of sequence numbers holds its records.
    for shard in streams.describe("clicks").unwrap().shards {
        let bound = |text: &str| SequenceNumber::parse(text.to_owned()).unwrap();
        let end = shard.ending_sequence_number.as_deref().map(bound);
        let held = streams.held("clicks", &shard.id).unwrap().unwrap();
        assert_eq!(held.closed, end.is_some());
        let last = held.records.last.unwrap();
        let last = bound(&crate::emulators::kinesis::sequence::sequence_number(last, held.index));
        assert!(bound(&shard.starting_sequence_number) <= last && end.is_none_or(|end| last <= end), "{}", shard.id);
    }
}

#[test]
fn invalid_names_records_and_shards_are_refused_as_by_kinesis() {
    let folder = tempfile::tempdir().unwrap();
    let streams = Streams::open(folder.path()).unwrap();
    streams.create_stream("clicks", shards(3), time(0)).unwrap();
    for name in ["", ".", "..", "../x", "a/b", "ä", &"x".repeat(129)] {
        let error = streams.create_stream(name, shards(1), time(0)).unwrap_err();
        assert!(error.to_string().contains("is not a valid stream name"), "{name}: {error}");
    }
    let shard = |index: usize| format!("shardId-{index:012}");
    let put = |key: &str, data: &[u8]| streams.put("clicks", key, data, time(0)).map(|_| ());
    let split = |index, at| streams.split_shard("clicks", &shard(index), Some(at)).map(|_| ());
    let cases = [
        (streams.create_stream("clicks", shards(1), time(0)), "stream clicks already exists"),
        (
            streams.put("visits", "a", b"", time(0)).map(|_| ()),
            "stream visits not found in account 000000000000: create it first",
        ),
        (put("", b""), "the partition key has 0 characters; expected 1 to 256"),
        (put(&"ä".repeat(257), b""), "the partition key has 257 characters; expected 1 to 256"),
        (
            put("a", &vec![0; 1_048_576]),
            "the partition key and the data have 1048577 bytes; a record of this stream has at most 1048576: raise MaxRecordSizeInKiB",
        ),
        (put("a", &vec![0; 1_048_575]), ""),
        (split(9, 1), "shard shardId-000000000009 not found: list the stream's shards"),
        (
            split(0, 0),
            "shardId-000000000000 has the hash keys 0 to 113427455640312821154458202477256070484: it can't be split at 0",
        ),
        (
            streams.merge_shards("clicks", &shard(0), &shard(2)).map(|_| ()),
            "shardId-000000000000 and shardId-000000000002 can't be merged: their hash keys aren't adjacent",
        ),
        (streams.split_shard("clicks", &shard(0), None).map(|_| ()), ""),
        (split(0, 1), "the shard shardId-000000000000 is closed"),
        (put(&"ä".repeat(256), b""), ""),
    ];
    for (result, expected) in cases {
        assert_eq!(result.err().map(|error| error.to_string()).unwrap_or_default(), expected);
    }
}

#[test]
fn a_damaged_description_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    Streams::open(folder.path()).unwrap().create_stream("clicks", shards(1), time(0)).unwrap();
    std::fs::write(folder.path().join("clicks/stream.json"), "{").unwrap();
    let error = format!("{:#}", Streams::open(folder.path()).unwrap_err());
    assert!(error.contains("delete the stream's folder to start over"), "{error}");
    // A file that isn't ours, and a creation that was interrupted, are no streams.
    std::fs::remove_file(folder.path().join("clicks/stream.json")).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "").unwrap();
    let streams = Streams::open(folder.path()).unwrap();
    assert!(streams.names().is_empty());
    streams.create_stream("clicks", shards(1), time(0)).unwrap();
}

#[test]
fn regression_a_stream_with_billions_of_shards_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let streams = Streams::open(folder.path()).unwrap();
    let refused = streams.create_stream("clicks", NonZeroU32::MAX, time(0)).unwrap_err();
    assert_eq!(refused.to_string(), "4294967295 shards are too many; use up to 500");
    assert!(streams.names().is_empty());
}
