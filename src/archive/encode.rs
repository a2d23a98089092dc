//! One Avro row straight from the text that an outline is of: no value in between, no allocation per attribute.
//! Records, arrays, maps and unions are here; `scalar` and `temporal` write what is inside them.

use super::misfit::{Misfit, Step};
use super::schema::{Field, Node, Origin, RecordSchema};
use super::{scalar, wire};
use crate::outline::{Entry, Outline, Tag, WrittenItems};
use crate::record::{ChangeRecord, Fault, Item, RecordOf};

/// How many bytes may be written for branches of unions that turn out not to fit, each branch counting
/// [`BRANCH_COST`] more: ten times DynamoDB's largest item (400 KB). Unions in unions would otherwise take a time
/// that doubles with each level of an item's nesting.
const MAX_DISCARDED: usize = 4 << 20;
const BRANCH_COST: usize = 16;
const TOO_CLOSE: &str = "a value that nearly fits too many branches";

/// Appends the row of `record`, whose attributes are taken from `image`, to `out`.
///
/// # Errors
/// When an attribute is missing or has a value that the schema's type can't hold; `out` is then as it was.
pub fn encode(
    schema: &RecordSchema,
    record: &ChangeRecord<'_>,
    image: &Item<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let (written, empty) = (WrittenItems::of(image), Outline::default());
    encode_outline(schema, &record.clone().map(|_| empty), written.outline(), out)
}

/// The same from an outline.
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
    encoder.fields(schema.root(), image, out).map_err(|misfit| {
        out.truncate(start);
        misfit.into_fault()
    })
}

struct Encoder<'s, 'r> {
    schema: &'s RecordSchema,
    record: &'r RecordOf<'r, Outline<'r>>,
    discarded: usize,
}

type Fit<'s> = Result<(), Misfit<'s>>;

impl<'s> Encoder<'s, '_> {
    fn fields(&mut self, fields: &'s [Field], item: Outline<'_>, out: &mut Vec<u8>) -> Fit<'s> {
        fields.iter().try_for_each(|field| match &field.origin {
            Origin::Metadata(metadata) => {
                metadata.write(self.record, out);
                Ok(())
            }
            Origin::Attribute(path) => match item.at_path(path) {
                Some(value) => self.value(&field.node, value, out),
                None => absent(field, out),
            }
            .map_err(|misfit| misfit.within(Step::Attribute(path))),
        })
    }

    fn value(&mut self, node: &'s Node, value: Entry<'_>, out: &mut Vec<u8>) -> Fit<'s> {
        match (node, value.map(), value.list()) {
            (Node::Union(branches), ..) if value.tag() == Tag::Null => null_branch(node, branches, out),
            (Node::Union(branches), ..) => self.union(node, branches, value, out),
            (Node::Record { index, .. }, Some(item), _) => self.fields(self.schema.fields(*index), item, out),
            (Node::Map(values), Some(item), _) => self.map(values, item, out),
            (Node::Array(items), _, Some(list)) => self.array(items, list, out),
            _ => scalar::encode(node, value, out).map_err(|found| Misfit::value(node, found)),
        }
    }

    fn array(&mut self, items: &'s Node, list: Outline<'_>, out: &mut Vec<u8>) -> Fit<'s> {
        wire::block(out, list.entries().count(), list.entries().enumerate(), |out, (index, value)| {
            self.value(items, value, out).map_err(|misfit| misfit.within(Step::Element(index)))
        })
    }

    fn map(&mut self, values: &'s Node, item: Outline<'_>, out: &mut Vec<u8>) -> Fit<'s> {
        wire::block(out, item.entries().count(), item.attributes().enumerate(), |out, (index, (key, value))| {
            wire::bytes(out, key.as_bytes());
            self.value(values, value, out).map_err(|misfit| misfit.within(Step::Entry(index)))
        })
    }

    /// The first branch that the value fits.
    fn union(&mut self, node: &'s Node, branches: &'s [Node], value: Entry<'_>, out: &mut Vec<u8>) -> Fit<'s> {
        let start = out.len();
        let kind = value.type_name();
        // The misfits of branches for this kind of value: where there is one only, it says what is wrong.
        let mut close: Vec<Misfit<'s>> = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            wire::count(out, index);
            let Err(misfit) = self.value(branch, value, out) else {
                return Ok(());
            };
            if misfit.is_inside() || misfit.found != kind {
                self.discarded += out.len() - start + BRANCH_COST;
                if self.discarded > MAX_DISCARDED {
                    return Err(Misfit::value(node, TOO_CLOSE));
                }
                close.push(misfit);
            }
            out.truncate(start);
        }
        Err(match (close.pop(), close.is_empty()) {
            (Some(misfit), true) if misfit.is_inside() => misfit,
            (Some(misfit), true) => Misfit::value(node, misfit.found),
            _ => Misfit::value(node, kind),
        })
    }
}

fn null_branch<'s>(node: &'s Node, branches: &[Node], out: &mut Vec<u8>) -> Fit<'s> {
    match branches.iter().position(|branch| matches!(branch, Node::Null)) {
        Some(index) => {
            wire::count(out, index);
            Ok(())
        }
        None => Err(Misfit::value(node, "NULL")),
    }
}

/// No attribute: the default, or else null where the type has it.
fn absent<'s>(field: &'s Field, out: &mut Vec<u8>) -> Fit<'s> {
    match (&field.default, &field.node) {
        (Some(default), _) => {
            out.extend_from_slice(default);
            Ok(())
        }
        (None, Node::Null) => Ok(()),
        (None, node @ Node::Union(branches)) => {
            null_branch(node, branches, out).map_err(|_| Misfit::missing(&field.node))
        }
        (None, node) => Err(Misfit::missing(node)),
    }
}
