//! A Kinesis message as Lambda delivers it.

use std::fmt::Write;

use stream_types::SequenceNumber;

/// A message as Lambda delivers it.
pub struct KinesisMessage<'a> {
    pub arn: &'a str,
    pub region: &'a str,
    /// The function's, which Lambda names in every record.
    pub role: &'a str,
    pub key: &'a str,
    /// In base64.
    pub data: &'a str,
}

impl KinesisMessage<'_> {
    /// Fields and their order as Lambda's; `micros` is when it arrived.
    pub fn json(&self, shard: &str, sequence: &SequenceNumber<'_>, micros: i64) -> anyhow::Result<String> {
        let KinesisMessage { arn, region, role, key, data } = self;
        let key = serde_json::to_string(key)?;
        let (seconds, milliseconds) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000) / 1000);
        // 600: what surrounds key and data, rounded up.
        let mut json = String::with_capacity(600 + key.len() + data.len());
        write!(json, r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":{key},"#)?;
        write!(json, r#""sequenceNumber":"{sequence}","data":"{data}","#)?;
        write!(json, r#""approximateArrivalTimestamp":{seconds}.{milliseconds:03}}},"#)?;
        write!(json, r#""eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"{shard}:{sequence}","#)?;
        write!(json, r#""eventName":"aws:kinesis:record","invokeIdentityArn":"{role}","#)?;
        write!(json, r#""awsRegion":"{region}","eventSourceARN":"{arn}"}}"#)?;
        Ok(json)
    }

    /// Equal for records of one partition key: the low half of the hash key, since the high half is much the same for all
    /// keys of a shard.
    pub fn item(&self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = md5::compute(self.key).0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_the_low_half_of_its_keys_md5() {
        let message = KinesisMessage { arn: "", region: "", role: "", key: "a", data: "" };
        assert_eq!(message.item(), 0x31c399e269772661);
    }
}
