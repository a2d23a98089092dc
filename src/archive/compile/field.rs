//! Compiles one field of a record: its type, the origin of its value, and its default.

use serde_json::{Map, Value as Json};

use super::super::default;
use super::super::metadata::{Metadata, MetadataSource};
use super::super::schema::{Field, Origin, TypeNode};
use super::{Compiler, Location, NAME_REMEDY, is_name, text};
use crate::time::Unit;

/// Methods that return `None` have noted a mistake.
impl Compiler {
    pub(super) fn field(&mut self, at: Location<'_>, json: &Json, in_root: bool) -> Option<Field> {
        let Some((object, name)) = json.as_object().and_then(|object| Some((object, text(object, "name")?))) else {
            return self.mistake(at, "a field has no name; write {\"name\": …, \"type\": …}");
        };
        let path = if at.path.is_empty() { name.to_owned() } else { format!("{}.{name}", at.path) };
        let at = Location { path: &path, ..at };
        if !is_name(name) {
            self.mistake::<()>(at, format!("the field's name {NAME_REMEDY}; \"attribute\" holds the item's own name"));
        }
        if object.contains_key("logicalType") {
            return self
                .mistake(at, "logicalType must be inside the type; write \"type\": {\"type\": …, \"logicalType\": …}");
        }
        // Unwrapped later, so that every part is visited even after a mistake in one.
        let unit = self.unit(at, object);
        let node = self.part(Location { unit: unit.flatten(), ..at }, object, "type");
        let (unit, node) = (unit?, self.shape(at, object, node?)?);
        if unit.is_some() && !has_time(&node) {
            return self
                .mistake(at, format!("unit needs a date or time type, not {node}; leave it out or change the type"));
        }
        let origin = self.origin(at, object, name, &node, in_root);
        let default = self.encoded_default(at, object, &node);
        Some(Field { name: name.to_owned(), origin: origin?, node, default: default? })
    }

    /// The type of a field that may have `"as": "json"`, which makes a string (or null or string) hold any value as
    /// JSON.
    fn shape(&mut self, at: Location<'_>, object: &Map<String, Json>, node: TypeNode) -> Option<TypeNode> {
        match (object.get("as").map(Json::as_str), node) {
            (None, node) => Some(node),
            (Some(Some("json")), TypeNode::String) => Some(TypeNode::JsonText),
            (Some(Some("json")), TypeNode::Union(branches)) if nullable_string(&branches) => {
                let json = |branch| if matches!(branch, TypeNode::String) { TypeNode::JsonText } else { branch };
                Some(TypeNode::Union(branches.into_iter().map(json).collect()))
            }
            (Some(Some("json")), node) => {
                self.mistake(at, format!("as json needs the type string, or null or string, not {node}"))
            }
            (Some(_), _) => self.mistake(at, "unknown value of as; write json, or leave it out"),
        }
    }

    fn unit(&mut self, at: Location<'_>, object: &Map<String, Json>) -> Option<Option<Unit>> {
        Some(Some(match object.get("unit").map(Json::as_str) {
            None => return Some(None),
            Some(Some("seconds")) => Unit::Seconds,
            Some(Some("milliseconds")) => Unit::Milliseconds,
            Some(Some("microseconds")) => Unit::Microseconds,
            Some(_) => return self.mistake(at, "unknown unit; write seconds, milliseconds or microseconds"),
        }))
    }

    fn origin(
        &mut self,
        at: Location<'_>,
        object: &Map<String, Json>,
        name: &str,
        node: &TypeNode,
        in_root: bool,
    ) -> Option<Origin> {
        match (object.get("source"), object.get("attribute")) {
            (None, None) => Some(Origin::Attribute(name.to_owned())),
            (None, Some(Json::String(path))) if !path.is_empty() => Some(Origin::Attribute(path.clone())),
            (None, Some(_)) => self.mistake(at, "attribute is not a name; write \"attribute\": \"<attribute's name>\""),
            (Some(_), Some(_)) => self.mistake(at, "source and attribute are both set; leave one out"),
            (Some(_), None) if !in_root => {
                self.mistake(at, "source in a nested record; move the field to the top-level record")
            }
            (Some(source), None) => self.metadata(at, source, node).map(Origin::Metadata),
        }
    }

    fn metadata(&mut self, at: Location<'_>, source: &Json, node: &TypeNode) -> Option<Metadata> {
        let Some(source) = MetadataSource::ALL.into_iter().find(|known| source.as_str() == Some(known.name())) else {
            let known = MetadataSource::ALL.map(MetadataSource::name).join(", ");
            return self.mistake(at, format!("unknown source; write one of {known}"));
        };
        let metadata = Metadata::new(source, node);
        match metadata {
            Some(metadata) => Some(metadata),
            None => self.mistake(at, format!("source {} doesn't fit {node}; use {}", source.name(), source.types())),
        }
    }

    fn encoded_default(
        &mut self,
        at: Location<'_>,
        object: &Map<String, Json>,
        node: &TypeNode,
    ) -> Option<Option<Vec<u8>>> {
        let Some(json) = object.get("default") else {
            return Some(None);
        };
        let mut encoded = Vec::new();
        match default::encode(node, json, &self.records, &mut encoded) {
            Ok(()) => Some(Some(encoded)),
            Err(expected) => self.mistake(at, format!("the default is not a valid {expected}; fix it or leave it out")),
        }
    }
}

fn nullable_string(branches: &[TypeNode]) -> bool {
    branches.len() == 2
        && branches.iter().any(|branch| matches!(branch, TypeNode::Null))
        && branches.iter().any(|branch| matches!(branch, TypeNode::String))
}

fn has_time(node: &TypeNode) -> bool {
    match node {
        TypeNode::Date { .. } | TypeNode::TimeOfDay { .. } | TypeNode::Timestamp { .. } => true,
        TypeNode::Array(part) | TypeNode::Map(part) => has_time(part),
        TypeNode::Union(branches) => branches.iter().any(has_time),
        _ => false,
    }
}
