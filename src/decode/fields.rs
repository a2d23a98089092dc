//! The fields of a record that the function uses, as JSON text, and the outlines of its images.

use std::ops::Range;

use super::dynamodb::StreamRecord;
use super::json::{JsonError, Reader, raw_fields};
use super::kinesis::KinesisFields;
use super::scan;
use crate::outline::{Node, Outline};
use crate::record::{Code, Fault};

/// The fields of a record, and those of its `dynamodb` or `kinesis` object.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub event_id: Option<&'a str>,
    pub event_name: Option<&'a str>,
    pub event_source: Option<&'a str>,
    pub event_source_arn: Option<&'a str>,
    pub user_identity: Option<&'a str>,
    pub table_name: Option<&'a str>,
    pub dynamodb: Option<StreamRecord<'a>>,
    pub kinesis: Option<KinesisFields<'a>>,
}

/// An image or the keys: JSON text, and the range of its nodes, if it could be outlined. Otherwise
/// [`attribute`](super::attribute) reads it and reports what is wrong.
#[derive(Debug, Clone)]
pub(super) struct RawItem<'a> {
    pub json: &'a str,
    pub nodes: Option<Range<usize>>,
}

impl<'a> Fields<'a> {
    /// Reads the record on the fast path. An error means that the fallback must read it.
    pub(super) fn read(&mut self, reader: &mut Reader<'a>, nodes: &mut Vec<Node>) -> Result<(), JsonError> {
        reader.object(|reader, name| match &*name {
            "dynamodb" => self.dynamodb.insert(StreamRecord::default()).read(reader, nodes),
            "kinesis" => self.kinesis.insert(KinesisFields::default()).read(reader),
            name => {
                self.set(name, reader.raw()?);
                Ok(())
            }
        })
    }

    /// Reads a record whose `dynamodb` or `kinesis` object may be broken.
    pub(super) fn of(text: &'a str) -> Result<Self, JsonError> {
        let mut fields = Fields::default();
        raw_fields(text, |name, value| match name {
            "dynamodb" => fields.dynamodb = Some(StreamRecord::of(value)),
            "kinesis" => fields.kinesis = Some(KinesisFields::of(value)),
            name => fields.set(name, value),
        })?;
        Ok(fields)
    }

    /// Reads a text that consists of exactly one record.
    pub(super) fn of_whole(text: &'a str, nodes: &mut Vec<Node>) -> Result<Self, JsonError> {
        let (mut fields, mut reader) = (Fields::default(), Reader::new(text));
        match fields.read(&mut reader, nodes).and_then(|()| reader.end()) {
            Ok(()) => Ok(fields),
            Err(_) => Fields::of(text),
        }
    }

    fn set(&mut self, name: &str, value: &'a str) {
        match name {
            "eventID" => self.event_id = Some(value),
            "eventName" => self.event_name = Some(value),
            "eventSource" => self.event_source = Some(value),
            "eventSourceARN" => self.event_source_arn = Some(value),
            "userIdentity" => self.user_identity = Some(value),
            "tableName" => self.table_name = Some(value),
            _ => {}
        }
    }
}

impl<'a> RawItem<'a> {
    /// Reads an image or the keys, and pushes its nodes if it can be outlined.
    pub(super) fn read(reader: &mut Reader<'a>, nodes: &mut Vec<Node>) -> Result<Self, JsonError> {
        reader.peek();
        let before = nodes.len();
        match scan::image(reader.text(), reader.position(), nodes) {
            Some(end) => Ok(RawItem { json: reader.skip_to(end)?, nodes: Some(before..nodes.len()) }),
            None => {
                nodes.truncate(before);
                Ok(RawItem { json: reader.raw()?, nodes: None })
            }
        }
    }

    /// The outline of the item, as a part of `all`.
    pub(super) fn outline<'t>(&self, all: Outline<'t>) -> Result<Outline<'t>, Fault> {
        let part = self.nodes.clone().and_then(|range| all.part(range));
        part.ok_or_else(|| Fault::new(Code::Malformed, "", "can't be outlined"))
    }
}
