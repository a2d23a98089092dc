//! The checks with plain facts: a deployment without faults, and one fault for every check.

mod cases;
pub(super) mod good;
mod local;

use clap::ValueEnum;
use usage_aggregator::pipeline::{Pipeline, shipped};

use super::check::Check;
use super::diagnosis::diagnose;
use super::facts::{Facts, RecentMetrics, Unavailable};
use super::finding::{Finding, Verdict};
use super::show::{self, VerdictCounts};
use super::symptom::Symptom;
use crate::stack::BlockedShard;
use cases::{broken, numbers, stream};
use good::{STREAM, good};

fn findings(facts: &Facts) -> Vec<Finding> {
    Check::ALL.iter().filter_map(|check| check.find(facts)).collect()
}

#[test]
fn a_good_deployment_has_no_findings() {
    let found = findings(&good());
    let wrong: Vec<&Finding> = found.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(found.len(), Check::ALL.len());
}

#[test]
fn each_fault_is_found_by_its_check() {
    for (what, check, verdict, breaks) in broken() {
        let mut facts = good();
        breaks(&mut facts);
        let finding = check.find(&facts).unwrap_or_else(|| panic!("{what}: the check does not apply"));
        assert_eq!(finding.verdict, verdict, "{what}: {finding:?}");
        assert_eq!(finding.command.is_some(), verdict >= Verdict::Warning, "{what}: {finding:?}");
    }
}

#[test]
fn every_verdict_in_a_rule_has_a_case() {
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
fn names_of_checks_are_unique_and_short() {
    let names: std::collections::BTreeSet<&str> = Check::ALL.iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), Check::ALL.len());
    assert!(names.iter().all(|name| name.len() <= 19), "{names:?}");
}

#[test]
fn a_fact_that_cannot_be_read_is_unknown_and_never_ok() {
    let mut facts = good();
    let denied = || Unavailable::Denied { action: "some:Action" };
    facts.source = Err(denied());
    facts.mapping = Err(denied());
    facts.function = Err(denied());
    facts.fold = Err(denied());
    facts.ledger_mapping = Err(denied());
    facts.recursion = Err(denied());
    facts.role = Err(denied());
    facts.destination = Err(denied());
    facts.waiting = Err(denied());
    facts.usage_table = Err(denied());
    facts.ledger_table = Err(denied());
    facts.ledger_contents = Err(denied());
    facts.archive = Err(denied());
    facts.newest_file = Err(denied());
    facts.partition_dates = Err(denied());
    facts.newest_snapshot = Err(denied());
    facts.glue = Err(denied());
    facts.log_group = Err(denied());
    facts.alarms = Err(denied());
    facts.topics = Err(denied());
    facts.measured = Err(denied());
    facts.own_metrics = Err(denied());
    facts.horizon_days = Err(denied());
    for finding in findings(&facts) {
        assert_eq!(finding.verdict, Verdict::Unknown, "{finding:?}");
        assert!(finding.meaning.contains("some:Action"), "{finding:?}");
    }
}

#[test]
fn a_pipeline_that_only_archives_has_no_tables_to_check() {
    let mut facts = good();
    facts.pipeline = Pipeline::parse(&shipped("demand").unwrap()).unwrap();
    for check in [Check::OwnWrites, Check::Horizon] {
        assert_eq!(check.find(&facts), None);
    }
    // A row is made from the newest image; that of a removed item is the old image.
    stream(&mut facts, true, Some("KEYS_ONLY"), STREAM);
    assert_eq!(Check::ViewType.find(&facts).unwrap().verdict, Verdict::Problem);
}

#[test]
fn a_diagnosis_ends_at_the_first_problem_with_its_fix() {
    let mut facts = good();
    numbers(&mut facts).iterator_age_ms = Some(200_000.0);
    let only_slow = diagnose(Symptom::IteratorAge, &facts);
    assert!(only_slow.first_step.contains("--parallelization-factor 2"), "{only_slow:?}");
    numbers(&mut facts).throttles = Some(9.0);
    numbers(&mut facts).errors = Some(300.0);
    let failing = diagnose(Symptom::IteratorAge, &facts);
    assert!(failing.conclusion.starts_with("errors: "), "{failing:?}");
    assert!(failing.not_asked.contains(&Check::Throttles), "{failing:?}");
    insta::assert_snapshot!("diagnosis", show::diagnosis_text(Symptom::IteratorAge, &failing));
    insta::assert_snapshot!("diagnosis_json", show::diagnosis_json(Symptom::IteratorAge, &failing));
}

/// Issue 14: one rejected record blocked its shard, and the doctor suggested a higher parallelization factor.
#[test]
fn regression_more_concurrency_is_never_suggested_while_a_batch_is_failing() {
    let fails: [fn(&mut RecentMetrics); 3] = [
        |numbers| numbers.errors = Some(1.0),
        // A partial failure isn't an error of the function.
        |numbers| numbers.failed_deliveries = Some(1.0),
        |numbers| numbers.blocked = Some(BlockedShard { age_seconds: 200.0, growing_seconds: 190.0 }),
    ];
    for fails in fails {
        let mut facts = good();
        numbers(&mut facts).iterator_age_ms = Some(200_000.0);
        fails(numbers(&mut facts));
        assert!(findings(&facts).iter().any(|finding| finding.verdict == Verdict::Problem));
        for symptom in Symptom::value_variants() {
            let diagnosis = diagnose(*symptom, &facts);
            let commands = findings(&facts).into_iter().filter_map(|finding| finding.command);
            let mut all = commands.chain([diagnosis.first_step.clone()]);
            assert!(all.all(|command| !command.contains("concurren") && !command.contains("factor")), "{diagnosis:?}");
        }
    }
}

#[test]
fn a_shard_that_is_blocked_now_is_a_problem_however_many_batches_succeed() {
    let mut facts = good();
    let numbers = numbers(&mut facts);
    (numbers.invocations, numbers.invoked, numbers.failed_deliveries) = (Some(1e6), Some(1e9), Some(1.0));
    numbers.blocked = Some(BlockedShard { age_seconds: 112.0, growing_seconds: 100.0 });
    assert_eq!(Check::Errors.find(&facts).unwrap().verdict, Verdict::Warning, "one in a billion");
    for symptom in [Symptom::IteratorAge, Symptom::Errors, Symptom::MissingSnapshots, Symptom::Avro] {
        let diagnosis = diagnose(symptom, &facts);
        assert!(diagnosis.conclusion.starts_with("blocked-shard: "), "{symptom:?}: {diagnosis:?}");
    }
}

#[test]
fn every_symptom_has_checks_a_runbook_and_a_first_step() {
    let runbooks = include_str!("../../../../docs/operations.md").to_lowercase();
    let facts = good();
    let mut text = String::new();
    for symptom in Symptom::value_variants() {
        let heading = format!("\n## {}\n", symptom.runbook().replace('-', " "));
        assert!(runbooks.contains(&heading), "docs/operations.md has no{heading}");
        let diagnosis = diagnose(*symptom, &facts);
        assert!(diagnosis.not_asked.is_empty() && diagnosis.steps.len() >= 3, "{diagnosis:?}");
        text.push_str(&format!("{symptom:?}: {}\n  {}\n", diagnosis.conclusion, diagnosis.first_step));
    }
    insta::assert_snapshot!("first_steps", text);
}

#[test]
fn every_finding_on_a_path_leads_to_a_conclusion() {
    for symptom in Symptom::value_variants() {
        for fork in symptom.path().forks {
            let fires = |case: &&cases::Case| case.1 == fork.check && case.2 >= Verdict::Warning;
            for (what, _, verdict, breaks) in broken().iter().filter(fires) {
                let mut facts = good();
                breaks(&mut facts);
                let diagnosis = diagnose(*symptom, &facts);
                let at = diagnosis.steps.iter().find(|step| step.finding.check == fork.check);
                let led = at.map_or(diagnosis.not_asked.contains(&fork.check), |step| step.fork == fork.if_found);
                assert!(led, "{symptom:?}, {what}: {diagnosis:?}");
                let elsewhere =
                    !diagnosis.first_step.is_empty() && !diagnosis.first_step.starts_with("usagectl doctor");
                assert!(
                    elsewhere && diagnosis.conclusion.contains(": "),
                    "{symptom:?}, {what}, {verdict:?}: {diagnosis:?}"
                );
            }
        }
    }
}

/// Issue 16: the age of a message was taken for the age of its records, so the last hours were reported after the loss.
#[test]
fn regression_the_time_left_for_a_message_is_that_of_its_records() {
    let found = |age, change: fn(&mut Facts)| {
        let mut facts = good();
        cases::waiting(&mut facts, 1, age, cases::QUEUE);
        change(&mut facts);
        Check::Failures.find(&facts).unwrap().meaning
    };
    let left = |age, change| found(age, change).split_once("as little as ").map(|(_, left)| left.to_owned());
    assert_eq!(left(600, |_| {}).as_deref(), Some("1 h 50 min may be left"), "RecordAgeExceeded after 22 of 24 h");
    assert!(found(7_200, |_| {}).ends_with("the stream may have trimmed its records"));
    // The stream of the ledger's table keeps notices for 24 hours, however long the source keeps its records.
    let week: fn(&mut Facts) = |facts| facts.source.as_mut().unwrap().retention_seconds = 7 * 86_400;
    assert_eq!(left(600, week).as_deref(), Some("1 h 50 min may be left"));
    let only_source: fn(&mut Facts) = |facts| {
        facts.source.as_mut().unwrap().retention_seconds = 7 * 86_400;
        facts.ledger_mapping = Err(Unavailable::NotApplicable("the pipeline counts nothing"));
    };
    assert_eq!(left(600, only_source).as_deref(), Some("6 d 1 h may be left"));
    assert_eq!(left(0, |facts| facts.mapping.as_mut().unwrap().record_age_seconds = -1), None, "no limit");
}

#[test]
fn without_metrics_the_last_success_is_unknown() {
    let mut facts = good();
    facts.measured.as_mut().unwrap().last_success = None;
    facts.function.as_mut().unwrap().variables.insert("METRICS_SINK".into(), "none".into());
    assert_eq!(Check::LastSnapshot.find(&facts).unwrap().verdict, Verdict::NoData);
}

#[test]
fn a_pipeline_that_archives_some_record_types_may_write_no_files() {
    let mut facts = good();
    facts.pipeline = Pipeline::parse(&shipped("zae-limiter").unwrap()).unwrap();
    facts.measured.as_mut().unwrap().files = Some(0.0);
    facts.newest_file = Err(Unavailable::NoData("none".into()));
    assert_eq!(Check::Files.find(&facts).unwrap().verdict, Verdict::NoData);
}

#[test]
fn findings_are_readable() {
    let mut text = String::new();
    for (what, check, _, breaks) in broken() {
        let mut facts = good();
        breaks(&mut facts);
        let found: Vec<Finding> = check.find(&facts).into_iter().collect();
        let shown = show::text(&found, VerdictCounts::default());
        text.push_str(&format!("--- {what}\n{}\n", shown.rsplit_once('\n').map_or("", |(lines, _)| lines)));
    }
    insta::assert_snapshot!("broken", text);
    let found = findings(&good());
    insta::assert_snapshot!("good", show::text(&found, VerdictCounts::new(&found, 0)));
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
