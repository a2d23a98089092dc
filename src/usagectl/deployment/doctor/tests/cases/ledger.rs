//! The faults of the ledger and the fold.

use super::super::super::facts::{AlertRule, AlertTarget, Facts, FoldMetrics, LargestState, Mapping, StuckMinute};
use super::super::super::finding::Verdict::{NoData, Problem, Warning};
use super::{C, Case, numbers};

fn fold(facts: &mut Facts) -> &mut FoldMetrics {
    &mut numbers(facts).fold
}

fn mapping(facts: &mut Facts) -> &mut Mapping {
    facts.ledger_mapping.as_mut().unwrap()
}

fn largest(facts: &mut Facts) -> &mut LargestState {
    facts.ledger_contents.as_mut().unwrap().largest.as_mut().unwrap()
}

fn rules(facts: &mut Facts) -> &mut Vec<AlertRule> {
    match facts.alert_target.as_mut().unwrap() {
        AlertTarget::Bus { rules, .. } => rules,
        AlertTarget::Topic(_) => panic!("a bus"),
    }
}

fn variable(facts: &mut Facts, name: &str, value: &str) {
    facts.function.as_mut().unwrap().variables.insert(name.into(), value.into());
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        ("the ledger's stream is off", C::LedgerTable, Problem, |f| {
            f.ledger_table.as_mut().unwrap().stream_view = None;
        }),
        ("pages never expire", C::LedgerTable, Warning, |f| f.ledger_table.as_mut().unwrap().time_to_live = Ok(None)),
        ("notices have images", C::LedgerTable, Warning, |f| {
            f.ledger_table.as_mut().unwrap().stream_view = Some("NEW_IMAGE".into());
        }),
        ("the ledger's mapping is off", C::LedgerMapping, Problem, |f| mapping(f).state = "Disabled".into()),
        // A stream that was turned off and on again is another one.
        ("the ledger has a newer stream", C::LedgerMapping, Problem, |f| {
            f.ledger_table.as_mut().unwrap().stream_arn = Some(
                "arn:aws:dynamodb:us-east-1:123456789012:table/usage-LedgerTable/stream/2026-09-17T00:00:00.000".into(),
            );
        }),
        ("the fold can't be called", C::LedgerMapping, Problem, |f| {
            mapping(f).last_result = Some("PROBLEM: Function call failed".into());
        }),
        ("unsettled notices are lost", C::LedgerMapping, Problem, |f| mapping(f).reports_item_failures = false),
        ("pages of another pipeline", C::LedgerMapping, Problem, |f| {
            mapping(f).filters = vec![r#"{"dynamodb":{"Keys":{"pk":{"S":[{"prefix":"p#demand#"}]}}}}"#.into()];
        }),
        ("notices are given up", C::LedgerMapping, Warning, |f| mapping(f).retries = 10),
        ("nothing is folded", C::UnfoldedPages, Problem, |f| fold(f).notices = None),
        ("nothing is appended", C::UnfoldedPages, NoData, |f| fold(f).pages_written = None),
        ("two minutes are stuck", C::StuckMinutes, Problem, |f| {
            let stuck = |minute: &str| StuckMinute { minute: minute.into(), pages: 3 };
            f.ledger_contents.as_mut().unwrap().stuck = ["2026-09-17T09:50", "2026-09-17T09:52"].map(stuck).into();
        }),
        ("a state is about to be split", C::StateSize, Warning, |f| largest(f).bytes = 190_000),
        ("a group is too large", C::StateSize, Warning, |f| {
            *largest(f) = LargestState { window: "2026-09".into(), bytes: 250_000, parts: 4 };
        }),
        ("nothing is folded yet", C::StateSize, NoData, |f| f.ledger_contents.as_mut().unwrap().largest = None),
        ("snapshots lag", C::FoldAge, Problem, |f| fold(f).age_ms = Some(121_000.0)),
        ("all folds fail", C::FoldAge, Problem, |f| {
            (fold(f).age_ms, fold(f).iterator_age_ms) = (None, Some(600_000.0));
        }),
        ("the ledger was restored", C::FoldErrors, Problem, |f| fold(f).ledger_behind = Some(1.0)),
        ("some folds fail", C::FoldErrors, Warning, |f| fold(f).unsettled = Some(3.0)),
        ("a sweep repaired", C::FoldRepairs, Warning, |f| fold(f).repaired = Some(2.0)),
        ("a snapshot is refused", C::FoldRepairs, Warning, |f| {
            (fold(f).unpublished, fold(f).discarded) = (Some(1.0), Some(40.0));
        }),
        ("many pages", C::PagesInMinute, Warning, |f| fold(f).pages_in_minute = Some(12_000.0)),
        ("too many pages", C::PagesInMinute, Problem, |f| fold(f).pages_in_minute = Some(25_000.0)),
        ("too many buckets", C::PagesInMinute, Warning, |f| variable(f, "LEDGER_BUCKETS", "4")),
        ("another ledger", C::FoldSettings, Problem, |f| variable(f, "LEDGER_TABLE", "restored")),
        ("kept too short", C::FoldSettings, Warning, |f| {
            variable(f, "KEEP_DAYS", "9");
            f.fold.as_mut().unwrap().variables.insert("KEEP_DAYS".into(), "9".into());
        }),
        ("no rule takes alerts", C::AlertTarget, Problem, |f| rules(f).clear()),
        ("the rule is off", C::AlertTarget, Problem, |f| rules(f)[0].is_enabled = false),
        ("the rule leads nowhere", C::AlertTarget, Problem, |f| {
            (rules(f)[0].targets, rules(f)[0].topics) = (0, Vec::new());
        }),
        // Somebody didn't follow the link that SNS sent.
        ("the rule's topic has no confirmed subscription", C::AlertTarget, Problem, |f| {
            (rules(f)[0].topics[0].confirmed, rules(f)[0].topics[0].pending) = (0, 1);
        }),
        ("nobody subscribes to alerts", C::AlertTarget, Problem, |f| {
            f.alert_target = Ok(AlertTarget::Topic(super::super::good::topic(("Alerts", 0))));
        }),
        ("alerts aren't sent", C::AlertTarget, Warning, |f| fold(f).alerts_failed = Some(3.0)),
        ("another build", C::FoldSettings, Warning, |f| f.fold.as_mut().unwrap().code_sha256 = "01d".into()),
    ]
}
