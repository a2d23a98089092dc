//! Mistakes in a pipeline.toml, one at a time and all at once. [`VALID`] is a pipeline without mistakes.

use proptest::prelude::*;

use super::super::{shipped, shipped_names};
use super::*;

const VALID: &str = r#"
unmatched = "skip"

[archive]
prefix = "data/test"

[snapshot]
windows = ["hour", "day"]
partition_key = { name = "pk", value = "USAGE#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window_key}" }
attributes = { owner = "{entity}" }
time_to_live = { attribute = "expires_at", hour_days = 7 }

[[record]]
type = "order"
match = { pk = "CUSTOMER#{customer}", sk = "ORDER#{order}" }
bind = { shop = "shop" }
where = { status = ["NEW", "PAID"] }
events = ["INSERT", "MODIFY"]
entity = "{customer}"
resource = "{shop}"

[[record.measure]]
name = "orders"
kind = "delta"
removed = "ignore"

[[record.measure]]
name = "amount"
kind = "sum"
attribute = "total"
missing = "zero"
scale = 2

[[record.measure]]
name = "used_{limit}"
kind = "sum"
attributes = "b_{limit}_tc"
except = ["none"]

[record.archive]
schema = "order.avsc"
image = "newest"
"#;

const ORDER: &str = r#"{"type":"record","name":"Order","fields":[{"name":"status","type":"string"}]}"#;

#[test]
fn a_delta_needs_every_change_of_its_value() {
    let text = VALID.replace("kind = \"sum\"\nattribute = \"total\"", "kind = \"delta\"\nattribute = \"total\"");
    assert!(parsed(&text).is_ok());
    // Also one that counts items: a seat may get another owner.
    for (text, events) in [(&*text, r#"["INSERT"]"#), (VALID, r#"["INSERT", "REMOVE"]"#)] {
        let mistakes = parsed(&text.replace(r#"["INSERT", "MODIFY"]"#, events)).unwrap_err().to_string();
        assert!(mistakes.contains("add INSERT and MODIFY to the record's `events`"), "{mistakes}");
    }
}

fn parsed(text: &str) -> Result<Pipeline, Mistakes> {
    let files =
        [(FILE, text), ("order.avsc", ORDER), ("line.avsc", r#"{"type":"record","name":"Line"}"#), ("text.avsc", "{")];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    Pipeline::parse(&Folder { name: "shop".to_owned(), files: files.into() })
}

/// [`VALID`] with the first occurrence of `from` replaced.
fn with(from: &str, to: &str) -> String {
    assert!(VALID.contains(from), "{from}");
    VALID.replacen(from, to, 1)
}

fn mistakes(text: &str) -> String {
    parsed(text).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn every_shipped_pipeline_is_valid() {
    let names = shipped_names();
    assert!(names.contains(&"orders") && names.contains(&"demand"), "{names:?}");
    for name in names {
        Pipeline::parse(&shipped(name).unwrap()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    }
}

#[test]
fn the_example_is_valid() {
    let pipeline = parsed(VALID).unwrap();
    assert_eq!(pipeline.archive_prefix, "data/test");
    assert_eq!(pipeline.measures, ["orders", "amount"]);
    assert_eq!(pipeline.snapshot.unwrap().group_variables, ["entity", "resource"]);
}

#[test]
fn a_measure_cannot_have_the_attribute_of_the_fraction_of_another() {
    let text = with("owner = \"{entity}\" }", "owner = \"{entity}\" }\nfraction = \"{measure}_x\"");
    assert!(parsed(&text).is_ok());
    for (from, to, other) in [("amount", "orders_x", "orders"), ("orders", "amount_x", "amount_x")] {
        let found = mistakes(&text.replace(&format!("name = \"{from}\""), &format!("name = \"{to}\"")));
        let expected =
            format!("`name` gives the attribute `{to}`, which the measure `{other}` has; choose another name");
        assert!(found.contains(&expected), "{found}");
    }
}

#[test]
fn each_mistake_says_where_it_is_and_what_to_write() {
    let count = "name = \"orders\"\nkind = \"delta\"\nremoved = \"ignore\"";
    let sum = "attribute = \"total\"\nmissing = \"zero\"\nscale = 2";
    let cases = [
        // The file.
        ("unmatched", "unmatched ="),
        ("unmatched = \"skip\"", "unmatched = \"drop\""),
        ("unmatched = \"skip\"", "unmatch = \"skip\""),
        ("unmatched = \"skip\"", "sources = \"orders\""),
        ("unmatched = \"skip\"", "sources = [1]"),
        ("[archive]", "[archives]"),
        ("data/test", "../data"),
        ("data/test", "/data"),
        ("data/test", "data//test"),
        ("data/test", "data/{x}"),
        ("data/test", ""),
        // The snapshot.
        ("[snapshot]", "[snapshots]"),
        ("[\"hour\", \"day\"]", "[\"hour\", \"year\"]"),
        ("[\"hour\", \"day\"]", "[]"),
        ("[\"hour\", \"day\"]", "[\"day\"]"),
        ("[\"hour\", \"day\"]", "[\"hour\", \"hour\"]"),
        ("[\"hour\", \"day\"]", "[\"hour\", \"day\"]\ntime_zone = \"europe/berlin\""),
        ("[\"hour\", \"day\"]", "[\"hour\", \"day\"]\ntime_zone = 1"),
        ("partition_key = { name = \"pk\", value = \"USAGE#{entity}\" }", ""),
        ("partition_key = { name = \"pk\", value = \"USAGE#{entity}\" }", "partition_key = \"pk\""),
        ("{resource}#{window_key}", "{window_key}"),
        ("{resource}#{window_key}", "{resource}"),
        ("{resource}#{window_key}", "{resource}#{window_start}"),
        ("name = \"pk\", value", "value"),
        ("USAGE#{entity}", "USAGE#{entity"),
        ("USAGE#{entity}", "USAGE#{Entity}"),
        ("{resource}#{window_key}", "{resource}{window_key}"),
        ("{resource}#{window_key}", "{resource}#{region}"),
        ("name = \"sk\"", "name = \"pk\""),
        ("owner = \"{entity}\"", "owner = 1"),
        ("hour_days = 7", "hour_days = 0"),
        ("hour_days = 7", "hour_days = 7.5"),
        ("hour_days = 7", "month_days = 7"),
        ("hour_days = 7", "total_days = 7"),
        ("owner = \"{entity}\" }", "owner = \"{entity}\" }\nwindow_names = { hour = \"day\" }"),
        ("owner = \"{entity}\" }", "owner = \"{entity}\" }\nwindow_names = { hour = \"\", year = \"y\" }"),
        ("owner = \"{entity}\" }", "owner = \"{entity}\" }\nfraction = \"{measure}\""),
        ("owner = \"{entity}\" }", "owner = \"{entity}\" }\nfraction = \"{entity}#fraction\""),
        ("owner = \"{entity}\" }", "owner = \"{entity}\" }\nif_taken = \"taken\""),
        ("owner = \"{entity}\" }", "owner = \"{entity}\" }\nif_taken = \"{measure}#x\"\nfraction = \"{measure}#x\""),
        ("owner = \"{entity}\" }", "amount_x = \"{entity}\" }\nfraction = \"{measure}_x\""),
        ("{resource}#{window_key}\"", "{resource}#{window_key}\", suffix = { day = \"#d\" }"),
        ("{resource}#{window_key}\"", "{resource}#{window_start}\", suffix = { day = \"#d\", hour = \"#d\" }"),
        ("{resource}#{window_key}\"", "{resource}#{window_start}\", suffix = { month = \"#m\" }"),
        ("{resource}#{window_key}\"", "{resource}#{window_start}\", suffix = \"#d\""),
        // A record type.
        ("type = \"order\"", ""),
        ("type = \"order\"", "type = \"../Order\""),
        ("[[record]]", "[record]"),
        ("match = {", "# match = {"),
        ("{ pk = \"CUSTOMER#{customer}\", sk = \"ORDER#{order}\" }", "{}"),
        ("ORDER#{order}", "ORDER#{customer}"),
        ("ORDER#{order}", "{order}#{order}"),
        ("ORDER#{order}", "{a}{b}"),
        ("ORDER#{order}\"", "ORDER#{order}\", at = 2026-11-21"),
        ("ORDER#{order}\"", "ORDER#{order}\", n = 0x10"),
        ("{ shop = \"shop\" }", "{ shop = 1 }"),
        ("{ shop = \"shop\" }", "{ shop = \"shop\", order = \"order\" }"),
        ("{ shop = \"shop\" }", "{ Shop = \"shop\" }"),
        ("[\"NEW\", \"PAID\"]", "[[\"NEW\"]]"),
        ("[\"NEW\", \"PAID\"]", "{ is = \"NEW\" }"),
        ("[\"NEW\", \"PAID\"]", "{ exists = \"yes\" }"),
        ("[\"INSERT\", \"MODIFY\"]", "[\"INSERT\", \"UPSERT\"]"),
        ("[\"INSERT\", \"MODIFY\"]", "[]"),
        ("entity = \"{customer}\"", ""),
        ("entity = \"{customer}\"", "entity = \"{client}\""),
        ("entity = \"{customer}\"", "entity = \"{customer}{order}\""),
        // A measure.
        (count, "name = \"orders\""),
        (count, "kind = \"count\""),
        (count, "name = \"orders\"\nkind = \"average\""),
        (count, "name = \"orders\"\nkind = \"count\"\nattribute = \"total\""),
        (count, "name = \"orders\"\nkind = \"count\"\nremoved = \"ignore\""),
        (count, "name = \"orders\"\nkind = \"delta\"\nevents = [\"INSERT\"]"),
        (count, "name = \"owner\"\nkind = \"count\""),
        (count, "name = \"expires_at\"\nkind = \"count\""),
        (count, "name = \"pk\"\nkind = \"count\""),
        (count, "name = \"\"\nkind = \"count\""),
        (count, "name = \"{customer}\"\nkind = \"count\""),
        (count, "name = \"orders\"\nkind = \"count\"\ncleared = \"ignore\""),
        (count, "name = \"orders\"\nkind = \"count\"\nalong_with = \"amount\""),
        (count, "name = \"orders\"\nkind = \"delta\"\nalong_with = \"amount\""),
        (count, "name = \"orders\"\nkind = \"count\"\nfactor = 0.001"),
        (sum, "attribute = \"total\"\nfactor = 0"),
        (sum, "attribute = \"total\"\nfactor = 0x10"),
        (sum, "attribute = \"total\"\nfactor = \"0.001\""),
        (sum, ""),
        (sum, "attribute = \"total\"\nattributes = \"b_{x}_tc\""),
        (sum, "attribute = \"total\"\nmissing = \"guess\""),
        (sum, "attribute = \"total\"\nscale = 39"),
        (sum, "attribute = \"total\"\nscale = -1"),
        (sum, "attribute = \"total\"\nscale = \"2\""),
        ("b_{limit}_tc", "b_tc"),
        ("b_{limit}_tc", "b_{limit}_{unit}"),
        ("used_{limit}", "used"),
        ("used_{limit}", "used_{order}"),
        // The archive of a record type.
        ("schema = \"order.avsc\"", ""),
        ("order.avsc", "orders.avsc"),
        ("order.avsc", "../order.avsc"),
        ("order.avsc", "line.avsc"),
        ("order.avsc", "text.avsc"),
        ("image = \"newest\"", "image = \"oldest\""),
        ("image = \"newest\"", "partition_date = \"day\"\npartition_date_unit = \"days\""),
    ];
    let title = |from: &str, to: &str| format!("{from}  =>  {to}").replace('\n', "; ");
    let reported = cases.map(|(from, to)| format!("{}\n{}\n", title(from, to), mistakes(&with(from, to))));
    insta::assert_snapshot!(reported.join("\n"));
}

/// Each of these was accepted, and did nothing.
#[test]
fn regression_a_key_without_effect_is_a_mistake() {
    let orders = "kind = \"delta\"\nremoved = \"ignore\"";
    let amount = "missing = \"zero\"\nscale = 2";
    let cases = [
        (orders, "kind = \"count\"\nscale = 2", "`scale` limits the digits of an attribute's value"),
        (orders, "kind = \"delta\"\nscale = 2", "`scale` limits the digits of an attribute's value"),
        (orders, "kind = \"count\"\nmissing = \"zero\"", "because a count counts records"),
        (orders, "kind = \"delta\"\nmissing = \"reject\"", "because without `attribute`, items are counted"),
        (orders, "kind = \"delta\"\ncleared = \"ignore\"", "this measure counts items"),
        ("except = [\"none\"]", "missing = \"zero\"", "because `attributes` takes only"),
        (amount, "except = [\"none\"]", "this measure has no `attributes`; leave it out"),
        ("image = \"newest\"", "events = [\"INSERT\", \"REMOVE\"]", "it would never be archived; add it there"),
        ("image = \"newest\"", "partition_date_unit = \"milliseconds\"", "and it names none"),
        (
            "image = \"newest\"",
            "partition_date = \"created_at\"\npartition_date_unit = \"seconds\"",
            "leave `partition_date_unit` out",
        ),
    ];
    for (from, to, expected) in cases {
        let found = mistakes(&with(from, to));
        assert!(found.contains(expected) && found.lines().count() == 1, "{to}: {found}");
    }
    for (from, to) in [
        (orders, "kind = \"delta\"\ncleared = \"subtract\""),
        (orders, "kind = \"delta\"\nattribute = \"n\"\ncleared = \"ignore\"\nmissing = \"zero\"\nscale = 2"),
        ("except = [\"none\"]", "scale = 2"),
        ("image = \"newest\"", "events = [\"INSERT\"]\npartition_date = \"day\"\npartition_date_unit = \"seconds\""),
    ] {
        assert!(parsed(&with(from, to)).is_ok(), "{to}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    insta::assert_snapshot!(mistakes(include_str!("tests/mistakes.toml")));
}

#[test]
fn a_pipeline_needs_its_file_and_a_record_type() {
    let folder = Folder { name: "shop".to_owned(), files: BTreeMap::new() };
    let missing = Pipeline::parse(&folder).unwrap_err().to_string();
    assert_eq!(missing, "shop/pipeline.toml:1: file not found; every pipeline needs this file");
    for empty in ["", "record = []", "# nothing"] {
        assert_eq!(
            mistakes(empty),
            "shop/pipeline.toml:1: no [[record]] found; a pipeline needs at least one record type"
        );
    }
}

#[test]
fn a_record_type_may_be_defined_only_once() {
    let twice = format!("{VALID}\n[[record]]\ntype = \"order\"\nmatch = {{ pk = \"x\" }}\n");
    assert_eq!(mistakes(&twice), "shop/pipeline.toml:45: record type `order` is defined twice");
}

#[test]
fn each_mistake_in_a_condition_says_what_to_write() {
    let cases = [
        "a = { gte = 500 }",
        "a = { ge = 500, less = 600 }",
        "a = { country = \"DE\" }",
        "a = {}",
        "a = { ge = true }",
        "a = { ge = 2026-11-21 }",
        "a = { ge = 0x10 }",
        "a = { between = 5 }",
        "a = { between = [5] }",
        "a = { between = [1, 2, 3] }",
        "a = { between = [500, 400] }",
        "a = { between = [1, \"2\"] }",
        "a = { any_of = \"x\" }",
        "a = { not = [] }",
        "a = { prefix = 1 }",
        "a = { prefix = \"\" }",
        "a = { size = -1 }",
        "a = { size = \"2\" }",
        "a = { size = {} }",
        "a = { size = { ge = 2.5 } }",
        "a = { size = { equal = 2 } }",
        "\"a..b\" = 1",
        "\"lines[x].price\" = 1",
        "\"lines[0\" = 1",
    ];
    let where_of = |conditions: &str| with("{ status = [\"NEW\", \"PAID\"] }", &format!("{{ {conditions} }}"));
    let reported = cases.map(|case| format!("{case}\n{}\n", mistakes(&where_of(case))));
    insta::assert_snapshot!(reported.join("\n"));
}

#[test]
fn a_condition_that_nothing_meets_is_a_mistake() {
    let cases = [
        "a = []",
        "a = { any_of = [] }",
        "a = { ge = 5, lt = 3 }",
        "a = { ge = 5, lt = 5 }",
        "a = { gt = 5, le = 5 }",
        "a = { ge = 5, between = [1, 4] }",
        "a = { ge = \"2026-12-01\", lt = \"2026-11-01\" }",
        "a = { ge = 5, lt = \"9\" }",
        "a = { ge = 5, prefix = \"5\" }",
        "a = { ge = 5, size = 1 }",
        "a = { prefix = \"b\", lt = \"b\" }",
        "a = { prefix = \"b\", ge = \"c\" }",
        "a = { size = { lt = 0 } }",
        "a = { size = { gt = 1, lt = 2 } }",
        "a = { any_of = [1, 2], ge = 3 }",
        "a = { any_of = [\"x\"], not = [\"x\", \"y\"] }",
        "a = { any_of = [\"x\"], size = 2 }",
        "a = { exists = false, ge = 5 }",
    ];
    let never = |conditions: &str| {
        let text = with("{ status = [\"NEW\", \"PAID\"] }", &format!("{{ {conditions} }}"));
        format!("{conditions}\n{}\n", mistakes(&text))
    };
    let measure =
        with("removed = \"ignore\"", "removed = \"ignore\"\nwhere = { status = { not = [\"NEW\", \"PAID\"] } }");
    let reported = cases.iter().map(|case| never(case)).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(format!("{reported}\nthe measure's own where\n{}", mistakes(&measure)));
    for met in [
        "ge = 5, le = 5",
        "prefix = \"b\", ge = \"ba\", lt = \"bb\"",
        "exists = false, not = \"x\"",
        "size = { gt = 1, lt = 3 }",
    ] {
        let text = with("{ status = [\"NEW\", \"PAID\"] }", &format!("{{ a = {{ {met} }} }}"));
        assert!(parsed(&text).is_ok(), "{met}");
    }
}

#[test]
fn a_record_type_that_is_never_reached_is_a_mistake() {
    let with_second = |first: &str, second: &str| {
        let record = |name, rest| format!("[[record]]\ntype = \"{name}\"\n{rest}\n");
        parsed(&format!("{}{}", record("first", first), record("second", second)))
            .map(|_| ())
            .map_err(|m| m.to_string())
    };
    let same = "record type `second` is never reached: `first` before it has the same `match` and `where`; \
                change one of them, or combine the two: a record type can have several counters";
    let general = "record type `second` is never reached: every item that it matches also matches `first` \
                   before it; move it before `first`";
    let where_a = "match = { k = 1 }\nwhere = { a = { ge = 5 } }";
    let cases = [
        ("match = { pk = \"A#{a}\" }", "match = { pk = \"A#{b}\" }", Some(same)),
        ("match = { pk = \"A#{a}\" }", "match = { pk = \"A#{a}\" }\nevents = [\"REMOVE\"]", Some(same)),
        (where_a, where_a, Some(same)),
        ("match = {}", "match = {}", Some(same)),
        ("match = {}", "match = { pk = \"A#{a}\" }", Some(general)),
        ("match = { pk = \"{any}\" }", "match = { pk = \"A#{a}\" }", Some(general)),
        ("match = { k = 1 }", "match = { k = 1, n = 2 }", Some(general)),
        ("match = { k = 1 }", where_a, Some(general)),
        (where_a, "match = { k = 1 }", None),
        (where_a, "match = { k = 1 }\nwhere = { a = { ge = 6 } }", None),
        ("match = { pk = \"A#{a}\" }", "match = {}", None),
        ("match = { pk = \"A#{a}\" }", "match = { sk = \"A#{a}\" }", None),
        ("match = { pk = \"A#{a}\" }", "match = { pk = \"A#{a}#{b}\" }", None),
        ("match = { k = 1 }", "match = { k = \"1\" }", None),
        ("match = { k = \"1\" }", "match = { k = 1 }", None),
        ("match = { k = \"{any}\" }", "match = { k = 1 }", Some(general)),
        ("match = { k = \"{any}\" }", "match = { k = true }", None),
        ("match = { k = \"A{any}\" }", "match = { k = 1 }", None),
        ("match = {}\nwhere = { a = 1 }", "match = {}", None),
    ];
    for (first, second, expected) in cases {
        let mistakes = with_second(first, second).err();
        let message = mistakes.as_deref().and_then(|line| line.splitn(3, ':').nth(2)).map(str::trim);
        assert_eq!(message, expected, "{first} {second}");
    }
}

#[test]
fn only_the_first_syntax_error_is_shown() {
    let cases = [
        ("[[record]]\ntype = \"a\nmatch = { pk = \"x }\nwhere = {\n", ":2: "),
        ("a = [1, 2\nb = = 3\n[c\n", ":2: "),
        ("a = 1\nb =\nc = [\n", ":2: "),
    ];
    for (text, place) in cases {
        let mistakes = parsed(text).unwrap_err();
        assert!(mistakes.0.len() == 1 && mistakes.0[0].contains(place), "{text:?}: {mistakes}");
    }
}

#[test]
fn a_misspelled_word_is_suggested() {
    let cases = [
        ("[[record.measure]]", "[[record.measur]]", "unknown key `measur`; did you mean `measure`?"),
        ("where =", "wher =", "unknown key `wher`; did you mean `where`?"),
        ("{customer}\"\nresource", "{custmer}\"\nresource", "`{custmer}`; did you mean `{customer}`?"),
        ("kind = \"sum\"", "knid = \"sum\"", "unknown key `knid`; did you mean `kind`?"),
        ("scale = 2", "scal = 2", "unknown key `scal`; did you mean `scale`?"),
        ("hour_days", "hours_day", "unknown key `hours_day`; did you mean `hour_days`?"),
        ("\"delta\"", "\"dleta\"", "`kind` can't be \"dleta\"; did you mean \"delta\"?"),
        ("\"MODIFY\"", "\"MODFY\"", "`events` can't be \"MODFY\"; did you mean \"MODIFY\"?"),
    ];
    for (from, to, expected) in cases {
        let mistakes = mistakes(&with(from, to));
        assert!(mistakes.contains(expected), "{mistakes}");
    }
}

const COUNTERS: &str = r#"
[snapshot]
partition_key = { name = "pk", value = "USAGE#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window_key}" }

[[record]]
type = "request"
match = { tenant = "{tenant}", endpoint = "{endpoint}" }

[[record.counter]]
entity = "{tenant}"
resource = "requests"
[[record.counter.measure]]
name = "requests"
kind = "count"

[[record.counter]]
entity = "{tenant}"
resource = "{endpoint}"
[[record.counter.measure]]
name = "requests"
kind = "count"
[[record.counter.measure]]
name = "units"
kind = "delta"
"#;

#[test]
fn a_record_type_may_have_several_counters() {
    let pipeline = parsed(COUNTERS).unwrap();
    let counters = &pipeline.routes[0].counters;
    assert_eq!(counters.iter().map(|counter| counter.measures.len()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(pipeline.measures, ["requests", "units"], "the counters share a measure's name");
    let shorthand = parsed(VALID).unwrap();
    assert_eq!(shorthand.routes[0].counters.len(), 1);
}

#[test]
fn each_mistake_in_a_counter_says_what_to_write() {
    let first = "[[record.counter]]\nentity = \"{tenant}\"\nresource = \"requests\"\n";
    let units = "name = \"units\"\nkind = \"delta\"";
    let cases = [
        (first, format!("entity = \"{{tenant}}\"\n\n{first}")),
        (first, format!("[[record.measure]]\nname = \"all\"\nkind = \"count\"\n{first}")),
        ("entity = \"{tenant}\"\nresource = \"requests\"", "resource = \"{who}\"".to_owned()),
        ("[[record.counter.measure]]\nname = \"requests\"\nkind = \"count\"\n\n", String::new()),
        (units, "name = \"units\"\nkind = \"count\"\nalong_with = \"requests\"".to_owned()),
        (units, "name = \"units\"\nkinds = \"delta\"".to_owned()),
        ("resource = \"{endpoint}\"", "resource = \"{endpoint}\"\nregion = \"x\"".to_owned()),
    ];
    let title = |from: &str, to: &str| format!("{from}  =>  {to}").replace('\n', "; ");
    let reported = cases.map(|(from, to)| {
        assert!(COUNTERS.contains(from), "{from}");
        format!("{}\n{}\n", title(from, &to), mistakes(&COUNTERS.replacen(from, &to, 1)))
    });
    insta::assert_snapshot!(reported.join("\n"));
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        let _ = parsed(&text);
    }

    #[test]
    fn no_damage_panics(at: prop::sample::Index, length in 0..12_usize, new in "[]\\[{}=\"#a-z0-9.,\n -]{0,6}") {
        let at = at.index(VALID.len());
        let mut text = VALID.to_owned();
        text.replace_range(at..(at + length).min(VALID.len()), &new);
        let _ = parsed(&text);
    }

    #[test]
    fn no_value_in_place_of_another_panics(line in 0..VALID.lines().count(), value in prop::sample::select(VALUES)) {
        let replace = |(index, text): (usize, &str)| match text.split_once(" = ") {
            Some((key, _)) if index == line => format!("{key} = {value}\n"),
            _ => format!("{text}\n"),
        };
        let _ = parsed(&VALID.lines().enumerate().map(replace).collect::<String>());
    }
}

/// A value of every TOML type, and unusual ones.
const VALUES: &[&str] = &[
    "\"\"",
    "\"{\"",
    "\"{a}\"",
    "\"{entity}{resource}\"",
    "\"é\"",
    "0",
    "-1",
    "0xF",
    "9223372036854775807",
    "99999999999999999999",
    "1e400",
    "nan",
    "-inf",
    "true",
    "2026-11-21",
    "[]",
    "[[]]",
    "[1]",
    "[\"\"]",
    "[{}]",
    "{}",
    "{ a = 1 }",
    "{ name = \"pk\", value = \"\" }",
    "{ not = [] }",
    "{ exists = 1, not = 1 }",
];
