//! What simulated records ask for, by the state before and after each change.

use super::super::others::of_others;
use super::*;
use crate::outline::WrittenItems;
use crate::pipeline::Folder;
use crate::record::{Change, ChangeRecord, Image, Item, Origin, RecordId, Remover, SequenceNumber, Value};
use crate::time::Timestamp;

const PIPELINE: &str = r##"
[[record]]
type = "finding"
match = { pk = "GROUP#{group}", sk = "FINDING#{finding}" }

[[record]]
type = "group"
match = { pk = "GROUP#{group}", sk = "GROUP" }
bind = { tenant = "tenant" }

[[indicator]]
name = "findings"
records = ["finding"]
target = { pk = "GROUP#{group}", sk = "GROUP" }
query = { pk = "GROUP#{group}", sk = { prefix = "FINDING#" } }

[[indicator.value]]
name = "open"
kind = "count"
where = { status = "open" }

[[indicator.value]]
name = "worst"
kind = "max"
attribute = "score"
where = { status = "open" }

[[indicator]]
name = "groups"
records = ["group"]
index = "by-tenant"
target = { pk = "TENANT#{tenant}", sk = "TENANT" }
query = { tenant = "{tenant}" }

[[indicator.value]]
name = "open"
kind = "sum"
attribute = "indicators.open"
"##;

fn pipeline() -> Pipeline {
    let files = [("pipeline.toml".to_owned(), PIPELINE.to_owned())].into();
    Pipeline::parse(&Folder { name: "findings".to_owned(), files }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn text(text: &str) -> Value<'static> {
    Value::S(text.to_owned().into())
}

fn number(number: i64) -> Value<'static> {
    Value::N(number.into())
}

fn item(attributes: &[(&str, Value<'static>)]) -> Item<'static> {
    Item(attributes.iter().map(|(name, value)| ((*name).to_owned().into(), value.clone())).collect())
}

/// A finding of group 7.
fn finding(status: &str, score: i64, title: &str) -> Item<'static> {
    let key = [("pk", text("GROUP#7")), ("sk", text("FINDING#1"))];
    let rest = [("status", text(status)), ("score", number(score)), ("title", text(title))];
    item(&[key.as_slice(), rest.as_slice()].concat())
}

/// Group 7 of tenant a, whose map has these tokens and number of open findings.
fn group(title: &str, map: Option<(&str, Option<&str>, i64)>) -> Item<'static> {
    let key = [("pk", text("GROUP#7")), ("sk", text("GROUP")), ("tenant", text("a")), ("title", text(title))];
    let map = map.map(|(version, previous, open)| {
        let previous = previous.map(|token| ("previous", text(token)));
        let entries: Vec<_> =
            [("version", text(version)), ("open", number(open))].into_iter().chain(previous).collect();
        ("indicators", Value::M(item(&entries)))
    });
    item(&key.into_iter().chain(map).collect::<Vec<_>>())
}

fn change(old: Option<&Item<'static>>, new: Option<&Item<'static>>) -> Change<'static> {
    let image = |item: &Item<'static>| Image::Carried(item.clone());
    match (old, new) {
        (None, Some(new)) => Change::Insert { new: image(new) },
        (Some(old), Some(new)) => Change::Modify { old: image(old), new: image(new) },
        (Some(old), None) => Change::Remove { old: image(old), by: Remover::TimeToLive },
        (None, None) => panic!("no image"),
    }
}

fn record(key: &Item<'static>, change: Change<'static>) -> ChangeRecord<'static> {
    let keys = Item(key.0.iter().filter(|(name, _)| name == "pk" || name == "sk").cloned().collect());
    ChangeRecord {
        id: RecordId([1; 16]),
        sequence: SequenceNumber::parse("1").unwrap(),
        event_id: "1".into(),
        user_record: None,
        created_at: Timestamp::from_seconds(1_795_856_220).unwrap(),
        source: Origin { stream_arn: "arn".into(), name: "findings".into() },
        keys,
        change,
    }
}

/// Which targets the change of an item asks for, as `indicator: pk (cause)`, and whether only an indicator has changed.
fn asks(old: Option<&Item<'static>>, new: Option<&Item<'static>>) -> (String, bool) {
    let pipeline = pipeline();
    let mut written = WrittenItems::default();
    let record = written.record(record(old.or(new).unwrap(), change(old, new)));
    let said = |asked: &Asked| format!("{}: {} ({:?})", asked.indicator, asked.target[0].1, asked.cause);
    let asked = asked(&pipeline, &record).unwrap().targets.iter().map(said).collect::<Vec<_>>().join(", ");
    (asked, of_others(&pipeline, &record).is_none())
}

fn asked_by(old: Option<&Item<'static>>, new: Option<&Item<'static>>) -> String {
    asks(old, new).0
}

#[test]
fn only_a_change_that_matters_asks() {
    let open = finding("open", 7, "x");
    let one = "0: GROUP#7 (Item)";
    let cases = [
        ("a new one", None, Some(&open), one),
        ("removed", Some(&open), None, one),
        ("closed", Some(&open), Some(&finding("closed", 7, "x")), one),
        ("another score", Some(&open), Some(&finding("open", 8, "x")), one),
        ("another title", Some(&open), Some(&finding("open", 7, "y")), ""),
        ("a closed one", None, Some(&finding("closed", 7, "x")), ""),
        ("another score of a closed one", Some(&finding("closed", 7, "x")), Some(&finding("closed", 8, "x")), ""),
    ];
    for (what, old, new, expected) in cases {
        assert_eq!(asked_by(old, new), expected, "{what}");
    }
    let elsewhere = item(&[("pk", text("GROUP#7")), ("sk", text("REPORT#1")), ("status", text("open"))]);
    assert_eq!(asked_by(None, Some(&elsewhere)), "");
}

#[test]
fn a_new_target_asks_and_a_removed_one_does_not() {
    let plain = group("x", None);
    assert_eq!(asked_by(None, Some(&plain)), "0: GROUP#7 (Target)");
    assert_eq!(asked_by(Some(&plain), None), "");
    assert_eq!(asks(Some(&plain), Some(&group("y", None))), (String::new(), false));
}

#[test]
fn the_functions_own_writes_ask_for_nothing_but_what_reads_them() {
    let [none, first] = [group("x", None), group("x", Some(("t1", None, 1)))];
    let second = group("x", Some(("t2", Some("t1"), 2)));
    // The tenant's sum reads what was written.
    assert_eq!(asks(Some(&none), Some(&first)), ("1: TENANT#a (Item)".to_owned(), true));
    assert_eq!(asks(Some(&first), Some(&second)), ("1: TENANT#a (Item)".to_owned(), true));
    // A fence changes no value, so the stream falls silent.
    assert_eq!(asks(Some(&second), Some(&group("x", Some(("t3", Some("t2"), 2))))), (String::new(), true));
}

#[test]
fn a_map_that_someone_else_has_changed_is_computed_again() {
    let current = group("x", Some(("t3", Some("t2"), 2)));
    for (what, changed) in [
        ("dropped", group("x", None)),
        ("an older copy", group("x", Some(("t2", Some("t1"), 2)))),
        ("another value", group("x", Some(("t3", Some("t2"), 3)))),
        (
            "no token",
            item(
                &[group("x", None).0.as_slice(), &[("indicators".into(), number(5))]]
                    .concat()
                    .iter()
                    .map(|(n, v)| (&**n, v.clone()))
                    .collect::<Vec<_>>(),
            ),
        ),
    ] {
        let (asked, only) = asks(Some(&current), Some(&changed));
        assert!(asked.starts_with("0: GROUP#7 (Target)"), "{what}: {asked}");
        assert!(only, "{what}");
    }
    // Together with another attribute, it has the effects of that.
    assert!(!asks(Some(&current), Some(&group("y", None))).1);
}

#[test]
fn an_item_that_moves_asks_for_both_targets() {
    let [a, b] = ["a", "b"].map(|tenant| {
        let mut group = group("x", Some(("t1", None, 1)));
        group.0.iter_mut().filter(|(name, _)| name == "tenant").for_each(|(_, value)| *value = text(tenant));
        group
    });
    assert_eq!(asked_by(Some(&a), Some(&b)), "1: TENANT#a (Item), 1: TENANT#b (Item)");
}

#[test]
fn an_image_that_is_needed_and_left_out_is_a_fault() {
    let pipeline = pipeline();
    let faults = |sk: &str| {
        let key = item(&[("pk", text("GROUP#7")), ("sk", text(sk))]);
        let change = Change::Modify { old: Image::NotCarried, new: Image::Carried(key.clone()) };
        let mut written = WrittenItems::default();
        asked(&pipeline, &written.record(record(&key, change))).err().map(|fault| fault.code)
    };
    assert_eq!(faults("FINDING#1"), Some(Code::ImageNotCarried));
    assert_eq!(faults("GROUP"), Some(Code::ImageNotCarried));
    assert_eq!(faults("REPORT#1"), None);
}

#[test]
fn a_message_without_a_table_is_a_fault() {
    let pipeline = pipeline();
    let message = ChangeRecord {
        keys: Item::default(),
        ..record(&Item::default(), change(None, Some(&finding("open", 1, "x"))))
    };
    let mut written = WrittenItems::default();
    let fault = asked(&pipeline, &written.record(message)).unwrap_err();
    assert_eq!((fault.code, fault.field.as_str()), (Code::MissingAttribute, "Keys"));
}

#[test]
fn regression_a_large_target_is_recognized_in_few_steps_for_each_attribute() {
    for count in [50, 3_000] {
        let attribute = |number: i64| (Cow::Owned(format!("more{number}")), Value::N(number.into()));
        let [mut old, mut new] = [group("x", Some(("t1", None, 1))), group("x", Some(("t2", Some("t1"), 1)))];
        old.0.extend((0..count).map(attribute));
        new.0.extend((0..count).rev().map(attribute));
        let length = new.0.len();
        let mut asked = (String::new(), false);
        let steps = crate::steps::of(|| asked = asks(Some(&old), Some(&new)));
        assert_eq!(asked, (String::new(), true), "only the function has written it");
        assert!(steps < 150 * length, "{steps} steps for {count} attributes");
        new.0[length / 2].1 = Value::Null;
        assert!(!asks(Some(&old), Some(&new)).1, "another attribute has changed, too");
    }
}
