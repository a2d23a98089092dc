//! Avro's schema resolution: whether a reader with one schema can read everything that was written with another. The rules are
//! those of SchemaCompatibility in Avro's Java library, and a test compares the answers for all pairs of more than sixty types.
//! `convert` reads rows by these rules.

use std::collections::HashMap;

use apache_avro::schema::{
    Aliases, EnumSchema, FixedSchema, InnerDecimalSchema, Name, RecordField, RecordSchema, ResolvedSchema, Schema,
    UuidSchema,
};

mod convert;

pub(crate) use convert::Conversion;

/// Whether a reader with the schema `reader` can read all values that were written with the schema `writer`.
pub fn reads(reader: &Schema, writer: &Schema) -> bool {
    Resolution::new(reader, writer).reads(reader, writer)
}

/// The named types that a schema defines.
pub fn names(schema: &Schema) -> HashMap<Name, &Schema> {
    ResolvedSchema::new(schema).map(|resolved| resolved.get_names().clone()).unwrap_or_default()
}

/// The type that a reference stands for.
pub fn resolved<'s>(names: &HashMap<Name, &'s Schema>, schema: &'s Schema) -> &'s Schema {
    match schema {
        Schema::Ref { name } => names.get(name).copied().unwrap_or(schema),
        schema => schema,
    }
}

/// How values of a type are encoded, whatever they mean.
enum Encoding<'s> {
    /// A type without parts, by name.
    Primitive(&'static str),
    /// Bytes of a fixed number. Readers compare the name and the size.
    Fixed(&'s FixedSchema),
    /// Anything with parts of its own.
    Composite,
}

/// The encoding of a type.
fn encoding(schema: &Schema) -> Encoding<'_> {
    Encoding::Primitive(match schema {
        Schema::Null => "null",
        Schema::Boolean => "boolean",
        Schema::Int | Schema::Date | Schema::TimeMillis => "int",
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => "long",
        Schema::Float => "float",
        Schema::Double => "double",
        Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => "bytes",
        Schema::String | Schema::Uuid(UuidSchema::String) => "string",
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => "bytes",
            InnerDecimalSchema::Fixed(fixed) => return Encoding::Fixed(fixed),
        },
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
            return Encoding::Fixed(fixed);
        }
        _ => return Encoding::Composite,
    })
}

/// The index of the field from which a reader fills `field`: the one with its name, or with one of its aliases.
fn written_field(field: &RecordField, writer: &RecordSchema) -> Option<usize> {
    let named = |name: &str| writer.fields.iter().position(|other| other.name == name);
    named(&field.name).or_else(|| field.aliases.iter().find_map(|alias| named(alias)))
}

#[derive(Clone)]
struct Resolution<'s> {
    reader: HashMap<Name, &'s Schema>,
    writer: HashMap<Name, &'s Schema>,
    /// Pairs of record types that are being compared: types that contain themselves are resolved if the rest is.
    assumed: Vec<(&'s Name, &'s Name)>,
}

impl<'s> Resolution<'s> {
    fn new(reader: &'s Schema, writer: &'s Schema) -> Resolution<'s> {
        Resolution { reader: names(reader), writer: names(writer), assumed: Vec::new() }
    }

    fn reads(&mut self, reader: &'s Schema, writer: &'s Schema) -> bool {
        let (reader, writer) = (resolved(&self.reader, reader), resolved(&self.writer, writer));
        match (reader, writer) {
            (_, Schema::Union(writer)) => writer.variants().iter().all(|branch| self.reads(reader, branch)),
            (Schema::Union(reader), _) => reader.variants().iter().any(|branch| self.reads(branch, writer)),
            (Schema::Array(reader), Schema::Array(writer)) => self.reads(&reader.items, &writer.items),
            (Schema::Map(reader), Schema::Map(writer)) => self.reads(&reader.types, &writer.types),
            (Schema::Enum(reader), Schema::Enum(writer)) => symbols(reader, writer),
            (Schema::Record(reader), Schema::Record(writer)) => self.records(reader, writer),
            _ => match (encoding(reader), encoding(writer)) {
                (Encoding::Primitive(reader), Encoding::Primitive(writer)) => promotes(reader, writer),
                (Encoding::Fixed(reader), Encoding::Fixed(writer)) => {
                    reader.size == writer.size && same_name(&reader.name, &reader.aliases, &writer.name)
                }
                _ => false,
            },
        }
    }

    fn records(&mut self, reader: &'s RecordSchema, writer: &'s RecordSchema) -> bool {
        let pair = (&reader.name, &writer.name);
        if self.assumed.contains(&pair) {
            return true;
        }
        self.assumed.push(pair);
        let fields = same_name(&reader.name, &reader.aliases, &writer.name)
            && reader.fields.iter().all(|field| match written_field(field, writer) {
                Some(index) => {
                    writer.fields.get(index).is_some_and(|written| self.reads(&field.schema, &written.schema))
                }
                None => field.default.is_some(),
            });
        self.assumed.pop();
        fields
    }
}

fn symbols(reader: &EnumSchema, writer: &EnumSchema) -> bool {
    let known = || writer.symbols.iter().all(|symbol| reader.symbols.contains(symbol));
    same_name(&reader.name, &reader.aliases, &writer.name) && (reader.default.is_some() || known())
}

/// Whether a reader takes its type for that of the writer. Namespaces don't matter, except in aliases.
fn same_name(reader: &Name, aliases: &Aliases, writer: &Name) -> bool {
    let alias = || aliases.iter().flatten().any(|alias| alias.fullname(reader.namespace()) == writer.fullname(None));
    reader.name() == writer.name() || alias()
}

/// Whether readers convert a primitive type when they read it.
fn promotes(reader: &str, writer: &str) -> bool {
    reader == writer
        || matches!(
            (reader, writer),
            ("long", "int")
                | ("float", "int" | "long")
                | ("double", "int" | "long" | "float")
                | ("bytes", "string")
                | ("string", "bytes")
        )
}
