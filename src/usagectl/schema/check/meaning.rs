//! What a field contains, beyond its Avro type: where its value comes from, the unit of its numbers, and whether it is JSON. The
//! effective values count, so that writing out a default changes nothing.

use std::collections::HashMap;

use apache_avro::schema::{Name, RecordField, Schema};
use serde_json::Value as Json;
use usage_compact::resolution::resolved;

/// The first attribute of the schema that gives `old` and `new` a different meaning.
pub(super) fn changed<'s>(
    (old, old_names): (&'s RecordField, &HashMap<Name, &'s Schema>),
    (new, new_names): (&'s RecordField, &HashMap<Name, &'s Schema>),
) -> Option<&'static str> {
    let declared = |field: &RecordField, name: &str| field.custom_attributes.get(name).cloned();
    let attribute = |field: &RecordField| {
        let path = || declared(field, "attribute").unwrap_or_else(|| Json::String(field.name.clone()));
        declared(field, "source").is_none().then(path)
    };
    if declared(old, "source") != declared(new, "source") {
        return Some("source");
    }
    if attribute(old) != attribute(new) {
        return Some("attribute");
    }
    if declared(old, "as") != declared(new, "as") {
        return Some("as");
    }
    let unit = |field: &'s RecordField, names: &HashMap<Name, &'s Schema>| {
        let implied = || own_unit(names, &field.schema).map(|unit| Json::String(unit.to_owned()));
        declared(field, "unit").or_else(implied)
    };
    // Another type is a finding of its own.
    let same_type = own_unit(old_names, &old.schema) == own_unit(new_names, &new.schema);
    (same_type && unit(old, old_names) != unit(new, new_names)).then_some("unit")
}

/// The unit of numbers in a date or time without `unit`.
fn own_unit<'s>(names: &HashMap<Name, &'s Schema>, schema: &'s Schema) -> Option<&'static str> {
    match resolved(names, schema) {
        Schema::TimeMillis | Schema::TimestampMillis => Some("milliseconds"),
        Schema::TimeMicros | Schema::TimestampMicros => Some("microseconds"),
        Schema::Date => Some("days"),
        Schema::Array(array) => own_unit(names, &array.items),
        Schema::Map(map) => own_unit(names, &map.types),
        Schema::Union(union) => union.variants().iter().find_map(|variant| own_unit(names, variant)),
        _ => None,
    }
}
