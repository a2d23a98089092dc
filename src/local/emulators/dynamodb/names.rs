//! The names that AWS would use. dynoxide's ARNs have the region `dynoxide`, its stream labels aren't ISO 8601, and its
//! shard ids are outside the 28 to 65 characters that the API allows.

use super::super::{ACCOUNT, REGION};

/// One stream under both of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamName {
    /// The table whose changes it holds.
    pub table: String,
    /// The ARN as AWS would write it.
    pub arn: String,
    /// The ARN that dynoxide knows it by.
    pub dynoxide_arn: String,
    /// The end of the ARN: when the stream was enabled.
    pub label: String,
    /// The id of the only shard as AWS would write it.
    pub shard: String,
    /// The shard id that dynoxide knows it by.
    pub dynoxide_shard: String,
    /// When the stream was enabled, in microseconds since the epoch.
    pub enabled_at_micros: i64,
}

impl StreamName {
    /// The names of the stream that dynoxide calls `dynoxide_arn`.
    pub(crate) fn of(dynoxide_arn: &str) -> Option<StreamName> {
        let (table_arn, dynoxide_label) = dynoxide_arn.split_once("/stream/")?;
        let table = table_arn.split_once(":table/")?.1;
        let enabled_at = instant(dynoxide_label)?;
        let label = iso(enabled_at);
        let hash = blake3::hash(dynoxide_arn.as_bytes()).to_hex();
        Some(StreamName {
            table: table.to_owned(),
            arn: format!("{}table/{table}/stream/{label}", arn_prefix(REGION)),
            dynoxide_arn: dynoxide_arn.to_owned(),
            label,
            // As in shardId-00000001789651619772-2a9e5aad: a time in milliseconds and eight hexadecimal digits.
            shard: format!("shardId-{:020}-{}", enabled_at.as_millisecond(), hash.get(..8)?),
            dynoxide_shard: dynoxide::streams::shard_id(table),
            enabled_at_micros: enabled_at.as_microsecond(),
        })
    }

    /// dynoxide's number of the last change that can belong to an earlier stream of the table. It numbers changes by
    /// microseconds, and keeps those of earlier streams, and of earlier tables of this name, under the same shard.
    pub(crate) fn before_first(&self) -> i64 {
        self.enabled_at_micros.saturating_sub(1)
    }
}

/// Replaces dynoxide's region in every ARN within `text`.
pub(crate) fn to_aws(text: &str) -> String {
    text.replace(&arn_prefix(dynoxide::streams::LOCAL_REGION), &arn_prefix(REGION))
}

/// Replaces our region in every ARN within `text` by dynoxide's.
pub(crate) fn to_dynoxide(text: &str) -> String {
    text.replace(&arn_prefix(REGION), &arn_prefix(dynoxide::streams::LOCAL_REGION))
}

/// A stream's label as DynamoDB writes it: `1780000000.123456789` -> `2026-05-28T20:26:40.123`.
pub(crate) fn label_to_aws(dynoxide_label: &str) -> Option<String> {
    instant(dynoxide_label).map(iso)
}

fn arn_prefix(region: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{ACCOUNT}:")
}

fn instant(dynoxide_label: &str) -> Option<jiff::Timestamp> {
    let (seconds, nanos) = dynoxide_label.split_once('.')?;
    jiff::Timestamp::new(seconds.parse().ok()?, nanos.parse().ok()?).ok()
}

fn iso(instant: jiff::Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_ids_have_the_length_that_clients_accept() {
        for table in ["abc", "orders", &"a".repeat(255)] {
            let arn = dynoxide::streams::stream_arn(table, "1780000000.123456789");
            let name = StreamName::of(&arn).unwrap();
            assert!((28..=65).contains(&name.shard.len()), "{}", name.shard);
            assert_eq!(
                name.arn,
                format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}/stream/2026-05-28T20:26:40.123")
            );
        }
    }

    #[test]
    fn arns_are_translated_both_ways_and_nothing_else_is() {
        let arn = dynoxide::streams::table_arn("orders");
        assert_eq!(to_aws(&arn), "arn:aws:dynamodb:us-east-1:000000000000:table/orders");
        assert_eq!(to_dynoxide(&to_aws(&arn)), arn);
        assert_eq!(to_aws("dynoxide"), "dynoxide");
        assert_eq!((label_to_aws("soon"), StreamName::of(&arn)), (None, None));
    }
}
