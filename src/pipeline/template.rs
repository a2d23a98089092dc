//! Texts with `{variables}`: a [`Pattern`] takes values out of an attribute, a [`Template`] puts them into a key.

use std::borrow::Cow;

use crate::outline::NamePattern;

/// The characters at which a capture that stands next to one ends: `ORDER#{order}` doesn't match `ORDER#7#LINE#1`.
const SEPARATORS: &str = "#/|:";

/// A parsed text, its variables still names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Vec<Piece<String>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<V> {
    Literal(String),
    Variable(V),
}

impl Text {
    /// Parses `text`; `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// Says what is wrong with the braces or a name.
    pub fn parse(text: &str) -> Result<Text, String> {
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
                .ok_or_else(|| format!("`{text}` has an unpaired brace; write `{{{{` or `}}}}` for one as such"))?;
            if !is_name(name) {
                return Err(format!("`{{{name}}}` is no variable: use lower-case letters, digits and `_`"));
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
        Ok(Text(pieces))
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

    /// This text with its variables resolved to slots.
    ///
    /// # Errors
    /// The first name that `slot` doesn't know.
    fn resolve(&self, mut slot: impl FnMut(&str) -> Option<usize>) -> Result<Vec<Piece<usize>>, String> {
        let resolve = |piece: &Piece<String>| match piece {
            Piece::Literal(text) => Ok(Piece::Literal(text.clone())),
            Piece::Variable(name) => slot(name).map(Piece::Variable).ok_or_else(|| name.clone()),
        };
        self.0.iter().map(resolve).collect()
    }
}

/// Whether this can be a variable's name.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A text that an attribute must match; its captures go to slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece<usize>>);

impl Pattern {
    /// Resolves the captures of `text`.
    ///
    /// # Errors
    /// When two captures touch, so that nothing tells where one ends.
    pub fn new(text: &Text, mut slot: impl FnMut(&str) -> usize) -> Result<Pattern, String> {
        let touching = text.0.windows(2).any(|pair| matches!(pair, [Piece::Variable(_), Piece::Variable(_)]));
        if touching {
            return Err("two captures touch: put a literal between them".to_owned());
        }
        text.resolve(|name| Some(slot(name))).map(Pattern)
    }

    /// What every text that matches starts and ends with.
    pub fn ends(&self) -> (&str, &str) {
        (literal(self.0.first()), literal(self.0.last()))
    }

    /// What the names that match have in common.
    pub fn like(&self) -> NamePattern {
        let (start, end) = self.ends();
        NamePattern::new(start.as_bytes().first().copied(), end.as_bytes().last().copied())
    }

    /// Matches the whole of `value`, handing each capture to `capture`. A capture is never empty, ends at the first
    /// place where what follows it matches, and doesn't contain a separator that stands beside it in the pattern.
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
                        // The last literal must be the end of the text, so search from there.
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
                    let beside = [before.as_bytes().last(), follower.as_bytes().first()];
                    let stops = |byte: &u8| SEPARATORS.as_bytes().contains(byte) && beside.contains(&Some(byte));
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

/// Where `literal` is in `text`. Both are too short for the tables that `str::find` makes first.
fn find(text: &str, literal: &str) -> Option<usize> {
    let (text, literal) = (text.as_bytes(), literal.as_bytes());
    let first = literal.first()?;
    let begins = |at: &usize| text.get(*at..).is_some_and(|rest| rest.starts_with(literal));
    text.iter().enumerate().filter(|(_, byte)| *byte == first).map(|(at, _)| at).find(begins)
}

/// Why a text can't be a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("nothing gives `{{{0}}}` a value")]
    Unbound(String),
    #[error("put punctuation, such as `#`, between two variables, so that their values can't be confused")]
    Unseparated,
}

/// A text to be filled in from slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece<usize>>,
    /// The characters that are escaped in values, empty where nothing can be confused.
    escaped: String,
}

impl Template {
    /// Resolves the variables of `text`.
    ///
    /// # Errors
    /// The first name that `slot` doesn't know, or two variables without punctuation between them, whose values could
    /// be confused.
    pub fn new(text: &Text, slot: impl FnMut(&str) -> Option<usize>) -> Result<Template, TemplateError> {
        if !text.separates_its_variables() {
            return Err(TemplateError::Unseparated);
        }
        let pieces = text.resolve(slot).map_err(TemplateError::Unbound)?;
        let variables = pieces.iter().filter(|piece| matches!(piece, Piece::Variable(_))).count();
        let literals = pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(literal) => Some(literal.as_str()),
            Piece::Variable(_) => None,
        });
        // With one variable different values give different texts anyway, and the value stays as it is.
        let escaped = match variables {
            0 | 1 => String::new(),
            _ => literals.flat_map(str::chars).filter(char::is_ascii_punctuation).chain(['%']).collect(),
        };
        Ok(Template { pieces, escaped })
    }

    /// The slots that are filled in.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Variable(slot) => Some(*slot),
        })
    }

    /// The slot of the variable that ends the text, if one does.
    pub fn last_slot(&self) -> Option<usize> {
        match self.pieces.last()? {
            Piece::Literal(_) => None,
            Piece::Variable(slot) => Some(*slot),
        }
    }

    /// Fills in the slots. In all variables but the last the template's punctuation is percent-encoded, so that different
    /// values never give the same text; the last stays as it is, since nothing follows that it could be confused with.
    pub fn render<'v>(&self, value: impl Fn(usize) -> &'v str) -> String {
        let mut text = String::new();
        self.parts(value, |part| text.push_str(part));
        text
    }

    /// What [`Template::render`] gives, in parts.
    pub fn parts<'v>(&self, value: impl Fn(usize) -> &'v str, mut part: impl FnMut(&str)) {
        let last = self.last_variable();
        for (place, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(literal) => part(literal),
                Piece::Variable(slot) if Some(place) == last => part(value(*slot)),
                Piece::Variable(slot) => part(&self.escape(value(*slot))),
            }
        }
    }

    /// The slots and values that `text` was rendered from, if it was.
    pub fn read_back(&self, text: &str) -> Option<Vec<(usize, String)>> {
        let last = self.last_variable();
        let mut values = Vec::new();
        let mut rest = text;
        for (place, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Piece::Variable(slot) if Some(place) == last => {
                    let value = rest.strip_suffix(self.literal_at(place + 1))?;
                    values.push((*slot, value.to_owned()));
                    rest = self.literal_at(place + 1);
                }
                Piece::Variable(slot) => {
                    // No value before the last has the punctuation that the literal after it must have.
                    let literal = self.literal_at(place + 1);
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

    fn literal_at(&self, place: usize) -> &str {
        literal(self.pieces.get(place))
    }

    fn escape<'v>(&self, value: &'v str) -> Cow<'v, str> {
        // What is escaped is ASCII.
        if self.escaped.is_empty() || !value.bytes().any(|byte| self.escaped.as_bytes().contains(&byte)) {
            return Cow::Borrowed(value);
        }
        let escape = |c: char| {
            if self.escaped.contains(c) { format!("%{:02X}", u32::from(c)) } else { c.to_string() }
        };
        Cow::Owned(value.chars().map(escape).collect())
    }
}

/// Undoes the percent-encoding of an ASCII character.
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
        let pattern = Pattern::new(&Text::parse(pattern).unwrap(), |_| {
            count += 1;
            count - 1
        });
        let mut found = vec![String::new(); count];
        pattern.unwrap().matches(value, |slot, text| found[slot] = text.to_owned()).then_some(found)
    }

    #[test]
    fn patterns_capture_what_their_literals_leave() {
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
        let template = Template::new(&Text::parse("{space}/RESOURCE#{resource}").unwrap(), slot).unwrap();
        assert_eq!(template.render(|slot| ["a/b", "gpt/4#x"][slot]), "a%2Fb/RESOURCE#gpt/4#x");
        for other in ["a/RESOURCE", "a/RESOURCES#b", "a%2/RESOURCE#b", "RESOURCE#b"] {
            assert_eq!(template.read_back(other), None, "{other}");
        }
    }

    #[test]
    fn wrong_texts_say_what_to_write() {
        for text in ["{a", "a}", "{A}", "{}", "{a b}", "{1}"] {
            assert!(Text::parse(text).is_err(), "{text}");
        }
        assert!(Pattern::new(&Text::parse("{a}{b}").unwrap(), |_| 0).is_err());
    }

    proptest! {
        #[test]
        fn different_values_never_give_the_same_key(a in "[a#%/]{0,4}", b in "[a#%/]{0,4}", c in "[a#%/]{0,4}", d in "[a#%/]{0,4}") {
            let template = Template::new(&Text::parse("X#{a}#{b}").unwrap(), |name| Some(usize::from(name == "b"))).unwrap();
            let render = |values: [&str; 2]| template.render(|slot| if slot == 0 { values[0] } else { values[1] }.to_owned().leak());
            prop_assert_eq!(render([&a, &b]) == render([&c, &d]), (a, b) == (c, d));
        }

        #[test]
        fn what_was_rendered_reads_back(
            values in [".{0,4}", "[a#%/é]{0,4}", "[a#%/é]{0,4}"],
            text in prop_oneof!["X#\\{a\\}#\\{b\\}/é\\{c\\}", "\\{a\\}b#\\{b\\}-a/\\{c\\}#z", "\\{a\\}", "x/\\{b\\}y"],
        ) {
            let slot = |name: &str| ["a", "b", "c"].iter().position(|known| *known == name);
            let template = Template::new(&Text::parse(&text).unwrap(), slot).unwrap();
            let rendered = template.render(|slot| values[slot].as_str());
            let expected: Vec<_> = template.slots().map(|slot| (slot, values[slot].clone())).collect();
            prop_assert_eq!(template.read_back(&rendered), Some(expected));
        }

        #[test]
        fn captures_put_back_give_the_value(value in "[a-z#/]{0,20}") {
            let text = Text::parse("{a}/x#{b}").unwrap();
            let slot = |name: &str| usize::from(name == "b");
            let mut found = [String::new(), String::new()];
            if Pattern::new(&text, slot).unwrap().matches(&value, |slot, text| found[slot] = text.to_owned()) {
                prop_assert_eq!(format!("{}/x#{}", found[0], found[1]), value);
            }
        }
    }
}
