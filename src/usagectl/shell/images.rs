//! The images that a pipeline needs in a table's stream, and those that each view type has.

use usage_aggregator::pipeline::{Amount, ArchivedImage, Pipeline, Quantity, Route};
use usage_aggregator::record::Event;

/// Which images of an item a stream has, or a pipeline needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Images {
    /// The item after a change.
    pub new: bool,
    /// The item before a change.
    pub old: bool,
}

impl Images {
    /// The images that a stream with this view type has.
    pub fn of_view_type(view_type: &str) -> Images {
        let (new, old) = match view_type {
            "NEW_AND_OLD_IMAGES" => (true, true),
            "NEW_IMAGE" => (true, false),
            "OLD_IMAGE" => (false, true),
            _ => (false, false),
        };
        Images { new, old }
    }

    /// The images without which the function rejects some records of the pipeline as `image_not_carried`.
    pub fn needed_by(pipeline: &Pipeline) -> Images {
        let needs = pipeline.routes.iter().map(needed_by_route);
        needs.fold(Images::default(), |all, one| Images { new: all.new || one.new, old: all.old || one.old })
    }

    /// Whether nothing is missing.
    pub fn cover(self, needed: Images) -> bool {
        (self.new || !needed.new) && (self.old || !needed.old)
    }

    /// In words, as what a pipeline needs.
    pub fn words(self) -> &'static str {
        match (self.new, self.old) {
            (true, true) => "new and old images",
            (true, false) => "new images",
            (false, true) => "old images",
            (false, false) => "only keys",
        }
    }
}

fn needed_by_route(route: &Route) -> Images {
    let removals = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Remove | Event::Expire));
    let changes = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Insert | Event::Modify));
    let looks = route.is_conditional() || route.needs_binding();
    let (mut new, mut old) = (looks && changes(&route.events), looks && removals(&route.events));
    for measure in route.measures() {
        match &measure.amount {
            Amount::Difference { .. } | Amount::Standing(_) => (new, old) = (true, true),
            Amount::Each { events, .. } => {
                let reads = measure.quantity != Quantity::One || !measure.conditions.is_empty();
                new |= reads && changes(events);
                old |= reads && removals(events);
            }
        }
    }
    if let Some(archive) = &route.archive {
        new |= archive.image != ArchivedImage::Old && changes(&archive.events);
        old |= archive.image == ArchivedImage::Old || removals(&archive.events);
    }
    Images { new, old }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usage_aggregator::pipeline::shipped;

    #[test]
    fn a_view_type_covers_what_a_pipeline_needs_or_not() {
        let of = |name: &str| Images::needed_by(&Pipeline::parse(&shipped(name).unwrap()).unwrap());
        let orders = of("orders");
        assert_eq!(orders.words(), "new and old images");
        for (view_type, covers) in
            [("NEW_AND_OLD_IMAGES", true), ("NEW_IMAGE", false), ("OLD_IMAGE", false), ("KEYS_ONLY", false)]
        {
            assert_eq!(Images::of_view_type(view_type).cover(orders), covers, "{view_type}");
        }
        assert!(Images::of_view_type("KEYS_ONLY").cover(Images::default()), "a pipeline may need only keys");
    }
}
