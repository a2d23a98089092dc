//! Routing: which record type an image matches, and the variables that the match captures.

use std::borrow::Cow;

use super::condition::Scalar;
use super::{Amount, Matcher, Measure, Pipeline, Quantity, Requirement, Route};
use crate::outline::{Entry, Outline, WrittenItems};
use crate::record::{Code, Fault, Image, ImageOf, Item};

/// The values of a route's variables, indexed by slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bindings<'r>(Vec<Cow<'r, str>>);

impl Bindings<'_> {
    /// The value in `slot`.
    pub fn value(&self, slot: usize) -> &str {
        self.0.get(slot).map_or("", AsRef::as_ref)
    }

    /// The same values, owned.
    fn into_owned(self) -> Bindings<'static> {
        Bindings(self.0.into_iter().map(|value| Cow::Owned(value.into_owned())).collect())
    }
}

/// The result of matching an image.
#[derive(Debug)]
pub enum Routed<'p, 'r> {
    /// The image takes this route, with these captures.
    To(&'p Route, Bindings<'r>),
    /// No route matches.
    Nowhere,
    /// Whether this route matches depends on an image that the stream leaves out.
    NeedsImage(&'p Route),
}

impl Pipeline {
    /// Finds the first route that matches an item with these keys and this image.
    pub fn route(&self, keys: &Item<'_>, image: &Image<'_>) -> Routed<'_, 'static> {
        let (keys, item) = (WrittenItems::of(keys), image.item().map(WrittenItems::of));
        let image = item.as_ref().map_or(ImageOf::NotCarried, |item| ImageOf::Carried(item.outline()));
        match self.route_outline(keys.outline(), image) {
            Routed::To(route, bindings) => Routed::To(route, bindings.into_owned()),
            Routed::Nowhere => Routed::Nowhere,
            Routed::NeedsImage(route) => Routed::NeedsImage(route),
        }
    }

    /// The same for outlines.
    pub fn route_outline<'r>(&self, keys: Outline<'r>, image: ImageOf<Outline<'r>>) -> Routed<'_, 'r> {
        for route in &self.routes {
            match route.matches(keys, image) {
                Matched::Yes(bindings) => return Routed::To(route, bindings),
                Matched::No => {}
                Matched::Unknown => return Routed::NeedsImage(route),
            }
        }
        Routed::Nowhere
    }

    /// Whether an item with these keys and this image, which the stream may have left out, may take a route of which `holds` is
    /// true.
    pub fn may_take(&self, keys: Outline<'_>, image: ImageOf<Outline<'_>>, holds: impl Fn(&Route) -> bool) -> bool {
        for route in &self.routes {
            match route.matches(keys, image) {
                Matched::Yes(_) => return holds(route),
                Matched::Unknown if holds(route) => return true,
                Matched::Unknown | Matched::No => {}
            }
        }
        false
    }

    /// Given that an item with these keys took `route`, whether it always does, whatever its image.
    pub fn keys_decide(&self, keys: Outline<'_>, route: &Route) -> bool {
        let needs_only_keys = |route: &Route| {
            route.conditions.is_empty()
                && route.matchers.iter().all(|matcher| keys.attribute(&matcher.attribute).is_some())
        };
        let end = self.routes.iter().position(|other| std::ptr::eq(other, route));
        end.and_then(|end| self.routes.get(..=end)).is_some_and(|routes| routes.iter().all(needs_only_keys))
    }
}

enum Matched<'r> {
    Yes(Bindings<'r>),
    No,
    Unknown,
}

impl Route {
    /// The paths of the attributes that decide whether an item is of this type, and that fill its variables.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let matched = self.matchers.iter().map(|matcher| matcher.attribute.as_str());
        let bound = self.binds.iter().map(|(path, _)| path.as_str());
        matched.chain(bound).chain(self.conditions.iter().map(|condition| condition.path.as_str()))
    }

    /// The paths of the attributes that decide what an item of this type counts, and where.
    pub(super) fn counted_paths(&self) -> impl Iterator<Item = &str> {
        let time = self.window_time.as_ref().map(|time| time.path.as_str());
        self.paths().chain(time).chain(self.measures().flat_map(Measure::paths))
    }

    fn matches<'r>(&self, keys: Outline<'r>, image: ImageOf<Outline<'r>>) -> Matched<'r> {
        let mut slots = vec![Cow::Borrowed(""); self.variables.len()];
        let mut unknown = false;
        for matcher in &self.matchers {
            let value = keys.attribute(&matcher.attribute).or_else(|| image.item()?.at_path(&matcher.attribute));
            match (value, image) {
                (Some(value), _) if matcher.requirement.matches(value, &mut slots) => {}
                (None, ImageOf::NotCarried) => unknown = true,
                _ => return Matched::No,
            }
        }
        match image {
            _ if unknown => Matched::Unknown,
            ImageOf::NotCarried if !self.conditions.is_empty() => Matched::Unknown,
            ImageOf::Carried(item) if !self.conditions.iter().all(|condition| condition.holds(item)) => Matched::No,
            _ => Matched::Yes(Bindings(slots)),
        }
    }

    /// Fills the slots of the attributes that this route's templates need.
    ///
    /// # Errors
    /// If an attribute is missing, empty, or neither a string nor a number.
    pub fn bind(&self, bindings: &mut Bindings<'_>, item: &Item<'_>) -> Result<(), Fault> {
        let written = WrittenItems::of(item);
        let mut bound = Bindings(vec![Cow::Borrowed(""); self.variables.len()]);
        self.bind_outline(&mut bound, written.outline())?;
        for (_, slot) in &self.binds {
            if let Some(value) = bindings.0.get_mut(*slot) {
                *value = Cow::Owned(bound.value(*slot).to_owned());
            }
        }
        Ok(())
    }

    /// The same for an outline.
    ///
    /// # Errors
    /// As for [`Route::bind`].
    pub fn bind_outline<'r>(&self, bindings: &mut Bindings<'r>, item: Outline<'r>) -> Result<(), Fault> {
        for (path, slot) in &self.binds {
            let fault = |code, message: &str| Fault::new(code, path.as_str(), message);
            let value = item.value_at(path).ok_or_else(|| {
                fault(Code::MissingAttribute, &format!("is missing, but record type `{}` needs it", self.record_type))
            })?;
            let text = text_of(value)
                .ok_or_else(|| fault(Code::InvalidValue, &format!("expected S or N, found {}", value.type_name())))?;
            if text.is_empty() {
                return Err(fault(Code::InvalidValue, "is empty, so it can't be part of a key"));
            }
            if let Some(binding) = bindings.0.get_mut(*slot) {
                *binding = text;
            }
        }
        Ok(())
    }

    /// Fills the slots of the attributes that an item has; the others stay empty.
    pub fn bind_present<'r>(&self, bindings: &mut Bindings<'r>, item: Outline<'r>) {
        for (path, slot) in &self.binds {
            if let (Some(text), Some(binding)) = (item.value_at(path).and_then(text_of), bindings.0.get_mut(*slot)) {
                *binding = text;
            }
        }
    }

    /// Whether this certainly matches every item that `other` matches: it requires nothing that the other doesn't.
    pub(super) fn covers(&self, other: &Route) -> bool {
        let same = |matcher: &Matcher| {
            other.matchers.iter().any(|of_other| {
                of_other.attribute == matcher.attribute && matcher.requirement.covers(&of_other.requirement)
            })
        };
        self.matchers.iter().all(same) && self.conditions.iter().all(|condition| other.conditions.contains(condition))
    }

    /// The attributes that `match` names, keys and others.
    pub fn matched_attributes(&self) -> impl Iterator<Item = &str> {
        self.matchers.iter().map(|matcher| matcher.attribute.as_str())
    }

    /// The attributes that `match` compares with a text or pattern, and what a matching text starts and ends with.
    pub fn matched_ends(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.matchers.iter().filter_map(|matcher| match &matcher.requirement {
            Requirement::Pattern(pattern) => {
                let (start, end) = pattern.ends();
                Some((matcher.attribute.as_str(), start, end))
            }
            Requirement::Equal(Scalar::Text(text)) => Some((matcher.attribute.as_str(), text.as_str(), text.as_str())),
            Requirement::Equal(Scalar::Number(_) | Scalar::Bool(_)) => None,
        })
    }

    /// The attributes that `bind` names.
    pub fn bound_attributes(&self) -> impl Iterator<Item = &str> {
        self.binds.iter().map(|(path, _)| path.as_str())
    }

    /// The measures of all counters.
    pub fn measures(&self) -> impl Iterator<Item = &Measure> {
        self.counters.iter().flat_map(|counter| &counter.measures)
    }

    /// Whether items that match must also meet conditions.
    pub fn is_conditional(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// Whether the templates need attributes besides those that `match` captures.
    pub fn needs_binding(&self) -> bool {
        !self.binds.is_empty()
    }
}

impl Measure {
    /// The paths of the attributes that decide what an image counts.
    fn paths(&self) -> impl Iterator<Item = &str> {
        let attribute = match &self.quantity {
            Quantity::Attribute { path, .. } => Some(path.as_str()),
            Quantity::One | Quantity::Matching { .. } => None,
        };
        let since = match &self.amount {
            Amount::Standing(weight) => Some(weight.since.as_str()),
            Amount::Each { .. } | Amount::Difference { .. } => None,
        };
        let conditions = self.conditions.iter().map(|condition| condition.path.as_str());
        attribute.into_iter().chain(since).chain(conditions)
    }
}

impl Requirement {
    /// Whether every value that meets `other` also meets this, as far as their texts show.
    fn covers(&self, other: &Requirement) -> bool {
        match (self, other) {
            (Requirement::Equal(scalar), Requirement::Equal(of_other)) => scalar == of_other,
            (Requirement::Pattern(pattern), Requirement::Pattern(of_other)) => pattern.covers(of_other),
            (Requirement::Pattern(pattern), Requirement::Equal(Scalar::Number(number))) => {
                !pattern.is_text() && pattern.matches(&number.to_string(), |_, _| {})
            }
            _ => false,
        }
    }

    /// The text of a value that may meet this. A capture also takes a number, but a text without captures only means a string.
    pub(super) fn text_of<'r>(&self, value: Entry<'r>) -> Option<Cow<'r, str>> {
        match self {
            Requirement::Pattern(pattern) if pattern.is_text() => value.string(),
            _ => text_of(value),
        }
    }

    fn matches<'r>(&self, value: Entry<'r>, slots: &mut [Cow<'r, str>]) -> bool {
        match self {
            Requirement::Equal(scalar) => scalar.equals(value),
            Requirement::Pattern(pattern) => match self.text_of(value) {
                Some(Cow::Borrowed(text)) => pattern.matches(text, |slot, found| {
                    slots.get_mut(slot).into_iter().for_each(|value| *value = Cow::Borrowed(found));
                }),
                Some(Cow::Owned(text)) => pattern.matches(&text, |slot, found| {
                    slots.get_mut(slot).into_iter().for_each(|value| *value = Cow::Owned(found.to_owned()));
                }),
                None => false,
            },
        }
    }
}

pub(super) fn text_of(value: Entry<'_>) -> Option<Cow<'_, str>> {
    value.string().or_else(|| Some(Cow::Owned(value.number()?.to_string())))
}
