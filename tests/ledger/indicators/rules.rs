//! Single rules, through the handler: batches of simulated records, and the table before and after.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Fault, FaultPlan, FaultyHttp, in_process};
use usage_aggregator::config::Config;
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::outcome::BatchOutcome;
use usage_aggregator::pipeline::{Folder, MissingTarget, Pipeline};
use usage_aggregator::time::Timestamp;

use super::place::{Images, Item, Op, PIPELINE, Source, batch, finding, group, text};

/// A function of which the requests may fail.
struct Function {
    source: Source,
    http: FaultyHttp,
    handler: Handler,
}

impl Function {
    fn new(pipeline: Pipeline) -> Function {
        let source = Source::new(&super::place::pipeline(false));
        let http = FaultyHttp::new(source.http.clone(), FaultPlan::none());
        let variable = |name: &str| match name {
            "PIPELINE" => Some("demand".to_owned()),
            "ARCHIVE_BUCKET" => Some("archive".to_owned()),
            "METRICS_SINK" => Some("none".to_owned()),
            _ => None,
        };
        let config = Config { pipeline, archive: None, ..Config::read(variable).unwrap() };
        Function { source, handler: Handler::new(config, in_process::clients(http.client())), http }
    }

    /// Makes changes, and returns the images before and after.
    async fn make(&self, ops: &[Op]) -> Vec<Images> {
        let client = self.source.client();
        let mut changes = Vec::new();
        for op in ops {
            changes.extend(self.source.make(client, op).await);
        }
        changes
    }

    async fn deliver(&self, changes: &[Images]) -> BatchOutcome {
        let now = Timestamp::from_seconds(1_795_856_220).unwrap();
        let deadline = Some(tokio::time::Instant::now() + std::time::Duration::from_secs(20));
        let invocation = Invocation { request_id: "test".to_owned(), now, deadline };
        self.handler.append(batch(changes).as_bytes(), &invocation).await.unwrap()
    }

    fn calls(&self, operation: &str) -> usize {
        self.http.calls().iter().filter(|(call, _)| call.operation == operation).count()
    }
}

fn parsed(change: impl Fn(&str) -> String) -> Pipeline {
    let files = [("pipeline.toml".to_owned(), change(PIPELINE))].into();
    Pipeline::parse(&Folder { name: "findings".to_owned(), files }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn whole() -> Pipeline {
    parsed(str::to_owned)
}

/// The sequence numbers that the response names.
fn failed(outcome: &BatchOutcome) -> Vec<String> {
    outcome.response().batch_item_failures.iter().filter_map(|failure| failure.item_identifier.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn any_map_of_others_is_replaced() {
    let number = |number: &str| AttributeValue::N(number.to_owned());
    for map in [
        AttributeValue::M([("version".to_owned(), number("1")), ("open".to_owned(), number("0"))].into()),
        AttributeValue::M([("open".to_owned(), number("7"))].into()),
        number("7"),
        text("none"),
    ] {
        let function = Function::new(whole());
        let changes = function.make(&[Op::Put(group(Some(map.clone()))), Op::Put(finding(1, "open", 5))]).await;
        let outcome = function.deliver(&changes).await;
        assert!(failed(&outcome).is_empty(), "{map:?}: {outcome:?}");
        let (stored, expected) = function.source.compared().await;
        assert_eq!(stored, expected, "{map:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_is_queried_once_however_many_records_ask() {
    let function = Function::new(whole());
    let findings = (1..=50).map(|number| Op::Put(finding(number, "open", 1)));
    let changes = function.make(&[Op::Put(group(None))].into_iter().chain(findings).collect::<Vec<_>>()).await;
    let outcome = function.deliver(&changes).await;
    assert!(failed(&outcome).is_empty(), "{outcome:?}");
    assert_eq!((outcome.recomputed.changed, outcome.recomputed.equal, outcome.tally.effective.len()), (1, 0, 51));
    assert_eq!(["GetItem", "Query", "UpdateItem"].map(|operation| function.calls(operation)), [1, 1, 1]);
    let (stored, expected) = function.source.compared().await;
    assert!(stored.is_some() && stored == expected, "{stored:?}");
    // Delivered again, nothing is different but the version.
    let outcome = function.deliver(&changes).await;
    assert_eq!((outcome.recomputed.changed, outcome.recomputed.equal), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_filter_the_stream_falls_silent_after_the_last_write() {
    let function = Function::new(whole());
    let mut changes = function.make(&[Op::Put(group(None)), Op::Put(finding(1, "open", 1))]).await;
    let mut before = function.source.items().await;
    let mut rounds = 0;
    while !changes.is_empty() {
        rounds += 1;
        assert!(rounds <= 2, "its own writes ask for more: {changes:?}");
        let outcome = function.deliver(&changes).await;
        assert!(failed(&outcome).is_empty(), "{outcome:?}");
        if rounds == 2 {
            assert_eq!((outcome.tally.indicator_writes, outcome.tally.effective.len()), (1, 0));
        }
        let after = function.source.items().await;
        changes = differences(&before, &after);
        before = after;
    }
    assert_eq!(rounds, 2, "the change, and the record of the indicator's write");
}

/// The records between two states of the table.
fn differences(before: &BTreeMap<String, Item>, after: &BTreeMap<String, Item>) -> Vec<Images> {
    let names = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>().into_iter();
    let pairs = names.map(|name| (before.get(name).cloned(), after.get(name).cloned()));
    pairs.filter(|(old, new)| old != new).collect()
}

#[tokio::test(start_paused = true)]
async fn a_missing_target_is_skipped_or_created_and_a_deleted_one_is_not_revived() {
    let skips = Function::new(whole());
    let changes = skips.make(&[Op::Put(finding(1, "open", 1))]).await;
    let outcome = skips.deliver(&changes).await;
    assert_eq!((outcome.recomputed.missing, outcome.durable), (1, 1));
    assert!(!skips.source.items().await.contains_key("GROUP"));

    let mut creates = whole();
    creates.indicators[0].missing_target = MissingTarget::Create;
    let creates = Function::new(creates);
    let changes = creates.make(&[Op::Put(finding(1, "open", 1))]).await;
    assert_eq!(creates.deliver(&changes).await.recomputed.changed, 1);
    let (stored, expected) = creates.source.compared().await;
    assert!(stored.is_some() && stored == expected, "{stored:?}");

    // The group is deleted between the read and the write.
    let function = Function::new(whole());
    let changes = function.make(&[Op::Put(group(None)), Op::Put(finding(1, "open", 1))]).await;
    function.make(&[Op::Delete("GROUP".to_owned())]).await;
    assert_eq!(function.deliver(&changes).await.recomputed.missing, 1);
    assert!(!function.source.items().await.contains_key("GROUP"));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_done_fails_the_first_record_that_asked() {
    let function = Function::new(whole());
    let mut other = finding(1, "open", 1);
    other.insert("pk".to_owned(), text("OTHER"));
    let ops = [Op::Put(group(None)), Op::Put(finding(1, "closed", 1)), Op::Put(finding(2, "open", 1))];
    let mut changes = function.make(&ops).await;
    // The group's own record has been delivered before.
    changes[0] = (None, Some(other));
    for operation in ["GetItem", "Query", "UpdateItem"] {
        function.http.set_plan(FaultPlan::always(operation, Fault::Status503));
        let outcome = function.deliver(&changes).await;
        assert_eq!((failed(&outcome), outcome.durable), (vec!["102".to_owned()], 2), "{operation}");
        assert_eq!(outcome.rejected[0].fault.code.name(), "not_durable");
    }
    function.http.set_plan(FaultPlan::on("UpdateItem", 1, Fault::LoseResponse));
    let outcome = function.deliver(&changes).await;
    assert!(failed(&outcome).is_empty(), "{outcome:?}");
    let (stored, expected) = function.source.compared().await;
    assert_eq!(stored, expected);
}

#[tokio::test(start_paused = true)]
async fn more_items_than_the_maximum_reject_the_record_with_a_code_of_its_own() {
    let function = Function::new(parsed(|text| text.replace("missing_target", "max_items = 2\nmissing_target")));
    let findings = (1..=3).map(|number| Op::Put(finding(number, "open", 1)));
    let changes = function.make(&[Op::Put(group(None))].into_iter().chain(findings).collect::<Vec<_>>()).await;
    let outcome = function.deliver(&changes).await;
    assert_eq!(failed(&outcome), ["100"]);
    let fault = &outcome.rejected[0].fault;
    assert_eq!(fault.code.name(), "too_many_items");
    assert!(fault.message.contains("max_items = 2"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn large_partitions_are_read_page_by_page() {
    let function = Function::new(whole());
    let large = |number: usize| {
        let mut item = finding(number, "open", i64::try_from(number).unwrap());
        item.insert("text".to_owned(), text(&"x".repeat(300_000)));
        Op::Put(item)
    };
    let ops = [Op::Put(group(None))].into_iter().chain((1..=9).map(large));
    let changes = function.make(&ops.collect::<Vec<_>>()).await;
    let outcome = function.deliver(&changes[..2]).await;
    assert!(failed(&outcome).is_empty(), "{outcome:?}");
    assert!(function.calls("Query") >= 3, "{}", function.calls("Query"));
    let (stored, expected) = function.source.compared().await;
    assert!(stored.is_some() && stored == expected, "{stored:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_record_asks_all_the_same() {
    // An item that can't be counted has changed all the same.
    let text = |text: &str| {
        let measure = "[[record.measure]]\nname = \"score\"\nkind = \"sum\"\nattribute = \"score\"\n";
        let snapshot = "[snapshot]\nwindows = [\"hour\"]\npartition_key = { name = \"pk\", value = \"USAGE#{entity}\" }\nsort_key = { name = \"sk\", value = \"{resource}#{window_key}\" }\n";
        let entity = "entity = \"{group}\"\nresource = \"findings\"\n";
        format!("{snapshot}{}", text.replacen("\n[[indicator]]", &format!("{entity}\n{measure}\n[[indicator]]"), 1))
    };
    let pipeline = parsed(text);
    let mut odd = finding(1, "open", 1);
    odd.insert("score".to_owned(), super::place::text("high"));
    let event = batch(&[(None, Some(odd))]);
    let on_rejection =
        usage_aggregator::plan::OnRejection::Quarantine { limit_percent: 100, recent: Default::default() };
    let context = usage_aggregator::plan::PlanContext { on_rejection, ..Default::default() };
    let (_, plan) = usage_aggregator::plan::plan_event(event.as_bytes(), &pipeline, &context).unwrap();
    assert_eq!((plan.quarantined.len(), plan.targets.len()), (1, 1), "{plan:?}");
}
