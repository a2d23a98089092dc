//! The Athena columns for an Avro schema: Hive types for Glue tables, Presto types for views. Fields that Athena can't read are
//! refused with their path and what to use instead.

use std::collections::HashMap;

use apache_avro::schema::{
    DecimalSchema, InnerDecimalSchema, Name, RecordField, RecordSchema, ResolvedSchema, Schema, UnionSchema,
};

use super::literal::default_of;

/// The partition column.
pub(super) const PARTITION: &str = "partition_date";
/// The columns of compacted rows: the unit that the row belongs to, and the time in seconds since 1970 from which it counts.
pub(super) const UNIT: &str = "unit";
pub(super) const EFFECTIVE: &str = "effective";
/// No field may have one of these names.
const RESERVED: [&str; 3] = [PARTITION, UNIT, EFFECTIVE];

/// A top-level field as Athena sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name in lower case, because Athena ignores case.
    pub name: String,
    /// Its type in Glue.
    pub hive: String,
    /// Its type in views.
    pub presto: String,
    /// What a view shows for a compacted row from before the field existed, unless that is null.
    pub default: Option<String>,
    /// The names, in lower case, under which compacted rows from before the field was renamed have it.
    pub aliases: Vec<String>,
}

impl Column {
    /// The expression for a compacted row's value, without the default. `table` is what stands before a column: nothing, or `name.`.
    pub(super) fn compacted(&self, table: &str) -> String {
        let names = std::iter::once(&self.name).chain(&self.aliases);
        let columns: Vec<String> = names.map(|name| format!("{table}\"{name}\"")).collect();
        if self.aliases.is_empty() { columns.concat() } else { format!("coalesce({})", columns.join(", ")) }
    }
}

/// The columns for the fields of a record, in order.
///
/// # Errors
/// With one line for each field that Athena can't read.
pub(super) fn columns(schema: &Schema) -> Result<Vec<Column>, Vec<String>> {
    let resolved = ResolvedSchema::new(schema).map_err(|error| vec![error.to_string()])?;
    let Schema::Record(record) = schema else { return Err(vec!["the schema is not a record".to_owned()]) };
    let mut reader = TypeReader { names: resolved.get_names(), within: vec![&record.name], mistakes: Vec::new() };
    let mut columns: Vec<Column> = Vec::new();
    for field in &record.fields {
        let name = field.name.to_lowercase();
        if RESERVED.contains(&name.as_str()) {
            reader.mistake(
                &field.name,
                "is the name of a column that every table has; rename the field and keep the attribute",
            );
        } else if columns.iter().any(|column| column.name == name) {
            reader.mistake(&field.name, "Athena ignores case and already has a column with this name; rename it");
        }
        if let Some(Types { hive, presto }) = reader.field(&field.name, field) {
            let default = default_of(&field.schema, field.default.as_ref(), &presto, reader.names);
            columns.push(Column { name, hive, presto, default, aliases: aliases(field, record) });
        }
    }
    if reader.mistakes.is_empty() { Ok(columns) } else { Err(reader.mistakes) }
}

/// The aliases of a field that can be read as columns of compacted rows.
///
/// One that is another field's name is read only if the field can't be null: where it is null, the column has the other field's value.
fn aliases(field: &RecordField, record: &RecordSchema) -> Vec<String> {
    let can_be_null = matches!(&field.schema, Schema::Union(union) if union.variants().contains(&Schema::Null));
    let is_field = |name: &String| record.fields.iter().any(|other| other.name.eq_ignore_ascii_case(name));
    let mut aliases: Vec<String> = Vec::new();
    for alias in field.aliases.iter().map(|alias| alias.to_lowercase()) {
        let is_own = field.name.eq_ignore_ascii_case(&alias) || RESERVED.contains(&alias.as_str());
        let is_read = is_own || aliases.contains(&alias) || can_be_null && is_field(&alias);
        if !is_read {
            aliases.push(alias);
        }
    }
    aliases
}

/// The same type in Hive and in Presto.
struct Types {
    hive: String,
    presto: String,
}

struct TypeReader<'s> {
    names: &'s HashMap<Name, &'s Schema>,
    /// The record types around the current field.
    within: Vec<&'s Name>,
    mistakes: Vec<String>,
}

/// The methods return `None` after recording a mistake.
impl<'s> TypeReader<'s> {
    fn mistake(&mut self, path: &str, text: &str) -> Option<Types> {
        self.mistakes.push(format!("{path}: {text}"));
        None
    }

    fn field(&mut self, path: &str, field: &'s RecordField) -> Option<Types> {
        if let (Schema::Union(union), Some(default)) = (&field.schema, &field.default)
            && union.variants().first().is_some_and(|first| matches!(first, Schema::Null) != default.is_null())
        {
            let remedy = if default.is_null() { "null first" } else { "the type of the default first" };
            let text = format!("readers before Avro 1.12, including Athena, need {remedy} in the union; reorder it");
            return self.mistake(path, &text);
        }
        self.types(path, &field.schema)
    }

    fn types(&mut self, path: &str, schema: &'s Schema) -> Option<Types> {
        let (hive, presto) = match schema {
            Schema::Boolean => ("boolean", "boolean"),
            // Athena has no type for a time of day, so it stays a number.
            Schema::Int | Schema::TimeMillis => ("int", "integer"),
            // Hive's Avro reader supports millisecond timestamps only, so microseconds stay numbers.
            Schema::Long | Schema::TimeMicros | Schema::TimestampMicros => ("bigint", "bigint"),
            Schema::Float => ("float", "real"),
            Schema::Double => ("double", "double"),
            Schema::Bytes | Schema::Fixed(_) => ("binary", "varbinary"),
            Schema::String | Schema::Enum(_) => ("string", "varchar"),
            Schema::Uuid(apache_avro::schema::UuidSchema::String) => ("string", "varchar"),
            Schema::Uuid(_) => ("binary", "varbinary"),
            Schema::Date => ("date", "date"),
            Schema::TimestampMillis => ("timestamp", "timestamp(3)"),
            Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(_), .. }) => {
                return self.mistake(path, "Athena reads a decimal on fixed as binary; write it on bytes");
            }
            Schema::Decimal(decimal) => return Some(decimal_types(decimal)),
            Schema::Array(array) => return self.array(path, &array.items),
            Schema::Map(map) => return self.map(path, &map.types),
            Schema::Record(record) => return self.record(path, record),
            Schema::Union(union) => return self.union(path, union),
            Schema::Ref { name } => {
                return match self.names.get(name).copied() {
                    Some(schema) => self.types(path, schema),
                    None => self.mistake(path, "names an unknown type"),
                };
            }
            _ => return self.mistake(path, "Athena can't read this type; use another"),
        };
        Some(Types { hive: hive.to_owned(), presto: presto.to_owned() })
    }

    fn array(&mut self, path: &str, items: &'s Schema) -> Option<Types> {
        let Types { hive, presto } = self.types(path, items)?;
        Some(Types { hive: format!("array<{hive}>"), presto: format!("array({presto})") })
    }

    fn map(&mut self, path: &str, values: &'s Schema) -> Option<Types> {
        let Types { hive, presto } = self.types(path, values)?;
        Some(Types { hive: format!("map<string,{hive}>"), presto: format!("map(varchar, {presto})") })
    }

    fn record(&mut self, path: &str, record: &'s RecordSchema) -> Option<Types> {
        if self.within.contains(&&record.name) {
            return self.mistake(path, "a column can't contain its own type; archive a list of plain records");
        }
        if record.fields.is_empty() {
            return self.mistake(path, "Athena can't read a record without fields; add one, or use a map");
        }
        self.within.push(&record.name);
        // All fields are visited, even after a mistake.
        let mut fields = Vec::new();
        for field in &record.fields {
            let (inner, name) = (format!("{path}.{}", field.name), field.name.to_lowercase());
            if record
                .fields
                .iter()
                .take_while(|other| other.name != field.name)
                .any(|other| other.name.to_lowercase() == name)
            {
                self.mistake(&inner, "Athena ignores case and already has a field with this name; rename it");
            }
            fields.push(self.field(&inner, field).map(|types| (name, types)));
        }
        self.within.pop();
        let fields: Vec<_> = fields.into_iter().collect::<Option<_>>()?;
        let list = |part: &dyn Fn(&(String, Types)) -> String| fields.iter().map(part).collect::<Vec<_>>();
        let hive = list(&|(name, types)| format!("{name}:{}", types.hive)).join(",");
        let presto = list(&|(name, types)| format!("\"{name}\" {}", types.presto)).join(", ");
        Some(Types { hive: format!("struct<{hive}>"), presto: format!("row({presto})") })
    }

    fn union(&mut self, path: &str, union: &'s UnionSchema) -> Option<Types> {
        let mut others = union.variants().iter().filter(|variant| !matches!(variant, Schema::Null));
        match (others.next(), others.next()) {
            _ if union.variants().len() == 1 => {
                self.mistake(path, "Athena can't read a union of one type; write the type itself")
            }
            (Some(only), None) => self.types(path, only),
            _ => self.mistake(path, "Athena can't read a union of several types; use null and one type"),
        }
    }
}

fn decimal_types(decimal: &DecimalSchema) -> Types {
    let text = format!("decimal({},{})", decimal.precision, decimal.scale);
    Types { presto: text.clone(), hive: text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(fields: Value) -> Result<Vec<(String, String)>, Vec<String>> {
        let schema = json!({ "type": "record", "name": "Row", "fields": fields });
        let columns = columns(&Schema::parse(&schema).unwrap())?;
        Ok(columns.into_iter().map(|column| (column.hive, column.presto)).collect())
    }

    fn one(node: Value) -> (String, String) {
        of(json!([{ "name": "a", "type": node }])).unwrap().remove(0)
    }

    #[test]
    fn every_supported_type_has_a_column_type() {
        let cases = [
            (json!("boolean"), "boolean", "boolean"),
            (json!("float"), "float", "real"),
            (json!(["null", "int"]), "int", "integer"),
            (json!({ "type": "int", "logicalType": "date" }), "date", "date"),
            (json!({ "type": "int", "logicalType": "time-millis" }), "int", "integer"),
            (json!({ "type": "long", "logicalType": "timestamp-millis" }), "timestamp", "timestamp(3)"),
            (json!({ "type": "long", "logicalType": "timestamp-micros" }), "bigint", "bigint"),
            (
                json!({ "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2 }),
                "decimal(9,2)",
                "decimal(9,2)",
            ),
            (json!({ "type": "string", "logicalType": "uuid" }), "string", "varchar"),
            (json!({ "type": "fixed", "name": "F", "size": 4 }), "binary", "varbinary"),
            (json!({ "type": "array", "items": ["null", "double"] }), "array<double>", "array(double)"),
            (json!({ "type": "map", "values": "bytes" }), "map<string,binary>", "map(varchar, varbinary)"),
            (
                json!({ "type": "record", "name": "R", "fields": [{ "name": "B", "type": "long" }, { "name": "c", "type": "string" }] }),
                "struct<b:bigint,c:string>",
                "row(\"b\" bigint, \"c\" varchar)",
            ),
        ];
        for (node, hive, presto) in cases {
            assert_eq!(one(node), (hive.to_owned(), presto.to_owned()));
        }
    }

    #[test]
    fn a_reference_to_a_named_type_is_resolved() {
        let fixed = json!({ "type": "fixed", "name": "F", "size": 4 });
        let columns = of(json!([{ "name": "a", "type": fixed }, { "name": "b", "type": "F" }])).unwrap();
        assert_eq!(columns[0], columns[1]);
    }

    #[test]
    fn an_alias_is_read_unless_the_column_could_have_the_value_of_another_field() {
        let fields = json!([
            { "name": "bytes", "type": "long", "default": 0, "aliases": ["Size", "Bytes", "unit", "size", "Length"] },
            { "name": "length", "type": "long" },
            { "name": "note", "type": ["null", "string"], "default": null, "aliases": ["LENGTH", "text"] },
        ]);
        let schema = Schema::parse(&json!({ "type": "record", "name": "Row", "fields": fields })).unwrap();
        let columns = columns(&schema).unwrap();
        assert_eq!(columns[0].compacted(""), r#"coalesce("bytes", "size", "length")"#);
        assert_eq!(columns[1].compacted("known."), r#"known."length""#);
        assert_eq!(columns[2].compacted("known."), r#"coalesce(known."note", known."text")"#);
    }

    #[test]
    fn types_that_athena_cannot_read_are_refused_with_a_remedy() {
        let node =
            json!({ "type": "record", "name": "Node", "fields": [{ "name": "next", "type": ["null", "Node"] }] });
        let mistakes = of(json!([
            { "name": "either", "type": ["int", "string"] },
            { "name": "nothing", "type": "null" },
            { "name": "chain", "type": node },
            { "name": "size", "type": "int" },
            { "name": "Size", "type": "int" },
            { "name": "alone", "type": ["string"] },
            { "name": "note", "type": ["string", "null"], "default": null },
            { "name": "count", "type": ["null", "int"], "default": 1 },
            { "name": "empty", "type": { "type": "record", "name": "Empty", "fields": [] } },
            { "name": "tags", "type": { "type": "array", "items": { "type": "record", "name": "Tags", "fields": [
                { "name": "Name", "type": "string" }, { "name": "name", "type": ["null", "string"], "default": null },
            ] } } },
            { "name": "price", "type": { "type": "fixed", "name": "Money", "size": 8, "logicalType": "decimal", "precision": 10, "scale": 2 } },
            { "name": "partition_date", "type": "string" },
            { "name": "Unit", "type": "string" },
        ]));
        insta::assert_snapshot!(mistakes.unwrap_err().join("\n"));
    }
}
