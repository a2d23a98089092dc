//! Writes table exports as DynamoDB does.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::table::Table;
use crate::world::StoredItem;

/// An item as DynamoDB JSON.
fn item(item: &StoredItem) -> Value {
    let attribute = |value: &AttributeValue| match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        other => panic!("unexpected {other:?}"),
    };
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

/// The items of a table now, by key.
pub type Picture = BTreeMap<String, Value>;

/// The items of a table now.
pub async fn picture(table: &Table) -> Picture {
    let scan = table.world.dynamodb.scan().table_name(&table.name).consistent_read(true);
    let items: Vec<StoredItem> = scan.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap();
    items.iter().map(|stored| (stored["sk"].as_s().unwrap().clone(), item(stored))).collect()
}

fn md5(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(md5::compute(bytes).0)
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Writes an export of these lines, in this many files, and returns its folder.
fn write(table: &Table, id: &str, lines: &[impl Display], files: usize, times: &Value) -> PathBuf {
    let folder = table.fixture.0.path().join("AWSDynamoDB").join(id);
    std::fs::create_dir_all(folder.join("data")).unwrap();
    let mut manifest = String::new();
    for file in 0..files {
        let lines: Vec<_> = lines.iter().skip(file).step_by(files).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        lines.iter().for_each(|line| writeln!(gzip, "{line}").unwrap());
        let content = gzip.finish().unwrap();
        let name = format!("AWSDynamoDB/{id}/data/part{file}.json.gz");
        let entry = json!({
            "itemCount": lines.len(), "md5Checksum": md5(&content), "etag": "af83d6f217c19b8b0fff8023d8ca4716-1",
            "dataFileS3Key": name,
        });
        manifest.push_str(&format!("{entry}\n"));
        std::fs::write(folder.join(format!("data/part{file}.json.gz")), content).unwrap();
    }
    let arn = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{}", table.name);
    let mut summary = json!({
        "version": "2020-06-30", "exportArn": format!("{arn}/export/{id}"), "startTime": now(), "endTime": now(),
        "tableArn": arn, "tableId": "12345a12-abcd-123a-ab12-1234abc12345", "s3Bucket": "exports", "s3Prefix": null,
        "s3SseAlgorithm": "AES256", "s3SseKmsKeyId": null,
        "manifestFilesS3Key": format!("AWSDynamoDB/{id}/manifest-files.json"), "billedSizeBytes": 0,
        "itemCount": lines.len(), "outputFormat": "DYNAMODB_JSON",
    });
    for (name, value) in times.as_object().unwrap() {
        summary[name] = value.clone();
    }
    put_manifests(&folder, &manifest, &summary.to_string());
    folder
}

/// Writes the manifests and their checksums.
pub fn put_manifests(folder: &Path, files: &str, summary: &str) {
    for (name, content) in [("manifest-files", files), ("manifest-summary", summary)] {
        std::fs::write(folder.join(format!("{name}.json")), content).unwrap();
        std::fs::write(folder.join(format!("{name}.md5")), md5(content.as_bytes())).unwrap();
    }
}

/// A full export of a picture that was taken now.
pub fn full(table: &Table, id: &str, picture: &Picture) -> PathBuf {
    let lines: Vec<Value> = picture.values().map(|item| json!({ "Item": item })).collect();
    write(table, id, &lines, 3, &json!({ "exportTime": now(), "exportType": "FULL_EXPORT" }))
}

/// An incremental export of what changed between two pictures, the second of which was taken now.
pub fn incremental(table: &Table, id: &str, before: &Picture, after: &Picture, from: &str) -> PathBuf {
    let keys = |item: &Value| json!({ "pk": item["pk"], "sk": item["sk"] });
    let metadata = json!({ "WriteTimestampMicros": { "N": "1680109764000000" } });
    let mut lines = Vec::new();
    for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
        let (old, new) = (before.get(key), after.get(key));
        if old == new {
            continue;
        }
        let mut line = json!({ "Metadata": metadata, "Keys": keys(old.or(new).unwrap()) });
        for (name, image) in [("OldImage", old), ("NewImage", new)] {
            if let Some(image) = image {
                line[name] = image.clone();
            }
        }
        lines.push(line);
    }
    let times = json!({
        "exportFromTime": from, "exportToTime": now(), "exportType": "INCREMENTAL_EXPORT",
        "outputView": "NEW_AND_OLD_IMAGES",
    });
    write(table, id, &lines, 2, &times)
}

/// A full export of a picture that was taken now, in Amazon Ion.
pub fn full_in_ion(table: &Table, id: &str, picture: &Picture) -> PathBuf {
    let value = |value: &Value| match value["N"].as_str() {
        Some(number) => format!("{number}."),
        None => value["S"].to_string(),
    };
    let line = |item: &Value| {
        let fields = item.as_object().unwrap().iter().map(|(name, of)| format!("{name}:{}", value(of)));
        format!("$ion_1_0 {{Item:{{{}}}}}", fields.collect::<Vec<_>>().join(","))
    };
    let lines: Vec<String> = picture.values().map(line).collect();
    let times = json!({ "exportTime": now(), "exportType": "FULL_EXPORT", "outputFormat": "ION" });
    write(table, id, &lines, 3, &times)
}

/// The time of a full export.
pub fn time_of(folder: &Path) -> String {
    let summary = std::fs::read(folder.join("manifest-summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    summary["exportTime"].as_str().unwrap().to_owned()
}
