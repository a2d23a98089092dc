//! Tests of what records add to counters. Items are written as plain JSON; the key is always CUSTOMER#7 | ORDER#42.

use super::*;
use crate::decimal::Decimal;
use crate::decode::attribute::plain_item;
use crate::pipeline::{Folder, Pipeline, Routed, shipped};
use crate::record::{Change, ChangeRecord, Fault, Image, Item, Origin, RecordId, Remover, SequenceNumber};
use crate::time::Timestamp;
use crate::window::{Span, Window, Zone};

mod event_time;
mod kinds;
mod many;
mod standing;

const KEYS: &str = r#"{"pk":"CUSTOMER#7","sk":"ORDER#42"}"#;

/// A pipeline with one record type, which is matched by its keys and has these `measures`.
fn counting(measures: &str) -> Pipeline {
    pipeline(&format!(
        r##"
        [[record]]
        type = "order"
        match = {{ pk = "CUSTOMER#{{customer}}", sk = "ORDER#{{order}}" }}
        entity = "{{customer}}"
        resource = "orders"
        {measures}
        "##
    ))
}

fn pipeline(records: &str) -> Pipeline {
    let snapshot = r##"
        [snapshot]
        partition_key = { name = "pk", value = "U#{entity}" }
        sort_key = { name = "sk", value = "{resource}#{window_key}" }
    "##;
    let files = [("pipeline.toml".to_owned(), format!("{snapshot}{records}"))].into();
    Pipeline::parse(&Folder { name: "p".to_owned(), files }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn orders() -> Pipeline {
    Pipeline::parse(&shipped("orders").unwrap()).unwrap()
}

/// An image. An empty text means that the stream leaves it out.
fn image(json: &str) -> Image<'_> {
    if json.is_empty() { Image::NotCarried } else { Image::Carried(plain_item(json).unwrap()) }
}

fn insert(new: &str) -> Change<'_> {
    Change::Insert { new: image(new) }
}

fn modify<'a>(old: &'a str, new: &'a str) -> Change<'a> {
    Change::Modify { old: image(old), new: image(new) }
}

fn remove(old: &str) -> Change<'_> {
    Change::Remove { old: image(old), by: Remover::Caller }
}

fn expire(old: &str) -> Change<'_> {
    Change::Remove { old: image(old), by: Remover::TimeToLive }
}

/// What a change of the item with `keys` counts, as `entity/resource measure amount`, or why it can't be counted.
fn counted_of(pipeline: &Pipeline, keys: Item<'_>, change: Change<'_>) -> String {
    let record = ChangeRecord {
        id: RecordId([0; 16]),
        sequence: SequenceNumber::parse("1").unwrap(),
        event_id: "e".into(),
        user_record: None,
        created_at: Timestamp::parse("2026-11-21T03:05:05Z").unwrap(),
        source: Origin { stream_arn: "arn".into(), name: "orders".into() },
        keys,
        change,
    };
    let (route, bindings) = match pipeline.route(&record.keys, record.newest_image()) {
        Routed::To(route, bindings) => (route, bindings),
        Routed::Nowhere => return shown(reversal(pipeline, &record)),
        Routed::NeedsImage(_) => return "needs the image".to_owned(),
    };
    shown(deltas(pipeline, &record, route, &bindings))
}

fn shown(deltas: Result<Vec<UsageDelta>, Fault>) -> String {
    let lines = |UsageDelta { key, event_hour, amounts }: UsageDelta| {
        let hour = event_hour.map_or_else(String::new, |hour| format!(" in {}", hour.text()));
        amounts
            .into_iter()
            .map(move |(measure, amount)| format!("{}/{} {measure} {amount}{hour}", key.entity(), key.resource()))
    };
    match deltas {
        Ok(deltas) => deltas.into_iter().flat_map(lines).collect::<Vec<_>>().join(", "),
        Err(fault) => fault.to_string(),
    }
}

fn counted(pipeline: &Pipeline, change: Change<'_>) -> String {
    counted_of(pipeline, plain_item(KEYS).unwrap(), change)
}

#[test]
fn an_order_counts_until_it_is_canceled_or_deleted() {
    let orders = orders();
    let (new, paid) = (r#"{"status":"NEW","total":12.5}"#, r#"{"status":"PAID","total":10}"#);
    let canceled = r#"{"status":"CANCELLED","total":12.5}"#;
    let cases = [
        (insert(new), "7/orders changes 1, 7/orders orders 1, 7/orders amount 12.5"),
        (insert(canceled), "7/orders changes 1"),
        (modify(new, new), "7/orders changes 1"),
        (modify(new, paid), "7/orders changes 1, 7/orders amount -2.5"),
        (modify(new, canceled), "7/orders changes 1, 7/orders orders -1, 7/orders amount -12.5"),
        (modify(canceled, paid), "7/orders changes 1, 7/orders orders 1, 7/orders amount 10"),
        (remove(new), "7/orders changes 1, 7/orders orders -1, 7/orders amount -12.5"),
        (remove(canceled), "7/orders changes 1"),
        (expire(new), "7/orders changes 1"),
        (insert(r#"{"status":"NEW","total":0}"#), "7/orders changes 1, 7/orders orders 1"),
        (insert(r#"{"status":"NEW"}"#), "missing_attribute: NewImage.total: is missing, but measure `amount` needs it"),
        (insert(r#"{"status":"CANCELLED"}"#), "7/orders changes 1"),
        (insert(r#"{"status":"NEW","total":"SECRET"}"#), "invalid_value: NewImage.total: expected N, found S"),
        (
            insert(r#"{"status":"NEW","total":1.005}"#),
            "invalid_value: NewImage.total: has 3 fraction digits, but the measure has scale = 2",
        ),
        (insert(r#"{"status":"NEW","total":1.500}"#), "7/orders changes 1, 7/orders orders 1, 7/orders amount 1.5"),
        (
            modify(r#"{"status":"NEW"}"#, new),
            "missing_attribute: OldImage.total: is missing, but measure `amount` needs it",
        ),
        (remove(r#"{"status":"NEW"}"#), "missing_attribute: OldImage.total: is missing, but measure `amount` needs it"),
        (expire(r#"{"status":"NEW"}"#), "7/orders changes 1"),
    ];
    for (change, expected) in cases {
        let shown = format!("{change:?}");
        assert_eq!(counted(&orders, change), expected, "{shown}");
    }
}

#[test]
fn counts_and_sums_use_the_events_they_list_and_deltas_subtract() {
    let (a, b) = (r#"{"n":5}"#, r#"{"n":3}"#);
    // The amounts for an insertion, a change from 5 to 3, a removal and an expiry.
    let cases = [
        (r#"kind = "count""#, ["1", "1", "1", "1"]),
        ("kind = \"count\"\nevents = [\"INSERT\"]", ["1", "", "", ""]),
        ("kind = \"count\"\nevents = [\"EXPIRE\"]", ["", "", "", "1"]),
        ("kind = \"sum\"\nattribute = \"n\"", ["5", "3", "5", "5"]),
        ("kind = \"sum\"\nattribute = \"n\"\nevents = [\"MODIFY\", \"REMOVE\"]", ["", "3", "5", ""]),
        (r#"kind = "delta""#, ["1", "", "-1", "-1"]),
        ("kind = \"delta\"\nremoved = \"ignore\"", ["1", "", "", ""]),
        ("kind = \"delta\"\nexpired = \"ignore\"", ["1", "", "-1", ""]),
        ("kind = \"delta\"\nremoved = \"ignore\"\nexpired = \"subtract\"", ["1", "", "", "-1"]),
        ("kind = \"delta\"\nattribute = \"n\"", ["5", "-2", "-5", "-5"]),
        ("kind = \"delta\"\nattribute = \"n\"\nremoved = \"ignore\"", ["5", "-2", "", ""]),
        ("kind = \"delta\"\nattribute = \"x\"\nmissing = \"zero\"", ["", "", "", ""]),
        ("kind = \"delta\"\nattribute = \"n\"\nwhere = { n = 5 }", ["5", "-5", "-5", "-5"]),
        ("kind = \"delta\"\nwhere = { n = { not = 5 } }", ["", "1", "", ""]),
    ];
    for (measure, expected) in cases {
        let pipeline = counting(&format!("[[record.measure]]\nname = \"m\"\n{measure}"));
        let found = [insert(a), modify(a, b), remove(a), expire(a)].map(|change| counted(&pipeline, change));
        assert_eq!(found.each_ref().map(|text| text.trim_start_matches("7/orders m ")), expected, "{measure}");
    }
}

#[test]
fn an_item_that_moves_is_subtracted_from_one_entity_and_added_to_another() {
    let pipeline = pipeline(
        r##"
        [[record]]
        type = "seat"
        match = { kind = "seat" }
        bind = { team = "team" }
        entity = "{team}"
        resource = "seats"
        [[record.measure]]
        name = "seats"
        kind = "delta"
        [[record.measure]]
        name = "places"
        kind = "delta"
        attribute = "n"

        [[record]]
        type = "desk"
        match = { kind = "desk" }
        entity = "all"
        resource = "desks"
        [[record.measure]]
        name = "desks"
        kind = "delta"
        "##,
    );
    let (red, blue) = (r#"{"kind":"seat","team":"red","n":2}"#, r#"{"kind":"seat","team":"blue","n":3}"#);
    let (desk, other) = (r#"{"kind":"desk"}"#, r#"{"kind":"lamp"}"#);
    let cases = [
        (modify(red, blue), "blue/seats seats 1, blue/seats places 3, red/seats seats -1, red/seats places -2"),
        (modify(red, desk), "all/desks desks 1, red/seats seats -1, red/seats places -2"),
        (modify(desk, red), "red/seats seats 1, red/seats places 2, all/desks desks -1"),
        (modify(other, red), "red/seats seats 1, red/seats places 2"),
        (
            modify(red, r#"{"kind":"seat","n":1}"#),
            "missing_attribute: NewImage.team: is missing, but record type `seat` needs it",
        ),
        (
            modify(r#"{"kind":"seat","n":1}"#, red),
            "missing_attribute: OldImage.team: is missing, but record type `seat` needs it",
        ),
        (modify("", red), "image_not_carried: OldImage: isn't in the stream; set the view type to NEW_AND_OLD_IMAGES"),
        (modify("", desk), "image_not_carried: OldImage: isn't in the stream; set the view type to NEW_AND_OLD_IMAGES"),
        (
            modify("", other),
            "image_not_carried: OldImage: isn't in the stream; set the view type to NEW_AND_OLD_IMAGES",
        ),
        (modify(red, other), "red/seats seats -1, red/seats places -2"),
        (modify(other, other), ""),
        (modify(red, ""), "needs the image"),
    ];
    for (change, expected) in cases {
        let shown = format!("{change:?}");
        assert_eq!(counted(&pipeline, change), expected, "{shown}");
    }
}

/// Requests, counted for the tenant, for the tenant's endpoint, and for the plan.
fn requests(more: &str) -> Pipeline {
    pipeline(&format!(
        r##"
        [[record]]
        type = "request"
        match = {{ tenant = "{{tenant}}", endpoint = "{{endpoint}}" }}
        bind = {{ plan = "plan" }}
        [[record.counter]]
        entity = "{{tenant}}"
        resource = "requests"
        [[record.counter.measure]]
        name = "requests"
        kind = "count"
        [[record.counter.measure]]
        name = "units"
        kind = "delta"
        attribute = "units"
        [[record.counter]]
        entity = "{{tenant}}"
        resource = "{{endpoint}}"
        [[record.counter.measure]]
        name = "requests"
        kind = "count"
        [[record.counter]]
        entity = "plan:{{plan}}"
        resource = "requests"
        [[record.counter.measure]]
        name = "units"
        kind = "delta"
        attribute = "units"
        {more}
        "##
    ))
}

#[test]
fn a_record_adds_to_each_counter_of_its_type() {
    let pipeline = requests("");
    let (a, b) = (
        r#"{"tenant":"acme","endpoint":"/v1","plan":"pro","units":2}"#,
        r#"{"tenant":"acme","endpoint":"/v1","plan":"max","units":5}"#,
    );
    let other = r#"{"tenant":"bolt","endpoint":"/v2","plan":"pro","units":2}"#;
    let cases = [
        (insert(a), "acme/requests requests 1, acme/requests units 2, acme//v1 requests 1, plan:pro/requests units 2"),
        (
            modify(a, b),
            "acme/requests requests 1, acme/requests units 3, acme//v1 requests 1, plan:max/requests units 5, \
             plan:pro/requests units -2",
        ),
        (
            modify(a, other),
            "bolt/requests requests 1, bolt/requests units 2, bolt//v2 requests 1, acme/requests units -2",
        ),
        (
            remove(a),
            "acme/requests requests 1, acme/requests units -2, acme//v1 requests 1, plan:pro/requests units -2",
        ),
        (
            insert(r#"{"tenant":"acme","endpoint":"/v1","units":2}"#),
            "missing_attribute: NewImage.plan: is missing, but record type `request` needs it",
        ),
    ];
    for (change, expected) in cases {
        let shown = format!("{change:?}");
        assert_eq!(counted_of(&pipeline, Item::default(), change), expected, "{shown}");
    }
}

#[test]
fn counters_with_the_same_entity_and_resource_add_up() {
    let more = "
        [[record.counter]]
        entity = \"{tenant}\"
        resource = \"requests\"
        [[record.counter.measure]]
        name = \"requests\"
        kind = \"count\"
        [[record.counter.measure]]
        name = \"units\"
        kind = \"delta\"
        attribute = \"credit\"
        factor = -1
        missing = \"zero\"
        [[record.counter.measure]]
        name = \"credits\"
        kind = \"count\"
        along_with = \"units\"";
    let pipeline = requests(more);
    let image = |rest: &str| format!(r#"{{"tenant":"acme","endpoint":"requests","plan":"pro",{rest}}}"#);
    // The endpoint's name is that of the tenant's total, too.
    let cases = [
        (r#""units":2"#, "acme/requests requests 3, acme/requests units 2, plan:pro/requests units 2"),
        (
            r#""units":5,"credit":3"#,
            "acme/requests requests 3, acme/requests units 2, acme/requests credits 1, plan:pro/requests units 5",
        ),
        (r#""units":3,"credit":3"#, "acme/requests requests 3, acme/requests credits 1, plan:pro/requests units 3"),
    ];
    for (rest, expected) in cases {
        assert_eq!(counted_of(&pipeline, Item::default(), insert(&image(rest))), expected, "{rest}");
    }
    let most = "9".repeat(38);
    let too_much = image(&format!(r#""units":-{most},"credit":{most}"#));
    assert_eq!(
        counted_of(&pipeline, Item::default(), insert(&too_much)),
        "invalid_value: Images: the difference for measure `units` has more than 38 significant digits"
    );
}

#[test]
fn along_with_looks_only_at_its_own_counter() {
    let counters = ["a", "b"].map(|attribute| {
        format!(
            r##"
            [[record.counter]]
            entity = "{{tenant}}"
            resource = "{attribute}"
            [[record.counter.measure]]
            name = "tokens"
            kind = "delta"
            attribute = "{attribute}"
            missing = "zero"
            [[record.counter.measure]]
            name = "changes"
            kind = "count"
            along_with = "tokens"
            "##
        )
    });
    let pipeline =
        pipeline(&format!("[[record]]\ntype = \"r\"\nmatch = {{ tenant = \"{{tenant}}\" }}\n{}", counters.concat()));
    let cases = [
        (r#"{"tenant":"t","a":1}"#, "t/a tokens 1, t/a changes 1"),
        (r#"{"tenant":"t","b":1}"#, "t/b tokens 1, t/b changes 1"),
        (r#"{"tenant":"t","a":0,"b":2}"#, "t/b tokens 2, t/b changes 1"),
    ];
    for (image, expected) in cases {
        assert_eq!(counted_of(&pipeline, Item::default(), insert(image)), expected, "{image}");
    }
}

#[test]
fn a_missing_image_that_is_needed_is_an_error() {
    let not_carried = |image: &str| {
        format!("image_not_carried: {image}: isn't in the stream; set the view type to NEW_AND_OLD_IMAGES")
    };
    let (new_only, old_only) = (r#"{"n":5}"#, r#"{"n":3}"#);
    let one = "7/orders m 1".to_owned();
    let cases = [
        // Keys are enough to count records, with any view type.
        ("kind = \"count\"", insert(""), one.clone()),
        ("kind = \"count\"", modify("", ""), one.clone()),
        ("kind = \"count\"", remove(""), one.clone()),
        // They are also enough to count items, since an item has the same keys before and after.
        ("kind = \"delta\"", insert(""), one.clone()),
        ("kind = \"delta\"", modify("", ""), String::new()),
        ("kind = \"delta\"", modify("", new_only), String::new()),
        ("kind = \"delta\"", modify(old_only, ""), String::new()),
        ("kind = \"delta\"", remove(""), "7/orders m -1".to_owned()),
        ("kind = \"count\"\nwhere = { n = 5 }", insert(""), not_carried("NewImage")),
        ("kind = \"count\"\nwhere = { n = 5 }", remove(""), not_carried("OldImage")),
        ("kind = \"count\"\nwhere = { n = 5 }", modify("", new_only), one),
        ("kind = \"sum\"\nattribute = \"n\"", modify("", new_only), "7/orders m 5".to_owned()),
        ("kind = \"sum\"\nattribute = \"n\"", insert(""), not_carried("NewImage")),
        ("kind = \"sum\"\nattribute = \"n\"", remove(""), not_carried("OldImage")),
        ("kind = \"delta\"\nattribute = \"n\"", modify("", new_only), not_carried("OldImage")),
        ("kind = \"delta\"\nattribute = \"n\"", modify(old_only, ""), not_carried("NewImage")),
        ("kind = \"delta\"\nattribute = \"n\"\nmissing = \"zero\"", modify("", new_only), not_carried("OldImage")),
        ("kind = \"delta\"\nattribute = \"n\"\nremoved = \"ignore\"", remove(""), String::new()),
        ("kind = \"delta\"\nwhere = { n = 5 }", modify("", new_only), not_carried("OldImage")),
    ];
    for (measure, change, expected) in cases {
        let pipeline = counting(&format!("[[record.measure]]\nname = \"m\"\n{measure}"));
        let shown = format!("{measure} {change:?}");
        assert_eq!(counted(&pipeline, change), expected, "{shown}");
    }
}

#[test]
fn a_pattern_gives_each_capture_its_own_counter() {
    let pipeline = counting(
        "[[record.measure]]\nname = \"used_{limit}\"\nkind = \"delta\"\nattributes = \"b_{limit}_tc\"\nexcept = [\"wcu\"]",
    );
    let (a, b) = (r#"{"b_rpm_tc":5,"b_tpm_tc":1.5,"b_wcu_tc":9,"b_rpm":7}"#, r#"{"b_tpm_tc":4,"b_new_tc":1}"#);
    let cases = [
        (insert(a), "7/orders used_rpm 5, 7/orders used_tpm 1.5"),
        (modify(a, b), "7/orders used_tpm 2.5, 7/orders used_new 1, 7/orders used_rpm -5"),
        (modify(a, a), ""),
        (remove(b), "7/orders used_tpm -4, 7/orders used_new -1"),
        (insert(r#"{"b_rpm_tc":"SECRET"}"#), "invalid_value: NewImage.b_rpm_tc: expected N, found S"),
        (insert(r#"{"b_wcu_tc":"unread"}"#), ""),
        (modify("", a), "image_not_carried: OldImage: isn't in the stream; set the view type to NEW_AND_OLD_IMAGES"),
    ];
    for (change, expected) in cases {
        let shown = format!("{change:?}");
        assert_eq!(counted(&pipeline, change), expected, "{shown}");
    }
    let reserved = counting("[[record.measure]]\nname = \"{x}\"\nkind = \"sum\"\nattributes = \"b_{x}\"");
    let expected = "invalid_key: NewImage.b_pk: would give a counter the name of another attribute; add `if_taken` to [snapshot] in the pipeline";
    assert_eq!(counted(&reserved, insert(r#"{"b_pk":1}"#)), expected);
    let named = |length: usize| counted(&reserved, insert(&format!(r#"{{"b_{}":1}}"#, "x".repeat(length))));
    assert_eq!(named(255), format!("7/orders {} 1", "x".repeat(255)));
    let expected = "would give a counter a name of 256 bytes; names have 1 to 255 bytes";
    assert_eq!(named(256), format!("invalid_key: NewImage.b_{}: {expected}", "x".repeat(256)));
}

#[test]
fn additional_snapshot_variables_distinguish_groups() {
    let text = r##"
        [snapshot]
        partition_key = { name = "pk", value = "{ns}/U#{entity}" }
        sort_key = { name = "sk", value = "{resource}#{window_key}" }
        [[record]]
        type = "bucket"
        match = { pk = "{ns}/B#{who}" }
        entity = "{who}"
        resource = "tokens"
        [[record.measure]]
        name = "changes"
        kind = "count"
    "##;
    let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
    let pipeline = Pipeline::parse(&Folder { name: "p".to_owned(), files }).unwrap();
    let keys = Item(vec![("pk".into(), crate::record::Value::S("n-1/B#ada".into()))]);
    let Routed::To(route, bindings) = pipeline.route(&keys, &Image::NotCarried) else { panic!("no route") };
    let group = &route.counters[0].group;
    let key = CounterKey(group.iter().map(|part| part.render(|slot| bindings.value(slot))).collect());
    assert_eq!(key.0, ["ada", "tokens", "n-1"]);
    let span = Window::Hour.containing(Timestamp::parse("2026-11-21T03:05:05Z").unwrap(), Zone::UTC);
    let item = SnapshotItem::new(pipeline.snapshot.as_ref().unwrap(), &key, span);
    let key = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(item.key, [key("pk", "n-1/U#ada"), key("sk", "tokens#2026-11-21T03")]);
}

#[test]
fn amounts_keep_all_38_digits() {
    let pipeline = counting("[[record.measure]]\nname = \"m\"\nkind = \"delta\"\nattribute = \"n\"");
    let image = |number: &str| format!(r#"{{"n":{number}}}"#);
    let nines = "9".repeat(38);
    let cases = [
        ("0", nines.as_str(), format!("7/orders m {nines}")),
        ("1", &nines, format!("7/orders m {}8", "9".repeat(37))),
        (&nines, &nines, String::new()),
        ("9007199254740992", "9007199254740993", "7/orders m 1".to_owned()),
        ("0.1", "0.3", "7/orders m 0.2".to_owned()),
        ("-1", &nines, format!("7/orders m 1{}", "0".repeat(38))),
        (
            "-2",
            &nines,
            "invalid_value: OldImage: the difference for measure `m` has more than 38 significant digits".to_owned(),
        ),
        (
            "1e-130",
            "1",
            "invalid_value: OldImage: the difference for measure `m` has more than 38 significant digits".to_owned(),
        ),
    ];
    for (old, new, expected) in cases {
        assert_eq!(counted(&pipeline, modify(&image(old), &image(new))), expected, "{old} -> {new}");
    }
}

#[test]
fn totals_are_exact_in_every_window_and_name_the_record_that_overflows() {
    let pipeline = counting("[[record.measure]]\nname = \"m\"\nkind = \"count\"");
    let snapshot = pipeline.snapshot.as_ref().unwrap();
    let effect = |record: usize, amount: &str| Effect {
        record,
        id: RecordId([0; 16]),
        amounts: vec![Addition::sum("m", Decimal::parse(amount).unwrap())],
    };
    let group = |effects| Group {
        key: CounterKey(vec!["7".to_owned(), "orders".to_owned()]),
        segment: Segment::containing(Timestamp::parse("2026-11-30T23:59:59Z").unwrap()),
        event_hour: None,
        effects,
    };
    let summed = |effects| {
        let group = group(effects);
        totals(snapshot, group.effects.iter().map(|effect| (&group, effect))).map(|totals| {
            let sum = |((_, span), sums): (&(CounterKey, Span), &Sums)| format!("{span} {}", sums["m"]);
            totals.iter().map(sum).collect::<Vec<_>>().join(", ")
        })
    };
    let nines = "9".repeat(38);
    let three = summed(vec![effect(0, "0.1"), effect(1, "0.2"), effect(2, "-0.3")]);
    assert_eq!(three.unwrap(), "hour 2026-11-30T23 0, day 2026-11-30 0, month 2026-11 0");
    let back = summed(vec![effect(0, &nines), effect(1, "-1"), effect(2, "1")]);
    assert_eq!(back.unwrap(), format!("hour 2026-11-30T23 {nines}, day 2026-11-30 {nines}, month 2026-11 {nines}"));
    assert_eq!(summed(vec![effect(0, "1"), effect(4, &nines), effect(7, "1")]).unwrap_err().0, 7);
}

/// Texts that could break a key, a path or a log line. All are different.
const HOSTILE: [&str; 22] = [
    "a",
    "A",
    ".",
    "..",
    "../..",
    "/",
    "//",
    "a/b",
    "%",
    "%2F",
    "%23",
    "#",
    "##",
    "a#b",
    "\n",
    "\0",
    "\0\0",
    "\u{202e}a",
    "a ",
    " a",
    "é",
    "e\u{301}",
];

#[test]
fn hostile_entities_and_resources_give_distinct_keys() {
    let pipeline = pipeline(
        r##"
        [[record]]
        type = "r"
        match = { sk = "{order}" }
        bind = { who = "who", what = "what" }
        entity = "{who}"
        resource = "{what}"
        [[record.measure]]
        name = "m"
        kind = "count"
        "##,
    );
    let snapshot = pipeline.snapshot.as_ref().unwrap();
    let at = Timestamp::parse("2026-11-21T03:05:05Z").unwrap();
    let mut keys = std::collections::BTreeSet::new();
    for who in HOSTILE {
        for what in HOSTILE {
            let key = CounterKey(vec![who.to_owned(), what.to_owned()]);
            assert_eq!(check_keys(snapshot, &key, at), Ok(()));
            for window in Window::ALL {
                keys.insert(SnapshotItem::new(snapshot, &key, window.containing(at, Zone::UTC)).key);
            }
        }
    }
    assert_eq!(keys.len(), HOSTILE.len() * HOSTILE.len() * Window::ALL.len());
}

#[test]
fn a_key_that_dynamodb_would_refuse_is_rejected() {
    let pipeline = counting("[[record.measure]]\nname = \"m\"\nkind = \"count\"");
    let at = Timestamp::parse("2026-11-21T03:05:05Z").unwrap();
    let check = |who: usize, what: usize| {
        let key = CounterKey(vec!["é".repeat(who / 2), "#".repeat(what)]);
        check_keys(pipeline.snapshot.as_ref().unwrap(), &key, at).map_err(|fault| fault.to_string())
    };
    // `U#` precedes the entity. Each escaped `#` has three bytes, and `#2026-11-21T03` behind the resource has
    // fourteen.
    assert_eq!(check(2_046, 336), Ok(()));
    let cases = [
        (2_048, 1, "invalid_key: pk: would have 2050 bytes as a snapshot key; DynamoDB allows 1 to 2048"),
        (2, 337, "invalid_key: sk: would have 1025 bytes as a snapshot key; DynamoDB allows 1 to 1024"),
    ];
    for (who, what, expected) in cases {
        assert_eq!(check(who, what), Err(expected.to_owned()));
    }
}

#[test]
fn a_factor_is_exact_and_cleared_or_removed_values_may_stay_counted() {
    let pipeline = counting(
        "[[record.measure]]\nname = \"{limit}\"\nkind = \"delta\"\nattributes = \"b_{limit}_tc\"\nfactor = 0.001\nremoved = \"ignore\"\ncleared = \"ignore\"",
    );
    let (a, b) = (r#"{"b_rpm_tc":5500,"b_tpm_tc":1}"#, r#"{"b_tpm_tc":4}"#);
    let cases = [
        (insert(a), "7/orders rpm 5.5, 7/orders tpm 0.001"),
        (modify(a, b), "7/orders tpm 0.003"),
        (modify(b, a), "7/orders rpm 5.5, 7/orders tpm -0.003"),
        (remove(a), ""),
        (expire(a), ""),
        (
            insert(r#"{"b_rpm_tc":1E-130}"#),
            "invalid_value: NewImage.b_rpm_tc: multiplied by the measure's factor, is outside the range of DynamoDB's numbers (1E-130 to 9.99E+125)",
        ),
    ];
    for (change, expected) in cases {
        let shown = format!("{change:?}");
        assert_eq!(counted(&pipeline, change), expected, "{shown}");
    }
    let one = counting(
        "[[record.measure]]\nname = \"n\"\nkind = \"delta\"\nattribute = \"n\"\nmissing = \"zero\"\ncleared = \"ignore\"",
    );
    assert_eq!(counted(&one, modify(r#"{"n":5}"#, "{}")), "");
    assert_eq!(counted(&one, modify(r#"{"n":5}"#, r#"{"n":0}"#)), "7/orders n -5");
    assert_eq!(counted(&one, remove(r#"{"n":5}"#)), "7/orders n -5");
}

#[test]
fn a_count_may_depend_on_a_delta() {
    let pipeline = counting(
        "[[record.measure]]\nname = \"events\"\nkind = \"count\"\nalong_with = \"{limit}\"\nevents = [\"INSERT\", \"MODIFY\"]\n[[record.measure]]\nname = \"{limit}\"\nkind = \"delta\"\nattributes = \"b_{limit}_tc\"",
    );
    let (a, b) = (r#"{"b_rpm_tc":5,"b_tpm_tc":1,"x":1}"#, r#"{"b_rpm_tc":5,"b_tpm_tc":1,"x":2}"#);
    let cases = [
        (insert(a), "7/orders rpm 5, 7/orders tpm 1, 7/orders events 1"),
        (modify(a, b), ""),
        (modify(a, r#"{"b_rpm_tc":6,"b_tpm_tc":2}"#), "7/orders rpm 1, 7/orders tpm 1, 7/orders events 1"),
        (insert(r#"{"b_rpm_tc":0}"#), ""),
        (remove(a), "7/orders rpm -5, 7/orders tpm -1"),
    ];
    for (change, expected) in cases {
        let shown = format!("{change:?}");
        assert_eq!(counted(&pipeline, change), expected, "{shown}");
    }
}

#[test]
fn regression_a_count_depends_on_each_delta_of_the_name() {
    let units = |attribute: &str| {
        format!(
            "[[record.measure]]\nname = \"units\"\nkind = \"delta\"\nattribute = \"{attribute}\"\nmissing = \"zero\"\n"
        )
    };
    let changes = "[[record.measure]]\nname = \"changes\"\nkind = \"count\"\nalong_with = \"units\"\n";
    let pipeline = counting(&format!("{}{}{changes}", units("a"), units("b")));
    let cases = [
        (insert(r#"{"b":1}"#), "7/orders units 1, 7/orders changes 1"),
        (insert(r#"{"a":1}"#), "7/orders units 1, 7/orders changes 1"),
        (insert(r#"{"a":0,"b":1}"#), "7/orders units 1, 7/orders changes 1"),
        (modify(r#"{"b":1}"#, r#"{"b":3}"#), "7/orders units 2, 7/orders changes 1"),
        (modify(r#"{"b":1}"#, r#"{"a":1}"#), ""),
        (insert(r#"{"a":1,"b":-1}"#), ""),
    ];
    for (change, expected) in cases {
        let shown = format!("{change:?}");
        assert_eq!(counted(&pipeline, change), expected, "{shown}");
    }
}

#[test]
fn a_counter_whose_name_is_reserved_gets_another_name() {
    let text = r##"
        [snapshot]
        partition_key = { name = "pk", value = "U#{entity}" }
        sort_key = { name = "sk", value = "{resource}#{window_key}" }
        attributes = { window = "{window}" }
        time_to_live = { attribute = "ttl", hour_days = 1 }
        if_taken = "{measure}#limit"
        [[record]]
        type = "order"
        match = { pk = "CUSTOMER#{customer}", sk = "ORDER#{order}" }
        entity = "{customer}"
        resource = "orders"
        [[record.measure]]
        name = "{limit}"
        kind = "delta"
        attributes = "b_{limit}"
        [[record.measure]]
        name = "events"
        kind = "count"
    "##;
    let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
    let pipeline = Pipeline::parse(&Folder { name: "p".to_owned(), files }).unwrap();
    let found = counted(&pipeline, insert(r#"{"b_pk":1,"b_window":2,"b_ttl":3,"b_events":4,"b_rpm":5}"#));
    let names = ["events 1", "pk#limit 1", "window#limit 2", "ttl#limit 3", "events#limit 4", "rpm 5"];
    assert_eq!(found, names.map(|name| format!("7/orders {name}")).join(", "));
    // These don't share the counters of "pk" and "pk#limit". "rpm" keeps its name, so nothing else gets "rpm#limit".
    let found =
        counted(&pipeline, insert(r#"{"b_pk":1,"b_pk#limit":2,"b_pk#limit#limit":3,"b_rpm#limit":4,"b_#limit":5}"#));
    let names = ["events 1", "pk#limit 1", "pk#limit#limit 2", "pk#limit#limit#limit 3", "rpm#limit 4", "#limit 5"];
    assert_eq!(found, names.map(|name| format!("7/orders {name}")).join(", "));
}

#[test]
fn a_counter_that_is_named_like_a_fraction_gets_another_name_or_is_rejected() {
    let text = r##"
        [snapshot]
        partition_key = { name = "pk", value = "U#{entity}" }
        sort_key = { name = "sk", value = "{resource}#{window_key}" }
        attributes = { "seen#fraction" = "{window}" }
        fraction = "{measure}#fraction"
        if_taken = "{measure}#limit"
        [[record]]
        type = "order"
        match = { pk = "CUSTOMER#{customer}", sk = "ORDER#{order}" }
        entity = "{customer}"
        resource = "orders"
        [[record.measure]]
        name = "{limit}"
        kind = "delta"
        attributes = "b_{limit}"
        [[record.measure]]
        name = "pk#limit"
        kind = "count"
    "##;
    let parsed = |text: &str| {
        let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
        Pipeline::parse(&Folder { name: "p".to_owned(), files }).unwrap()
    };
    let taken = |attribute: &str| {
        format!(
            "invalid_key: NewImage.{attribute}: would give a counter the name of another attribute; add `if_taken` to [snapshot] in the pipeline"
        )
    };
    let pipeline = parsed(text);
    let found = counted(&pipeline, insert(r#"{"b_rpm#fraction":1,"b_rpm":2,"b_seen":3,"b_#fraction":4}"#));
    let names = ["pk#limit 1", "rpm#fraction#limit 1", "rpm 2", "seen#limit 3", "#fraction 4"];
    assert_eq!(found, names.map(|name| format!("7/orders {name}")).join(", "));
    assert_eq!(counted(&pipeline, insert(r#"{"b_pk":1}"#)), taken("b_pk"), "the other name is taken, too");
    let pipeline = parsed(&text.replace("if_taken = \"{measure}#limit\"", ""));
    for attribute in ["b_rpm#fraction", "b_seen"] {
        assert_eq!(counted(&pipeline, insert(&format!(r#"{{"{attribute}":1}}"#))), taken(attribute));
    }
}

#[test]
fn only_snapshots_are_recognized_by_their_keys() {
    use crate::pipeline::shipped_names;
    let hostile = ["a", "a/b#c%d", "%", "é|:", "#daily", "2026-11-21T00:00:00Z", ""];
    let times = ["2026-11-21T00:00:00Z", "2026-12-31T23:59:59Z", "2000-01-01T00:00:00Z", "2099-12-31T23:00:00Z"];
    for name in shipped_names() {
        let pipeline = Pipeline::parse(&shipped(name).unwrap()).unwrap();
        let Some(snapshot) = &pipeline.snapshot else { continue };
        for (index, at) in times.iter().cycle().take(500).enumerate() {
            let value = |slot: usize| hostile[(index / 7_usize.pow(u32::try_from(slot).unwrap())) % 7].to_owned();
            let key = CounterKey((0..snapshot.group_variables.len()).map(value).collect());
            for window in Window::DEFAULT {
                let span = window.containing(Timestamp::parse(at).unwrap(), Zone::UTC);
                let item = SnapshotItem::new(snapshot, &key, span);
                let texts: Vec<_> = item.key.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
                assert_eq!(snapshot_of(snapshot, &texts), Some((key.clone(), span)), "{name} {texts:?}");
                assert_eq!(snapshot_of(snapshot, &texts[..1]), None);
                let later = format!("{}x", texts[1].1);
                assert_eq!(snapshot_of(snapshot, &[texts[0], (texts[1].0, &later)]), None, "{later}");
            }
        }
    }
    let zae = Pipeline::parse(&shipped("zae-limiter").unwrap()).unwrap();
    for (pk, sk) in [
        ("n/BUCKET#e#r#0", "#STATE"),
        ("n/ENTITY#e", "#BUCKET#r"),
        ("n/ENTITY#e", "#META"),
        ("n/ENTITY#e", "#USAGE#r#2026-11-21T00:00:00Z#hourly"),
        ("n/ENTITY#e", "#USAGE#r#2026-11-21T05:00:00Z#daily"),
    ] {
        assert_eq!(snapshot_of(zae.snapshot.as_ref().unwrap(), &[("PK", pk), ("SK", sk)]), None, "{pk} {sk}");
    }
}

#[test]
fn an_index_key_that_dynamodb_would_refuse_is_rejected() {
    let mut pipeline = counting("[[record.measure]]\nname = \"m\"\nkind = \"count\"");
    let at = Timestamp::parse("2026-11-21T03:05:05Z").unwrap();
    let snapshot = pipeline.snapshot.as_mut().unwrap();
    let (name, template) = (snapshot.partition_key.0.clone(), snapshot.partition_key.1.clone());
    snapshot.attributes.push(("by_entity".to_owned(), template));
    snapshot.index_keys.push(("by_entity".to_owned(), 1_024));
    let check = |who: usize| {
        let key = CounterKey(vec!["x".repeat(who), "r".to_owned()]);
        check_keys(snapshot, &key, at).map_err(|fault| fault.to_string())
    };
    assert_eq!((check(1_022), name.as_str()), (Ok(()), "pk"));
    let expected = "invalid_key: by_entity: would have 1025 bytes as a snapshot key; DynamoDB allows 1 to 1024";
    assert_eq!(check(1_023), Err(expected.to_owned()));
}

#[test]
fn null_stands_for_an_absent_attribute() {
    let measure = |more: &str| {
        counting(&format!("[[record.measure]]\nname = \"n\"\nkind = \"delta\"\nattribute = \"n\"\n{more}"))
    };
    let (null, five) = (r#"{"n":null}"#, r#"{"n":5}"#);
    let zero = measure("missing = \"zero\"");
    for (change, expected) in
        [(insert(null), ""), (modify(null, five), "n 5"), (modify(five, null), "n -5"), (remove(null), "")]
    {
        let found = counted(&zero, change);
        assert!(found.ends_with(expected) && found.is_empty() == expected.is_empty(), "{found}, not {expected}");
    }
    let kept = measure("missing = \"zero\"\ncleared = \"ignore\"");
    assert_eq!(counted(&kept, modify(five, null)), "");
    assert!(counted(&measure(""), insert(null)).starts_with("missing_attribute: NewImage.n: is missing"));
    let present = measure("missing = \"zero\"\nwhere = { n = { exists = true } }");
    assert_eq!(counted(&present, modify(five, null)), counted(&zero, modify(five, null)));
    assert_eq!(counted(&present, insert(null)), "");
}
