//! Quotes words for a shell.

/// The word as a shell reads it back: as it is, or in single quotes if it needs them.
pub fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_if_it_must_be() {
        for (word, expected) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("2026-11-28T08+01:00,x=y@z", "2026-11-28T08+01:00,x=y@z"),
            ("", "''"),
            ("it's $HOME", r"'it'\''s $HOME'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
