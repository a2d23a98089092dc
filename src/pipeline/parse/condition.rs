//! `where`: conditions on the attributes of an image.

use toml::Spanned;
use toml::de::DeValue;

use super::super::condition::{Condition, Operator, Scalar, Test};
use super::super::document::{Section, SpannedText};
use super::super::suggestion::closest;
use super::contradiction::{contradiction, is_reversed};
use super::path;
use crate::decimal::Decimal;

const LIMITS: [(&str, Operator); 4] =
    [("ge", Operator::Ge), ("gt", Operator::Gt), ("le", Operator::Le), ("lt", Operator::Lt)];
const OPERATORS: [&str; 10] = ["any_of", "between", "exists", "ge", "gt", "le", "lt", "not", "prefix", "size"];

/// Reads a table of conditions by path.
pub(super) fn conditions(section: &Section<'_>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (key, value) in section.entries() {
        if !path::check(section, key, key, &value.span()) {
            continue;
        }
        let Some(tests) = tests(section, key, value) else { continue };
        if let Some(why) = contradiction(&tests.iter().collect::<Vec<_>>()) {
            section.document.mistake(&value.span(), format!("{}: `{key}` is never met: {why}", section.title));
        }
        conditions.extend(tests.into_iter().map(|test| Condition { path: key.to_owned(), test }));
    }
    conditions
}

/// The tests that an attribute must pass, all of them.
fn tests(section: &Section<'_>, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Test>> {
    match value.get_ref() {
        DeValue::Array(_) => Some(vec![Test::AnyOf(scalars(section, path, value)?)]),
        DeValue::Table(table) => {
            let title = format!("{} {path}", section.title);
            operators(Section::new(section.document, table, value.span(), &title), path)
        }
        _ => Some(vec![Test::AnyOf(vec![scalar(section, path, value)?])]),
    }
}

/// Reads `{ ge = 400, lt = 500 }`.
fn operators(section: Section<'_>, path: &str) -> Option<Vec<Test>> {
    let keys: Vec<&str> = section.entries().map(|(key, _)| key).collect();
    if keys.iter().all(|key| !OPERATORS.contains(key) && closest(key, OPERATORS).is_none()) {
        let quote = keys.first().map(|key| format!("; to name a path, quote it: \"{path}.{key}\"")).unwrap_or_default();
        section.mistake(format_args!("has no operator; write one or more of {}{quote}", OPERATORS.join(", ")));
        return None;
    }
    let mut tests = Vec::new();
    if let Some(value) = section.value("any_of") {
        match value.get_ref() {
            DeValue::Array(_) => tests.push(Test::AnyOf(scalars(&section, "any_of", value)?)),
            other => return section.wrong("any_of", value, "a list of values", other),
        }
    }
    if let Some(value) = section.value("not") {
        let list = scalars(&section, "not", value)?;
        if list.is_empty() {
            section.document.mistake(&value.span(), format!("{}: `not` is empty; leave it out", section.title));
        }
        tests.push(Test::NoneOf(list));
    }
    if let Some(value) = section.value("exists") {
        match value.get_ref() {
            DeValue::Boolean(true) => tests.push(Test::Exists),
            DeValue::Boolean(false) => tests.push(Test::Absent),
            other => return section.wrong("exists", value, "true or false", other),
        }
    }
    let limits = limits(&section, limit, is_reversed)?;
    tests.extend(limits.into_iter().map(|(operator, limit)| Test::Compare(operator, limit)));
    if let Some(SpannedText { text, span }) = section.text("prefix") {
        if text.is_empty() {
            let message =
                format!("{}: `prefix` is empty, and every string starts with it; leave it out", section.title);
            section.document.mistake(&span, message);
        }
        tests.push(Test::Prefix(text.to_owned()));
    }
    let sizes = section.value("size").map(|value| sizes(&section, value));
    tests.extend(sizes.unwrap_or_default().into_iter().map(|(operator, size)| Test::Size(operator, size)));
    section.finish();
    Some(tests)
}

/// The limits in a section: `ge`, `gt`, `le`, `lt` and `between`.
fn limits<T>(
    section: &Section<'_>,
    read: impl Fn(&Section<'_>, &str, &Spanned<DeValue<'_>>) -> Option<T>,
    is_reversed: impl Fn(&T, &T) -> bool,
) -> Option<Vec<(Operator, T)>> {
    let mut limits = Vec::new();
    for (key, operator) in LIMITS {
        if let Some(value) = section.value(key) {
            limits.push((operator, read(section, key, value)?));
        }
    }
    let Some(value) = section.value("between") else { return Some(limits) };
    let DeValue::Array(pair) = value.get_ref() else {
        return section.wrong("between", value, "a list of two limits, between = [400, 499]", value.get_ref());
    };
    let pair = pair.iter().map(|limit| read(section, "between", limit)).collect::<Option<Vec<T>>>()?;
    let message = match <[T; 2]>::try_from(pair) {
        Ok([least, most]) if !is_reversed(&least, &most) => {
            limits.extend([(Operator::Ge, least), (Operator::Le, most)]);
            return Some(limits);
        }
        Ok(_) => "has the greater limit first, so it is never met; swap the limits",
        Err(_) => "needs exactly two limits, between = [400, 499]",
    };
    section.document.mistake(&value.span(), format!("{}: `between` {message}", section.title));
    None
}

/// Reads `size = 2` or `size = { ge = 2 }`.
fn sizes(section: &Section<'_>, value: &Spanned<DeValue<'_>>) -> Vec<(Operator, usize)> {
    let DeValue::Table(table) = value.get_ref() else {
        let exactly = |size| vec![(Operator::Ge, size), (Operator::Le, size)];
        return size(section, "size", value).map(exactly).unwrap_or_default();
    };
    let inner = Section::new(section.document, table, value.span(), &format!("{} size", section.title));
    let limits = limits(&inner, size, |least, most| least > most);
    if limits.as_ref().is_some_and(Vec::is_empty) {
        inner.mistake("has no limit; write size = 2, or size = { ge = 2 } with ge, gt, le, lt or between");
    }
    inner.finish();
    limits.unwrap_or_default()
}

fn size(section: &Section<'_>, key: &str, value: &Spanned<DeValue<'_>>) -> Option<usize> {
    let size = match value.get_ref() {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        _ => None,
    };
    if size.is_none() {
        let message = format!(
            "{}: `{key}` must be a whole number from 0, size = 2, or limits, size = {{ ge = 2 }}",
            section.title
        );
        section.document.mistake(&value.span(), message);
    }
    size
}

fn limit(section: &Section<'_>, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Scalar> {
    match value.get_ref() {
        DeValue::Boolean(_) => section.wrong(key, value, "a string or a decimal number", value.get_ref()),
        _ => scalar(section, key, value),
    }
}

fn scalars(section: &Section<'_>, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Scalar>> {
    match value.get_ref() {
        DeValue::Array(list) => list.iter().map(|value| scalar(section, path, value)).collect(),
        _ => Some(vec![scalar(section, path, value)?]),
    }
}

/// Reads a value that an attribute is compared with.
pub(super) fn scalar(section: &Section<'_>, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Scalar> {
    let number = |text: &str| Decimal::parse(text).ok().map(Scalar::Number);
    let scalar = match value.get_ref() {
        DeValue::String(text) => Some(Scalar::Text(text.clone().into_owned())),
        DeValue::Boolean(truth) => Some(Scalar::Bool(*truth)),
        DeValue::Integer(integer) if integer.radix() == 10 => number(integer.as_str()),
        DeValue::Float(float) => number(float.as_str()),
        _ => None,
    };
    if let DeValue::Datetime(instant) = value.get_ref() {
        let message = format!("{}: `{path}`: DynamoDB has no dates; write the string \"{instant}\"", section.title);
        section.document.mistake(&value.span(), message);
        return None;
    }
    scalar.or_else(|| section.wrong(path, value, "a string, a decimal number, true or false", value.get_ref()))
}
