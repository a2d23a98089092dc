//! Which groups an alert is for: those of its own counter. A group is known by its texts alone, so of two counters that could
//! have counted it, it belongs to the one whose templates have more literal text. Where that decides nothing, the pipeline is
//! refused.

use std::ops::Range;

use super::super::super::Alert;
use super::super::super::document::{Document, Section};
use super::super::super::template::Template;

/// The groups of a counter, and the alerts on its measures.
#[derive(Debug)]
pub(in super::super) struct CounterGroups {
    title: String,
    span: Range<usize>,
    templates: Vec<Template>,
    /// The names of the variables of the templates, in order.
    variables: Vec<String>,
    measures: Vec<String>,
    alerts: Vec<Alert>,
}

/// Whose a group is that two counters could have counted.
enum Shared {
    /// There is no such group.
    Nobody,
    /// The alert's counter.
    Own,
    /// The other one.
    Others,
    /// Nothing decides it, for this reason.
    Unclear(&'static str),
}

impl CounterGroups {
    /// The groups of the counter in a section, whose templates fill in some of these variables.
    pub(in super::super) fn new(
        section: &Section<'_>,
        templates: &[Template],
        variables: &[String],
        measures: &[(&str, &str)],
        alerts: Vec<Alert>,
    ) -> CounterGroups {
        let slots = templates.iter().flat_map(Template::slots);
        CounterGroups {
            title: section.title.clone(),
            span: section.span.clone(),
            templates: templates.to_vec(),
            variables: slots.filter_map(|slot| variables.get(slot).cloned()).collect(),
            measures: measures.iter().map(|(name, _)| (*name).to_owned()).collect(),
            alerts,
        }
    }

    fn shared_with(&self, other: &CounterGroups) -> Shared {
        let all = |compare: fn(&Template, &Template) -> bool, one: &CounterGroups, other: &CounterGroups| {
            one.templates.iter().zip(&other.templates).all(|(one, other)| compare(one, other))
        };
        if !all(Template::overlaps, self, other) {
            return Shared::Nobody;
        }
        match (all(Template::covers, self, other), all(Template::covers, other, self)) {
            (true, false) => Shared::Others,
            (false, true) => Shared::Own,
            // Both count into the same groups.
            (true, true) if self.variables == other.variables => Shared::Own,
            (true, true) => Shared::Unclear(
                "differ only in their variables; use the same ones if both count the same groups, or else write literal text \
                 into one of them, for example entity = \"plan:{plan}\"",
            ),
            (false, false) => Shared::Unclear(
                "can give the same texts; write literal text at the same place of both, for example entity = \"plan:{plan}\" and \
                 entity = \"tenant:{tenant}\"",
            ),
        }
    }
}

/// The alerts of all counters, each only for the groups of its own counter. Groups without its measure don't matter.
pub(in super::super) fn of_own_groups(document: &Document<'_>, counters: Vec<CounterGroups>) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for (number, counter) in counters.iter().enumerate() {
        for alert in &counter.alerts {
            let mut alert = alert.clone();
            let others = counters.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, other)| other);
            for other in others.filter(|other| other.measures.contains(&alert.rule.measure)) {
                match counter.shared_with(other) {
                    Shared::Nobody | Shared::Own => {}
                    Shared::Others => alert.others.push(other.templates.clone()),
                    Shared::Unclear(why) => {
                        let (title, theirs) = (&counter.title, &other.title);
                        let message = format!(
                            "{title}: its alert on `{}` can't tell its groups from those of {theirs}: `entity` and `resource` of \
                             the two {why}",
                            alert.rule.measure
                        );
                        document.mistake(&counter.span, message);
                    }
                }
            }
            alerts.push(alert);
        }
    }
    alerts
}
