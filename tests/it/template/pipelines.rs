//! The pipelines as the template knows them: their facts, and Athena's tables, which are made of their schemas.

use std::collections::BTreeSet;
use std::process::Command;

use laptop::emulators::table_specs;
use serde_json::{Value, json};
use usage_aggregator::config::Config;
use usage_aggregator::pipeline::{Pipeline, shipped, shipped_names};

use super::{file, properties, resources, template};

fn pipelines() -> Vec<Pipeline> {
    shipped_names().into_iter().map(|name| Pipeline::parse(&shipped(name).unwrap()).unwrap()).collect()
}

/// What the mapping `Pipelines` must contain for a pipeline.
fn facts(pipeline: &Pipeline) -> Value {
    let config = Config::read(|name| match name {
        "PIPELINE" => Some(pipeline.name.clone()),
        "USAGE_TABLE" | "LEDGER_TABLE" | "ARCHIVE_BUCKET" => Some(name.to_owned()),
        _ => None,
    })
    .unwrap();
    let specs = table_specs(&config);
    let usage = specs.iter().find(|spec| spec.name == "USAGE_TABLE");
    json!({
        "Counts": usage.is_some().to_string(),
        "Indicators": (!pipeline.indicators.is_empty()).to_string(),
        "ArchivePrefix": pipeline.archive_prefix,
        "PartitionKey": usage.map_or("-", |spec| spec.partition_key),
        "SortKey": usage.map_or("-", |spec| spec.sort_key.unwrap()),
        "TimeToLive": usage.map_or("-", |spec| spec.ttl_attribute.unwrap()),
    })
}

#[test]
fn every_pipeline_can_be_chosen_and_its_facts_are_right() {
    assert_eq!(template()["Parameters"]["Pipeline"]["AllowedValues"], json!(shipped_names()));
    let mapping = template()["Mappings"]["Pipelines"].as_object().unwrap();
    assert_eq!(mapping.len(), shipped_names().len());
    for pipeline in pipelines() {
        assert_eq!(mapping[&pipeline.name], facts(&pipeline), "{}", pipeline.name);
    }
}

/// A Kinesis stream doesn't name the table, so without its name, the role may not keep indicators on it.
#[test]
fn a_pipeline_with_indicators_needs_the_name_of_the_table_behind_a_kinesis_stream() {
    let rule = &template()["Rules"]["IndicatorsNameTheirTable"];
    let [chosen, source] = &rule["RuleCondition"]["Fn::And"].as_array().unwrap()[..] else { panic!("{rule}") };
    let chosen: BTreeSet<&str> =
        chosen["Fn::Or"].as_array().unwrap().iter().map(|name| name["Fn::Equals"][1].as_str().unwrap()).collect();
    let pipelines = pipelines();
    let with = pipelines.iter().filter(|pipeline| !pipeline.indicators.is_empty());
    assert_eq!(chosen, with.map(|pipeline| pipeline.name.as_str()).collect());
    assert_eq!(source["Fn::Equals"], json!([{ "Ref": "SourceType" }, "KinesisStream"]));
    let named = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "IndicatorTableName" }, ""] }] });
    assert_eq!(rule["Assertions"][0]["Assert"], named);
}

#[test]
fn the_ledger_table_has_the_keys_that_pages_are_written_under() {
    let config = Config::read(|name| match name {
        "PIPELINE" => Some("orders".to_owned()),
        "USAGE_TABLE" | "LEDGER_TABLE" | "ARCHIVE_BUCKET" => Some(name.to_owned()),
        _ => None,
    })
    .unwrap();
    let specs = table_specs(&config);
    let ledger = specs.iter().find(|spec| spec.name == "LEDGER_TABLE").unwrap();
    let table = properties("LedgerTable");
    let key = |name, kind| json!({ "AttributeName": name, "KeyType": kind });
    assert_eq!(table["KeySchema"], json!([key(ledger.partition_key, "HASH"), key(ledger.sort_key.unwrap(), "RANGE")]));
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], ledger.ttl_attribute.unwrap());
}

#[test]
fn what_usagectl_makes_of_the_schemas_is_in_the_template() {
    let output = Command::new(env!("CARGO_BIN_EXE_usagectl")).args(["schema", "glue"]).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made = String::from_utf8(output.stdout).unwrap();
    let template = file("template.yaml");
    let written = template.split_once("# glue: begin").unwrap().1.split_once("# glue: end").unwrap().0;
    let (_, written) = written.split_once('\n').unwrap();
    assert!(written.trim() == made.trim(), "the schemas have changed: run `make glue`");
}

#[test]
fn every_schema_is_a_table_with_its_very_literal() {
    let literal = |table: &'static Value| {
        table["TableInput"]["StorageDescriptor"]["SerdeInfo"]["Parameters"]["avro.schema.literal"].as_str()
    };
    let tables: BTreeSet<(&str, &str)> = resources("AWS::Glue::Table")
        .into_iter()
        .filter_map(|(_, table)| Some((table["TableInput"]["Name"].as_str().unwrap(), literal(table)?)))
        .collect();
    let pipelines = pipelines();
    let schemas: BTreeSet<(&str, &str)> =
        pipelines.iter().flat_map(Pipeline::schemas).map(|(name, schema)| (name, schema.json())).collect();
    assert_eq!(tables, schemas);
    for (name, literal) in tables {
        // By another way: the file itself.
        let folder = pipelines.iter().find(|pipeline| pipeline.schemas().any(|(other, _)| other == name)).unwrap();
        let avsc: Value = serde_json::from_str(&file(&format!("schemas/{}/{name}.avsc", folder.name))).unwrap();
        assert_eq!(serde_json::from_str::<Value>(literal).unwrap(), avsc, "{name}");
    }
}

#[test]
fn partitions_are_projected_where_the_function_puts_files() {
    for (id, table) in resources("AWS::Glue::Table") {
        let input = &table["TableInput"];
        if input["TableType"] == "VIRTUAL_VIEW" {
            continue;
        }
        let name = input["Name"].as_str().unwrap();
        let serde = input["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].as_str().unwrap();
        let (folder, name) = match name.strip_suffix("_compacted") {
            Some(name) => ("parquet", name),
            None => ("avro", name),
        };
        assert!(serde.to_lowercase().contains(&format!(".{folder}.")), "{id}: {serde}");
        let parameters = &input["Parameters"];
        assert_eq!(parameters["projection.enabled"], "true", "{id}");
        assert_eq!(input["PartitionKeys"], json!([{ "Name": "partition_date", "Type": "string" }]), "{id}");
        let place = parameters["storage.location.template"]["Fn::Sub"][0].as_str().unwrap();
        assert_eq!(
            place,
            format!("s3://${{ArchiveBucket}}/${{Prefix}}/{folder}/{name}/partition_date=${{!partition_date}}")
        );
    }
}

/// The runbook created and configured a lost usage table with the keys and the expiry of the shipped pipelines, whatever the pipeline was.
#[test]
fn regression_the_runbook_takes_the_keys_of_the_usage_table_from_the_stack() {
    let operations = file("docs/operations.md");
    let (_, section) = operations.split_once("\n### Restore the usage table\n").expect("the section");
    let section = section.split("\n### ").next().unwrap();
    assert!(section.contains("TemplateBody.Mappings.Pipelines."), "it reads no mapping");
    assert!(section.contains("--table-name \"$usage\" --billing-mode PAY_PER_REQUEST"), "it creates no table");
    for fixed in ["AttributeName=expires_at", "AttributeName=pk", "AttributeName=sk"] {
        assert!(!section.contains(fixed), "{fixed} is right for some pipelines only");
    }
    for name in ["PartitionKey", "SortKey", "TimeToLive"] {
        assert!(section.contains(&format!("\"$(key {name})\"")), "{name}");
        for (pipeline, facts) in template()["Mappings"]["Pipelines"].as_object().unwrap() {
            assert!(facts[name].is_string(), "{pipeline} has no {name}");
        }
    }
}
