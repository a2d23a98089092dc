//! Measures of every kind, and what contradicts each kind.

use crate::pipeline::{Aggregate, Amount, Folder, MeasureKind, Mistakes, Pipeline, Quantile};
use crate::record::Event;

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
    let title = |from: &str, to: &str| format!("{from}  =>  {to}").replace('\n', "; ");
    let reported = cases.map(|(from, to)| {
        assert!(ALL.contains(from), "{from}");
        let mistakes = parsed(&ALL.replacen(from, to, 1)).map(|_| ()).unwrap_err();
        format!("{}\n{mistakes}\n", title(from, to))
    });
    insta::assert_snapshot!(reported.join("\n"));
}
