//! A record of a Kinesis stream as Lambda delivers it.

use std::fmt::Write;

use stream_types::SequenceNumber;

/// A record of a Kinesis stream, to be written as Lambda delivers it.
#[derive(Debug)]
pub struct KinesisMessage<'a> {
    /// The stream's ARN.
    pub arn: &'a str,
    /// The stream's region.
    pub region: &'a str,
    /// The ARN of the function's execution role.
    pub role: &'a str,
    /// The partition key.
    pub key: &'a str,
    /// The data, in base64.
    pub data: &'a str,
}

impl KinesisMessage<'_> {
    /// The record as an element of the event's `Records`, with the fields in Lambda's order. `micros` is its arrival time in
    /// microseconds since 1970.
    ///
    /// # Errors
    /// If it can't be serialized.
    pub fn json(&self, shard: &str, sequence: &SequenceNumber<'_>, micros: i64) -> anyhow::Result<String> {
        let KinesisMessage { arn, region, role, key, data } = self;
        let key = serde_json::to_string(key)?;
        let (seconds, milliseconds) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000) / 1000);
        // 600: the other fields, rounded up.
        let mut json = String::with_capacity(600 + key.len() + data.len());
        write!(json, r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":{key},"#)?;
        write!(json, r#""sequenceNumber":"{sequence}","data":"{data}","#)?;
        write!(json, r#""approximateArrivalTimestamp":{seconds}.{milliseconds:03}}},"#)?;
        write!(json, r#""eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"{shard}:{sequence}","#)?;
        write!(json, r#""eventName":"aws:kinesis:record","invokeIdentityArn":"{role}","#)?;
        write!(json, r#""awsRegion":"{region}","eventSourceARN":"{arn}"}}"#)?;
        Ok(json)
    }

    /// A hash of the partition key: the low half of Kinesis's hash key. The high half selects the shard, so it differs little
    /// within one.
    pub fn item(&self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = md5::compute(self.key).0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_the_low_half_of_the_md5_of_its_key() {
        let message = KinesisMessage { arn: "", region: "", role: "", key: "a", data: "" };
        assert_eq!(message.item(), 0x31c399e269772661);
    }
}
