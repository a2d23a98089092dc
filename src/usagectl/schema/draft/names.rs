//! Turns attribute names into valid Avro names.

use serde_json::json;

/// A TOML key, quoted if necessary.
pub(super) fn key_text(key: &str) -> String {
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    // JSON leaves one control character as it is that TOML doesn't.
    if plain && !key.is_empty() { key.to_owned() } else { json!(key).to_string().replace('\u{7f}', "\\u007f") }
}

/// `orderId` becomes `order_id`; characters that Avro doesn't allow become `_`.
pub(super) fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before = '_';
    for c in name.chars() {
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            out.push('_');
        }
        out.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
        before = c;
    }
    if out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') { out } else { format!("_{out}") }
}

/// `orderId` becomes `OrderId`.
pub(super) fn pascal(name: &str) -> String {
    let words = snake(name);
    let words = words.split('_').filter(|word| !word.is_empty());
    let name: String = words
        .map(|word| word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default())
        .collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("Type{name}") }
}
