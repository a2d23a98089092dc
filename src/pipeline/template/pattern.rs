//! Patterns, which capture values from the text of an attribute.

use super::{ParsedText, Piece, literal};
use crate::outline::NamePattern;

/// A capture next to one of these characters can't contain that character: `ORDER#{order}` doesn't match
/// `ORDER#7#LINE#1`.
const SEPARATORS: &str = "#/|:";

/// A pattern for the text of an attribute. Its variables are captures, which fill slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece<usize>>);

/// A part of a text that matches a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Text(String),
    /// Some text.
    Anything,
}

impl Pattern {
    /// The parts of every text that matches, if its captures have these values.
    pub fn parts<'v>(&self, value: impl Fn(usize) -> Option<&'v str>) -> Vec<Part> {
        let part = |piece: &Piece<usize>| match piece {
            Piece::Literal(literal) => Part::Text(literal.clone()),
            Piece::Variable(slot) => value(*slot).map_or(Part::Anything, |text| Part::Text(text.to_owned())),
        };
        self.0.iter().map(part).collect()
    }

    /// Resolves the captures of `text`.
    ///
    /// # Errors
    /// If two captures are adjacent, so that it is undefined where the first one ends.
    pub fn new(text: &ParsedText, mut slot: impl FnMut(&str) -> usize) -> Result<Pattern, String> {
        let adjacent = text.0.windows(2).any(|pair| matches!(pair, [Piece::Variable(_), Piece::Variable(_)]));
        if adjacent {
            return Err("two captures are adjacent; put a literal between them".to_owned());
        }
        text.resolve(|name| Some(slot(name))).map(Pattern)
    }

    /// What every matching text starts and ends with.
    pub fn ends(&self) -> (&str, &str) {
        (literal(self.0.first()), literal(self.0.last()))
    }

    /// Whether this certainly matches every text that `other` matches: it is a single capture, or the two differ only in
    /// the names of their captures.
    pub fn covers(&self, other: &Pattern) -> bool {
        let alike = |pair: (&Piece<usize>, &Piece<usize>)| match pair {
            (Piece::Literal(literal), Piece::Literal(of_other)) => literal == of_other,
            (Piece::Variable(_), Piece::Variable(_)) => true,
            _ => false,
        };
        matches!(self.0.as_slice(), [Piece::Variable(_)]) && !other.0.is_empty()
            || self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(alike)
    }

    /// Whether this is a text without captures, which only an equal string matches.
    pub fn is_text(&self) -> bool {
        !self.0.iter().any(|piece| matches!(piece, Piece::Variable(_)))
    }

    /// A cheap necessary condition for names that match.
    pub fn name_pattern(&self) -> NamePattern {
        let (start, end) = self.ends();
        NamePattern::new(start.as_bytes().first().copied(), end.as_bytes().last().copied())
    }

    /// Matches all of `value` and calls `capture` with each capture. A capture is never empty, ends at the first
    /// position where the following literal matches, and doesn't contain a separator that is next to it in the pattern.
    pub fn matches<'v>(&self, value: &'v str, mut capture: impl FnMut(usize, &'v str)) -> bool {
        let mut rest = value;
        let mut before = "";
        let mut pieces = self.0.as_slice();
        while let [piece, further @ ..] = pieces {
            match piece {
                Piece::Literal(literal) => {
                    let Some(after) = rest.strip_prefix(literal.as_str()) else { return false };
                    rest = after;
                    before = literal;
                }
                Piece::Variable(slot) => {
                    let end = match further {
                        // The last literal must be at the end of the text.
                        [Piece::Literal(last)] => rest.ends_with(last.as_str()).then(|| rest.len() - last.len()),
                        [Piece::Literal(literal), ..] => {
                            let first = rest.chars().next().map_or(0, char::len_utf8);
                            rest.get(first..).and_then(|tail| find(tail, literal)).map(|at| first + at)
                        }
                        _ => Some(rest.len()),
                    };
                    let Some((found, after)) = end.and_then(|end| rest.split_at_checked(end)) else { return false };
                    let follower = match further {
                        [Piece::Literal(literal), ..] => literal.as_str(),
                        _ => "",
                    };
                    let neighbors = [before.as_bytes().last(), follower.as_bytes().first()];
                    let stops = |byte: &u8| SEPARATORS.as_bytes().contains(byte) && neighbors.contains(&Some(byte));
                    if found.is_empty() || found.as_bytes().iter().any(stops) {
                        return false;
                    }
                    capture(*slot, found);
                    rest = after;
                }
            }
            pieces = further;
        }
        rest.is_empty()
    }
}

/// The offset of `literal` in `text`. Both are so short that the setup of `str::find` would take longer.
fn find(text: &str, literal: &str) -> Option<usize> {
    let (text, literal) = (text.as_bytes(), literal.as_bytes());
    let first = literal.first()?;
    let begins = |at: &usize| text.get(*at..).is_some_and(|rest| rest.starts_with(literal));
    text.iter().enumerate().filter(|(_, byte)| *byte == first).map(|(at, _)| at).find(begins)
}
