//! Paths of attributes: `status`, `address.country`, `lines[0].price`.

use std::ops::Range;

use super::super::document::{Section, SpannedText};

/// The path that `key` names, or a mistake.
pub(super) fn read(section: &Section<'_>, key: &str, path: &SpannedText<'_>) -> Option<String> {
    check(section, key, path.text, &path.span).then(|| path.text.to_owned())
}

/// Whether `path` is valid. Otherwise, notes a mistake at `span`.
pub(super) fn check(section: &Section<'_>, key: &str, path: &str, span: &Range<usize>) -> bool {
    let Err(why) = checked(path) else { return true };
    let of_key = if key == path { String::new() } else { format!("`{key}`: ") };
    let message = format!(
        "{}: {of_key}`{path}` is not a valid path: {why}; write a path as in address.country or lines[0].price",
        section.title
    );
    section.document.mistake(span, message);
    false
}

fn checked(path: &str) -> Result<(), &'static str> {
    path.split('.').try_for_each(|step| {
        let (name, members) = step.split_at(step.find('[').unwrap_or(step.len()));
        match name {
            "" => Err("a name is empty"),
            _ if name.contains(']') => Err("a bracket isn't open"),
            _ => members_checked(members),
        }
    })
}

/// Checks any number of `[0]`.
fn members_checked(members: &str) -> Result<(), &'static str> {
    let mut rest = members;
    while !rest.is_empty() {
        let member = rest.strip_prefix('[').ok_or("after a bracket, only a dot or another bracket can follow")?;
        let (index, further) = member.split_once(']').ok_or("a bracket isn't closed")?;
        if index.parse::<usize>().is_err() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("brackets must contain a whole number, which counts from 0");
        }
        rest = further;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_names_joined_by_dots_and_indexes_in_brackets() {
        for valid in ["a", "a.b", "lines[0]", "lines[0].price", "m.lines[12][3].x.y", "café", "a b", "x-y", "a:b"] {
            assert_eq!(checked(valid), Ok(()), "{valid}");
        }
        let cases = [
            ("", "a name is empty"),
            (".a", "a name is empty"),
            ("a.", "a name is empty"),
            ("a..b", "a name is empty"),
            ("[0]", "a name is empty"),
            ("a.[0]", "a name is empty"),
            ("a]", "a bracket isn't open"),
            ("a[0", "a bracket isn't closed"),
            ("a[0.b", "a bracket isn't closed"),
            ("a[]", "brackets must contain a whole number, which counts from 0"),
            ("a[x]", "brackets must contain a whole number, which counts from 0"),
            ("a[-1]", "brackets must contain a whole number, which counts from 0"),
            ("a[+1]", "brackets must contain a whole number, which counts from 0"),
            ("a[99999999999999999999]", "brackets must contain a whole number, which counts from 0"),
            ("a[0]b", "after a bracket, only a dot or another bracket can follow"),
        ];
        for (path, why) in cases {
            assert_eq!(checked(path), Err(why), "{path}");
        }
    }
}
