//! Encodes an Avro row directly from an outline, without building values and without an allocation per attribute.
//! Records, arrays, maps and unions are handled here; `scalar` and `temporal` write everything else.

use super::mismatch::{Mismatch, Step};
use super::schema::{Field, Origin, RecordSchema, TypeNode};
use super::{scalar, wire};
use crate::outline::{Entry, Outline, Tag, WrittenItems};
use crate::record::{ChangeRecord, Fault, Item, RecordOf};

/// The maximum number of bytes written for union branches that turn out not to fit: ten times DynamoDB's largest item
/// (400 KB). Each branch counts [`BRANCH_COST`] in addition. Without this limit, nested unions would take time that
/// doubles with each nesting level of an item.
const MAX_DISCARDED: usize = 4 << 20;
const BRANCH_COST: usize = 16;
const TOO_MANY_PARTIAL_MATCHES: &str = "a value that partly fits too many branches";

/// Appends the row of `record` to `out`. Attributes are taken from `image`.
///
/// # Errors
/// If an attribute is missing, or has a value that doesn't fit its type in the schema. `out` is then unchanged.
pub fn encode(
    schema: &RecordSchema,
    record: &ChangeRecord<'_>,
    image: &Item<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let (written, empty) = (WrittenItems::of(image), Outline::default());
    encode_outline(schema, &record.clone().map(|_| empty), written.outline(), out)
}

/// The same for an outline.
///
/// # Errors
/// As for [`encode`].
pub fn encode_outline(
    schema: &RecordSchema,
    record: &RecordOf<'_, Outline<'_>>,
    image: Outline<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let start = out.len();
    let mut encoder = Encoder { schema, record, discarded: 0 };
    encoder.fields(schema.root(), image, out).map_err(|mismatch| {
        out.truncate(start);
        mismatch.into_fault()
    })
}

struct Encoder<'s, 'r> {
    schema: &'s RecordSchema,
    record: &'r RecordOf<'r, Outline<'r>>,
    discarded: usize,
}

type EncodeResult<'s> = Result<(), Mismatch<'s>>;

impl<'s> Encoder<'s, '_> {
    fn fields(&mut self, fields: &'s [Field], item: Outline<'_>, out: &mut Vec<u8>) -> EncodeResult<'s> {
        fields.iter().try_for_each(|field| match &field.origin {
            Origin::Metadata(metadata) => {
                metadata.write(self.record, out);
                Ok(())
            }
            Origin::Attribute(path) => match item.at_path(path) {
                Some(value) => self.value(&field.node, value, out),
                None => absent(field, out),
            }
            .map_err(|mismatch| mismatch.within(Step::Attribute(path))),
        })
    }

    fn value(&mut self, node: &'s TypeNode, value: Entry<'_>, out: &mut Vec<u8>) -> EncodeResult<'s> {
        match (node, value.map(), value.list()) {
            (TypeNode::Union(branches), ..) if value.tag() == Tag::Null => null_branch(node, branches, out),
            (TypeNode::Union(branches), ..) => self.union(node, branches, value, out),
            (TypeNode::Record { index, .. }, Some(item), _) => self.fields(self.schema.fields(*index), item, out),
            (TypeNode::Map(values), Some(item), _) => self.map(values, item, out),
            (TypeNode::Array(items), _, Some(list)) => self.array(items, list, out),
            _ => scalar::encode(node, value, out).map_err(|found| Mismatch::value(node, found)),
        }
    }

    fn array(&mut self, items: &'s TypeNode, list: Outline<'_>, out: &mut Vec<u8>) -> EncodeResult<'s> {
        wire::block(out, list.entries().count(), list.entries().enumerate(), |out, (index, value)| {
            self.value(items, value, out).map_err(|mismatch| mismatch.within(Step::Element(index)))
        })
    }

    fn map(&mut self, values: &'s TypeNode, item: Outline<'_>, out: &mut Vec<u8>) -> EncodeResult<'s> {
        wire::block(out, item.entries().count(), item.attributes().enumerate(), |out, (index, (key, value))| {
            wire::bytes(out, key.as_bytes());
            self.value(values, value, out).map_err(|mismatch| mismatch.within(Step::Entry(index)))
        })
    }

    /// Writes the value as the first branch that it fits.
    fn union(
        &mut self,
        node: &'s TypeNode,
        branches: &'s [TypeNode],
        value: Entry<'_>,
        out: &mut Vec<u8>,
    ) -> EncodeResult<'s> {
        let start = out.len();
        let kind = value.type_name();
        // The mismatches of branches that accept this type of value. If there is exactly one, it explains what is
        // wrong.
        let mut close: Vec<Mismatch<'s>> = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            wire::count(out, index);
            let Err(mismatch) = self.value(branch, value, out) else {
                return Ok(());
            };
            if mismatch.is_inside() || mismatch.found != kind {
                self.discarded += out.len() - start + BRANCH_COST;
                if self.discarded > MAX_DISCARDED {
                    return Err(Mismatch::value(node, TOO_MANY_PARTIAL_MATCHES));
                }
                close.push(mismatch);
            }
            out.truncate(start);
        }
        Err(match (close.pop(), close.is_empty()) {
            (Some(mismatch), true) if mismatch.is_inside() => mismatch,
            (Some(mismatch), true) => Mismatch::value(node, mismatch.found),
            _ => Mismatch::value(node, kind),
        })
    }
}

fn null_branch<'s>(node: &'s TypeNode, branches: &[TypeNode], out: &mut Vec<u8>) -> EncodeResult<'s> {
    match branches.iter().position(|branch| matches!(branch, TypeNode::Null)) {
        Some(index) => {
            wire::count(out, index);
            Ok(())
        }
        None => Err(Mismatch::value(node, "NULL")),
    }
}

/// Writes a missing attribute: the default, or null if there is none and the type allows it.
fn absent<'s>(field: &'s Field, out: &mut Vec<u8>) -> EncodeResult<'s> {
    match (&field.default, &field.node) {
        (Some(default), _) => {
            out.extend_from_slice(default);
            Ok(())
        }
        (None, TypeNode::Null) => Ok(()),
        (None, node @ TypeNode::Union(branches)) => {
            null_branch(node, branches, out).map_err(|_| Mismatch::missing(&field.node))
        }
        (None, node) => Err(Mismatch::missing(node)),
    }
}
