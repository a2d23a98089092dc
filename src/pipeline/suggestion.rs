//! "Did you mean": the known word that a misspelled one comes closest to.

/// Words that are less similar than this aren't suggested: 1 is equal, 0 has nothing in common.
const MIN_SIMILARITY: f64 = 0.6;

/// The known word that `word` is most likely a misspelling of.
pub(super) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let mut best = None;
    let mut similarity = MIN_SIMILARITY;
    for candidate in known {
        let this = strsim::normalized_damerau_levenshtein(word, candidate);
        if this > similarity || (best.is_none() && this >= similarity) {
            (best, similarity) = (Some(candidate), this);
        }
    }
    best
}

/// What to write instead of an unknown key, for the end of a message.
pub(super) fn instead_of_key(key: &str, known: &[&str]) -> String {
    let list = known.join(", ");
    match closest(key, known.iter().copied()) {
        Some(closest) => format!("; did you mean `{closest}`? Expected one of {list}"),
        None => format!("; expected one of {list}"),
    }
}

/// What to write instead of an unknown value, for the end of a message.
pub(super) fn instead_of_value(value: &str, known: &[&str]) -> String {
    let list = match known {
        [one, other] => format!("\"{one}\" or \"{other}\""),
        _ => {
            let quoted: Vec<String> = known.iter().map(|known| format!("\"{known}\"")).collect();
            format!("one of {}", quoted.join(", "))
        }
    };
    match closest(value, known.iter().copied()) {
        Some(closest) => format!("; did you mean \"{closest}\"? Write {list}"),
        None => format!("; write {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_word_is_suggested() {
        let keys = ["archive", "bind", "counter", "entity", "events", "match", "measure", "resource", "type", "where"];
        let cases = [
            ("measur", Some("measure")),
            ("mesaure", Some("measure")),
            ("measures", Some("measure")),
            ("wher", Some("where")),
            ("resouce", Some("resource")),
            ("evnet", Some("events")),
            ("description", None),
            ("metric", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(closest(word, keys), expected, "{word}");
        }
        assert_eq!(closest("gte", ["ge", "gt", "le", "lt"]), Some("ge"), "the first of those that are equally close");
    }
}
