//! The whole result of a load that went through the local mapping: snapshots, indicators, rows, and the proof.

use std::collections::{BTreeMap, HashMap};

use apache_avro::types::Value as Avro;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{self, Services};
use serde_json::{Map, Value, json};
use usage_aggregator::decimal::Decimal;

use crate::fixture::Fixture;
use crate::world::{StoredItem, rows};

/// What a run of this load has left in its data folder.
async fn result_of(load: &str, entities: &str) -> Value {
    let fixture = Fixture::new();
    let amount = ["--records", "120", "--rate", "0", "--entities", entities, "--polling-interval", "100"];
    let run = fixture.run(&[&["local", "--json", "--pipeline", load, "--simulate", load], &amount[..]].concat());
    let end: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    let proof = &end["reconcile"];
    assert_eq!((run.code, &proof["difference_count"]), (Some(0), &json!(0)), "{end:#} {}", run.stderr);

    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let sdk = emulators::sdk_config(None);
    let client = services.dynamodb_client(&sdk);
    let scan = async |table: String| -> Vec<StoredItem> {
        let pages = client.scan().table_name(table).consistent_read(true).into_paginator();
        pages.items().send().try_collect().await.unwrap()
    };
    json!({
        "proof": { "counted": records(&proof["counted"]), "archived": records(&proof["archived"]), "indicators": proof["indicators"] },
        "indicators": indicators(&scan(load.to_owned()).await),
        "usage": usage(&scan(format!("{load}-usage")).await),
        "rows": archived(&services.s3_client(&sdk)).await,
    })
}

/// The numbers of records. How many windows they are in, and how often a row is in another file, differ from run to run.
fn records(proof: &Value) -> Value {
    json!({ "records": proof["records"], "agreeing_records": proof["agreeing_records"] })
}

/// The map of each item that has one, without the texts that name its writes.
fn indicators(items: &[StoredItem]) -> Value {
    let maps = items.iter().filter_map(|item| {
        let name = format!("{} {}", item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap());
        let mut map = notation(item.get("indicators")?);
        map.as_object_mut().unwrap().retain(|name, _| name != "version" && name != "previous");
        Some((name, map))
    });
    Value::Object(maps.collect::<BTreeMap<_, _>>().into_iter().collect())
}

/// The sums of the snapshots of each entity and kind of window. A run may end in another window than it began in.
fn usage(items: &[StoredItem]) -> Value {
    let mut sums: BTreeMap<String, BTreeMap<String, Decimal>> = BTreeMap::new();
    for item in items {
        let text = |name: &str| item[name].as_s().unwrap().as_str();
        let of_window = sums.entry(format!("{} {} {}", text("entity"), text("resource"), text("window"))).or_default();
        for (name, value) in item.iter().filter(|(name, _)| *name != "expires_at") {
            if let AttributeValue::N(number) = value {
                let sum = of_window.entry(name.clone()).or_default();
                *sum = sum.checked_add(Decimal::parse(number).unwrap()).unwrap();
            }
        }
    }
    let text = |sums: BTreeMap<String, Decimal>| -> Map<String, Value> {
        sums.into_iter().map(|(name, sum)| (name, sum.to_string().into())).collect()
    };
    sums.into_iter().map(|(name, sums)| (name, Value::Object(text(sums)))).collect::<Map<_, _>>().into()
}

/// The number of distinct rows of each record type.
async fn archived(client: &aws_sdk_s3::Client) -> Value {
    let mut ids: HashMap<String, std::collections::BTreeSet<String>> = HashMap::new();
    let mut pages = client.list_objects_v2().bucket("archive").into_paginator().send();
    while let Some(page) = pages.next().await {
        for key in page.unwrap().contents().iter().filter_map(|object| object.key()) {
            let (_, record_type) = key.split_once("/avro/").unwrap();
            let (record_type, _) = record_type.split_once('/').unwrap();
            let object = client.get_object().bucket("archive").key(key).send().await.unwrap();
            let ids = ids.entry(record_type.to_owned()).or_default();
            for row in rows(&object.body.collect().await.unwrap().to_vec()) {
                let Avro::String(id) = &row["record_id"] else { panic!("{row:?}") };
                ids.insert(id.clone());
            }
        }
    }
    let counts: BTreeMap<String, Value> = ids.into_iter().map(|(name, ids)| (name, ids.len().into())).collect();
    Value::Object(counts.into_iter().collect())
}

/// Numbers as text, so that all digits show.
fn notation(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => json!(text),
        AttributeValue::Bool(truth) => json!(truth),
        AttributeValue::M(map) => {
            let entries: BTreeMap<String, Value> =
                map.iter().map(|(name, value)| (name.clone(), notation(value))).collect();
            Value::Object(entries.into_iter().collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_through_the_local_mapping() {
    insta::assert_json_snapshot!(result_of("orders", "4").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_through_the_local_mapping() {
    insta::assert_json_snapshot!(result_of("findings", "3").await);
}
