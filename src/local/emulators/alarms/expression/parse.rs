//! Parses metric math by precedence: OR, AND, comparisons, sums, products, powers.

use anyhow::{Context, bail, ensure};

use super::{Expression, Operator};

/// Operators by precedence, the loosest first. Longer spellings come first, because `<` begins `<=`.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or), ("OR", Operator::Or)],
    &[("&&", Operator::And), ("AND", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide)],
    &[("^", Operator::Power)],
];

/// Parses an expression.
///
/// # Errors
/// If it isn't one, or uses a function other than FILL and IF.
pub(in crate::emulators::alarms) fn parse(text: &str) -> anyhow::Result<Expression> {
    let mut parser = Parser { rest: text.trim_start() };
    let expression = parser.binary(0)?;
    ensure!(parser.rest.is_empty(), "`{}` is left over", parser.rest);
    Ok(expression)
}

struct Parser<'t> {
    /// Without leading spaces.
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest.trim_start();
        taken
    }

    fn takes(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        let is_word = |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if is_word(token) && is_word(rest) {
            return false;
        }
        self.rest = rest.trim_start();
        true
    }

    fn expects(&mut self, token: &str) -> anyhow::Result<()> {
        ensure!(self.takes(token), "expected `{token}` before `{}`", self.rest);
        Ok(())
    }

    fn binary(&mut self, level: usize) -> anyhow::Result<Expression> {
        let Some(operators) = LEVELS.get(level) else { return self.operand() };
        let mut left = self.binary(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(token, _)| self.takes(token)) {
            let right = self.binary(level + 1)?;
            left = Expression::Binary(*operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operand(&mut self) -> anyhow::Result<Expression> {
        if self.takes("-") {
            return Ok(Expression::Negative(Box::new(self.operand()?)));
        }
        if self.takes("(") {
            let inner = self.binary(0)?;
            self.expects(")")?;
            return Ok(inner);
        }
        let length = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        let word = self.take(length.unwrap_or(self.rest.len()));
        ensure!(!word.is_empty(), "expected a value before `{}`", self.rest);
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Expression::Number(word.parse().with_context(|| format!("`{word}` is not a number"))?));
        }
        if !self.takes("(") {
            // IDs start with a lowercase letter; anything else is a keyword such as REPEAT.
            ensure!(word.starts_with(|c: char| c.is_ascii_lowercase()), "`{word}` isn't supported");
            return Ok(Expression::Metric(word.to_owned()));
        }
        let mut arguments = vec![self.binary(0)?];
        while self.takes(",") {
            arguments.push(self.binary(0)?);
        }
        self.expects(")")?;
        call(word, arguments)
    }
}

fn call(function: &str, arguments: Vec<Expression>) -> anyhow::Result<Expression> {
    let mut arguments = arguments.into_iter().map(Box::new);
    let found = (arguments.next(), arguments.next(), arguments.next(), arguments.next());
    Ok(match (function, found) {
        ("FILL", (Some(metric), Some(filler), None, None)) => Expression::Fill(metric, filler),
        ("IF", (Some(condition), Some(yes), no, None)) => Expression::If(condition, yes, no),
        ("FILL" | "IF", _) => bail!("{function} has the wrong number of arguments"),
        _ => bail!("the function {function} isn't supported; FILL and IF are"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, expected) in [
            ("RATE(m1)", "the function RATE isn't supported; FILL and IF are"),
            ("FILL(m1, REPEAT)", "`REPEAT` isn't supported"),
            ("FILL(m1)", "FILL has the wrong number of arguments"),
            ("m1 +", "expected a value before ``"),
            ("(m1 + 2", "expected `)` before ``"),
            ("m1 m2", "`m2` is left over"),
            ("1.2.3", "`1.2.3` is not a number"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn operators_that_begin_a_word_are_part_of_it() {
        assert_eq!(parse("orders").unwrap(), Expression::Metric("orders".to_owned()));
        let Expression::Binary(Operator::Or, ..) = parse("a OR b").unwrap() else { panic!() };
    }
}
