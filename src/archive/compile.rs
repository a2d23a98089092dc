//! Compiles the JSON of an `.avsc` file into the tree that encoding walks. It reads the JSON and not the Avro library's
//! schema, because the library stops at the first mistake and silently accepts others: a misspelled logical type, a
//! decimal without precision, a `logicalType` next to the type. Everything else is checked by the library.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::schema::{AvroRecord, Enum, TypeNode};
use crate::time::Unit;

mod field;
mod logical;

/// Compiles a schema to its record types, the top-level one first.
///
/// # Errors
/// All mistakes at once.
pub(super) fn compile(json: &Json) -> Result<Vec<AvroRecord>, Vec<String>> {
    let mut compiler = Compiler::default();
    let root = Location { path: "", namespace: "", unit: None };
    if json.get("type").and_then(Json::as_str) == Some("record") {
        compiler.node(root, json);
    } else {
        compiler
            .mistake::<TypeNode>(root, "is not a record; write {\"type\": \"record\", \"name\": …, \"fields\": […]}");
    }
    if compiler.mistakes.is_empty() {
        return Ok(compiler.records.into_iter().flatten().collect());
    }
    Err(compiler.mistakes)
}

/// Where in the schema the walk is.
#[derive(Clone, Copy)]
struct Location<'p> {
    /// The names of the fields from the root, separated by dots.
    path: &'p str,
    /// The enclosing namespace; empty if there is none.
    namespace: &'p str,
    /// The unit of numbers, if the field has one.
    unit: Option<Unit>,
}

#[derive(Default)]
struct Compiler {
    /// The named types that have been defined, by full name.
    names: HashMap<String, TypeNode>,
    /// `None` while a record's fields are being compiled.
    records: Vec<Option<AvroRecord>>,
    mistakes: Vec<String>,
}

/// Methods that return `None` have noted a mistake.
impl Compiler {
    fn mistake<T>(&mut self, at: Location<'_>, text: impl AsRef<str>) -> Option<T> {
        let path = if at.path.is_empty() { "the schema" } else { at.path };
        self.mistakes.push(format!("{path}: {}", text.as_ref()));
        None
    }

    fn node(&mut self, at: Location<'_>, json: &Json) -> Option<TypeNode> {
        match json {
            Json::String(name) => self.named(at, name),
            Json::Array(branches) => self.union(at, branches),
            Json::Object(object) => self.complex(at, object),
            _ => self.mistake(at, "has no valid type; write the name of a type, an object or a list of types"),
        }
    }

    fn named(&mut self, at: Location<'_>, name: &str) -> Option<TypeNode> {
        Some(match name {
            "null" => TypeNode::Null,
            "boolean" => TypeNode::Boolean,
            "int" => TypeNode::Int,
            "long" => TypeNode::Long,
            "float" => TypeNode::Float,
            "double" => TypeNode::Double,
            "bytes" => TypeNode::Bytes,
            "string" => TypeNode::String,
            _ => match self.names.get(&full_name(name, at.namespace)) {
                Some(node) => node.clone(),
                None => {
                    return self.mistake(at, format!("unknown type `{name}`; write an Avro type, or define it first"));
                }
            },
        })
    }

    fn union(&mut self, at: Location<'_>, branches: &[Json]) -> Option<TypeNode> {
        if branches.is_empty() {
            return self.mistake(at, "the union is empty; write at least one type in it");
        }
        // Collected first, so that every branch is visited even after a mistake in one.
        let nodes: Vec<_> = branches.iter().map(|branch| self.node(at, branch)).collect();
        Some(TypeNode::Union(nodes.into_iter().collect::<Option<_>>()?))
    }

    fn complex(&mut self, at: Location<'_>, object: &Map<String, Json>) -> Option<TypeNode> {
        let kind = object.get("type").unwrap_or(&Json::Null);
        let node = match kind.as_str() {
            Some("record") => return self.record(at, object),
            Some("enum") => self.enumeration(at, object)?,
            Some("fixed") => self.fixed(at, object)?,
            Some("array") => TypeNode::Array(Box::new(self.part(at, object, "items")?)),
            Some("map") => TypeNode::Map(Box::new(self.part(at, object, "values")?)),
            _ => self.node(at, kind)?,
        };
        let node = match object.get("logicalType") {
            None => node,
            Some(logical_type) => match logical::node(logical_type, object, node, at.unit) {
                Ok(node) => node,
                Err(text) => return self.mistake(at, text),
            },
        };
        if matches!(kind.as_str(), Some("enum" | "fixed")) {
            self.define(at, object, node.clone())?;
        }
        Some(node)
    }

    fn part(&mut self, at: Location<'_>, object: &Map<String, Json>, key: &str) -> Option<TypeNode> {
        match object.get(key) {
            Some(part) => self.node(at, part),
            None => self.mistake(at, format!("has no {key}; write \"{key}\": <type>")),
        }
    }

    fn fixed(&mut self, at: Location<'_>, object: &Map<String, Json>) -> Option<TypeNode> {
        match object.get("size").and_then(Json::as_u64).and_then(|size| usize::try_from(size).ok()) {
            Some(size @ 1..) => Some(TypeNode::Fixed(size)),
            _ => self.mistake(at, "fixed has no valid size; write \"size\": <number of bytes>"),
        }
    }

    fn enumeration(&mut self, at: Location<'_>, object: &Map<String, Json>) -> Option<TypeNode> {
        let symbols = object.get("symbols").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let symbols: Option<Vec<_>> = symbols.iter().map(|symbol| symbol.as_str().map(str::to_owned)).collect();
        match symbols {
            Some(symbols) if !symbols.is_empty() => {
                for symbol in symbols.iter().filter(|symbol| !is_name(symbol)) {
                    self.mistake::<()>(at, format!("the symbol {} {NAME_REMEDY}", quoted(symbol)));
                }
                let name = text(object, "name").unwrap_or_default().to_owned();
                Some(TypeNode::Enum(Arc::new(Enum { name, symbols })))
            }
            _ => self.mistake(at, "enum has no symbols; write \"symbols\": [\"A\", \"B\"]"),
        }
    }

    /// Defines `node` under the name in `object`, and returns the namespace of that name.
    fn define(&mut self, at: Location<'_>, object: &Map<String, Json>, node: TypeNode) -> Option<String> {
        let Some(name) = text(object, "name") else {
            return self.mistake(at, "record, enum or fixed has no name; write \"name\": \"…\"");
        };
        let full = full_name(name, text(object, "namespace").unwrap_or(at.namespace));
        if !full.split('.').all(is_name) {
            return self.mistake(at, format!("the type's name {} {NAME_REMEDY}", quoted(&full)));
        }
        let namespace = full.rsplit_once('.').map(|(namespace, _)| namespace.to_owned()).unwrap_or_default();
        if self.names.contains_key(&full) {
            return self.mistake(at, format!("`{full}` is defined twice; refer to it by name instead"));
        }
        self.names.insert(full, node);
        Some(namespace)
    }

    fn record(&mut self, at: Location<'_>, object: &Map<String, Json>) -> Option<TypeNode> {
        let index = self.records.len();
        let name: Arc<str> = text(object, "name").and_then(|name| name.rsplit('.').next()).unwrap_or_default().into();
        let node = TypeNode::Record { index, name: Arc::clone(&name) };
        let namespace = self.define(at, object, node.clone())?;
        self.records.push(None);
        let Some(fields) = object.get("fields").and_then(Json::as_array) else {
            return self.mistake(at, "record has no fields; write \"fields\": […]");
        };
        let at = Location { namespace: &namespace, unit: None, ..at };
        let fields: Vec<_> = fields.iter().map(|field| self.field(at, field, index == 0)).collect();
        let fields = fields.into_iter().collect::<Option<_>>()?;
        if let Some(slot) = self.records.get_mut(index) {
            *slot = Some(AvroRecord { full_name: full_name(&name, &namespace), name, fields });
        }
        Some(node)
    }
}

const NAME_REMEDY: &str = "is not a valid Avro name; use letters, digits and _, and don't start with a digit";

/// Whether Avro allows this name of a field, type or symbol.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn quoted(name: &str) -> Json {
    Json::String(name.to_owned())
}

fn text<'j>(object: &'j Map<String, Json>, key: &str) -> Option<&'j str> {
    object.get(key).and_then(Json::as_str)
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}
