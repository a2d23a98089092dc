//! Formats a plan: what was measured, what to change and why, the predicted effect, and the command that makes the changes.

use serde_json::{Value, json};

use super::fold::FoldHealth;
use super::model::{Failures, Load, Outcome};
use super::plan::{Plan, Proposal};
use super::settings::{Parameter, Settings};
use crate::deployment::cost::indicators::IndicatorLoad;
use crate::shell::numbers::{dollars, number, seconds};
use crate::shell::paragraph::paragraph;
use crate::shell::table;

pub(super) struct Report<'p> {
    pub load: &'p Load,
    pub now: &'p Settings,
    pub plan: &'p Plan,
    /// Whether it is for a `usagectl local`, whose settings are options.
    pub here: bool,
    /// The stack, if it has one.
    pub stack: Option<&'p str>,
}

impl Report<'_> {
    pub(super) fn text(&self) -> String {
        let mut parts = vec![self.load()];
        if self.plan.proposals.is_empty() {
            parts.push(paragraph(&format!("nothing to change: {}", self.kept()), "  "));
        } else {
            parts.extend([self.proposals(), self.outcomes(), self.command()]);
            parts.push(paragraph(&format!("unchanged: {}", self.kept()), "  "));
        }
        parts.extend(self.plan.notes.iter().map(|note| paragraph(&format!("note: {note}"), "      ")));
        parts.join("\n\n")
    }

    fn load(&self) -> String {
        let Load { rate, entities, windows, record_bytes, shards, goal, freshness, .. } = self.load;
        let within = goal.map(|goal| format!(", within {}", seconds(goal))).unwrap_or_default();
        let published = freshness.map(|goal| format!(", published within {}", seconds(goal))).unwrap_or_default();
        // Not every record counts for an entity, so the number is the one that would explain the measured counters.
        let of = if self.load.observed.is_some() { "counters as from " } else { "" };
        let indicators = match self.load.indicators {
            IndicatorLoad { targets, items, .. } if targets > 0.0 => {
                let items = counted(items, ["item", "items"]);
                format!(", {of}{} of {items}", counted(targets.round(), ["target", "targets"]))
            }
            _ => String::new(),
        };
        let load = format!(
            "{} records/s of {} bytes, {of}{}, {}, {}{indicators}{within}{published}: {}",
            number(*rate),
            number(*record_bytes),
            counted(entities.round(), ["entity", "entities"]),
            counted(*windows, ["window", "windows"]),
            counted(*shards, ["shard", "shards"]),
            self.plan.row.name
        );
        let mut text = paragraph(&load, "");
        if let Some(observed) = &self.load.observed {
            let p99 = observed.p99_seconds.map(|p99| format!(" (p99 {})", seconds(p99))).unwrap_or_default();
            text.push_str(&format!(
                "\nmeasured: {} and {} per batch in {}{p99}\niterator age up to {}, up to {}, {} throttled\n{}{}",
                counted(observed.batch, ["record", "records"]),
                counted(observed.groups, ["counter", "counters"]),
                seconds(observed.seconds),
                seconds(observed.age_seconds),
                counted(observed.concurrency, ["concurrent invocation", "concurrent invocations"]),
                number(observed.throttles),
                failures_text(&observed.failures),
                self.now.fold_window_seconds.map(|_| fold_text(&observed.fold)).unwrap_or_default(),
            ));
        }
        text
    }

    fn proposals(&self) -> String {
        let mut rows = table::titled(["parameter", "now", "proposed", "expected effect"]);
        for proposal in &self.plan.proposals {
            rows.add_row([
                table::text(proposal.parameter.name()),
                table::number(&shown(proposal.now)),
                table::number(&shown(Some(proposal.value))),
                table::text(&effect(proposal, self.load.goal.is_some())),
            ]);
        }
        let reason =
            |proposal: &Proposal| paragraph(&format!("{}: {}", proposal.parameter.name(), proposal.reason), "  ");
        let reasons: Vec<String> = self.plan.proposals.iter().map(reason).collect();
        format!("{rows}\n{}", reasons.join("\n"))
    }

    fn outcomes(&self) -> String {
        let (before, after) = (&self.plan.before, &self.plan.after);
        let mut rows = table::titled(["predicted", "now", "proposed"]);
        let mut row = |what: &str, of: &dyn Fn(&Outcome) -> String| {
            rows.add_row([table::text(what), table::number(&of(before)), table::number(&of(after))]);
        };
        row("records per batch", &|outcome| number(outcome.batch.round()));
        row("counters per batch", &|outcome| number(outcome.groups.round()));
        row("duration of a batch", &|outcome| seconds(outcome.seconds));
        row("of which CPU time", &|outcome| seconds(outcome.working_seconds));
        row("maximum latency", &|outcome| seconds(outcome.latency));
        row("maximum delay of snapshots", &|outcome| seconds(outcome.freshness));
        row("maximum records/s", &|outcome| number(outcome.capacity));
        row("write units per million records", &|outcome| number(outcome.write_units));
        row("cost per million records", &|outcome| dollars(outcome.dollars));
        row("write units/s of the ledger's pages", &|outcome| number(outcome.page_units));
        if self.load.indicators.targets > 0.0 {
            row("targets per batch", &|outcome| number(outcome.targets.round()));
            row("read units of indicators per million", &|outcome| number(outcome.indicator_read_units));
            row("read units/s of one target", &|outcome| number(outcome.target_units));
        }
        rows.to_string()
    }

    /// The command that makes the changes.
    fn command(&self) -> String {
        let value = |proposal: &Proposal| shown(Some(proposal.value));
        if !self.here {
            let pair = |proposal: &Proposal| format!("{}={}", proposal.parameter.name(), value(proposal));
            let pairs: Vec<String> = self.plan.proposals.iter().map(pair).collect();
            let stack = self.stack.map(|name| format!(" STACK={name}")).unwrap_or_default();
            return format!("make deploy{stack} PARAMETERS='{}'", pairs.join(" "));
        }
        let (mut variable, mut options) = (String::new(), String::new());
        for proposal in &self.plan.proposals {
            let option = match proposal.parameter {
                Parameter::BatchSize => "--batch-size",
                Parameter::BatchWindowSeconds => "--batching-window",
                Parameter::ParallelizationFactor => "--parallelization-factor",
                Parameter::TimeoutSeconds => "--timeout",
                Parameter::FoldWindowSeconds => "--fold-window",
                Parameter::CommitConcurrency => {
                    variable = format!("CONCURRENCY={} ", value(proposal));
                    continue;
                }
                // They don't exist on a laptop.
                Parameter::MemoryMegabytes | Parameter::ReservedConcurrency => continue,
            };
            options.push_str(&format!(" {option} {}", value(proposal)));
        }
        format!("{variable}usagectl local{options}")
    }

    /// The unchanged parameters with their values.
    fn kept(&self) -> String {
        let stays =
            |parameter: &Parameter| !self.plan.proposals.iter().any(|proposal| proposal.parameter == *parameter);
        let stay = Parameter::ALL.into_iter().filter(stays);
        let known =
            stay.filter_map(|parameter| Some(format!("{} {}", parameter.name(), shown(Some(parameter.of(self.now)?)))));
        known.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn json(&self) -> String {
        let outcome = |outcome: &Outcome| {
            json!({
                "batch": outcome.batch, "groups": outcome.groups, "seconds": outcome.seconds,
                "working_seconds": outcome.working_seconds, "latency_seconds": outcome.latency,
                "fold_seconds": outcome.fold_seconds, "freshness_seconds": outcome.freshness,
                "records_per_second": outcome.capacity, "write_units_per_million": outcome.write_units,
                "dollars_per_million": outcome.dollars, "page_units_per_second": outcome.page_units,
                "targets": outcome.targets, "indicator_read_units_per_million": outcome.indicator_read_units,
                "target_read_units_per_second": outcome.target_units,
            })
        };
        let proposal = |proposal: &Proposal| {
            json!({
                "parameter": proposal.parameter.name(), "now": proposal.now, "value": proposal.value,
                "reason": proposal.reason, "before": outcome(&proposal.before), "after": outcome(&proposal.after),
            })
        };
        let settings = |settings: &Settings| {
            let pair = |parameter: Parameter| (parameter.name().to_owned(), json!(parameter.of(settings)));
            Value::Object(Parameter::ALL.into_iter().map(pair).collect())
        };
        let observed = self.load.observed.map(|observed| {
            json!({
                "batch": observed.batch, "groups": observed.groups, "seconds": observed.seconds, "p99_seconds": observed.p99_seconds,
                "iterator_age_seconds": observed.age_seconds, "concurrency": observed.concurrency, "throttles": observed.throttles,
                "table_throttles": observed.table_throttles, "errors": observed.failures.errors,
                "failed_deliveries": observed.failures.deliveries,
                "failed_deliveries_last_15_minutes": observed.failures.deliveries_now,
                "rejected": observed.failures.rejected, "discarded": observed.failures.discarded,
                "blocked": observed.failures.blocked,
                "fold": {
                    "iterator_age_seconds": observed.fold.age_seconds, "errors": observed.fold.errors,
                    "unsettled": observed.fold.unsettled, "blocked": observed.fold.blocked,
                },
            })
        });
        let Load { rate, entities, windows, record_bytes, shards, goal, freshness, .. } = self.load;
        let command = (!self.plan.proposals.is_empty()).then(|| self.command());
        json!({
            "load": {
                "records_per_second": rate, "entities": entities, "windows": windows, "record_bytes": record_bytes,
                "shards": shards, "latency_seconds": goal, "freshness_seconds": freshness, "row": self.plan.row.name,
                "targets": self.load.indicators.targets, "items_per_target": self.load.indicators.items,
                "item_bytes": self.load.indicators.item_bytes,
            },
            "seen": observed,
            "now": settings(self.now),
            "proposals": self.plan.proposals.iter().map(proposal).collect::<Vec<_>>(),
            "before": outcome(&self.plan.before),
            "after": outcome(&self.plan.after),
            "command": command,
            "notes": self.plan.notes,
        })
        .to_string()
    }
}

/// `failed: 5 invocations, 120 records in deliveries; 10 records discarded, 3 rejected`
fn failures_text(failures: &Failures) -> String {
    let Failures { errors, deliveries, rejected, discarded, .. } = failures;
    let rejected = rejected.map(|rejected| format!(", {} rejected", number(rejected))).unwrap_or_default();
    format!(
        "failed: {} invocations, {} records in deliveries; {} records discarded{rejected}",
        number(*errors),
        number(*deliveries),
        number(*discarded)
    )
}

/// `fold: iterator age up to 33 s, 0 invocations failed, 0 notices not settled at once`
fn fold_text(fold: &FoldHealth) -> String {
    format!(
        "\nfold: iterator age up to {}, {} invocations failed, {} notices not settled at once",
        seconds(fold.age_seconds),
        number(fold.errors),
        number(fold.unsettled)
    )
}

/// The prediction that a change affects most, before and after.
fn effect(proposal: &Proposal, latency_counts: bool) -> String {
    let (before, after) = (&proposal.before, &proposal.after);
    let change = |of: fn(&Outcome) -> f64, shown: fn(f64) -> String, what: &str| {
        format!("{} -> {} {what}", shown(of(before)), shown(of(after)))
    };
    match proposal.parameter {
        Parameter::BatchWindowSeconds | Parameter::BatchSize if latency_counts => {
            change(|outcome| outcome.latency, seconds, "maximum latency")
        }
        Parameter::BatchWindowSeconds | Parameter::BatchSize | Parameter::FoldWindowSeconds => {
            change(|outcome| outcome.write_units, number, "write units")
        }
        Parameter::ParallelizationFactor | Parameter::ReservedConcurrency | Parameter::CommitConcurrency => {
            change(|outcome| outcome.capacity, number, "maximum records/s")
        }
        Parameter::MemoryMegabytes => change(|outcome| outcome.seconds, seconds, "per batch"),
        Parameter::TimeoutSeconds => "slow batches don't time out".to_owned(),
    }
}

/// A number with the word for one or for several.
pub(super) fn counted(value: f64, [one, several]: [&str; 2]) -> String {
    let number = number(value);
    let what = if number == "1" { one } else { several };
    format!("{number} {what}")
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
}
