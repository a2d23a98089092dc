//! Lines as CSV: commas, quotes where a text needs them (RFC 4180), and `\n` as the end of a line.

use std::borrow::Cow;

use anyhow::Context;
use clap::Args;
use stream_types::Decimal;

/// What happens to texts that a spreadsheet would run. By default nothing: a program that reads the file finds the same names as
/// in the table.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Formulas {
    /// Put an apostrophe (') before texts that a spreadsheet would run as a formula
    #[arg(long, requires = "csv")]
    pub escape_formulas: bool,
}

impl Formulas {
    /// A cell with this text. Numbers are never changed.
    pub fn cell(self, text: &str) -> Cow<'_, str> {
        // The last four are what a Japanese keyboard makes of the first four; Excel runs those as well.
        let first = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
        match self.escape_formulas && text.starts_with(first) && Decimal::parse(text).is_err() {
            true => Cow::Owned(format!("'{text}")),
            false => Cow::Borrowed(text),
        }
    }
}

/// A header and lines, without the last line break.
///
/// # Errors
/// If a line has more or fewer cells than the header.
pub fn csv_text(
    titles: &[&str],
    lines: impl IntoIterator<Item = Vec<String>>,
    formulas: Formulas,
) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // The names of captured measures come from items, too.
    let head: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    for line in std::iter::once(head).chain(lines) {
        writer.write_record(line.iter().map(|text| formulas.cell(text).into_owned()))?;
    }
    let text = String::from_utf8(writer.into_inner().context("write CSV")?)?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_need_it() {
        let text = |titles: &[&str], lines: Vec<Vec<String>>| csv_text(titles, lines, Formulas::default()).unwrap();
        let line = ["7,\"x\"", "1.5"].map(str::to_owned).to_vec();
        assert_eq!(text(&["entity", "amount"], vec![line]), "entity,amount\n\"7,\"\"x\"\"\",1.5");
        let line = ["a\nb", "say \"a\""].map(str::to_owned).to_vec();
        assert_eq!(text(&["one", "two"], vec![line]), "one,two\n\"a\nb\",\"say \"\"a\"\"\"");
        assert_eq!(text(&["entity"], Vec::new()), "entity");
    }

    #[test]
    fn formulas_are_escaped_only_on_request_and_numbers_never() {
        let escaped = Formulas { escape_formulas: true };
        let hostile = ["=1+1", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "－2+3", "=cmd|' /C calc'!A0"];
        for text in hostile {
            assert_eq!(escaped.cell(text), format!("'{text}"));
            assert_eq!(Formulas::default().cell(text), text);
        }
        for text in ["7", "-0.1", "-12345678901234567890.5", "", "a=b", "'=1", " =1", "2026-11-21"] {
            assert_eq!(escaped.cell(text), text);
        }
        let line = ["=1", "-2"].map(str::to_owned).to_vec();
        assert_eq!(csv_text(&["entity", "=x"], [line], escaped).unwrap(), "entity,'=x\n'=1,-2");
    }
}
