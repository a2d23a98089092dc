//! Numbers for people: thousands separators in large ones, two significant digits in small ones.

/// A number such as `1,234,567`, `23.4` or `0.0013`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || size == 0.0 {
        return commas(&format!("{value:.0}"));
    }
    if size >= 1.0 {
        return trimmed(&format!("{value:.1}"));
    }
    trimmed(&format!("{value:.*}", small_digits(size)))
}

/// A whole number such as `1,234,567`.
pub fn whole(value: u64) -> String {
    commas(&value.to_string())
}

/// An amount such as `$1,234`, `$0.58` or `$0.0013`.
pub fn dollars(value: f64) -> String {
    match value.abs() {
        0.0 => "$0".to_owned(),
        size if size >= 100.0 => format!("${}", commas(&format!("{value:.0}"))),
        size if size >= 0.01 => format!("${value:.2}"),
        size => format!("${value:.*}", small_digits(size)),
    }
}

/// A duration given in seconds, as `37 ms` or `2 s`.
pub fn seconds(value: f64) -> String {
    match value {
        0.01..1.0 => format!("{:.0} ms", value * 1_000.0),
        ..0.01 => format!("{} ms", trimmed(&format!("{:.1}", value * 1_000.0))),
        _ => format!("{} s", number(value)),
    }
}

/// `part` of `whole` as a percentage with one decimal, without the sign.
pub fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1}", part / whole * 100.0) } else { "0".to_owned() }
}

/// How many decimals show two significant digits of a number below 1.
fn small_digits(size: f64) -> usize {
    (1..12)
        .find(|digits: &i32| size * 10_f64.powi(*digits) >= 10.0)
        .and_then(|digits| usize::try_from(digits).ok())
        .unwrap_or(12)
}

fn trimmed(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

fn commas(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_one_decimal() {
        assert_eq!((percent(1.0, 3.0), percent(1.0, 0.0)), ("33.3".to_owned(), "0".to_owned()));
    }

    #[test]
    fn numbers_have_only_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1_234_567.0, "1,234,567"),
            (-4_000.0, "-4,000"),
            (99.96, "100"),
            (7.0, "7"),
            (0.0023, "0.0023"),
            (0.5, "0.5"),
        ] {
            assert_eq!(number(value), text);
        }
        for (value, text) in
            [(0.0, "$0"), (0.578, "$0.58"), (17.1, "$17.10"), (1_234.4, "$1,234"), (0.00125, "$0.0013")]
        {
            assert_eq!(dollars(value), text);
        }
        assert_eq!((whole(999), whole(27_631)), ("999".into(), "27,631".into()));
        assert_eq!((seconds(0.0371), seconds(2.04), seconds(0.0004)), ("37 ms".into(), "2 s".into(), "0.4 ms".into()));
    }
}
