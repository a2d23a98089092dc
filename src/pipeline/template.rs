//! Texts with `{variables}`. A [`Pattern`] captures values from an attribute, and a [`Template`] inserts values into a
//! key.

use std::borrow::Cow;

use crate::outline::NamePattern;

/// A capture next to one of these characters can't contain that character: `ORDER#{order}` doesn't match
/// `ORDER#7#LINE#1`.
const SEPARATORS: &str = "#/|:";

/// A parsed text whose variables are not yet resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedText(Vec<Piece<String>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<V> {
    Literal(String),
    Variable(V),
}

impl ParsedText {
    /// Parses `text`; `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// A message that says what is wrong with the braces or a name.
    pub fn parse(text: &str) -> Result<ParsedText, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                literal.push_str(brace.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let (name, after) = brace
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .ok_or_else(|| format!("`{text}` has an unpaired brace; write `{{{{` or `}}}}` for a literal brace"))?;
            if !is_name(name) {
                return Err(format!("`{{{name}}}` is not a valid variable; use lowercase letters, digits and `_`"));
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Variable(name.to_owned()));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(ParsedText(pieces))
    }

    /// The names of the variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Variable(name) => Some(name.as_str()),
        })
    }

    fn separates_its_variables(&self) -> bool {
        let mut separated = true;
        self.0.iter().all(|piece| match piece {
            Piece::Literal(literal) => {
                separated |= literal.contains(|c: char| c.is_ascii_punctuation());
                true
            }
            Piece::Variable(_) => std::mem::replace(&mut separated, false),
        })
    }

    /// Resolves the variables to slots.
    ///
    /// # Errors
    /// The first name for which `slot` returns `None`.
    fn resolve(&self, mut slot: impl FnMut(&str) -> Option<usize>) -> Result<Vec<Piece<usize>>, String> {
        let resolve = |piece: &Piece<String>| match piece {
            Piece::Literal(text) => Ok(Piece::Literal(text.clone())),
            Piece::Variable(name) => slot(name).map(Piece::Variable).ok_or_else(|| name.clone()),
        };
        self.0.iter().map(resolve).collect()
    }
}

/// Whether `name` is a valid name of a variable.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A pattern for the text of an attribute. Its variables are captures, which fill slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece<usize>>);

impl Pattern {
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

fn literal(piece: Option<&Piece<usize>>) -> &str {
    match piece {
        Some(Piece::Literal(literal)) => literal,
        _ => "",
    }
}

/// The offset of `literal` in `text`. Both are so short that the setup of `str::find` would take longer.
fn find(text: &str, literal: &str) -> Option<usize> {
    let (text, literal) = (text.as_bytes(), literal.as_bytes());
    let first = literal.first()?;
    let begins = |at: &usize| text.get(*at..).is_some_and(|rest| rest.starts_with(literal));
    text.iter().enumerate().filter(|(_, byte)| *byte == first).map(|(at, _)| at).find(begins)
}

/// Why a text isn't a valid template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No slot is known for this variable.
    #[error("unknown variable `{{{0}}}`")]
    Unbound(String),
    /// Two variables have no punctuation between them.
    #[error("put punctuation, for example `#`, between two variables, so that their values stay distinct")]
    Unseparated,
}

/// A text with slots to fill in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece<usize>>,
    /// The characters that are escaped in values. Empty if no escaping is needed.
    escaped: String,
}

impl Template {
    /// Resolves the variables of `text`.
    ///
    /// # Errors
    /// If `slot` doesn't know a variable, or if two variables have no punctuation between them, so that different
    /// values could give the same text.
    pub fn new(text: &ParsedText, slot: impl FnMut(&str) -> Option<usize>) -> Result<Template, TemplateError> {
        if !text.separates_its_variables() {
            return Err(TemplateError::Unseparated);
        }
        let pieces = text.resolve(slot).map_err(TemplateError::Unbound)?;
        let variables = pieces.iter().filter(|piece| matches!(piece, Piece::Variable(_))).count();
        let literals = pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(literal) => Some(literal.as_str()),
            Piece::Variable(_) => None,
        });
        // With a single variable, different values always give different texts, so nothing is escaped.
        let escaped = match variables {
            0 | 1 => String::new(),
            _ => literals.flat_map(str::chars).filter(char::is_ascii_punctuation).chain(['%']).collect(),
        };
        Ok(Template { pieces, escaped })
    }

    /// The slots of the variables, in order.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Variable(slot) => Some(*slot),
        })
    }

    /// The slot of the variable at the end of the text, if there is one.
    pub fn last_slot(&self) -> Option<usize> {
        match self.pieces.last()? {
            Piece::Literal(_) => None,
            Piece::Variable(slot) => Some(*slot),
        }
    }

    /// Fills in the slots. In every variable but the last, the template's punctuation is percent-encoded, so that
    /// different values never give the same text. The last variable is not encoded, since no other variable follows it.
    pub fn render<'v>(&self, value: impl Fn(usize) -> &'v str) -> String {
        let mut text = String::new();
        self.parts(value, |part| text.push_str(part));
        text
    }

    /// Passes the result of [`Template::render`] to `part` in pieces.
    pub fn parts<'v>(&self, value: impl Fn(usize) -> &'v str, mut part: impl FnMut(&str)) {
        let last = self.last_variable();
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(literal) => part(literal),
                Piece::Variable(slot) if Some(index) == last => part(value(*slot)),
                Piece::Variable(slot) => part(&self.escape(value(*slot))),
            }
        }
    }

    /// The slots and values from which this template renders `text`, or `None` if it can't render it.
    pub fn read_back(&self, text: &str) -> Option<Vec<(usize, String)>> {
        let last = self.last_variable();
        let mut values = Vec::new();
        let mut rest = text;
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Piece::Variable(slot) if Some(index) == last => {
                    let value = rest.strip_suffix(self.literal_at(index + 1))?;
                    values.push((*slot, value.to_owned()));
                    rest = self.literal_at(index + 1);
                }
                Piece::Variable(slot) => {
                    // The encoded value doesn't contain the punctuation that the following literal has.
                    let literal = self.literal_at(index + 1);
                    let mark = literal.find(|c: char| c.is_ascii_punctuation())?;
                    let found = rest.find(literal.get(mark..)?.chars().next()?)?;
                    let (value, after) = rest.split_at_checked(found.checked_sub(mark)?)?;
                    values.push((*slot, unescape(value)?));
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(values)
    }

    fn last_variable(&self) -> Option<usize> {
        self.pieces.iter().rposition(|piece| matches!(piece, Piece::Variable(_)))
    }

    fn literal_at(&self, index: usize) -> &str {
        literal(self.pieces.get(index))
    }

    fn escape<'v>(&self, value: &'v str) -> Cow<'v, str> {
        // All escaped characters are ASCII, so comparing bytes is enough.
        if self.escaped.is_empty() || !value.bytes().any(|byte| self.escaped.as_bytes().contains(&byte)) {
            return Cow::Borrowed(value);
        }
        let escape = |c: char| {
            if self.escaped.contains(c) { format!("%{:02X}", u32::from(c)) } else { c.to_string() }
        };
        Cow::Owned(value.chars().map(escape).collect())
    }
}

/// Decodes percent-encoded ASCII characters.
fn unescape(value: &str) -> Option<String> {
    let mut parts = value.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (code, after) = part.split_at_checked(2)?;
        text.push(char::from(u8::from_str_radix(code, 16).ok()?));
        text.push_str(after);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn captures(pattern: &str, value: &str) -> Option<Vec<String>> {
        let mut count = 0;
        let pattern = Pattern::new(&ParsedText::parse(pattern).unwrap(), |_| {
            count += 1;
            count - 1
        });
        let mut found = vec![String::new(); count];
        pattern.unwrap().matches(value, |slot, text| found[slot] = text.to_owned()).then_some(found)
    }

    #[test]
    fn patterns_capture_the_text_between_their_literals() {
        let cases: &[(&str, &str, Option<&[&str]>)] = &[
            ("ORDER#{order}", "ORDER#7", Some(&["7"])),
            ("ORDER#{order}", "ORDER#7#LINE#1", None),
            ("ORDER#{order}#LINE#{line}", "ORDER#7#LINE#1", Some(&["7", "1"])),
            ("ORDER#{order}", "ORDER#", None),
            ("ORDER#{order}", "order#7", None),
            ("PROFILE", "PROFILE", Some(&[])),
            ("PROFILE", "PROFILES", None),
            ("{ns}/BUCKET#{entity}#{resource}#{shard}", "n-1/BUCKET#a:b#gpt/4#0", Some(&["n-1", "a:b", "gpt/4", "0"])),
            ("{ns}/BUCKET#{entity}#{resource}#{shard}", "n/BUCKET#a#b", None),
            ("b_{limit}_tc", "b_tokens_tc_tc", Some(&["tokens_tc"])),
            ("b_{limit}_tc", "b__tc", None),
            ("{{x}}{y}", "{x}1", Some(&["1"])),
            ("{x}", "é", Some(&["é"])),
        ];
        for (pattern, value, expected) in cases {
            let expected = expected.map(|list| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            assert_eq!(captures(pattern, value), expected, "{pattern} on {value}");
        }
    }

    #[test]
    fn only_the_last_variable_keeps_its_punctuation() {
        let slot = |name: &str| Some(usize::from(name == "resource"));
        let template = Template::new(&ParsedText::parse("{space}/RESOURCE#{resource}").unwrap(), slot).unwrap();
        assert_eq!(template.render(|slot| ["a/b", "gpt/4#x"][slot]), "a%2Fb/RESOURCE#gpt/4#x");
        for other in ["a/RESOURCE", "a/RESOURCES#b", "a%2/RESOURCE#b", "RESOURCE#b"] {
            assert_eq!(template.read_back(other), None, "{other}");
        }
    }

    #[test]
    fn invalid_texts_are_errors() {
        for text in ["{a", "a}", "{A}", "{}", "{a b}", "{1}"] {
            assert!(ParsedText::parse(text).is_err(), "{text}");
        }
        assert!(Pattern::new(&ParsedText::parse("{a}{b}").unwrap(), |_| 0).is_err());
    }

    proptest! {
        #[test]
        fn different_values_never_give_the_same_key(a in "[a#%/]{0,4}", b in "[a#%/]{0,4}", c in "[a#%/]{0,4}", d in "[a#%/]{0,4}") {
            let template = Template::new(&ParsedText::parse("X#{a}#{b}").unwrap(), |name| Some(usize::from(name == "b"))).unwrap();
            let render = |values: [&str; 2]| template.render(|slot| if slot == 0 { values[0] } else { values[1] }.to_owned().leak());
            prop_assert_eq!(render([&a, &b]) == render([&c, &d]), (a, b) == (c, d));
        }

        #[test]
        fn rendered_text_reads_back(
            values in [".{0,4}", "[a#%/é]{0,4}", "[a#%/é]{0,4}"],
            text in prop_oneof!["X#\\{a\\}#\\{b\\}/é\\{c\\}", "\\{a\\}b#\\{b\\}-a/\\{c\\}#z", "\\{a\\}", "x/\\{b\\}y"],
        ) {
            let slot = |name: &str| ["a", "b", "c"].iter().position(|known| *known == name);
            let template = Template::new(&ParsedText::parse(&text).unwrap(), slot).unwrap();
            let rendered = template.render(|slot| values[slot].as_str());
            let expected: Vec<_> = template.slots().map(|slot| (slot, values[slot].clone())).collect();
            prop_assert_eq!(template.read_back(&rendered), Some(expected));
        }

        #[test]
        fn captures_inserted_into_the_pattern_give_the_value(value in "[a-z#/]{0,20}") {
            let text = ParsedText::parse("{a}/x#{b}").unwrap();
            let slot = |name: &str| usize::from(name == "b");
            let mut found = [String::new(), String::new()];
            if Pattern::new(&text, slot).unwrap().matches(&value, |slot, text| found[slot] = text.to_owned()) {
                prop_assert_eq!(format!("{}/x#{}", found[0], found[1]), value);
            }
        }
    }
}
