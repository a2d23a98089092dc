//! Steps whose deltas can't be derived, because the archive lacks the state before them.

use super::Step;
use super::steps::Broken;
use crate::proof::reconcile::Site;
use crate::proof::reconcile::expected_totals::ExpectedTotals;
use crate::proof::reconcile::windows::{self, Drift, History};
use usage_aggregator::record::{Change, Image, Item};

/// Reports a step whose deltas can't be derived. If only one period is checked, a step before it matters no longer, and one in
/// it puts the counters of its group in doubt.
pub(super) fn gap(
    site: &Site<'_>,
    step: &Step,
    image: &Item<'static>,
    what: &str,
    totals: &mut ExpectedTotals,
    broken: &mut Broken,
) -> anyhow::Result<()> {
    if let Some(period) = site.period {
        let created_at = step.at()?;
        let drift = Drift::of(site.pipeline);
        let may_count = match drift == Drift::default() {
            true => period.contains(&windows::local(created_at, site.zone())),
            false => period.may_count(&created_at.date().to_string(), History::NotNeeded, (site.zone(), drift)),
        };
        if !may_count {
            return Ok(());
        }
        let insertion = Change::Insert { new: Image::Carried(image.clone()) };
        let additions = match step.additions((site.pipeline, None), insertion, image) {
            // The time of a removed item may be too long ago. If the removal had counted anything, it would have been rejected, and
            // would not be in the archive.
            Err(_) if step.event == "REMOVE" => Vec::new(),
            additions => additions?,
        };
        for addition in additions {
            let group = serde_json::to_string(&addition.key.0)?;
            if drift != Drift::default() {
                // The image before it isn't known, and neither is where that counted.
                totals.doubt_group_everywhere(&group)?;
                continue;
            }
            for window in site.pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.windows) {
                totals.doubt_group(
                    &group,
                    window.name(),
                    &windows::containing(*window, addition.at(created_at), site.zone()),
                )?;
            }
        }
    }
    broken.add(step, what);
    Ok(())
}
