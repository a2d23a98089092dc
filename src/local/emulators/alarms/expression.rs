//! Metric math, as far as the template uses it: arithmetic, comparisons, AND, OR, FILL and IF.
//!
//! An expression is evaluated for each period on its own. A period without data has no value, and neither has a result
//! that is computed from it, unless FILL replaces it or IF chooses the other branch.

mod parse;

use std::collections::BTreeSet;

pub(super) use parse::parse;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    /// The value of the metric with this ID.
    Metric(String),
    Negative(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// A metric, and what replaces missing values.
    Fill(Box<Expression>, Box<Expression>),
    /// A condition, and the values if it is and isn't 0. Without the latter, there is no value.
    If(Box<Expression>, Box<Expression>, Option<Box<Expression>>),
}

/// An operator with two operands. Comparisons give 1 or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Expression {
    /// The value in one period, in which `value` returns that of each metric.
    pub(super) fn value(&self, value: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
        let result = match self {
            Expression::Number(number) => *number,
            Expression::Metric(id) => value(id)?,
            Expression::Negative(operand) => -operand.value(value)?,
            Expression::Binary(operator, a, b) => operator.apply(a.value(value)?, b.value(value)?),
            Expression::Fill(metric, filler) => match metric.value(value) {
                Some(value) => value,
                None => filler.value(value)?,
            },
            Expression::If(condition, yes, no) => match (condition.value(value)? != 0.0, no) {
                (true, _) => yes.value(value)?,
                (false, Some(no)) => no.value(value)?,
                (false, None) => return None,
            },
        };
        // CloudWatch has no value where the result isn't a number, as after a division by 0.
        result.is_finite().then_some(result)
    }

    /// The IDs of the metrics that it names.
    pub(super) fn metrics(&self) -> BTreeSet<&str> {
        match self {
            Expression::Number(_) => BTreeSet::new(),
            Expression::Metric(id) => BTreeSet::from([id.as_str()]),
            Expression::Negative(operand) => operand.metrics(),
            Expression::Binary(_, a, b) | Expression::Fill(a, b) => a.metrics().union(&b.metrics()).copied().collect(),
            Expression::If(condition, yes, no) => {
                let no = no.as_ref().map(|no| no.metrics()).unwrap_or_default();
                condition.metrics().into_iter().chain(yes.metrics()).chain(no).collect()
            }
        }
    }
}

impl Operator {
    fn apply(self, a: f64, b: f64) -> f64 {
        let truth = |truth: bool| f64::from(u8::from(truth));
        // Values that are equal are written as the same decimal digits.
        let equal = a.total_cmp(&b).is_eq() || (a - b).abs() < f64::EPSILON;
        match self {
            Operator::Or => truth(a != 0.0 || b != 0.0),
            Operator::And => truth(a != 0.0 && b != 0.0),
            Operator::Equal => truth(equal),
            Operator::NotEqual => truth(!equal),
            Operator::Less => truth(a < b),
            Operator::LessOrEqual => truth(a <= b),
            Operator::Greater => truth(a > b),
            Operator::GreaterOrEqual => truth(a >= b),
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Power => a.powf(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<f64> {
        let known = |id: &str| match id {
            "two" => Some(2.0),
            "ten" => Some(10.0),
            "zero" => Some(0.0),
            _ => None,
        };
        parse(text).unwrap().value(&known)
    }

    #[test]
    fn expressions_are_computed_with_cloudwatchs_precedence() {
        for (text, expected) in [
            ("1 + two * 3 ^ 2", Some(19.0)),
            ("100 * ten / (1000 * 60)", Some(1_000.0 / 60_000.0)),
            ("-two + ten - 1", Some(7.0)),
            ("ten - 2000 * 30", Some(-59_990.0)),
            ("two < ten AND ten >= 10 OR zero", Some(1.0)),
            ("two == 2 && two != 2", Some(0.0)),
            ("IF(two > 1, ten, zero)", Some(10.0)),
            ("IF(zero, ten)", None),
            ("ten / zero", None),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn a_period_without_data_has_no_value_unless_it_is_filled() {
        for (text, expected) in [
            ("none", None),
            ("ten + none", None),
            ("ten + FILL(none, 0)", Some(10.0)),
            ("100 * FILL(none, 0) / ten", Some(0.0)),
            ("100 * FILL(none, 0) / none", None),
            // Nothing could be delivered, so that there is no number of deliveries.
            ("IF(FILL(two, 0) > FILL(none, 0), 100, 100 * FILL(two, 0) / none)", Some(100.0)),
            ("IF(FILL(none, 0) > FILL(none, 0), 100, 100 * FILL(none, 0) / none)", None),
            ("IF(none, 1, 2)", None),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn the_metrics_of_an_expression_are_known() {
        let expression = parse("IF(a > FILL(b, 0), c, -d) + 1").unwrap();
        assert_eq!(expression.metrics(), BTreeSet::from(["a", "b", "c", "d"]));
    }
}
