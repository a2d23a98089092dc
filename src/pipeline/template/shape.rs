//! Compares which texts templates can give, whatever the values of their variables are.

use super::{Piece, Template};

/// A character, or the text of a variable, which may be any.
type Symbol = Option<char>;

impl Template {
    /// Whether this gives every text that `other` gives, if its variables have the right values.
    pub fn covers(&self, other: &Template) -> bool {
        covers(&self.symbols(), &other.symbols())
    }

    /// Whether there is a text that both give.
    pub fn overlaps(&self, other: &Template) -> bool {
        overlap(&self.symbols(), &other.symbols())
    }

    fn symbols(&self) -> Vec<Symbol> {
        let symbols = |piece: &Piece<usize>| match piece {
            Piece::Literal(literal) => literal.chars().map(Some).collect(),
            Piece::Variable(_) => vec![None],
        };
        self.pieces.iter().flat_map(symbols).collect()
    }
}

/// What `other` has for a variable, only a variable covers.
fn covers(own: &[Symbol], other: &[Symbol]) -> bool {
    match (own, other) {
        ([], []) => true,
        ([None, rest @ ..], []) => covers(rest, other),
        ([None, rest @ ..], [_, left @ ..]) => covers(rest, other) || covers(own, left),
        ([Some(one), rest @ ..], [Some(another), left @ ..]) => one == another && covers(rest, left),
        _ => false,
    }
}

fn overlap(one: &[Symbol], other: &[Symbol]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([None, rest @ ..], variable) | (variable, [None, rest @ ..]) => {
            let whole = if one.first() == Some(&None) { one } else { other };
            overlap(rest, variable) || variable.split_first().is_some_and(|(_, left)| overlap(whole, left))
        }
        ([Some(a), rest @ ..], [Some(b), left @ ..]) => a == b && overlap(rest, left),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::template::ParsedText;

    fn template(text: &str) -> Template {
        let mut slots = 0..;
        Template::new(&ParsedText::parse(text).unwrap(), |_| slots.next()).unwrap()
    }

    #[test]
    fn a_template_covers_those_with_more_literal_text() {
        let covers = |one: &str, other: &str| template(one).covers(&template(other));
        for (wide, narrow) in [
            ("{a}", "plan:{b}"),
            ("{a}", "requests"),
            ("{a}", "{a}#{b}"),
            ("plan:{a}", "plan:team:{b}"),
            ("{a}#{b}", "x#{b}#y"),
            ("{a}", ""),
        ] {
            assert!(covers(wide, narrow), "{wide} covers {narrow}");
            assert!(!covers(narrow, wide), "{narrow} doesn't cover {wide}");
        }
        assert!(covers("{a}#{b}", "{c}#{d}") && covers("requests", "requests"));
        assert!(!covers("plan:{a}", "{b}:team") && !covers("{b}:team", "plan:{a}"));
    }

    #[test]
    fn templates_overlap_if_both_can_give_a_text() {
        let overlap = |one: &str, other: &str| {
            let (one, other) = (template(one), template(other));
            assert_eq!(one.overlaps(&other), other.overlaps(&one), "{one:?} {other:?}");
            one.overlaps(&other)
        };
        for (one, other) in [
            ("{a}", "plan:{b}"),
            ("plan:{a}", "{b}:team"),
            ("a{b}", "{c}b"),
            ("{a}#{b}", "x{c}"),
            ("x", "x"),
            ("", "{a}"),
        ] {
            assert!(overlap(one, other), "{one} and {other}");
        }
        for (one, other) in [("plan:{a}", "tenant:{a}"), ("x", "y"), ("{a}x", "{b}y"), ("x", "x{a}y"), ("", "x")] {
            assert!(!overlap(one, other), "{one} and {other}");
        }
    }
}
