//! Which record type a record takes, and whether any processes it. It is rejected only if none of its images takes one.

use super::Planner;
use crate::outline::OutlinedRecord;
use crate::pipeline::{Bindings, Route, Routed, Unmatched};
use crate::record::{ChangeOf, Code, Fault};

impl<'p> Planner<'p> {
    /// The route of the newest image, if that route processes this kind of event. If the stream leaves out the image, there is
    /// none if no record type that the item may be processes this kind of event.
    pub(super) fn route<'r>(&self, record: &OutlinedRecord<'r>) -> Result<Option<(&'p Route, Bindings<'r>)>, Fault> {
        let (image, event) = (*record.newest_image(), record.change.event());
        let processes = |route: &Route| route.events.contains(&event);
        let skips_unmatched = self.pipeline.unmatched == Unmatched::Skip;
        match self.pipeline.route_outline(record.keys, image) {
            Routed::To(route, bindings) if processes(route) => Ok(Some((route, bindings))),
            Routed::To(..) => Ok(None),
            Routed::Nowhere if skips_unmatched || self.leaves_its_type(record) => Ok(None),
            Routed::NeedsImage(_) if skips_unmatched && !self.pipeline.may_take(record.keys, image, processes) => {
                Ok(None)
            }
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

    /// Whether the old image of a change takes a record type, so that what it counted must be taken back.
    fn leaves_its_type(&self, record: &OutlinedRecord<'_>) -> bool {
        let ChangeOf::Modify { old, .. } = &record.change else { return false };
        matches!(self.pipeline.route_outline(record.keys, *old), Routed::To(..))
    }
}
