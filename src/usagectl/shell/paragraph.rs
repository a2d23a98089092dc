//! Wraps text for people to lines of 80 columns.

use crate::shell::console::plain;

/// How wide the lines of a text are.
const WIDTH: usize = 80;

/// `text` on lines of at most 80 columns, if its words are short enough. All lines but the first start with `indent`.
pub fn paragraph(text: &str, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in plain(text).split(' ') {
        match lines.last_mut() {
            // Spaces at the start of the text stay.
            Some(line) if line.trim().is_empty() || line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{indent}{word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_longer_words_stay_whole() {
        let word = "w".repeat(38);
        assert_eq!(paragraph(&format!("a {word} {word} b"), "  "), format!("a {word} {word}\n  b"));
        let long = "l".repeat(100);
        assert_eq!(paragraph(&format!("a {long} b"), "  "), format!("a\n  {long}\n  b"));
        assert_eq!(paragraph("label     text", "  "), "label     text");
        assert_eq!(paragraph("   → text", "  "), "   → text");
        assert_eq!(paragraph("", "  "), "");
    }
}
