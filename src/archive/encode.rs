//! One Avro row straight from a change record's borrowed values: no value in between, no allocation per attribute.
//! Records, arrays, maps and unions are here; `scalar` and `temporal` write what is inside them.

use std::borrow::Cow;

use super::misfit::{Misfit, Step};
use super::schema::{Field, Node, Origin, RecordSchema};
use super::{scalar, wire};
use crate::record::{ChangeRecord, Fault, Item, Value};

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
    let start = out.len();
    let mut encoder = Encoder { schema, record, discarded: 0 };
    encoder.fields(schema.root(), image, out).map_err(|misfit| {
        out.truncate(start);
        misfit.into_fault()
    })
}

struct Encoder<'s, 'r> {
    schema: &'s RecordSchema,
    record: &'r ChangeRecord<'r>,
    discarded: usize,
}

type Fit<'s> = Result<(), Misfit<'s>>;

impl<'s> Encoder<'s, '_> {
    fn fields(&mut self, fields: &'s [Field], item: &Item<'_>, out: &mut Vec<u8>) -> Fit<'s> {
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

    fn value(&mut self, node: &'s Node, value: &Value<'_>, out: &mut Vec<u8>) -> Fit<'s> {
        match (node, value) {
            (Node::Union(branches), Value::Null) => null_branch(node, branches, out),
            (Node::Union(branches), value) => self.union(node, branches, value, out),
            (Node::Record { index, .. }, Value::M(item)) => self.fields(self.schema.fields(*index), item, out),
            (Node::Map(values), Value::M(item)) => self.map(values, item, out),
            (Node::Array(items), Value::L(list)) => self.array(items, list.iter().map(Cow::Borrowed), out),
            (Node::Array(items), Value::Ss(set)) => {
                let texts = set.iter().map(|text| Cow::Owned(Value::S(Cow::Borrowed(text))));
                self.array(items, texts, out)
            }
            (Node::Array(items), Value::Ns(set)) => {
                self.array(items, set.iter().map(|number| Cow::Owned(Value::N(*number))), out)
            }
            // The one copy: a value owns its bytes, and binary sets are too rare to have a type of their own.
            (Node::Array(items), Value::Bs(set)) => {
                self.array(items, set.iter().map(|bytes| Cow::Owned(Value::B(bytes.clone()))), out)
            }
            _ => scalar::encode(node, value, out).map_err(|found| Misfit::value(node, found)),
        }
    }

    fn array<'v>(
        &mut self,
        items: &'s Node,
        values: impl ExactSizeIterator<Item = Cow<'v, Value<'v>>>,
        out: &mut Vec<u8>,
    ) -> Fit<'s> {
        wire::block(out, values.enumerate(), |out, (index, value)| {
            self.value(items, &value, out).map_err(|misfit| misfit.within(Step::Element(index)))
        })
    }

    fn map(&mut self, values: &'s Node, item: &Item<'_>, out: &mut Vec<u8>) -> Fit<'s> {
        wire::block(out, item.0.iter().enumerate(), |out, (index, (key, value))| {
            wire::bytes(out, key.as_bytes());
            self.value(values, value, out).map_err(|misfit| misfit.within(Step::Entry(index)))
        })
    }

    /// The first branch that the value fits.
    fn union(&mut self, node: &'s Node, branches: &'s [Node], value: &Value<'_>, out: &mut Vec<u8>) -> Fit<'s> {
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
        None => Err(Misfit::value(node, Value::Null.type_name())),
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
