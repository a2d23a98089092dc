//! Lines that fit a terminal: of a line that is too long, the end is cut, so the important figures come first.

/// The width if the terminal's is unknown.
pub const USUAL_WIDTH: usize = 80;

/// The width of the terminal that stderr is shown on.
pub fn terminal_width() -> usize {
    comfy_table::Table::new().use_stderr().width().map_or(USUAL_WIDTH, usize::from)
}

/// Cuts `text` to `width` characters. An ellipsis shows that something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Joins parts with commas while they fit into `width`, so that a number is never cut; the first part is cut if need be.
pub fn joined(parts: &[String], width: usize) -> String {
    let Some((first, rest)) = parts.split_first() else { return String::new() };
    let mut line = cut(first, width);
    for part in rest {
        let longer = format!("{line}, {part}");
        if longer.chars().count() > width {
            break;
        }
        line = longer;
    }
    line
}

/// Breaks `text` between words into at most `lines` lines of `width` characters. Words that are too long, and what doesn't fit
/// into the last line, are cut.
pub fn wrapped(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let mut line = word.to_owned();
        let is_last = wrapped.len() + 1 >= lines;
        while let Some(next) = words.next_if(|next| is_last || line.chars().count() + 1 + next.chars().count() <= width)
        {
            line = format!("{line} {next}");
        }
        wrapped.push(cut(&line, width));
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_at_the_end() {
        assert_eq!(
            (cut("12,185 records", 14), cut("12,185 records", 9)),
            ("12,185 records".into(), "12,185 r…".into())
        );
        let parts = ["12,185 records".to_owned(), "5 waiting".to_owned(), "1,000 retries".to_owned()];
        assert_eq!(joined(&parts, 30), "12,185 records, 5 waiting");
        assert_eq!((joined(&parts, 8), joined(&[], 8)), ("12,185…".to_owned(), String::new()));
    }

    #[test]
    fn text_breaks_between_words_and_the_last_line_is_cut() {
        assert_eq!(wrapped("is missing in the new image", 12, 2), ["is missing", "in the new…"]);
        assert_eq!(wrapped("800000000000000000312 is bad", 10, 3), ["800000000…", "is bad"]);
        assert!(wrapped("", 10, 2).is_empty());
    }
}
