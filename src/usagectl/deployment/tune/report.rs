//! How a plan looks: what was seen, what to change and why, what comes of it, and the command that changes it.

use serde_json::{Value, json};

use super::model::{Load, Outcome};
use super::plan::{Plan, Proposal};
use super::settings::{Parameter, Settings};
use crate::shell::numbers::{dollars, number, seconds};
use crate::shell::table;

pub struct Report<'p> {
    pub load: &'p Load,
    pub now: &'p Settings,
    pub plan: &'p Plan,
    /// Whether it is of a `usagectl local`, whose settings are options.
    pub here: bool,
}

impl Report<'_> {
    pub fn text(&self) -> String {
        let mut parts = vec![self.what_is()];
        if self.plan.proposals.is_empty() {
            parts.push(format!("nothing to change: {}", self.kept()));
        } else {
            parts.extend([self.proposals(), self.outcomes(), self.command()]);
            parts.push(format!("left as they are: {}", self.kept()));
        }
        parts.extend(self.plan.notes.iter().map(|note| format!("note: {note}")));
        parts.join("\n\n")
    }

    fn what_is(&self) -> String {
        let Load { rate, entities, windows, record_bytes, shards, goal, .. } = self.load;
        let goal = goal.map(|goal| format!(", within {}", seconds(goal))).unwrap_or_default();
        // A record may count for nobody, so counters that were seen tell of as many entities as would make them.
        let of = if self.load.seen.is_some() { "counters as of " } else { "" };
        let mut text = format!(
            "{} records/s of {} bytes, {of}{}, {}, {}{goal}: {}",
            number(*rate),
            number(*record_bytes),
            counted(entities.round(), ["entity", "entities"]),
            counted(*windows, ["window", "windows"]),
            counted(*shards, ["shard", "shards"]),
            self.plan.row.name
        );
        if let Some(seen) = &self.load.seen {
            let p99 = seen.p99_seconds.map(|p99| format!(" (p99 {})", seconds(p99))).unwrap_or_default();
            text.push_str(&format!(
                "\nseen: {} records and {} counters a batch in {}{p99}, iterator age up to {}, {} at once, {} throttled, {} failed",
                number(seen.batch),
                number(seen.groups),
                seconds(seen.seconds),
                seconds(seen.age_seconds),
                number(seen.concurrency),
                number(seen.throttles),
                number(seen.errors)
            ));
        }
        text
    }

    fn proposals(&self) -> String {
        let mut rows = table::titled(["parameter", "now", "better", "expected"]);
        for proposal in &self.plan.proposals {
            rows.add_row([
                table::text(proposal.parameter.name()),
                table::number(&shown(proposal.now)),
                table::number(&shown(Some(proposal.value))),
                table::text(&effect(proposal, self.load.goal.is_some())),
            ]);
        }
        let reason = |proposal: &Proposal| format!("{}: {}", proposal.parameter.name(), proposal.reason);
        let reasons: Vec<String> = self.plan.proposals.iter().map(reason).collect();
        format!("{rows}\n{}", reasons.join("\n"))
    }

    fn outcomes(&self) -> String {
        let (before, after) = (&self.plan.before, &self.plan.after);
        let mut rows = table::titled(["by the cost model", "now", "then"]);
        let mut row = |what: &str, of: &dyn Fn(&Outcome) -> String| {
            rows.add_row([table::text(what), table::number(&of(before)), table::number(&of(after))]);
        };
        row("records of a batch", &|outcome| number(outcome.batch.round()));
        row("counters of a batch", &|outcome| number(outcome.groups.round()));
        row("time of a batch", &|outcome| seconds(outcome.seconds));
        row("of which the processor works", &|outcome| seconds(outcome.working_seconds));
        row("a record's latency, at most", &|outcome| seconds(outcome.latency));
        row("records/s that can be taken", &|outcome| number(outcome.capacity));
        row("write units a million records", &|outcome| number(outcome.write_units));
        row("dollars a million records", &|outcome| dollars(outcome.dollars));
        row("write units/s of the busiest item", &|outcome| number(outcome.item_units));
        rows.to_string()
    }

    /// What changes it.
    fn command(&self) -> String {
        let value = |proposal: &Proposal| shown(Some(proposal.value));
        if !self.here {
            let pair = |proposal: &Proposal| format!("{}={}", proposal.parameter.name(), value(proposal));
            let pairs: Vec<String> = self.plan.proposals.iter().map(pair).collect();
            return format!("make deploy PARAMETERS='{}'", pairs.join(" "));
        }
        let (mut variable, mut options) = (String::new(), String::new());
        for proposal in &self.plan.proposals {
            let option = match proposal.parameter {
                Parameter::BatchSize => "--batch-size",
                Parameter::BatchWindowSeconds => "--batching-window",
                Parameter::ParallelizationFactor => "--parallelization-factor",
                Parameter::TimeoutSeconds => "--timeout",
                Parameter::CommitConcurrency => {
                    variable = format!("CONCURRENCY={} ", value(proposal));
                    continue;
                }
                // A machine of one's own has neither.
                Parameter::MemoryMegabytes | Parameter::ReservedConcurrency => continue,
            };
            options.push_str(&format!(" {option} {}", value(proposal)));
        }
        format!("{variable}usagectl local{options}")
    }

    /// The parameters that stay, with their values.
    fn kept(&self) -> String {
        let stays =
            |parameter: &Parameter| !self.plan.proposals.iter().any(|proposal| proposal.parameter == *parameter);
        let stay = Parameter::ALL.into_iter().filter(stays);
        let known =
            stay.filter_map(|parameter| Some(format!("{} {}", parameter.name(), shown(Some(parameter.of(self.now)?)))));
        known.collect::<Vec<_>>().join(", ")
    }

    pub fn json(&self) -> String {
        let outcome = |outcome: &Outcome| {
            json!({
                "batch": outcome.batch, "groups": outcome.groups, "seconds": outcome.seconds,
                "working_seconds": outcome.working_seconds, "latency_seconds": outcome.latency,
                "records_per_second": outcome.capacity, "write_units_per_million": outcome.write_units,
                "dollars_per_million": outcome.dollars, "item_units_per_second": outcome.item_units,
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
        let seen = self.load.seen.map(|seen| {
            json!({
                "batch": seen.batch, "groups": seen.groups, "seconds": seen.seconds, "p99_seconds": seen.p99_seconds,
                "iterator_age_seconds": seen.age_seconds, "concurrency": seen.concurrency, "throttles": seen.throttles,
                "table_throttles": seen.table_throttles, "errors": seen.errors,
            })
        });
        let Load { rate, entities, windows, record_bytes, shards, goal, .. } = self.load;
        let command = (!self.plan.proposals.is_empty()).then(|| self.command());
        json!({
            "load": {
                "records_per_second": rate, "entities": entities, "windows": windows, "record_bytes": record_bytes,
                "shards": shards, "latency_seconds": goal, "row": self.plan.row.name,
            },
            "seen": seen,
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

/// The figure that a change is about, before and after.
fn effect(proposal: &Proposal, latency_counts: bool) -> String {
    let (before, after) = (&proposal.before, &proposal.after);
    let change = |of: fn(&Outcome) -> f64, shown: fn(f64) -> String, what: &str| {
        format!("{} -> {} {what}", shown(of(before)), shown(of(after)))
    };
    match proposal.parameter {
        Parameter::BatchWindowSeconds | Parameter::BatchSize if latency_counts => {
            change(|outcome| outcome.latency, seconds, "latency at most")
        }
        Parameter::BatchWindowSeconds | Parameter::BatchSize => {
            change(|outcome| outcome.write_units, number, "write units a million records")
        }
        Parameter::ParallelizationFactor | Parameter::ReservedConcurrency | Parameter::CommitConcurrency => {
            change(|outcome| outcome.capacity, number, "records/s can be taken")
        }
        Parameter::MemoryMegabytes => change(|outcome| outcome.seconds, seconds, "a batch"),
        Parameter::TimeoutSeconds => "a slow batch is done instead of cut off and repeated".to_owned(),
    }
}

/// A number with the word for one or for several.
fn counted(value: f64, [one, several]: [&str; 2]) -> String {
    format!("{} {}", number(value), if value == 1.0 { one } else { several })
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
}
