//! Names of tables and streams on the command line, checked before AWS or an emulator rejects them.

/// DynamoDB's limits for a table name.
const TABLE_NAME_LENGTH: std::ops::RangeInclusive<usize> = 3..=255;
/// Kinesis's limits for a stream name.
const STREAM_NAME_LENGTH: std::ops::RangeInclusive<usize> = 1..=128;

/// Parses the name of a DynamoDB table.
///
/// # Errors
/// With the rule that the name breaks.
pub fn table_name(name: &str) -> Result<String, String> {
    checked("table", name, TABLE_NAME_LENGTH)
}

/// Parses the name of a Kinesis stream.
///
/// # Errors
/// With the rule that the name breaks.
pub fn stream_name(name: &str) -> Result<String, String> {
    checked("stream", name, STREAM_NAME_LENGTH)
}

fn checked(kind: &str, name: &str, length: std::ops::RangeInclusive<usize>) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if length.contains(&name.len()) && name.chars().all(is_allowed) {
        return Ok(name.to_owned());
    }
    let (shortest, longest) = length.into_inner();
    Err(format!(
        "`{name}` is not a valid {kind} name: use {shortest} to {longest} characters (letters, digits, `_`, `-` and `.`)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_name_is_refused_with_the_allowed_length() {
        for name in ["abc", "orders-usage", "A_b.c", &"x".repeat(255)] {
            assert_eq!(table_name(name), Ok(name.to_owned()));
        }
        for name in ["", "ab", "or ders", "größe", "a/b/c", &"x".repeat(256)] {
            assert!(table_name(name).unwrap_err().contains("use 3 to 255 characters"), "{name}");
        }
        assert_eq!(stream_name("a"), Ok("a".to_owned()));
        for name in ["", "a b", &"x".repeat(129)] {
            assert!(stream_name(name).unwrap_err().contains("use 1 to 128 characters"), "{name}");
        }
    }
}
