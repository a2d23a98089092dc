//! Aggregates messages into one Kinesis record as the Kinesis Producer Library does: four magic bytes, a protobuf, and its
//! MD5. Written without the function's own code, which the load is there to check.

/// The data of a record with these messages, each with its partition key.
pub fn aggregated(messages: &[(&str, &str)]) -> Vec<u8> {
    let mut keys: Vec<&str> = messages.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut protobuf = Vec::new();
    // partition_key_table = 1
    keys.iter().for_each(|key| bytes(&mut protobuf, 1, key.as_bytes()));
    for (key, message) in messages {
        // partition_key_index = 1, a varint, and data = 3
        let mut record = vec![1 << 3];
        varint(&mut record, keys.binary_search(key).unwrap_or_default());
        bytes(&mut record, 3, message.as_bytes());
        // records = 3
        bytes(&mut protobuf, 3, &record);
    }
    [&[0xF3, 0x89, 0x9A, 0xC2][..], &protobuf, &md5::compute(&protobuf).0].concat()
}

/// A field with its length in front.
fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len());
    out.extend_from_slice(value);
}

/// Seven bits per byte, lowest first. The high bit is set in every byte but the last.
fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    out.push(low);
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;
    use usage_aggregator::decode::Event;

    use super::*;

    #[test]
    fn the_function_takes_the_messages_apart() {
        let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(300));
        let data = aggregated(&[("b", r#"{"n":1}"#), ("a", &long), ("b", r#"{"n":1}"#)]);
        let event = json!({ "Records": [{
            "kinesis": {
                "sequenceNumber": "7", "data": BASE64_STANDARD.encode(data), "approximateArrivalTimestamp": 1_795_230_306.5,
            },
            "eventSource": "aws:kinesis", "eventID": "shardId-000000000000:7",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/alleycat",
        }] });
        let event = event.to_string();
        let event = Event::read(event.as_bytes()).unwrap();
        let mut scratch = Vec::new();
        let read: Vec<String> = event
            .records()
            .iter()
            .map(|raw| format!("{:?}", raw.decode(&mut scratch).unwrap().newest_image().item().unwrap().0))
            .collect();
        assert_eq!(read.len(), 3);
        assert!(read[0] == read[2] && read[0].contains('n') && read[1].contains(&"x".repeat(300)), "{read:?}");
    }
}
