//! Why a value doesn't fit the schema. A mismatch consists of parts of the schema and fixed texts, so that no value can
//! reach a message. The message is built at the end, so that trying a union branch that doesn't fit is cheap.

use super::schema::TypeNode;
use crate::record::{Code, Fault};

/// A value that doesn't fit a type, or a missing value.
#[derive(Debug)]
pub(super) struct Mismatch<'s> {
    code: Code,
    expected: &'s TypeNode,
    pub found: &'static str,
    /// The steps to the value, innermost first.
    path: Vec<Step<'s>>,
}

/// One step from a value to a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'s> {
    /// To the attribute with this path in the schema.
    Attribute(&'s str),
    /// To an element of a list or set.
    Element(usize),
    /// To an entry of a map, by its position: the key is data and must not appear in messages.
    Entry(usize),
}

impl<'s> Mismatch<'s> {
    /// A value that doesn't fit `expected`. `found` describes it without quoting it.
    pub(super) fn value(expected: &'s TypeNode, found: &'static str) -> Self {
        Mismatch { code: Code::InvalidValue, expected, found, path: Vec::new() }
    }

    /// A missing attribute without a default.
    pub(super) fn missing(expected: &'s TypeNode) -> Self {
        Mismatch { code: Code::MissingAttribute, expected, found: "nothing", path: Vec::new() }
    }

    /// Prefixes the path with `step`.
    pub(super) fn within(mut self, step: Step<'s>) -> Self {
        self.path.push(step);
        self
    }

    /// Whether a part of the value doesn't fit, as opposed to the value itself.
    pub(super) fn is_inside(&self) -> bool {
        !self.path.is_empty()
    }

    /// Converts to a fault with path and message.
    pub(super) fn into_fault(self) -> Fault {
        let mut field = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Attribute(path) if field.is_empty() => field.push_str(path),
                Step::Attribute(path) => field.push_str(&format!(".{path}")),
                Step::Element(index) => field.push_str(&format!("[{index}]")),
                Step::Entry(index) => field.push_str(&format!("{{{index}}}")),
            }
        }
        Fault::new(self.code, field, format!("expected {}, found {}", self.expected, self.found))
    }
}
