//! What groups errors: the same code, field and route give the same fingerprint, whatever the record.

/// The fingerprint of an error.
pub(super) fn fingerprint(code: &str, field: &str, route: &str) -> String {
    let cause = format!("{code}\0{}\0{route}", without_positions(field));
    blake3::hash(cause.as_bytes()).to_hex().chars().take(16).collect()
}

/// The path of a field without the positions of list elements: `lines[3].price` becomes `lines[].price`.
fn without_positions(field: &str) -> String {
    let mut is_inside = false;
    let mut path = String::with_capacity(field.len());
    for c in field.chars() {
        is_inside = c == '[' || is_inside && c.is_ascii_digit();
        if c == '[' || !is_inside {
            path.push(c);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_has_one_fingerprint() {
        let of = |field| fingerprint("invalid_value", field, "order");
        assert_eq!(of("NewImage.lines[3].price"), of("NewImage.lines[12].price"));
        assert_ne!(of("NewImage.lines[3].price"), of("NewImage.lines[3].amount"));
        assert_ne!(of("NewImage.address2"), of("NewImage.address3"));
        assert_ne!(of("NewImage.total"), fingerprint("invalid_value", "NewImage.total", "customer"));
        assert_ne!(of("NewImage.total"), fingerprint("missing_attribute", "NewImage.total", "order"));
        assert_eq!(of("NewImage.total").len(), 16);
    }
}
