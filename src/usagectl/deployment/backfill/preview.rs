//! What records will do, planned here by the function's own code: rows, opening values, and items that are rejected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event_source_mapping::SourceRecord;
use stream_types::Decimal;
use usage_aggregator::config::Config;
use usage_aggregator::ledger::pages;
use usage_aggregator::plan::{OnRejection, Plan, PlanContext, Recent, plan_event};

use super::report::Totals;

/// Plans records with the function's configuration.
pub(super) struct Preview {
    config: Config,
}

impl Preview {
    /// Plans with this configuration.
    pub(super) fn new(config: Config) -> Preview {
        Preview { config }
    }

    /// Plans a batch, adds what it will do to `totals`, and returns the records that aren't rejected.
    ///
    /// # Errors
    /// If the batch can't be read, which would be a bug.
    pub(super) fn plan(
        &self,
        records: &[Arc<SourceRecord>],
        totals: &mut Totals,
    ) -> anyhow::Result<Vec<Arc<SourceRecord>>> {
        let joined: Vec<&str> = records.iter().map(|record| record.json.as_str()).collect();
        let event = format!(r#"{{"Records":[{}]}}"#, joined.join(","));
        let on_rejection = OnRejection::Quarantine { limit_percent: 100, recent: Recent::default() };
        let context = PlanContext { on_rejection, ..self.config.plan_context(event_source_mapping::now()?) };
        let (_, plan) = plan_event(event.as_bytes(), &self.config.pipeline, &context)?;
        if let Some(rejection) = &plan.rejected {
            anyhow::bail!("plan a batch: {rejection}");
        }
        self.add(&plan, totals)?;
        let mut rejected = BTreeSet::new();
        for quarantined in &plan.quarantined {
            let Some(record) = records.get(quarantined.record) else { continue };
            let fault = &quarantined.rejection.fault;
            totals.refuse(
                super::send::item_of(record),
                format!("{}: {} {}", fault.code.name(), fault.field, fault.message),
            );
            rejected.insert(quarantined.record);
        }
        let accepted = records.iter().enumerate().filter(|(index, _)| !rejected.contains(index));
        Ok(accepted.map(|(_, record)| Arc::clone(record)).collect())
    }

    fn add(&self, plan: &Plan, totals: &mut Totals) -> anyhow::Result<()> {
        totals.skipped += plan.tally.skipped;
        for ((record_type, _), draft) in &plan.files {
            *totals.rows.entry(record_type.clone()).or_default() += draft.rows();
        }
        totals.files += plan.files.len();
        let mut counted = BTreeSet::new();
        for effect in plan.groups.iter().flat_map(|group| &group.effects) {
            counted.insert(effect.record);
            for addition in &effect.amounts {
                let sum = totals.opening.entry(addition.measure.to_string()).or_insert(Some(Decimal::default()));
                *sum = sum.zip(addition.amount()).and_then(|(sum, amount)| sum.checked_add(amount).ok());
            }
        }
        totals.counted += counted.len();
        let id_bytes = self.config.tables.as_ref().map_or(8, |tables| tables.id_bytes);
        for page in pages(&plan.groups, self.config.pipeline.generation, id_bytes) {
            totals.pages += 1;
            // A write unit for each KiB of the item, whose other attributes have about 100 bytes.
            totals.write_units += (page.data.len() + 100).div_ceil(1_024);
        }
        Ok(())
    }
}

/// The counts of `more` added to `totals`.
pub(super) fn merge(totals: &mut BTreeMap<String, usize>, more: BTreeMap<String, usize>) {
    for (name, count) in more {
        *totals.entry(name).or_default() += count;
    }
}
