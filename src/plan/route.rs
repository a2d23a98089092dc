//! Which record type a record takes, and whether any processes it.

use super::Planner;
use crate::outline::OutlinedRecord;
use crate::pipeline::{Bindings, Route, Routed, Unmatched};
use crate::record::{Code, Fault};

impl<'p> Planner<'p> {
    /// Whether no record type processes this kind of event, so that the record has no effect whatever its images are.
    pub(super) fn is_ignored(&self, record: &OutlinedRecord<'_>) -> bool {
        let event = record.change.event();
        self.pipeline.unmatched == Unmatched::Skip
            && self.pipeline.routes.iter().all(|route| !route.events.contains(&event))
    }

    /// The route of the newest image, if that route processes this kind of event.
    pub(super) fn route<'r>(&self, record: &OutlinedRecord<'r>) -> Result<Option<(&'p Route, Bindings<'r>)>, Fault> {
        match self.pipeline.route_outline(record.keys, *record.newest_image()) {
            Routed::To(route, bindings) if route.events.contains(&record.change.event()) => Ok(Some((route, bindings))),
            Routed::To(..) => Ok(None),
            Routed::Nowhere if self.pipeline.unmatched == Unmatched::Skip => Ok(None),
            Routed::Nowhere => Err(Fault::new(Code::Unmatched, "Keys", "match no record type of the pipeline")),
            Routed::NeedsImage(route) => {
                let needs = format!(
                    "leaves out the image that decides whether this is a `{}`; set the view type to NEW_AND_OLD_IMAGES",
                    route.record_type
                );
                Err(Fault::new(Code::ImageNotCarried, "StreamViewType", needs))
            }
        }
    }
}
