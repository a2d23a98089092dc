//! What a record says that others have written. The function's own writes never count: neither a change of nothing but maps of
//! indicators, nor a target that it has created, which has only its key and such maps.
//!
//! A created target says in its map who created it. For counting and archiving, there is no such item until someone else writes to
//! it: that write is its insertion, and one that leaves only what the function wrote is its removal. So what is added when an
//! item comes is what is subtracted when it goes, whoever was there first.

use std::borrow::Cow;

use super::ask::{images, is_same, key_texts, variables};
use super::item::{is_creators, token};
use crate::outline::{Lookup, Outline, OutlinedRecord};
use crate::pipeline::{INDICATOR_PREVIOUS, INDICATOR_VERSION, Indicator, MissingTarget, Pipeline};
use crate::record::{ChangeOf, ImageOf, Remover, Value};

/// What a record of a stream says that others have written; `None` if that is nothing.
pub fn of_others<'a, 'r>(pipeline: &Pipeline, record: &'a OutlinedRecord<'r>) -> Option<Cow<'a, OutlinedRecord<'r>>> {
    let whole = Some(Cow::Borrowed(record));
    let Some(target) = AsTarget::of(pipeline, record) else { return whole };
    let Some(images) = images(record) else { return whole };
    let is_insert = matches!(record.change, ChangeOf::Insert { .. });
    let is_created = |item: Outline<'_>| target.is_created(item) || is_insert && target.is_first_write(item);
    let [old, new] = [images.old, images.new].map(|image| image.filter(|item| !is_created(*item)));
    let change = match (old, new, &record.change) {
        (None, None, _) => return None,
        (Some(old), Some(new), _) if target.changes_only_maps(old, new) => return None,
        (None, Some(new), ChangeOf::Modify { .. }) => ChangeOf::Insert { new: ImageOf::Carried(new) },
        (Some(old), None, ChangeOf::Modify { .. }) => {
            ChangeOf::Remove { old: ImageOf::Carried(old), by: Remover::Caller }
        }
        _ => return whole,
    };
    Some(Cow::Owned(OutlinedRecord { change, ..record.clone() }))
}

/// Whether the newest image is a target that the function has created, and that no one else has written to.
pub fn is_created(pipeline: &Pipeline, record: &OutlinedRecord<'_>) -> bool {
    let target = AsTarget::of(pipeline, record);
    target.zip(record.newest_image().item()).is_some_and(|(target, item)| target.is_created(*item))
}

/// An item that may be a target.
struct AsTarget<'p, 'r> {
    /// The indicators whose target it is.
    owners: Vec<&'p Indicator>,
    keys: Outline<'r>,
}

impl<'p, 'r> AsTarget<'p, 'r> {
    /// The item of a record, if it is a target.
    fn of(pipeline: &'p Pipeline, record: &OutlinedRecord<'r>) -> Option<AsTarget<'p, 'r>> {
        if pipeline.indicators.is_empty() {
            return None;
        }
        let texts = key_texts(record);
        let owners: Vec<&Indicator> =
            pipeline.indicators.iter().filter(|indicator| variables(indicator, &texts).is_some()).collect();
        (!owners.is_empty()).then_some(AsTarget { owners, keys: record.keys })
    }

    fn is_map(&self, name: &str) -> bool {
        self.owners.iter().any(|owner| owner.attribute == name)
    }

    /// Whether images differ, but only in the maps.
    fn changes_only_maps(&self, old: Outline<'_>, new: Outline<'_>) -> bool {
        if self.owners.iter().all(|owner| is_same(old.attribute(&owner.attribute), new.attribute(&owner.attribute))) {
            return false;
        }
        let (of_old, of_new) = (Lookup::of(old), Lookup::of(new));
        let differs = |name: &str| !is_same(of_old.attribute(name), of_new.attribute(name));
        old.attributes().all(|(name, _)| self.is_map(name) || !differs(name))
            && new.attributes().all(|(name, _)| self.is_map(name) || of_old.attribute(name).is_some())
    }

    /// Whether the function has created the item, and no one else has written to it.
    fn is_created(&self, item: Outline<'_>) -> bool {
        self.has_only_maps(item) && self.maps(item).any(|map| is_creators(token(Some(&map), INDICATOR_VERSION)))
    }

    /// Whether an item that is inserted is as the function creates it: versions before this one didn't say in the map that they did.
    fn is_first_write(&self, item: Outline<'_>) -> bool {
        let is_first = |map: Value<'_>| {
            token(Some(&map), INDICATOR_VERSION).is_some() && token(Some(&map), INDICATOR_PREVIOUS).is_none()
        };
        self.owners.iter().any(|owner| owner.missing_target == MissingTarget::Create)
            && self.has_only_maps(item)
            && self.maps(item).next().is_some()
            && self.maps(item).all(is_first)
    }

    fn has_only_maps(&self, item: Outline<'_>) -> bool {
        item.attributes().all(|(name, _)| self.is_map(name) || self.keys.attribute(name).is_some())
    }

    fn maps<'t>(&self, item: Outline<'t>) -> impl Iterator<Item = Value<'t>> {
        self.owners.iter().filter_map(move |owner| Some(item.attribute(&owner.attribute)?.value()))
    }
}
