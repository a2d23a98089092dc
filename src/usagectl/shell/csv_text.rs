//! Lines as CSV: commas, quotes where a text needs them (RFC 4180), and `\n` as the end of a line.

use anyhow::Context;

/// A header and lines, without the last line break.
///
/// # Errors
/// If a line has more or fewer cells than the header.
pub fn csv_text(titles: &[&str], lines: impl IntoIterator<Item = Vec<String>>) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(titles)?;
    for line in lines {
        writer.write_record(line)?;
    }
    let text = String::from_utf8(writer.into_inner().context("write CSV")?)?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_need_it() {
        let line = ["7,\"x\"", "1.5"].map(str::to_owned).to_vec();
        assert_eq!(csv_text(&["entity", "amount"], [line]).unwrap(), "entity,amount\n\"7,\"\"x\"\"\",1.5");
        let line = ["a\nb", "say \"a\""].map(str::to_owned).to_vec();
        assert_eq!(csv_text(&["one", "two"], [line]).unwrap(), "one,two\n\"a\nb\",\"say \"\"a\"\"\"");
        assert_eq!(csv_text(&["entity"], []).unwrap(), "entity");
    }
}
