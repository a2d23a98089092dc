//! Each kind of change of a pipeline, and what is said about it.

use super::*;

const OLD: &str = r#"description = "Orders"
generation = 3

[snapshot]
windows = ["hour", "day"]
partition_key = { name = "pk", value = "CUSTOMER#{entity}" }
sort_key = { name = "sk", value = "USAGE#{resource}#{window}#{window_start}" }
attributes = { entity = "{entity}" }
time_to_live = { attribute = "expires_at", hour_days = 90 }

[[record]]
type = "order"
match = { pk = "CUSTOMER#{customer}", sk = "ORDER#{order}" }
entity = "{customer}"
resource = "orders"

[[record.measure]]
name = "amount"
kind = "delta"
attribute = "total"
scale = 2

[[record.measure]]
name = "orders"
kind = "count"

[record.archive]
schema = "order.avsc"
"#;

const AVSC: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string","source":"record_id"},{"name":"total","type":"long"}]}"#;

fn definition(text: &str, avsc: &str) -> Definition {
    let files = [("pipeline.toml", text), ("order.avsc", avsc)];
    let files = files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let folder = Folder { name: "orders".to_owned(), files };
    Pipeline::parse(&folder).unwrap();
    Definition::of(folder)
}

/// The findings, one a line, after replacing texts in the pipeline.
fn found(replacements: &[(&str, &str)]) -> String {
    let new = replacements.iter().fold(OLD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    let findings = changes(&definition(OLD, AVSC), &definition(&new, AVSC));
    findings.iter().map(|finding| line("", finding)).collect::<Vec<_>>().join("\n")
}

const NEXT: (&str, &str) = ("generation = 3", "generation = 4");

#[test]
fn each_change_says_what_happens_to_the_counters_that_exist() {
    let cases: [&[(&str, &str)]; 20] = [
        &[("generation = 3", "generation = 2")],
        &[NEXT],
        &[("kind = \"count\"", "kind = \"count\"\nevents = [\"INSERT\"]")],
        &[NEXT, ("kind = \"count\"", "kind = \"count\"\nevents = [\"INSERT\"]")],
        &[NEXT, ("[[record.measure]]\nname = \"orders\"\nkind = \"count\"\n", "")],
        &[NEXT, ("[record.archive]", "[[record.measure]]\nname = \"open\"\nkind = \"delta\"\n\n[record.archive]")],
        &[("scale = 2", "scale = 1")],
        &[("scale = 2", "scale = 4")],
        &[("scale = 2", "")],
        &[("scale = 2", "scale = 2\nmissing = \"zero\""), NEXT],
        &[("\"{customer}\"\nresource = \"orders\"", "\"{customer}\"\nresource = \"sales\""), NEXT],
        &[("sk = \"ORDER#{order}\" }", "sk = \"ORDER#{order}\" }\nwhere = { status = \"PAID\" }"), NEXT],
        &[("USAGE#{resource}#{window}#{window_start}", "{resource}#{window}#{window_start}")],
        &[("[\"hour\", \"day\"]", "[\"hour\", \"month\"]")],
        &[("hour_days = 90", "hour_days = 30")],
        &[("schema = \"order.avsc\"", "schema = \"order.avsc\"\npartition_date = \"day\"")],
        &[("[record.archive]\nschema = \"order.avsc\"\n", "")],
        &[("type = \"order\"", "type = \"sale\"")],
        &[("[snapshot]", "[archive]\nprefix = \"lake\"\n\n[snapshot]")],
        &[("description = \"Orders\"", "description = \"Sales\"\nsources = [\"orders\"]\nunmatched = \"reject\"")],
    ];
    let mut report = String::new();
    for case in cases {
        let change = case.iter().map(|(from, to)| format!("{from} -> {to}").replace('\n', " | "));
        report.push_str(&format!("# {}\n{}\n\n", change.collect::<Vec<_>>().join("; "), found(case)));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn what_only_looks_different_is_no_change() {
    for case in [
        ("[\"hour\", \"day\"]", "[\"day\", \"hour\"]"),
        ("scale = 2", "scale = 2\nmissing = \"reject\"\nremoved = \"subtract\"\nexpired = \"subtract\"\nfactor = 1"),
        ("schema = \"order.avsc\"", "schema = \"order.avsc\"\nimage = \"newest\""),
        ("description = \"Orders\"", "# A comment.\ndescription = \"Sales\"\nstream = \"dynamodb\""),
    ] {
        assert_eq!(found(&[case]), "", "{case:?}");
    }
}

#[test]
fn the_schemas_are_compared_too() {
    let new = AVSC.replace("\"long\"", "\"string\"");
    let findings = changes(&definition(OLD, AVSC), &definition(OLD, &new));
    let lines: Vec<String> = findings.iter().map(|finding| line("", finding)).collect();
    assert_eq!(
        lines,
        ["unsafe  record type order, total: long becomes string: readers can't convert it; add a new field"]
    );
}

/// The default of `expired` is the value of `removed`, so that writing `subtract` may change what is counted.
#[test]
fn regression_expired_is_compared_with_removed_and_not_with_subtract() {
    let removed = |expired: &str| {
        let text = OLD.replace("scale = 2", &format!("scale = 2\nremoved = \"ignore\"{expired}"));
        definition(&text, AVSC)
    };
    let found = |old: &str, new: &str| {
        let findings = changes(&removed(old), &removed(new));
        findings.iter().map(|finding| line("", finding)).collect::<Vec<_>>().join("\n")
    };
    let (subtract, ignore) = ("\nexpired = \"subtract\"", "\nexpired = \"ignore\"");
    for (old, new) in [("", subtract), (subtract, ""), (ignore, subtract)] {
        let found = found(old, new);
        assert!(
            found.contains("write generation = 4") && found.contains("measure amount: `expired` changed"),
            "{found}"
        );
    }
    assert_eq!(found("", ignore), "");
}

/// It is refused now, so whoever has it must leave it out, which is no reason for a new generation.
#[test]
fn what_had_no_effect_can_be_left_out() {
    for (from, to) in [
        ("kind = \"count\"", "kind = \"count\"\nscale = 2\nmissing = \"zero\"\ncleared = \"ignore\"\nexcept = [\"a\"]"),
        ("scale = 2", "scale = 2\nexcept = [\"a\"]"),
        ("schema = \"order.avsc\"", "schema = \"order.avsc\"\npartition_date_unit = \"milliseconds\""),
    ] {
        let mut useless = definition(OLD, AVSC).folder;
        useless.files.insert("pipeline.toml".to_owned(), OLD.replacen(from, to, 1));
        assert!(Pipeline::parse(&useless).is_err(), "{to}");
        let findings = changes(&Definition::of(useless), &definition(OLD, AVSC));
        assert_eq!(findings.iter().map(|finding| line("", finding)).collect::<Vec<_>>(), [""; 0], "{to}");
    }
}

/// A change that alters amounts needs a higher generation, and one that doesn't needs none.
#[test]
fn the_generation_must_rise_exactly_if_what_is_counted_changes() {
    for (from, to, must_rise) in [
        ("attribute = \"total\"", "attribute = \"net\"", true),
        ("scale = 2", "scale = 2\nfactor = 0.01", true),
        ("kind = \"count\"", "kind = \"count\"\nwhere = { status = \"PAID\" }", true),
        ("entity = \"{customer}\"", "entity = \"{order}\"", true),
        ("type = \"order\"\n", "type = \"order\"\nevents = [\"INSERT\", \"MODIFY\"]\n", true),
        ("type = \"order\"\n", "type = \"order\"\nwindow_time = { attribute = \"ts\", beyond = \"reject\" }\n", true),
        ("[\"hour\", \"day\"]", "[\"hour\", \"day\"]\nclosing = { grace = \"2h\" }", false),
        ("scale = 2", "scale = 3", false),
        ("type = \"order\"", "type = \"sale\"", false),
        ("hour_days = 90", "hour_days = 30", false),
        ("[\"hour\", \"day\"]", "[\"hour\", \"day\", \"month\"]", false),
        ("[record.archive]\nschema = \"order.avsc\"", "", false),
    ] {
        let says = |text: &str| text.contains("write generation = 4");
        assert_eq!(says(&found(&[(from, to)])), must_rise, "{from} -> {to}");
        assert!(!says(&found(&[(from, to), NEXT])), "{from} -> {to}");
    }
}
