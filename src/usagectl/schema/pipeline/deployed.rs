//! `usagectl pipeline check --stack`: compares a pipeline with the one that a stack runs. A stack that `usagectl package` was used for
//! carries its pipeline in its template; any other runs a shipped pipeline.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use usage_aggregator::pipeline::{Folder, shipped};

use super::super::check::{Finding, Verdict, report};
use super::definition::Definition;
use super::{changes::changes, definition, in_use, json, line, read};
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;
use crate::stack::{Account, carried};

/// Prints what an update of `stack` to the pipeline in `new` would change.
pub(super) async fn check(stack: &str, new: &Path, options: &Options) -> anyhow::Result<Done> {
    let new = read(new, definition)?;
    let Some(running) = running(stack).await? else {
        console::note(&format!("the stack {stack} doesn't exist yet, so there is no pipeline to compare with"));
        return Ok(Done::Well);
    };
    let running = in_use(running, &format!("that of the stack {stack}"))?;
    let (old, new) = (BTreeMap::from([(String::new(), running)]), BTreeMap::from([(String::new(), new)]));
    let done = report(&old, &new, findings, if options.json { json } else { line })?;
    if !options.json {
        console::note(&format!("compared with the pipeline of the stack {stack}"));
    }
    Ok(done)
}

/// The pipeline that `stack` runs. `None` if the stack doesn't exist.
async fn running(stack: &str) -> anyhow::Result<Option<Folder>> {
    let account = Account::open().await;
    let Some(template) = account.template(stack).await? else { return Ok(None) };
    if let Some(folder) = carried(&template)? {
        return Ok(Some(folder));
    }
    let parameters = account.parameters(stack).await?;
    let name = parameters.get("Pipeline").with_context(|| {
        UsageError(format!("the stack {stack} has no parameter `Pipeline`: is it one of this project?"))
    })?;
    let folder = shipped(name).with_context(|| {
        UsageError(format!("the stack {stack} runs the pipeline {name}, which this usagectl doesn't contain; compare it with its folder: usagectl pipeline check OLD NEW"))
    })?;
    console::note(&format!("the stack {stack} runs the shipped pipeline {name}; taking the version in this usagectl"));
    Ok(Some(folder))
}

fn findings(old: Option<&Definition>, new: Option<&Definition>) -> Vec<Finding> {
    let (Some(old), Some(new)) = (old, new) else { return Vec::new() };
    if old.folder.name != new.folder.name {
        let (before, after) = (&old.folder.name, &new.folder.name);
        let reason = format!(
            "the snapshots of {before} would never be updated again, and {after} starts at zero; deploy {after} as another stack, or give its folder the name {before}"
        );
        return vec![Finding::new("", format!("{before} became {after}"), Verdict::Unsafe, reason)];
    }
    changes(old, new)
}
