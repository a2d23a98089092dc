//! Refuses options with which a run could never end well, before anything is created.

use std::path::Path;

use usage_aggregator::config::Config;
use usage_aggregator::pipeline::Pipeline;

use super::{Local, StreamChoice};
use crate::shell::console::UsageError;

impl Local {
    /// Refuses a timeout that leaves the function no time, and a load whose result couldn't be checked.
    ///
    /// # Errors
    /// What doesn't work, and what to do instead.
    pub(super) fn refuse(&self, config: &Config) -> Result<(), UsageError> {
        let (seconds, margin) = (self.timeout, config.deadline_margin_ms);
        // A function elsewhere has its own deadline.
        if self.invoke.is_none() && self.timeout().as_millis() <= u128::from(margin) {
            return Err(UsageError(format!(
                "--timeout: of {seconds} s, DEADLINE_MARGIN_MS reserves {margin} ms, so the function has no time: choose a longer timeout"
            )));
        }
        self.refuse_load(&config.pipeline)
    }

    /// Refuses to read the changes of the table `source` through another stream than the runs before in this data folder. Each stream gives
    /// a change an ID of its own, so the changes that the new one still has would count a second time.
    ///
    /// # Errors
    /// Which stream it was, and what to do.
    pub(super) fn refuse_other_stream(
        &self,
        kind: StreamChoice,
        source: &str,
        folder: &Path,
    ) -> Result<(), UsageError> {
        let other = match kind {
            StreamChoice::Dynamodb => StreamChoice::KinesisForDynamodb,
            StreamChoice::KinesisForDynamodb => StreamChoice::Dynamodb,
            // Its messages are no table's changes.
            StreamChoice::Kinesis => return Ok(()),
        };
        if self.fresh || !folder.join(other.checkpoints(source)).exists() {
            return Ok(());
        }
        let (before, now) = (other.name(), kind.name());
        Err(UsageError(format!(
            "--stream: in this data folder, the table {source} was read through `--stream {before}`; `--stream {now}` would count \
             its latest changes a second time. Keep `--stream {before}`, or start over with --fresh"
        )))
    }

    fn refuse_load(&self, pipeline: &Pipeline) -> Result<(), UsageError> {
        let Some(profile) = self.load.profile() else { return Ok(()) };
        if self.mapping.has_filter() {
            let remedy = "omit --filter, or write the load with `usagectl simulate` in another shell";
            return Err(UsageError(format!(
                "--filter: --simulate checks that every record is counted, but a filter leaves some out; {remedy}"
            )));
        }
        // That of your own table is made from the pipeline.
        let Some(load) = profile.shipped() else { return Ok(()) };
        let needed = load.record_type();
        if pipeline.routes.iter().any(|route| route.record_type == needed) {
            return Ok(());
        }
        let (load, pipeline) = (load.name(), &pipeline.name);
        Err(UsageError(format!(
            "--simulate: the load `{load}` needs a pipeline with the record type `{needed}`; {pipeline} has none: \
             choose another load, or another pipeline with --pipeline"
        )))
    }
}
