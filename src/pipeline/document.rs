//! Reads a TOML file so that all mistakes are found at once: each access notes what is wrong, on which line, and what
//! to write instead. A section remembers which keys were read, so that unknown keys can be reported.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::suggestion::{closest, instead_of_key, instead_of_value};

/// Everything that is wrong with a pipeline, one line per mistake: `file:line: message`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// A file, and the mistakes that have been found in it so far.
pub(super) struct Document<'a> {
    name: String,
    text: &'a str,
    mistakes: RefCell<Vec<(usize, String)>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(name: &str, text: &'a str) -> Self {
        Document { name: name.to_owned(), text, mistakes: RefCell::default() }
    }

    /// Notes a mistake at a byte range of the file.
    pub(super) fn mistake(&self, span: &Range<usize>, message: impl Into<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        self.mistakes.borrow_mut().push((line, message.into()));
    }

    /// Whether no mistake has been found yet.
    pub(super) fn is_clean(&self) -> bool {
        self.mistakes.borrow().is_empty()
    }

    /// The mistakes that were found, in the order of the lines.
    pub(super) fn into_mistakes(self) -> Mistakes {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort();
        mistakes.dedup();
        let line = |(line, message): (usize, String)| format!("{}:{line}: {message}", self.name);
        Mistakes(mistakes.into_iter().map(line).collect())
    }
}

/// One table of a document.
pub(super) struct Section<'d> {
    pub document: &'d Document<'d>,
    table: &'d DeTable<'d>,
    pub span: Range<usize>,
    /// The name of the table in messages, for example `[snapshot]`.
    pub title: String,
    /// The keys that were read, which are the ones that this section may have.
    known_keys: RefCell<Vec<&'static str>>,
}

/// A text and its position in the file.
pub(super) struct SpannedText<'d> {
    pub text: &'d str,
    pub span: Range<usize>,
}

impl<'d> Section<'d> {
    pub(super) fn new(document: &'d Document<'d>, table: &'d DeTable<'d>, span: Range<usize>, title: &str) -> Self {
        Section { document, table, span, title: title.to_owned(), known_keys: RefCell::default() }
    }

    /// Notes a mistake that concerns the whole section.
    pub(super) fn mistake(&self, message: impl fmt::Display) {
        self.document.mistake(&self.span, format!("{}: {message}", self.title));
    }

    /// The value of `key`, if it exists.
    pub(super) fn value(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known_keys.borrow_mut().push(key);
        self.table.get(key)
    }

    /// An optional text.
    pub(super) fn text(&self, key: &'static str) -> Option<SpannedText<'d>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(SpannedText { text, span: value.span() }),
            other => self.wrong(key, value, "a string", other),
        }
    }

    /// The value of `key` if it is a text, without noting anything. Used to look into other sections.
    pub(super) fn text_of(&self, key: &str) -> Option<&'d str> {
        match self.table.get(key)?.get_ref() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// A required text; `example` shows what to write.
    pub(super) fn required_text(&self, key: &'static str, example: &str) -> Option<SpannedText<'d>> {
        if self.table.contains_key(key) {
            return self.text(key);
        }
        self.known_keys.borrow_mut().push(key);
        self.mistake(format_args!("`{key}` is missing; write {key} = {example}"));
        None
    }

    /// An optional whole number.
    pub(super) fn integer(&self, key: &'static str) -> Option<(i64, Range<usize>)> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Some((number, value.span())),
                Err(_) => self.wrong(key, value, "a whole number", value.get_ref()),
            },
            other => self.wrong(key, value, "a whole number", other),
        }
    }

    /// An optional word from a fixed set.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        self.choose(&text, key, choices)
    }

    fn choose<T: Copy>(&self, text: &SpannedText<'_>, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = choices.iter().find(|(name, _)| *name == text.text).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let message =
                format!("{}: `{key}` can't be \"{}\"{}", self.title, text.text, instead_of_value(text.text, &names));
            self.document.mistake(&text.span, message.trim_start_matches(": "));
        }
        found
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str) -> Option<Vec<SpannedText<'d>>> {
        let value = self.value(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            return self.wrong(key, value, "a list of strings", value.get_ref());
        };
        let text = |element: &'d Spanned<DeValue<'d>>| match element.get_ref() {
            DeValue::String(text) => Some(SpannedText { text, span: element.span() }),
            other => self.wrong(key, element, "a list of strings", other),
        };
        Some(array.iter().filter_map(text).collect())
    }

    /// A list of words from a fixed set.
    pub(super) fn choices<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<Vec<T>> {
        let texts = self.texts(key)?;
        if texts.is_empty() {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.mistake(format_args!("`{key}` is empty; write one or more of {}", names.join(", ")));
        }
        Some(texts.iter().filter_map(|text| self.choose(text, key, choices)).collect())
    }

    /// A table inside this one.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'d>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => {
                Some(Section::new(self.document, table, value.span(), format!("{} {key}", self.title).trim()))
            }
            other => self.wrong(key, value, "a table", other),
        }
    }

    /// An array of tables, `[[key]]`.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'d>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong::<()>(key, value, &format!("an array of tables, [[{key}]]"), value.get_ref());
            return Vec::new();
        };
        let section = |(index, element): (usize, &'d Spanned<DeValue<'d>>)| match element.get_ref() {
            DeValue::Table(table) => {
                let title = format!("{} {key} {}", self.title, index + 1);
                Some(Section::new(self.document, table, element.span(), title.trim()))
            }
            other => self.wrong(key, element, "a table", other),
        };
        array.iter().enumerate().filter_map(section).collect()
    }

    /// All entries of a table whose keys the user chooses.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'d str, &'d Spanned<DeValue<'d>>)> + use<'d> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), value))
    }

    /// If `key` is missing, notes a key that is probably meant to be it. For sections that can't be read further without it.
    pub(super) fn find_misspelled(&self, key: &'static str) {
        if self.table.contains_key(key) {
            return;
        }
        for other in self.table.keys().filter(|other| closest(other.get_ref(), [key]).is_some()) {
            let message = format!("{}: unknown key `{}`; did you mean `{key}`?", self.title, other.get_ref());
            self.document.mistake(&other.span(), message);
        }
    }

    /// Notes every key that was never read as unknown.
    pub(super) fn finish(self) {
        let known_keys = self.known_keys.borrow();
        for key in self.table.keys().filter(|key| !known_keys.contains(&key.get_ref().as_ref())) {
            let mut known = known_keys.clone();
            known.sort_unstable();
            known.dedup();
            let message =
                format!("{}: unknown key `{}`{}", self.title, key.get_ref(), instead_of_key(key.get_ref(), &known));
            self.document.mistake(&key.span(), message.trim_start_matches(": "));
        }
    }

    /// Notes that a value has the wrong type.
    pub(super) fn wrong<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &str,
        found: &DeValue<'_>,
    ) -> Option<T> {
        let found = found.type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        let message = format!("{}: `{key}` must be {expected}, not {article} {found}", self.title);
        self.document.mistake(&value.span(), message.trim_start_matches(": "));
        None
    }
}
