//! Which targets a record asks for. Records of items ask if what the item gives its target changes; records of targets ask
//! if someone else has changed their map, or if they are inserted, even by the function: a late write may bring back older values of a
//! target that has been deleted. Its other writes ask for nothing, so that they end by themselves.

use std::borrow::Cow;

use super::contribution::{Contribution, ItemRoute, TargetKey, Unnamed, of_routed};
use super::item::{is_own_write, same};
use crate::outline::{Entry, Outline, OutlinedRecord};
use crate::pipeline::{Indicator, Pipeline, Route};
use crate::record::{ChangeOf, Code, Fault, ImageOf};

/// A target that a record asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The index in [`Pipeline::indicators`].
    pub indicator: usize,
    /// The key of the target.
    pub target: TargetKey,
    /// Why it is asked for.
    pub cause: Cause,
}

/// What a record asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// The targets.
    pub targets: Vec<Asked>,
    /// Those that the captures of its item don't name: the index in [`Pipeline::indicators`], and these captures.
    pub unnamed: Vec<(usize, Vec<String>)>,
}

/// Why a target is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The record is of the target itself, which is new or whose map someone else has changed.
    Target,
    /// The record is of an item, which now gives something else than before.
    Item,
}

/// The images of a record, as far as there are any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Images<'r> {
    pub(super) old: Option<Outline<'r>>,
    pub(super) new: Option<Outline<'r>>,
}

/// The targets that a record asks for.
///
/// # Errors
/// If the record has no keys or lacks an image that an indicator needs.
pub fn asked(pipeline: &Pipeline, record: &OutlinedRecord<'_>) -> Result<Asks, Fault> {
    if pipeline.indicators.is_empty() {
        return Ok(Asks::default());
    }
    if record.keys.is_empty() {
        let message = "are missing: a message of a plain Kinesis stream has no table, which the pipeline's indicators need; remove \
                       [[indicator]] or read the changes of a table";
        return Err(Fault::new(Code::MissingAttribute, "Keys", message));
    }
    let texts = key_texts(record);
    let Some(images) = images(record) else {
        if !may_matter(pipeline, record, &texts) {
            return Ok(Asks::default());
        }
        let message = "leaves out an image that an indicator needs; set the view type to NEW_AND_OLD_IMAGES";
        return Err(Fault::new(Code::ImageNotCarried, "StreamViewType", message));
    };
    let routed = |item| Some((ItemRoute::of(pipeline, record.keys, item)?, item));
    let [old, new] = [images.old, images.new].map(|image| image.and_then(routed));
    let mut asked = Vec::new();
    let mut unnamed = Vec::new();
    for (number, indicator) in pipeline.indicators.iter().enumerate() {
        if let Some(target) = as_target(indicator, record, images, &texts) {
            asked.push(Asked { indicator: number, target, cause: Cause::Target });
        }
        let give = |of: &Option<(ItemRoute<'_>, Outline<'_>)>| match of {
            Some((route, item)) => of_routed(indicator, route, *item),
            None => Ok(None),
        };
        let (before, after) = (give(&old), give(&new));
        if before == after {
            continue;
        }
        // An item that doesn't name its target counts for none, so that nothing is missing where it was.
        if let Err(Unnamed { variables, .. }) = &after {
            unnamed.push((number, variables.clone()));
        }
        let (before, after) = (before.ok().flatten(), after.ok().flatten());
        for Contribution { target, .. } in before.into_iter().chain(after) {
            let ask = Asked { indicator: number, target, cause: Cause::Item };
            if !asked.contains(&ask) {
                asked.push(ask);
            }
        }
    }
    Ok(Asks { targets: asked, unnamed })
}

/// The key of a target that asks for its own recomputation.
fn as_target(
    indicator: &Indicator,
    record: &OutlinedRecord<'_>,
    images: Images<'_>,
    texts: &[(&str, Cow<'_, str>)],
) -> Option<TargetKey> {
    let variables = variables(indicator, texts)?;
    let asks = match record.change {
        ChangeOf::Insert { .. } => true,
        ChangeOf::Remove { .. } => false,
        ChangeOf::Modify { .. } => {
            let [old, new] =
                [images.old, images.new].map(|image| image.and_then(|item| item.attribute(&indicator.attribute)));
            if are_spelled_alike(old, new) {
                return None;
            }
            let [old, new] = [old, new].map(|map| map.map(Entry::value));
            let is_changed = match (&old, &new) {
                (Some(old), Some(new)) => !same(old, new),
                (old, new) => old.is_some() != new.is_some(),
            };
            is_changed && !is_own_write(old.as_ref(), new.as_ref())
        }
    };
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    asks.then(|| indicator.target_key(&variables)).flatten()
}

/// The variables that name the item as a target.
pub(super) fn variables(indicator: &Indicator, texts: &[(&str, Cow<'_, str>)]) -> Option<Vec<String>> {
    let text = |name: &str| texts.iter().find(|(known, _)| *known == name).map(|(_, text)| &**text);
    (texts.len() == indicator.target.len()).then(|| indicator.target_variables(text)).flatten()
}

/// The names and texts of a record's key. Attributes that aren't strings have no text.
pub(super) fn key_texts<'r>(record: &OutlinedRecord<'r>) -> Vec<(&'r str, Cow<'r, str>)> {
    record.keys.attributes().filter_map(|(name, value)| Some((name, value.string()?))).collect()
}

/// Both images of a record, or `None` if the stream leaves out one of them.
pub(super) fn images<'r>(record: &OutlinedRecord<'r>) -> Option<Images<'r>> {
    let carried = |image: &ImageOf<Outline<'r>>| image.item().copied();
    Some(match &record.change {
        ChangeOf::Insert { new } => Images { old: None, new: Some(carried(new)?) },
        ChangeOf::Modify { old, new } => Images { old: Some(carried(old)?), new: Some(carried(new)?) },
        ChangeOf::Remove { old, .. } => Images { old: Some(carried(old)?), new: None },
    })
}

/// Whether a record without its images may be of a target or of an item that counts.
fn may_matter(pipeline: &Pipeline, record: &OutlinedRecord<'_>, texts: &[(&str, Cow<'_, str>)]) -> bool {
    let counts = |route: &Route| {
        let routes = pipeline.indicators.iter().flat_map(|indicator| &indicator.records);
        routes.filter_map(|record| pipeline.routes.get(record.route)).any(|known| std::ptr::eq(known, route))
    };
    pipeline.may_take(record.keys, ImageOf::NotCarried, counts)
        || pipeline.indicators.iter().any(|indicator| variables(indicator, texts).is_some())
}

fn are_spelled_alike(old: Option<Entry<'_>>, new: Option<Entry<'_>>) -> bool {
    old.zip(new).is_some_and(|(old, new)| old.is_spelled_like(new))
}

pub(super) fn is_same(old: Option<Entry<'_>>, new: Option<Entry<'_>>) -> bool {
    match (old, new) {
        // Hardly any attribute differs, and values that are spelled alike needn't be parsed.
        (Some(old), Some(new)) => old.is_spelled_like(new) || same(&old.value(), &new.value()),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
