//! The doctor on plain facts: all is well, and every check fires.

mod cases;
mod good;

use clap::ValueEnum;
use usage_aggregator::pipeline::{Pipeline, shipped};

use super::check::Check;
use super::facts::{Facts, Unseen};
use super::finding::{Finding, Verdict};
use super::show::{self, Tally};
use super::symptom::Symptom;
use super::walk::walk;
use cases::{broken, numbers, stream};
use good::{STREAM, good};

fn findings(facts: &Facts) -> Vec<Finding> {
    Check::ALL.iter().filter_map(|check| check.find(facts)).collect()
}

#[test]
fn with_a_good_deployment_all_is_well() {
    let found = findings(&good());
    let wrong: Vec<&Finding> = found.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(found.len(), Check::ALL.len());
}

#[test]
fn each_case_is_told_by_its_check() {
    for (what, check, verdict, breaks) in broken() {
        let mut facts = good();
        breaks(&mut facts);
        let finding = check.find(&facts).unwrap_or_else(|| panic!("{what}: left out"));
        assert_eq!(finding.verdict, verdict, "{what}: {finding:?}");
        assert_eq!(finding.command.is_some(), verdict >= Verdict::Warning, "{what}: {finding:?}");
    }
}

#[test]
fn every_check_fires_in_some_case_as_gravely_as_its_rule_says() {
    for check in Check::ALL {
        let verdicts: Vec<Verdict> = broken().into_iter().filter(|case| case.1 == *check).map(|case| case.2).collect();
        let rule = check.description().rule;
        for (word, verdict) in [("problem:", Verdict::Problem), ("warning:", Verdict::Warning)] {
            assert_eq!(
                rule.contains(word),
                verdicts.contains(&verdict),
                "{}: {rule}; cases {verdicts:?}",
                check.name()
            );
        }
        assert!(!verdicts.is_empty(), "{} has no case", check.name());
    }
}

#[test]
fn checks_are_named_once_and_listed_all() {
    let names: std::collections::BTreeSet<&str> = Check::ALL.iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), Check::ALL.len());
    assert!(names.iter().all(|name| name.len() <= 19), "{names:?}");
}

#[test]
fn what_can_not_be_looked_at_is_unknown_and_never_fine() {
    let mut facts = good();
    let denied = || Unseen::Denied { action: "some:Action" };
    facts.source = Err(denied());
    facts.mapping = Err(denied());
    facts.function = Err(denied());
    facts.recursion = Err(denied());
    facts.role = Err(denied());
    facts.destination = Err(denied());
    facts.waiting = Err(denied());
    facts.usage_table = Err(denied());
    facts.claims_table = Err(denied());
    facts.archive = Err(denied());
    facts.newest_file = Err(denied());
    facts.newest_snapshot = Err(denied());
    facts.glue = Err(denied());
    facts.log_group = Err(denied());
    facts.alarms = Err(denied());
    facts.measured = Err(denied());
    facts.own_metrics = Err(denied());
    facts.horizon_days = Err(denied());
    for finding in findings(&facts) {
        assert_eq!(finding.verdict, Verdict::Unknown, "{finding:?}");
        assert!(finding.meaning.contains("some:Action"), "{finding:?}");
    }
}

#[test]
fn a_pipeline_that_only_archives_has_no_tables_to_look_at() {
    let mut facts = good();
    facts.pipeline = Pipeline::parse(&shipped("demand").unwrap()).unwrap();
    for check in [Check::OwnWrites, Check::Horizon] {
        assert_eq!(check.find(&facts), None);
    }
    // Rows are made of the newest image, which is the old one of an item that was removed.
    stream(&mut facts, true, Some("KEYS_ONLY"), STREAM);
    assert_eq!(Check::ViewType.find(&facts).unwrap().verdict, Verdict::Problem);
}

#[test]
fn a_walk_ends_at_the_first_problem_with_its_mend() {
    let mut facts = good();
    numbers(&mut facts).iterator_age_ms = Some(200_000.0);
    let only_slow = walk(Symptom::IteratorAge, &facts);
    assert!(only_slow.first_step.contains("--parallelization-factor 2"), "{only_slow:?}");
    numbers(&mut facts).throttles = Some(9.0);
    numbers(&mut facts).errors = Some(300.0);
    let failing = walk(Symptom::IteratorAge, &facts);
    assert!(failing.conclusion.starts_with("errors: "), "{failing:?}");
    assert!(failing.not_asked.contains(&Check::Throttles), "{failing:?}");
    insta::assert_snapshot!("walk", show::walk_text(Symptom::IteratorAge, &failing));
    insta::assert_snapshot!("walk_json", show::walk_json(Symptom::IteratorAge, &failing));
}

#[test]
fn every_symptom_has_a_way_a_runbook_and_a_first_step() {
    let runbooks = include_str!("../../../../docs/operations.md").to_lowercase();
    let facts = good();
    let mut text = String::new();
    for symptom in Symptom::value_variants() {
        let heading = format!("\n## {}\n", symptom.runbook().replace('-', " "));
        assert!(runbooks.contains(&heading), "docs/operations.md has no{heading}");
        let walk = walk(*symptom, &facts);
        assert!(walk.not_asked.is_empty() && walk.stops.len() >= 3, "{walk:?}");
        text.push_str(&format!("{symptom:?}: {}\n  {}\n", walk.conclusion, walk.first_step));
    }
    insta::assert_snapshot!("first_steps", text);
}

#[test]
fn at_each_fork_what_is_found_leads_somewhere() {
    for symptom in Symptom::value_variants() {
        for fork in symptom.path().forks {
            let fires = |case: &&cases::Case| case.1 == fork.check && case.2 >= Verdict::Warning;
            for (what, _, verdict, breaks) in broken().iter().filter(fires) {
                let mut facts = good();
                breaks(&mut facts);
                let walk = walk(*symptom, &facts);
                let at = walk.stops.iter().find(|stop| stop.finding.check == fork.check);
                let led = at.map_or(walk.not_asked.contains(&fork.check), |stop| stop.fork == fork.if_found);
                assert!(led, "{symptom:?}, {what}: {walk:?}");
                let elsewhere = !walk.first_step.is_empty() && !walk.first_step.starts_with("usagectl doctor");
                assert!(elsewhere && walk.conclusion.contains(": "), "{symptom:?}, {what}, {verdict:?}: {walk:?}");
            }
        }
    }
}

#[test]
fn without_metrics_nothing_is_said_of_the_last_batch() {
    let mut facts = good();
    facts.measured.as_mut().unwrap().last_success = None;
    facts.function.as_mut().unwrap().variables.insert("METRICS_SINK".into(), "none".into());
    assert_eq!(Check::LastSnapshot.find(&facts).unwrap().verdict, Verdict::NoData);
}

#[test]
fn a_pipeline_that_archives_some_record_types_may_go_without_files() {
    let mut facts = good();
    facts.pipeline = Pipeline::parse(&shipped("zae-limiter").unwrap()).unwrap();
    facts.measured.as_mut().unwrap().files = Some(0.0);
    facts.newest_file = Err(Unseen::NoData("none".into()));
    assert_eq!(Check::Files.find(&facts).unwrap().verdict, Verdict::NoData);
}

#[test]
fn what_a_person_reads() {
    let mut text = String::new();
    for (what, check, _, breaks) in broken() {
        let mut facts = good();
        breaks(&mut facts);
        let found: Vec<Finding> = check.find(&facts).into_iter().collect();
        let shown = show::text(&found, Tally::default());
        text.push_str(&format!("--- {what}\n{}\n", shown.rsplit_once('\n').map_or("", |(lines, _)| lines)));
    }
    insta::assert_snapshot!("broken", text);
    let found = findings(&good());
    insta::assert_snapshot!("good", show::text(&found, Tally::new(&found, 0)));
}

#[test]
fn the_document_has_the_same_checks() {
    let document = include_str!("../../../../docs/operations.md");
    let rows = Check::ALL.iter().map(|check| {
        let description = check.description();
        format!("| `{}` | {} | {} |", description.name, description.looks_at, description.rule)
    });
    let table = rows.collect::<Vec<_>>().join("\n");
    assert!(document.contains(&table), "docs/operations.md should have\n{table}");
}
