//! Rules of composite alarms: `ALARM("a") OR (OK("b") AND NOT INSUFFICIENT_DATA("c"))`, TRUE and FALSE.

use std::collections::BTreeSet;

use anyhow::{Context, bail, ensure};

use super::State;

/// A parsed rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    Constant(bool),
    /// Whether the alarm with this name is in this state.
    In(State, String),
    Not(Box<Rule>),
    All(Vec<Rule>),
    Any(Vec<Rule>),
}

impl Rule {
    /// Parses a rule.
    ///
    /// # Errors
    /// If it isn't one.
    pub(super) fn parse(text: &str) -> anyhow::Result<Rule> {
        let mut rest = text.trim_start();
        let rule = any(&mut rest)?;
        ensure!(rest.is_empty(), "`{rest}` is left over");
        Ok(rule)
    }

    /// Whether it holds, if `state` returns the state of each alarm.
    pub(super) fn holds(&self, state: &dyn Fn(&str) -> Option<State>) -> bool {
        match self {
            Rule::Constant(truth) => *truth,
            Rule::In(wanted, alarm) => state(alarm) == Some(*wanted),
            Rule::Not(rule) => !rule.holds(state),
            Rule::All(rules) => rules.iter().all(|rule| rule.holds(state)),
            Rule::Any(rules) => rules.iter().any(|rule| rule.holds(state)),
        }
    }

    /// The names of the alarms that it refers to.
    pub(super) fn alarms(&self) -> BTreeSet<&str> {
        match self {
            Rule::Constant(_) => BTreeSet::new(),
            Rule::In(_, alarm) => BTreeSet::from([alarm.as_str()]),
            Rule::Not(rule) => rule.alarms(),
            Rule::All(rules) | Rule::Any(rules) => rules.iter().flat_map(Rule::alarms).collect(),
        }
    }
}

fn takes(rest: &mut &str, token: &str) -> bool {
    let Some(after) = rest.strip_prefix(token) else { return false };
    *rest = after.trim_start();
    true
}

fn any(rest: &mut &str) -> anyhow::Result<Rule> {
    let mut rules = vec![all(rest)?];
    while takes(rest, "OR") {
        rules.push(all(rest)?);
    }
    Ok(one_or(rules, Rule::Any))
}

fn all(rest: &mut &str) -> anyhow::Result<Rule> {
    let mut rules = vec![operand(rest)?];
    while takes(rest, "AND") {
        rules.push(operand(rest)?);
    }
    Ok(one_or(rules, Rule::All))
}

fn one_or(mut rules: Vec<Rule>, several: fn(Vec<Rule>) -> Rule) -> Rule {
    match (rules.pop(), rules.is_empty()) {
        (Some(rule), true) => rule,
        (last, _) => {
            rules.extend(last);
            several(rules)
        }
    }
}

fn operand(rest: &mut &str) -> anyhow::Result<Rule> {
    if takes(rest, "NOT") {
        return Ok(Rule::Not(Box::new(operand(rest)?)));
    }
    if takes(rest, "(") {
        let inner = any(rest)?;
        ensure!(takes(rest, ")"), "expected `)` before `{rest}`");
        return Ok(inner);
    }
    for (token, truth) in [("TRUE", true), ("FALSE", false)] {
        if takes(rest, token) {
            return Ok(Rule::Constant(truth));
        }
    }
    for state in [State::Alarm, State::Ok, State::InsufficientData] {
        if takes(rest, state.name()) {
            let after = rest.strip_prefix('(').with_context(|| format!("expected `(` before `{rest}`"))?;
            let (alarm, after) = after.split_once(')').with_context(|| format!("expected `)` in `{rest}`"))?;
            *rest = after.trim_start();
            return Ok(Rule::In(state, alarm.trim().trim_matches(['"', '\'']).to_owned()));
        }
    }
    bail!("expected ALARM, OK, INSUFFICIENT_DATA, NOT, TRUE, FALSE or `(` before `{rest}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_combine_states() {
        let state = |alarm: &str| match alarm {
            "a" => Some(State::Alarm),
            "o" => Some(State::Ok),
            "i" => Some(State::InsufficientData),
            _ => None,
        };
        for (text, expected) in [
            (r#"ALARM("a")"#, true),
            (r#"ALARM("o") OR FALSE OR OK(o)"#, true),
            (r#"ALARM("a") AND NOT OK("o")"#, false),
            (r#"ALARM("o") AND ALARM("a") OR INSUFFICIENT_DATA('i')"#, true),
            (r#"ALARM("o") AND (ALARM("a") OR INSUFFICIENT_DATA("i"))"#, false),
            (r#"NOT (ALARM("a") AND TRUE)"#, false),
            (r#"ALARM("unknown") OR OK("unknown")"#, false),
        ] {
            assert_eq!(Rule::parse(text).unwrap().holds(&state), expected, "{text}");
        }
        assert_eq!(Rule::parse(r#"ALARM("a") OR NOT OK("o")"#).unwrap().alarms(), BTreeSet::from(["a", "o"]));
    }

    #[test]
    fn what_is_not_a_rule_is_refused() {
        for (text, expected) in [
            (r#"ALARM("a") XOR OK("b")"#, r#"`XOR OK("b")` is left over"#),
            (r#"ALARM "a""#, r#"expected `(` before `"a"`"#),
            ("(TRUE", "expected `)` before ``"),
            ("AT_LEAST(1, ALARM, (a))", "expected ALARM, OK, INSUFFICIENT_DATA, NOT, TRUE, FALSE or `(` before"),
        ] {
            let error = Rule::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
