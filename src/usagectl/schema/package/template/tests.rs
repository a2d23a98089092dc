//! The committed template with your own pipeline, and names that are refused.

use super::*;
use usage_aggregator::pipeline::shipped;

const TEMPLATE: &str = include_str!("../../../../../template.yaml");

fn with(folder: &Folder) -> anyhow::Result<String> {
    let pipeline = Pipeline::parse(folder)?;
    let resources = crate::schema::glue::pipeline_resources(folder)?;
    packaged(TEMPLATE, "x86_64", Some(&Own { folder, pipeline: &pipeline, resources }))
}

fn named(name: &str) -> Folder {
    Folder { name: name.to_owned(), ..shipped("orders").unwrap() }
}

#[test]
fn only_the_own_pipeline_is_in_the_template() {
    let text = with(&named("mine")).unwrap();
    for line in [
        "    Default: 'mine'",
        "    AllowedPattern: ^mine$",
        "    AllowedValues: [x86_64]",
        "    'mine': { Counts: 'true', Indicators: 'true', ArchivePrefix: 'data-pipeline', PartitionKey: 'pk', SortKey: 'sk', TimeToLive: 'expires_at' }",
        "  IsMine: !Equals [!Ref Pipeline, 'mine']",
        "        PIPELINE: ''",
        "        PIPELINE_DIR: /var/task/pipeline/mine",
        "      CodeUri: ./function",
        "      CodeUri: ./compact",
        "  MineOrderTable:",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    for word in ["alleycat", "IsOrders", "IsDemand", "OrdersOrder", "ApiUsage", "BuildMethod", "LimiterHasItsTable"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn everything_else_in_the_template_stays_as_it_is() {
    let text = with(&named("mine")).unwrap();
    let outside = |text: &str| {
        let (before, rest) = text.split_once("  # glue: begin").unwrap();
        format!("{before}{}", rest.split_once("  # glue: end").unwrap().1)
    };
    let (old, new) = (outside(TEMPLATE), outside(&text));
    let kept: BTreeSet<&str> = new.lines().collect();
    let changed: Vec<&str> = old.lines().filter(|line| !kept.contains(line)).collect();
    insta::assert_snapshot!(changed.join("\n"));
}

#[test]
fn without_a_pipeline_all_shipped_ones_can_be_chosen() {
    let text = packaged(TEMPLATE, "arm64", None).unwrap();
    assert!(text.contains("AllowedValues: [alleycat,") && text.contains("PIPELINE: !Ref Pipeline"));
    assert!(text.contains("CodeUri: ./function") && !text.contains("CodeUri: .\n") && !text.contains(CARRIED));
    // A release is such a template.
    assert_eq!(packaged(&text, "arm64", None).unwrap(), text);
}

#[test]
fn a_pipeline_of_kinesis_messages_needs_a_kinesis_stream() {
    let text = with(&Folder { name: "race".to_owned(), ..shipped("alleycat").unwrap() }).unwrap();
    assert!(text.contains("RuleCondition: !Equals [!Ref Pipeline, race]"), "the rule is missing");
}

#[test]
fn a_pipeline_with_indicators_names_the_table_of_a_kinesis_stream() {
    let rule = "    RuleCondition: !And [!Equals [!Ref Pipeline, 'mine'], !Equals [!Ref SourceType, KinesisStream]]";
    let text = with(&named("mine")).unwrap();
    assert!(text.contains(&format!("  IndicatorsNameTheirTable:\n{rule}\n    Assertions:\n")), "the rule is missing");
    let without = with(&Folder { name: "api".to_owned(), ..shipped("api-usage").unwrap() }).unwrap();
    assert!(!without.contains("IndicatorsNameTheirTable"), "a rule about nothing");
}

#[test]
fn a_copy_of_the_limiters_pipeline_keeps_the_limiters_settings() {
    let text = with(&shipped("zae-limiter").unwrap()).unwrap();
    assert_eq!(text.matches("  IsZaeLimiter: !Equals [!Ref Pipeline, zae-limiter]").count(), 1);
    assert!(text.contains("LimiterHasItsTable"), "the rule is missing");
}

#[test]
fn a_pipeline_without_sort_key_or_expiry_has_a_table_without_them() {
    let toml = "[snapshot]\nwindows = [\"day\"]\npartition_key = { name = \"id\", value = \"{entity}#{resource}#{window}#{window_start}\" }\n\
        [[record]]\ntype = \"visit\"\nmatch = { pk = \"V#{visit}\" }\nentity = \"{visit}\"\nresource = \"visits\"\n\
        [[record.measure]]\nname = \"visits\"\nkind = \"count\"\n";
    let files = [("pipeline.toml".to_owned(), toml.to_owned())].into();
    let text = with(&Folder { name: "visits".to_owned(), files }).unwrap();
    let (_, table) = text.split_once("\n  UsageTable:").unwrap();
    let (table, _) = table.split_once("\n  LedgerTable:").unwrap();
    assert!(!table.contains("SortKey") && !table.contains("TimeToLive"), "{table}");
}

#[test]
fn a_name_that_is_taken_in_the_template_is_refused() {
    let refused = with(&named("kinesis")).unwrap_err().to_string();
    assert!(refused.contains("makes a second IsKinesis") && refused.contains("rename its folder"), "{refused}");
}

#[test]
fn a_template_of_another_version_is_refused() {
    let old = TEMPLATE.replace("PIPELINE_DIR: ''", "");
    let folder = named("mine");
    let pipeline = Pipeline::parse(&folder).unwrap();
    let own = Own { folder: &folder, pipeline: &pipeline, resources: String::new() };
    let refused = packaged(&old, "arm64", Some(&own)).unwrap_err().to_string();
    assert!(refused.starts_with("PIPELINE_DIR is missing"), "{refused}");
}

#[cfg(feature = "deployment")]
#[test]
fn the_template_carries_the_pipeline() {
    use crate::stack::carried;
    let folder = named("mine");
    assert_eq!(carried(&with(&folder).unwrap()).unwrap(), Some(folder));
    assert_eq!(carried(TEMPLATE).unwrap(), None);
}
