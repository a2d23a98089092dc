//! Single rules, through the handler: batches of simulated records, and the table before and after.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Fault, FaultPlan, FaultyHttp, in_process};
use usage_aggregator::archive::FileDraft;
use usage_aggregator::config::Config;
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::outcome::BatchOutcome;
use usage_aggregator::pipeline::{Folder, MissingTarget, Pipeline};
use usage_aggregator::plan::{PlanContext, plan_event};
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
    let context = PlanContext { on_rejection, ..Default::default() };
    let (_, plan) = plan_event(event.as_bytes(), &pipeline, &context).unwrap();
    assert_eq!((plan.quarantined.len(), plan.targets.len()), (1, 1), "{plan:?}");
}

/// Groups with a name are archived and counted: how many there are, and how many were inserted.
fn with_groups() -> Pipeline {
    let snapshot = "[snapshot]\nwindows = [\"total\"]\npartition_key = { name = \"pk\", value = \"USAGE#{entity}\" }\nsort_key = { name = \"sk\", value = \"{resource}#{window_key}\" }\n";
    let groups = "[[record]]\ntype = \"group\"\nmatch = { pk = \"GROUP#{group}\", sk = \"GROUP\" }\nentity = \"{group}\"\nresource = \"groups\"\n";
    let level = "[[record.measure]]\nname = \"groups\"\nkind = \"level\"\n";
    let count = "[[record.measure]]\nname = \"new\"\nkind = \"count\"\nevents = [\"INSERT\"]\n";
    let archive = "[record.archive]\nschema = \"group.avsc\"\n";
    let schema = r#"{"type": "record", "name": "group", "fields": [{"name": "name", "type": "string"}]}"#;
    let text = format!("{snapshot}{groups}{level}{count}{archive}{}", PIPELINE.replace("\"skip\"", "\"create\""));
    let files = [("pipeline.toml".to_owned(), text), ("group.avsc".to_owned(), schema.to_owned())].into();
    Pipeline::parse(&Folder { name: "findings".to_owned(), files }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// What a change counts, its rows, and the targets that it asks for, for a pipeline that doesn't reject it.
fn effects(pipeline: &Pipeline, change: &Images) -> (String, usize, usize) {
    let event = batch(std::slice::from_ref(change));
    let (_, plan) = plan_event(event.as_bytes(), pipeline, &PlanContext::default()).unwrap();
    assert_eq!((plan.rejected, plan.records), (None, 1), "{change:?}");
    let amounts = plan.groups.iter().flat_map(|group| &group.effects).flat_map(|effect| &effect.amounts);
    let amounts: Vec<String> = amounts.map(|a| format!("{} {}", a.measure, a.amount().unwrap())).collect();
    (amounts.join(", "), plan.files.values().map(FileDraft::rows).sum(), plan.targets.len())
}

/// A function that has created the group. With the record of that.
async fn created(pipeline: Pipeline) -> (Function, Images) {
    let function = Function::new(pipeline);
    let changes = function.make(&[Op::Put(finding(1, "open", 1))]).await;
    assert_eq!(function.deliver(&changes).await.recomputed.changed, 1);
    let group = function.source.items().await.remove("GROUP");
    assert!(group.is_some());
    (function, (None, group))
}

#[tokio::test(start_paused = true)]
async fn regression_a_target_that_the_function_creates_is_not_counted_archived_or_rejected() {
    let pipeline = with_groups();
    let (function, insertion) = created(with_groups()).await;
    // A late creation may have older values, which only its own record corrects.
    assert_eq!(effects(&pipeline, &insertion), (String::new(), 0, 1));
    assert_eq!(function.deliver(std::slice::from_ref(&insertion)).await.recomputed.equal, 1);
    let again = (insertion.1.clone(), function.source.items().await.remove("GROUP"));
    assert_eq!(effects(&pipeline, &again), (String::new(), 0, 0), "its other writes ask for nothing");
    assert_eq!(effects(&pipeline, &(again.1.clone(), None)), (String::new(), 0, 0), "nor does its removal");
    // Copied into another table, for example.
    assert_eq!(effects(&pipeline, &(None, again.1.clone())), (String::new(), 0, 1));

    let only_findings = parsed(|text| format!("unmatched = \"reject\"\n{}", text.replace("\"skip\"", "\"create\"")));
    for change in [&insertion, &again, &(again.1.clone(), None)] {
        let (amounts, rows, _) = effects(&only_findings, change);
        assert_eq!((amounts.as_str(), rows), ("", 0));
    }
}

#[tokio::test(start_paused = true)]
async fn regression_the_first_write_of_others_inserts_what_the_function_has_created() {
    let pipeline = with_groups();
    let (_, (_, created)) = created(with_groups()).await;
    let created = created.unwrap();
    let named = |mut item: Item| {
        item.insert("name".to_owned(), text("x"));
        Some(item)
    };
    let counted = |old: Option<Item>, new: Option<Item>| {
        let (amounts, rows, _) = effects(&pipeline, &(old, new));
        (amounts, rows)
    };
    // By PutItem, and by UpdateItem.
    for new in [named(group(None)), named(created.clone())] {
        assert_eq!(counted(Some(created.clone()), new.clone()), ("new 1, groups 1".to_owned(), 1));
        assert_eq!(counted(new.clone(), Some(created.clone())), ("groups -1".to_owned(), 1));
        assert_eq!(counted(new, None), ("groups -1".to_owned(), 1));
    }
    assert_eq!(counted(None, named(group(None))), ("new 1, groups 1".to_owned(), 1));
}

#[test]
fn regression_a_target_that_an_earlier_version_created_is_recognized_when_it_is_inserted() {
    let map = |entries: &[(&str, &str)]| {
        let entries = entries.iter().map(|(name, token)| ((*name).to_owned(), text(token)));
        Some(group(Some(AttributeValue::M(entries.collect()))))
    };
    let plan = |pipeline: &Pipeline, item: Option<Item>| {
        let event = batch(&[(None, item)]);
        plan_event(event.as_bytes(), pipeline, &PlanContext::default()).unwrap().1
    };
    let first = plan(&with_groups(), map(&[("version", "1")]));
    assert_eq!((first.rejected, first.targets.len(), first.tally.effective.len()), (None, 1, 1));
    for copy in [map(&[("version", "2"), ("previous", "1")]), map(&[]), Some(group(None))] {
        let rejected = plan(&with_groups(), copy).rejected.unwrap().to_string();
        assert!(rejected.contains("missing_attribute: NewImage.name"), "{rejected}");
    }
}
