//! Texts with `{variables}`. A [`Pattern`] captures values from an attribute, and a [`Template`] inserts values into a
//! key.

mod pattern;
mod shape;

use std::borrow::Cow;

pub use pattern::{Part, Pattern};

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

fn literal(piece: Option<&Piece<usize>>) -> &str {
    match piece {
        Some(Piece::Literal(literal)) => literal,
        _ => "",
    }
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

    /// Resolves the variables of `text` for keys that others write: values are inserted as they are, so that different values
    /// may give the same text.
    ///
    /// # Errors
    /// As for [`Template::new`].
    pub fn verbatim(text: &ParsedText, slot: impl FnMut(&str) -> Option<usize>) -> Result<Template, TemplateError> {
        Template::new(text, slot).map(Template::unescaped)
    }

    /// The same template for keys that others write.
    pub fn unescaped(self) -> Template {
        Template { escaped: String::new(), ..self }
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
                    let value = if self.escaped.is_empty() { value.to_owned() } else { unescape(value)? };
                    values.push((*slot, value));
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(values)
    }

    /// Whether a text of this template may also be one of `other`, as far as their literals show.
    pub fn may_equal(&self, other: &Template) -> bool {
        match (self.fixed(), other.fixed()) {
            (Some(text), Some(of_other)) => text == of_other,
            (Some(text), None) => other.read_back(text).is_some(),
            (None, Some(text)) => self.read_back(text).is_some(),
            (None, None) => {
                let ((start, end), (other_start, other_end)) = (self.ends(), other.ends());
                (start.starts_with(other_start) || other_start.starts_with(start))
                    && (end.ends_with(other_end) || other_end.ends_with(end))
            }
        }
    }

    /// Whether a text of this template may start with one of `prefix`, as far as their literals show.
    pub fn may_start_with(&self, prefix: &Template) -> bool {
        let (start, of_prefix) = (self.ends().0, prefix.ends().0);
        start.starts_with(of_prefix) || self.fixed().is_none() && of_prefix.starts_with(start)
    }

    /// What every text starts and ends with.
    pub fn ends(&self) -> (&str, &str) {
        (literal(self.pieces.first()), literal(self.pieces.last()))
    }

    /// The only text of a template without variables.
    fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
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
mod tests;
