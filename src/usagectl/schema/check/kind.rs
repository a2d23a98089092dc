//! Names of schema types in messages.

use apache_avro::schema::{FixedSchema, InnerDecimalSchema, Schema, UuidSchema};

/// The name of a type in a message. Types with the same name are encoded alike, and can be compared part by part.
pub(super) fn kind(schema: &Schema) -> String {
    match schema {
        Schema::Null => "null".to_owned(),
        Schema::Boolean => "boolean".to_owned(),
        Schema::Int => "int".to_owned(),
        Schema::Long => "long".to_owned(),
        Schema::Float => "float".to_owned(),
        Schema::Double => "double".to_owned(),
        Schema::Bytes => "bytes".to_owned(),
        Schema::String => "string".to_owned(),
        Schema::Array(_) => "array".to_owned(),
        Schema::Map(_) => "map".to_owned(),
        Schema::Union(_) => "union".to_owned(),
        Schema::Record(record) => format!("record {}", record.name.name()),
        Schema::Enum(symbols) => format!("enum {}", symbols.name.name()),
        Schema::Fixed(fixed) => fixed_kind(fixed),
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => format!("decimal({}, {})", decimal.precision, decimal.scale),
            InnerDecimalSchema::Fixed(fixed) => {
                format!("decimal({}, {}) in {}", decimal.precision, decimal.scale, fixed_kind(fixed))
            }
        },
        Schema::BigDecimal => "big-decimal".to_owned(),
        Schema::Uuid(UuidSchema::String) => "uuid".to_owned(),
        Schema::Uuid(UuidSchema::Bytes) => "uuid in bytes".to_owned(),
        Schema::Uuid(UuidSchema::Fixed(fixed)) => format!("uuid in {}", fixed_kind(fixed)),
        Schema::Date => "date".to_owned(),
        Schema::TimeMillis => "time-millis".to_owned(),
        Schema::TimeMicros => "time-micros".to_owned(),
        Schema::TimestampMillis => "timestamp-millis".to_owned(),
        Schema::TimestampMicros => "timestamp-micros".to_owned(),
        Schema::TimestampNanos => "timestamp-nanos".to_owned(),
        Schema::LocalTimestampMillis => "local-timestamp-millis".to_owned(),
        Schema::LocalTimestampMicros => "local-timestamp-micros".to_owned(),
        Schema::LocalTimestampNanos => "local-timestamp-nanos".to_owned(),
        Schema::Duration(_) => "duration".to_owned(),
        Schema::Ref { name } => format!("type {}", name.name()),
    }
}

fn fixed_kind(fixed: &FixedSchema) -> String {
    format!("fixed {} of {} bytes", fixed.name.name(), fixed.size)
}
