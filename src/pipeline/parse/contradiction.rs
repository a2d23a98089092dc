//! Finds conditions on one attribute that no value meets, so that a typing error doesn't count nothing in silence. What
//! it reports is certain; it doesn't find everything.

use std::cmp::Ordering;

use super::super::condition::{Operator, Scalar, Test};
use crate::decimal::Decimal;

/// Why no value passes all of these tests, if that is certain.
pub(super) fn contradiction(tests: &[&Test]) -> Option<String> {
    let needs_value = |test: &&&Test| !matches!(test, Test::Absent | Test::NoneOf(_));
    if tests.contains(&&Test::Absent) && tests.iter().any(|test| needs_value(&test)) {
        return Some("an absent attribute doesn't meet the other conditions".to_owned());
    }
    for test in tests {
        let Test::AnyOf(list) = test else { continue };
        if list.is_empty() {
            return Some("its list of values is empty".to_owned());
        }
        if !list.iter().any(|value| tests.iter().all(|test| may_pass(test, value))) {
            return Some("no value of the list meets the other conditions".to_owned());
        }
    }
    kinds(tests).or_else(|| numbers(tests)).or_else(|| texts(tests)).or_else(|| sizes(tests))
}

/// Whether the limits of `between` are in the wrong order.
pub(super) fn is_reversed(least: &Scalar, most: &Scalar) -> bool {
    compare(least, most).is_some_and(Ordering::is_gt)
}

fn compare(one: &Scalar, other: &Scalar) -> Option<Ordering> {
    match (one, other) {
        (Scalar::Number(one), Scalar::Number(other)) => Some(one.cmp(other)),
        (Scalar::Text(one), Scalar::Text(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

fn may_pass(test: &Test, value: &Scalar) -> bool {
    match test {
        Test::AnyOf(list) => list.contains(value),
        Test::NoneOf(list) => !list.contains(value),
        Test::Exists => true,
        Test::Absent => false,
        Test::Compare(operator, limit) => compare(value, limit).is_some_and(|order| operator.admits(order)),
        Test::Prefix(prefix) => matches!(value, Scalar::Text(text) if text.starts_with(prefix.as_str())),
        Test::Size(operator, size) => {
            matches!(value, Scalar::Text(text) if operator.admits(text.chars().count().cmp(size)))
        }
    }
}

/// Whether tests need values of different types.
fn kinds(tests: &[&Test]) -> Option<String> {
    let any = |is: fn(&Test) -> bool| tests.iter().any(|test| is(test));
    let number = any(|test| matches!(test, Test::Compare(_, Scalar::Number(_))));
    let text = any(|test| matches!(test, Test::Prefix(_) | Test::Compare(_, Scalar::Text(_))));
    let size = any(|test| matches!(test, Test::Size(..)));
    match (number, text, size) {
        (true, true, _) => Some("it compares with a number and with a string".to_owned()),
        (true, _, true) => Some("it compares with a number, which has no size".to_owned()),
        _ => None,
    }
}

fn numbers(tests: &[&Test]) -> Option<String> {
    let limits = tests.iter().filter_map(|test| match test {
        Test::Compare(operator, Scalar::Number(limit)) => Some((*operator, *limit)),
        _ => None,
    });
    between(&limits.collect::<Vec<(Operator, Decimal)>>(), "number")
}

fn texts(tests: &[&Test]) -> Option<String> {
    let limits = tests.iter().filter_map(|test| match test {
        Test::Compare(operator, Scalar::Text(limit)) => Some((*operator, limit.as_str())),
        _ => None,
    });
    let limits: Vec<(Operator, &str)> = limits.collect();
    let misses = |prefix: &str, (operator, limit): &(Operator, &str)| match operator {
        // The prefix itself is the least string that starts with it.
        Operator::Le | Operator::Lt => !operator.admits(prefix.cmp(limit)),
        Operator::Ge | Operator::Gt => prefix < *limit && !limit.starts_with(prefix),
    };
    for test in tests {
        let Test::Prefix(prefix) = test else { continue };
        if let Some((operator, limit)) = limits.iter().find(|limit| misses(prefix, limit)) {
            return Some(format!("no string that starts with {prefix} is {operator} {limit}"));
        }
    }
    between(&limits, "string")
}

fn sizes(tests: &[&Test]) -> Option<String> {
    let limits = tests.iter().filter_map(|test| match test {
        Test::Size(operator, size) => Some((*operator, *size)),
        _ => None,
    });
    let limits: Vec<(Operator, usize)> = limits.collect();
    if limits.contains(&(Operator::Lt, 0)) {
        return Some("no size is less than 0".to_owned());
    }
    // Sizes are whole, so each limit has an equivalent that includes it.
    let whole = |(operator, size): &(Operator, usize)| match operator {
        Operator::Gt => (Operator::Ge, size.saturating_add(1)),
        Operator::Lt => (Operator::Le, size.saturating_sub(1)),
        _ => (*operator, *size),
    };
    between(&limits.iter().map(whole).collect::<Vec<_>>(), "size")
}

/// Two limits that nothing meets.
fn between<T: Ord + std::fmt::Display>(limits: &[(Operator, T)], noun: &str) -> Option<String> {
    let is_lower = |operator: &Operator| matches!(operator, Operator::Ge | Operator::Gt);
    for (lower, least) in limits.iter().filter(|(operator, _)| is_lower(operator)) {
        for (upper, most) in limits.iter().filter(|(operator, _)| !is_lower(operator)) {
            // If the limits are equal, both must include it.
            let misses = !upper.admits(least.cmp(most)) || !lower.admits(most.cmp(least));
            if misses {
                return Some(format!("no {noun} is {lower} {least} and {upper} {most}"));
            }
        }
    }
    None
}
