//! What indicators say, and what contradicts them.

use crate::pipeline::{Folder, Indicator, IndicatorKind, MissingTarget, Mistakes, Pipeline};

const PIPELINE: &str = r##"
[[record]]
type = "finding"
match = { pk = "GROUP#{group}", sk = "FINDING#{finding}" }
bind = { tenant = "tenant" }

[[record]]
type = "group"
match = { pk = "GROUP#{group}", sk = "GROUP" }
bind = { tenant = "tenant" }

[[record]]
type = "scan"
match = { pk = "SCAN#{scan}" }
events = ["INSERT"]
"##;

const INDICATOR: &str = r##"
[[indicator]]
name = "findings"
records = ["finding"]
target = { pk = "GROUP#{group}", sk = "GROUP" }
query = { pk = "GROUP#{group}", sk = { prefix = "FINDING#" } }

[[indicator.value]]
name = "open"
kind = "count"
where = { status = { not = ["closed"] } }
"##;

fn parsed(text: &str) -> Result<Vec<Indicator>, Mistakes> {
    let files = [("pipeline.toml".to_owned(), text.to_owned())].into();
    Ok(Pipeline::parse(&Folder { name: "findings".to_owned(), files })?.indicators)
}

/// What is wrong with the pipeline if it has this indicator besides its records.
fn mistakes(indicator: &str) -> String {
    parsed(&format!("{PIPELINE}{indicator}")).map(|_| ()).unwrap_err().to_string()
}

fn with(from: &str, to: &str) -> String {
    assert!(INDICATOR.contains(from), "{from}");
    INDICATOR.replacen(from, to, 1)
}

#[test]
fn an_indicator_has_usual_settings() {
    let indicators = parsed(&format!("{PIPELINE}{INDICATOR}")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let [indicator] = indicators.as_slice() else { panic!("{indicators:?}") };
    assert_eq!((indicator.attribute.as_str(), indicator.max_items), ("indicators", 10_000));
    assert_eq!(indicator.missing_target, MissingTarget::Skip);
    assert_eq!(indicator.query.index, None);
    assert_eq!(indicator.variables, ["group"]);
    assert_eq!(indicator.target_text(), "pk = GROUP#{group}, sk = GROUP");
}

#[test]
fn every_kind_has_the_attributes_that_it_needs() {
    let values = [
        ("kind = \"count\"", IndicatorKind::Count),
        ("kind = \"count_by\"\nattribute = \"a.b\"", IndicatorKind::CountBy("a.b".to_owned())),
        ("kind = \"sum\"\nattribute = \"a\"", IndicatorKind::Sum("a".to_owned())),
        ("kind = \"min\"\nattribute = \"a\"", IndicatorKind::Min("a".to_owned())),
        ("kind = \"max\"\nattribute = \"a\"", IndicatorKind::Max("a".to_owned())),
        ("kind = \"newest\"\nby = \"t\"", IndicatorKind::Newest("t".to_owned())),
        ("kind = \"oldest\"\nby = \"t\"", IndicatorKind::Oldest("t".to_owned())),
        ("kind = \"distinct\"\nattribute = \"a\"", IndicatorKind::Distinct("a".to_owned())),
        ("kind = \"any\"", IndicatorKind::Any),
        ("kind = \"all\"\nwhere = { a = 1 }", IndicatorKind::All),
        (
            "kind = \"latest\"\nattribute = \"a\"\nby = \"t\"",
            IndicatorKind::Latest { attribute: "a".to_owned(), by: "t".to_owned() },
        ),
    ];
    for (text, kind) in values {
        let text = format!("{PIPELINE}{}[[indicator.value]]\nname = \"x\"\n{text}\n", INDICATOR);
        let indicators = parsed(&text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(indicators[0].values[1].kind, kind);
    }
}

#[test]
fn every_mistake_says_what_to_write_instead() {
    let another = INDICATOR.replace("\"findings\"", "\"others\"");
    let value = |value: &str| format!("{INDICATOR}\n[[indicator.value]]\n{value}\n");
    let cases = [
        with("name = \"findings\"", ""),
        with("records = [\"finding\"]", ""),
        with("records = [\"finding\"]", "records = []"),
        with("records = [\"finding\"]", "records = [\"findings\"]"),
        with("records = [\"finding\"]", "records = [\"finding\", \"finding\"]"),
        with("records = [\"finding\"]", "records = [\"scan\"]"),
        with("records = [\"finding\"]", "records = [\"finding\", \"group\"]"),
        with("target = { pk = \"GROUP#{group}\", sk = \"GROUP\" }", ""),
        with("target = { pk = \"GROUP#{group}\"", "target = { pk = \"GROUP#{grup}\""),
        with("sk = \"GROUP\" }", "sk = 7 }"),
        with("sk = \"GROUP\" }", "sk = \"GROUP\", x = \"y\" }"),
        with("query = { pk = \"GROUP#{group}\", sk = { prefix = \"FINDING#\" } }", ""),
        with("sk = { prefix = \"FINDING#\" }", "sk = { prefix = \"\" }"),
        with("sk = { prefix = \"FINDING#\" }", "sk = { prefx = \"FINDING#\" }"),
        with("sk = { prefix = \"FINDING#\" }", "sk = \"FINDING#\""),
        with("sk = { prefix = \"FINDING#\" }", "sk = { prefix = \"FINDING#{finding}\" }"),
        with("sk = { prefix = \"FINDING#\" }", "sk = { prefix = \"REPORT#\" }"),
        with(", sk = { prefix = \"FINDING#\" }", "").replace("[\"finding\"]", "[\"group\"]"),
        with("records", "attribute = \"a.b\"\nrecords"),
        with("records", "attribute = \"pk\"\nrecords"),
        with("records", "missing_target = \"ignore\"\nrecords"),
        with("records", "max_items = 0\nrecords"),
        with("records", "max_item = 5\nrecords"),
        with(
            "\n[[indicator.value]]\nname = \"open\"\nkind = \"count\"\nwhere = { status = { not = [\"closed\"] } }\n",
            "",
        ),
        with("\"open\"", "\"version\""),
        with("\"open\"", "\"a.b\""),
        with("kind = \"count\"", "kind = \"counts\""),
        with("kind = \"count\"", "kinds = \"count\""),
        with("kind = \"count\"", "kind = \"count\"\nattribute = \"a\""),
        with("kind = \"count\"", "kind = \"sum\""),
        with("kind = \"count\"", "kind = \"latest\"\nattribute = \"a\""),
        with("kind = \"count\"", "kind = \"newest\"\nattribute = \"a\"\nby = \"t\""),
        value("name = \"open\"\nkind = \"count\""),
        value("name = \"done\"\nkind = \"all\""),
        format!("{INDICATOR}{INDICATOR}"),
        format!("{INDICATOR}{another}"),
    ];
    let said: Vec<String> = cases.iter().map(|case| mistakes(case)).collect();
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn a_plain_kinesis_stream_has_no_table_for_indicators() {
    let text = format!("stream = \"kinesis\"\n{PIPELINE}{INDICATOR}");
    let mistakes = parsed(&text).unwrap_err().to_string();
    assert!(mistakes.contains("needs the changes of a table"), "{mistakes}");
}

#[test]
fn two_indicators_of_one_target_have_maps_of_their_own() {
    let other = INDICATOR.replace("\"findings\"", "\"others\"").replace("records", "attribute = \"other\"\nrecords");
    assert!(parsed(&format!("{PIPELINE}{INDICATOR}{other}")).is_ok());
}

/// Findings of a group, groups of a tenant, and optionally something that the groups of a tenant have from it.
fn chain(back: &str) -> String {
    format!(
        r##"{PIPELINE}{INDICATOR}
[[indicator]]
name = "tenants"
records = ["group"]
index = "by-tenant"
target = {{ pk = "TENANT#{{tenant}}", sk = "TENANT" }}
query = {{ tenant = "{{tenant}}" }}

[[indicator.value]]
name = "open"
kind = "sum"
attribute = "indicators.open"
{back}"##
    )
}

#[test]
fn indicators_may_feed_each_other_without_a_cycle() {
    parsed(&chain("")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
}

#[test]
fn a_cycle_is_spelled_out() {
    // The parent of a group is a group as well.
    let tree = r##"
[[indicator]]
name = "parents"
records = ["group"]
attribute = "below"
index = "by-parent"
target = { pk = "GROUP#{tenant}", sk = "GROUP" }
query = { parent = "{tenant}" }

[[indicator.value]]
name = "groups"
kind = "sum"
attribute = "below.groups"
"##;
    let back = r##"
[[indicator.value]]
name = "share"
kind = "max"
attribute = "of_tenant.open"

[[record]]
type = "tenant"
match = { pk = "TENANT#{tenant}", sk = "TENANT" }
bind = { group = "group" }

[[indicator]]
name = "back"
records = ["tenant"]
attribute = "of_tenant"
index = "by-group"
target = { pk = "GROUP#{group}", sk = "GROUP" }
query = { group = "{group}" }

[[indicator.value]]
name = "open"
kind = "sum"
attribute = "indicators.open"
"##;
    let said = [tree, back].map(|more| parsed(&chain(more)).unwrap_err().to_string());
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn regression_a_record_type_of_the_targets_can_not_count_by_the_map() {
    let snapshot = "[snapshot]\nwindows = [\"total\"]\npartition_key = { name = \"pk\", value = \"U#{entity}\" }\nsort_key = { name = \"sk\", value = \"{resource}#{window_key}\" }\n";
    let counter = "entity = \"{group}\"\nresource = \"groups\"\n[[record.measure]]\nname = \"open\"\n";
    // Each of them at the end of a record type.
    let entries = [
        "where = { \"indicators.open\" = { gt = 0 } }\n".to_owned(),
        format!("{counter}kind = \"level\"\nattribute = \"indicators.open\"\n"),
        format!("{counter}kind = \"level\"\nwhere = {{ \"indicators.open\" = {{ gt = 0 }}, title = \"x\" }}\n"),
        format!("{counter}kind = \"weighted\"\nattribute = \"seats\"\nsince = \"indicators.newest\"\n"),
        format!(
            "window_time = {{ attribute = \"indicators.newest\", beyond = \"reject\" }}\n{counter}kind = \"count\"\n"
        ),
    ];
    let with = |record_type: &str, entry: &str| {
        let end = format!("type = \"{record_type}\"\n");
        assert!(PIPELINE.contains(&end));
        let (before, after) = PIPELINE.split_once(&end).unwrap();
        let (keys, rest) = after.split_once("\n\n").unwrap();
        parsed(&format!("{snapshot}{before}{end}{keys}\n{entry}\n{rest}{INDICATOR}"))
    };
    for entry in &entries {
        // Findings are never targets.
        with("finding", entry).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let mistakes = with("group", entry).unwrap_err().to_string();
        assert!(mistakes.contains("the record type \"group\" reads `indicators."), "{mistakes}");
        assert!(mistakes.contains("its writes are never counted"), "{mistakes}");
        with("group", &entry.replace("indicators.", "indicators2.")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    }
    let bound = PIPELINE.replace(
        "bind = { tenant = \"tenant\" }\n\n[[record]]\ntype = \"scan\"",
        "bind = { tenant = \"indicators.open\" }\n\n[[record]]\ntype = \"scan\"",
    );
    let mistakes = parsed(&format!("{bound}{INDICATOR}")).unwrap_err().to_string();
    assert!(mistakes.contains("reads `indicators.open`"), "{mistakes}");
    let matched = PIPELINE.replace("sk = \"GROUP\" }", "sk = \"GROUP\", \"indicators.open\" = 1 }");
    let mistakes = parsed(&format!("{matched}{INDICATOR}")).unwrap_err().to_string();
    assert!(mistakes.contains("reads `indicators.open`"), "{mistakes}");
}
