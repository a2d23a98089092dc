//! Why a value doesn't fit the schema. Made of the schema and fixed texts only, so that no value can reach a message;
//! the text and the path are put together at the end, so that a branch of a union that doesn't fit costs nothing.

use super::schema::TypeNode;
use crate::record::{Code, Fault};

/// A value that a type can't hold, or none where the type needs one.
#[derive(Debug)]
pub(super) struct Mismatch<'s> {
    code: Code,
    expected: &'s TypeNode,
    pub found: &'static str,
    /// Innermost first.
    path: Vec<Step<'s>>,
}

/// One step from a value to a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'s> {
    /// To the attribute at a path that the schema names.
    Attribute(&'s str),
    /// To an element of a list or set.
    Element(usize),
    /// To an entry of a map, by its place: the key is data and stays out of messages.
    Entry(usize),
}

impl<'s> Mismatch<'s> {
    /// A value of which `found` says as much as a message may.
    pub(super) fn value(expected: &'s TypeNode, found: &'static str) -> Self {
        Mismatch { code: Code::InvalidValue, expected, found, path: Vec::new() }
    }

    /// No attribute, where there is no default either.
    pub(super) fn missing(expected: &'s TypeNode) -> Self {
        Mismatch { code: Code::MissingAttribute, expected, found: "nothing", path: Vec::new() }
    }

    /// The same, seen from one step further out.
    pub(super) fn within(mut self, step: Step<'s>) -> Self {
        self.path.push(step);
        self
    }

    /// Whether a part of the value is to blame rather than the value itself.
    pub(super) fn is_inside(&self) -> bool {
        !self.path.is_empty()
    }

    /// The fault that says so.
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
