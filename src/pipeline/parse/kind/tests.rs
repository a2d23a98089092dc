//! Measures of every kind, and what contradicts each kind.

use crate::pipeline::{
    Aggregate, Amount, DurationUnit, Folder, MeasureKind, Mistakes, Pipeline, Quantile, Removal, Weight,
};
use crate::record::Event;
use crate::time::Unit;
use crate::window::Zone;

const ALL: &str = r##"
[snapshot]
partition_key = { name = "pk", value = "USAGE#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window_key}" }

[[record]]
type = "request"
match = { tenant = "{tenant}" }
entity = "{tenant}"
resource = "requests"

[[record.measure]]
name = "slowest"
kind = "max"
attribute = "duration"
factor = 0.001

[[record.measure]]
name = "fastest"
kind = "min"
attribute = "duration"
scale = 3

[[record.measure]]
name = "plan_before"
kind = "first"
attribute = "plan"

[[record.measure]]
name = "plan"
kind = "latest"
attribute = "plan"
missing = "ignore"

[[record.measure]]
name = "users"
kind = "distinct"
attribute = "user"

[[record.measure]]
name = "duration"
kind = "quantile"
attribute = "duration"
quantiles = [0.5, 0.999]
"##;

fn parsed(text: &str) -> Result<Pipeline, Mistakes> {
    let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
    Pipeline::parse(&Folder { name: "api".to_owned(), files })
}

#[test]
fn every_kind_is_read() {
    let pipeline = parsed(ALL).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let aggregates: Vec<Aggregate> = pipeline.routes[0].measures().map(|measure| measure.aggregate).collect();
    let exact = Aggregate::Distinct { exact: 256 };
    let (max, min, first, latest) = (Aggregate::Max, Aggregate::Min, Aggregate::First, Aggregate::Latest);
    assert_eq!(aggregates, [max, min, first, latest, exact, Aggregate::Quantile]);
    let kinds = &pipeline.snapshot.as_ref().unwrap().kinds;
    assert_eq!(kinds["users"], MeasureKind { aggregate: exact, quantiles: Vec::new() });
    assert_eq!(kinds["duration"].attributes("duration"), ["duration_p50", "duration_p99_9"]);
    let usual = parsed(&ALL.replace("quantiles = [0.5, 0.999]", "")).unwrap();
    assert_eq!(usual.snapshot.unwrap().quantiles("duration"), Quantile::USUAL);
    let more = parsed(&ALL.replace("kind = \"distinct\"", "kind = \"distinct\"\nexact = 10_000")).unwrap();
    assert_eq!(more.snapshot.unwrap().aggregate("users"), Aggregate::Distinct { exact: 10_000 });
}

/// A removed or expired item would give its old value once more.
#[test]
fn only_writes_count_unless_events_are_listed() {
    let events = |text: &str| -> Vec<Event> {
        let pipeline = parsed(text).unwrap();
        let Amount::Each { events, .. } = &pipeline.routes[0].measures().next().unwrap().amount else { panic!() };
        events.clone()
    };
    assert_eq!(events(ALL), [Event::Insert, Event::Modify]);
    assert_eq!(events(&ALL.replacen("\"max\"", "\"max\"\nevents = [\"REMOVE\"]", 1)), [Event::Remove]);
    let gone = ALL.replace("entity =", "events = [\"REMOVE\", \"EXPIRE\"]\nentity =");
    assert_eq!(events(&gone), [Event::Remove, Event::Expire]);
}

const LEVELS: &str = r##"
[snapshot]
windows = ["hour", "month", "total"]
partition_key = { name = "pk", value = "USAGE#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window_key}" }

[[record]]
type = "subscription"
match = { tenant = "{tenant}" }
entity = "{tenant}"
resource = "seats"

[[record.measure]]
name = "seats"
kind = "level"
attribute = "seats"
where = { active = true }

[[record.measure]]
name = "seat_hours"
kind = "weighted"
attribute = "seats"
since = "updated_at"
where = { active = true }

[[record.measure]]
name = "changes"
kind = "count"
along_with = "seats"
"##;

#[test]
fn a_level_is_a_delta_that_always_takes_back_and_a_weighted_measure_knows_its_times() {
    let amounts = |text: &str| -> Vec<Amount> {
        let mut pipeline = parsed(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(pipeline.snapshot.as_ref().unwrap().kinds.is_empty(), "they are sums");
        pipeline.routes.remove(0).counters.remove(0).measures.into_iter().map(|measure| measure.amount).collect()
    };
    let all = Removal::Subtract;
    let weight = |since_unit, unit| Weight { since: "updated_at".to_owned(), since_unit, zone: Zone::UTC, unit };
    let since = |since_unit, unit| Amount::Standing(weight(since_unit, unit));
    let found = amounts(LEVELS);
    assert_eq!(found[..1], [Amount::Difference { removed: all, expired: all, cleared: all }]);
    assert_eq!(found[1..2], [since(Unit::Seconds, DurationUnit::Hours)]);
    let text = LEVELS.replace("\"updated_at\"", "\"updated_at\"\nsince_unit = \"milliseconds\"\nunit = \"days\"");
    assert_eq!(amounts(&text)[1..2], [since(Unit::Milliseconds, DurationUnit::Days)]);
    let items = amounts(&LEVELS.replace("attribute = \"seats\"\n", ""));
    assert_eq!(items.len(), 3, "without an attribute, items count");
}

#[test]
fn a_level_or_weighted_measure_that_would_be_wrong_is_refused() {
    let cases = [
        ("\"month\", \"total\"", "\"month\""),
        ("entity =", "events = [\"INSERT\", \"MODIFY\", \"REMOVE\"]\nentity ="),
        ("entity =", "events = [\"INSERT\", \"EXPIRE\"]\nentity ="),
        ("kind = \"level\"", "kind = \"level\"\nremoved = \"ignore\""),
        ("kind = \"level\"", "kind = \"level\"\nevents = [\"INSERT\"]"),
        ("kind = \"level\"", "kind = \"level\"\nmissing = \"ignore\""),
        ("kind = \"level\"", "kind = \"level\"\nsince = \"updated_at\"\nunit = \"hours\""),
        ("since = \"updated_at\"\n", ""),
        ("since = \"updated_at\"", "since = \"updated_at[\""),
        ("since = \"updated_at\"", "since = 5"),
        ("since = \"updated_at\"", "since = \"updated_at\"\nunit = \"hour\""),
        ("since = \"updated_at\"", "since = \"updated_at\"\nsince_unit = \"ms\""),
        ("kind = \"weighted\"", "kind = \"weighted\"\ncleared = \"subtract\"\nevents = [\"REMOVE\"]"),
        ("along_with = \"seats\"", "along_with = \"seat_hours\""),
    ];
    insta::assert_snapshot!(reported(LEVELS, &cases));
}

/// A level only rose, and a weighted measure was always 0.
#[test]
fn regression_a_plain_kinesis_stream_has_none_of_the_changes_that_a_level_needs() {
    let of = |stream: &str| parsed(&format!("stream = \"{stream}\"{LEVELS}"));
    assert!(of("dynamodb").is_ok());
    let mistakes = of("kinesis").unwrap_err().to_string();
    for kind in ["level", "weighted"] {
        let expected = format!("`kind = \"{kind}\"` needs changes and removals of items");
        assert!(mistakes.contains(&expected), "{mistakes}");
    }
    assert_eq!(mistakes.lines().count(), 2, "{mistakes}");
}

#[test]
fn each_contradiction_says_what_to_write() {
    let cases = [
        ("kind = \"max\"", "kind = \"maximum\""),
        ("kind = \"max\"", ""),
        ("kind = \"max\"", "kind = \"max\"\nremoved = \"subtract\""),
        ("kind = \"max\"", "kind = \"max\"\nmissing = \"zero\""),
        ("kind = \"max\"", "kind = \"sum\"\nmissing = \"ignore\""),
        ("kind = \"max\"", "kind = \"max\"\nquantiles = [0.5]"),
        ("kind = \"max\"", "kind = \"max\"\nexact = 10"),
        ("kind = \"max\"", "kind = \"max\"\nalong_with = \"users\""),
        ("kind = \"max\"\nattribute = \"duration\"\nfactor = 0.001", "kind = \"max\""),
        ("kind = \"max\"\nattribute = \"duration\"", "kind = \"max\"\nattributes = \"d_{x}\""),
        ("kind = \"distinct\"", "kind = \"distinct\"\nscale = 2\nfactor = 10"),
        ("kind = \"distinct\"", "kind = \"distinct\"\nexpired = \"subtract\"\ncleared = \"ignore\""),
        ("kind = \"distinct\"", "kind = \"distinct\"\nexact = 10_001"),
        ("kind = \"distinct\"", "kind = \"distinct\"\nexact = 0"),
        ("[0.5, 0.999]", "[]"),
        ("[0.5, 0.999]", "[0.5, 0.50]"),
        ("[0.5, 0.999]", "[95]"),
        ("[0.5, 0.999]", "0.5"),
        ("name = \"plan_before\"", "name = \"plan\""),
        ("name = \"slowest\"", "name = \"duration_p50\""),
        ("name = \"duration\"", "name = \"users\""),
        ("\"{resource}#{window_key}\" }", "\"{resource}#{window_key}\" }\nfraction = \"{measure}#fraction\""),
        (
            "\"{resource}#{window_key}\" }",
            "\"{resource}#{window_key}\" }\nattributes = { duration_p50 = \"{entity}\" }",
        ),
    ];
    insta::assert_snapshot!(reported(ALL, &cases));
}

/// The mistakes of `text` with each replacement.
fn reported(text: &str, cases: &[(&str, &str)]) -> String {
    let title = |from: &str, to: &str| format!("{from}  =>  {to}").replace('\n', "; ");
    let report = |(from, to): &(&str, &str)| {
        assert!(text.contains(from), "{from}");
        let mistakes = parsed(&text.replacen(from, to, 1)).map(|_| ()).unwrap_err();
        format!("{}\n{mistakes}\n", title(from, to))
    };
    cases.iter().map(report).collect::<Vec<_>>().join("\n")
}
