//! Texts of Ion with their escapes, and numbers as DynamoDB spells them. Pure.

use std::str::CharIndices;

use stream_types::Decimal;

const ESCAPE: &str = "an escape of Ion";

/// The text that ends with this quotation mark, without its escapes, and the length of what was read, with the mark.
///
/// # Errors
/// What was expected.
pub(super) fn unquoted(inner: &str, mark: &str) -> Result<(String, usize), &'static str> {
    let mut text = String::new();
    let mut rest = inner.char_indices();
    while let Some((at, one)) = rest.next() {
        if inner.get(at..).is_some_and(|rest| rest.starts_with(mark)) {
            return Ok((text, at + mark.len()));
        }
        match one {
            '\\' => text.push(escaped(&mut rest)?),
            one => text.push(one),
        }
    }
    Err("a complete text")
}

/// The character that an escape stands for.
fn escaped(rest: &mut CharIndices<'_>) -> Result<char, &'static str> {
    let (_, kind) = rest.next().ok_or("a complete text")?;
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        kind => return simple(kind).ok_or(ESCAPE),
    };
    let mut code = in_hexadecimal(rest, digits)?;
    // A character outside the basic plane may be two surrogates.
    if (0xD800..0xDC00).contains(&code) {
        let next = [rest.next(), rest.next()].map(|one| one.map(|(_, one)| one));
        let low = if next == [Some('\\'), Some('u')] { in_hexadecimal(rest, 4)? } else { 0 };
        code = match low {
            0xDC00..0xE000 => 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00),
            _ => return Err(ESCAPE),
        };
    }
    char::from_u32(code).ok_or(ESCAPE)
}

/// The number in this many hexadecimal digits.
fn in_hexadecimal(rest: &mut CharIndices<'_>, digits: usize) -> Result<u32, &'static str> {
    let mut number = 0;
    for (_, digit) in rest.by_ref().take(digits) {
        number = number * 16 + digit.to_digit(16).ok_or(ESCAPE)?;
    }
    Ok(number)
}

fn simple(kind: char) -> Option<char> {
    Some(match kind {
        '0' => '\0',
        'a' => '\u{7}',
        'b' => '\u{8}',
        't' => '\t',
        'n' => '\n',
        'f' => '\u{c}',
        'r' => '\r',
        'v' => '\u{b}',
        '?' | '\\' | '\'' | '"' | '/' => kind,
        _ => return None,
    })
}

/// A number without an exponent, as DynamoDB returns it.
pub(super) fn plain(number: Decimal) -> String {
    let (mantissa, exponent) = number.parts();
    let (sign, places) = (if mantissa < 0 { "-" } else { "" }, usize::from(exponent.unsigned_abs()));
    if exponent >= 0 {
        return format!("{mantissa}{}", "0".repeat(places));
    }
    let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_no_exponent() {
        let zeros = |count: usize| "0".repeat(count);
        for (text, expected) in [
            ("0", "0".to_owned()),
            ("6E2", "600".to_owned()),
            ("-1.50", "-1.5".to_owned()),
            ("-0.025", "-0.025".to_owned()),
            ("1E125", format!("1{}", zeros(125))),
            ("-1E-130", format!("-0.{}1", zeros(129))),
            ("1234567890123456789012345678901234567.8", "1234567890123456789012345678901234567.8".to_owned()),
        ] {
            assert_eq!(plain(Decimal::parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn escapes_are_characters() {
        let read = |inner: &str| unquoted(inner, "\"").map(|(text, _)| text);
        assert_eq!(unquoted(r#"a\"b", c"#, "\""), Ok(("a\"b".to_owned(), 5)));
        assert_eq!(read(r#"\x41\u00e9\U0001F600\uD83D\uDE00\0\/""#).unwrap(), "Aé😀😀\0/");
        for wrong in [r#"\q""#, r#"\x4""#, r#"\uD83D""#, r#"\uD83Dabcdef""#, r#"\uD83D\u0041""#, r#"\U00110000""#] {
            assert_eq!(read(wrong), Err(ESCAPE), "{wrong}");
        }
        for open in ["a", r#"a\"#, r#"a\""#] {
            assert_eq!(read(open), Err("a complete text"), "{open}");
        }
    }
}
