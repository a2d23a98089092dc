//! Writes table exports as DynamoDB does, in its JSON or in Ion.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use laptop::emulators::ensure_bucket;
use serde_json::{Value, json};

use super::table::Table;
use crate::readers::python;
use crate::world::StoredItem;

/// How an export writes items.
#[derive(Clone, Copy, PartialEq)]
pub enum Format {
    Json,
    Ion,
}

/// An item as DynamoDB JSON.
fn item(item: &StoredItem) -> Value {
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(value: &AttributeValue) -> Value {
    let binary = |bytes: &Blob| BASE64_STANDARD.encode(bytes);
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::B(bytes) => json!({ "B": binary(bytes) }),
        AttributeValue::Bool(truth) => json!({ "BOOL": truth }),
        AttributeValue::Null(_) => json!({ "NULL": true }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(attribute).collect::<Vec<_>>() }),
        AttributeValue::M(map) => json!({ "M": item(map) }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(list) => json!({ "BS": list.iter().map(binary).collect::<Vec<_>>() }),
        other => panic!("unexpected {other:?}"),
    }
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

/// These lines in Ion, by Amazon's own library.
fn in_ion(lines: &str) -> String {
    let script = crate::repository().join("tests/ion.py");
    let mut command = Command::new(python());
    let mut process = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Writes an export of these lines, in this many files, and returns its folder. The files are in the folder of the export, or for
/// an incremental one in a folder that all of them share.
fn write(table: &Table, id: &str, format: Format, lines: &[Value], files: usize, times: &Value) -> PathBuf {
    let root = table.fixture.0.path().join("AWSDynamoDB");
    let folder = root.join(id);
    let data = if times["exportToTime"].is_null() { format!("{id}/data") } else { "data".to_owned() };
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all(root.join(&data)).unwrap();
    let mut manifest = String::new();
    for file in 0..files {
        let lines: Vec<_> = lines.iter().skip(file).step_by(files).map(|line| format!("{line}\n")).collect();
        let (content, ending) = match format {
            Format::Json => (lines.concat(), "json"),
            Format::Ion => (in_ion(&lines.concat()), "ion"),
        };
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(content.as_bytes()).unwrap();
        let content = gzip.finish().unwrap();
        let name = format!("{data}/{id}{file}.{ending}.gz");
        let entry = json!({
            "itemCount": lines.len(), "md5Checksum": md5(&content), "etag": "af83d6f217c19b8b0fff8023d8ca4716-1",
            "dataFileS3Key": format!("AWSDynamoDB/{name}"),
        });
        manifest.push_str(&format!("{entry}\n"));
        std::fs::write(root.join(name), content).unwrap();
    }
    let arn = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{}", table.name);
    let mut summary = json!({
        "version": "2020-06-30", "exportArn": format!("{arn}/export/{id}"), "startTime": now(), "endTime": now(),
        "tableArn": arn, "tableId": "12345a12-abcd-123a-ab12-1234abc12345", "s3Bucket": "exports", "s3Prefix": null,
        "s3SseAlgorithm": "AES256", "s3SseKmsKeyId": null,
        "manifestFilesS3Key": format!("AWSDynamoDB/{id}/manifest-files.json"), "billedSizeBytes": 0,
        "itemCount": lines.len(), "outputFormat": if format == Format::Ion { "ION" } else { "DYNAMODB_JSON" },
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
    full_in(Format::Json, table, id, picture)
}

/// The same in any format.
pub fn full_in(format: Format, table: &Table, id: &str, picture: &Picture) -> PathBuf {
    let lines: Vec<Value> = picture.values().map(|item| json!({ "Item": item })).collect();
    write(table, id, format, &lines, 3, &json!({ "exportTime": now(), "exportType": "FULL_EXPORT" }))
}

/// What incremental exports show.
#[derive(Clone, Copy, PartialEq)]
pub enum View {
    NewImage,
    NewAndOldImages,
}

/// An incremental export of what changed between two pictures, the second of which was taken now. What was inserted and deleted
/// between them isn't in it, and a deletion has no new image.
pub fn incremental_in(
    (format, view): (Format, View),
    table: &Table,
    id: &str,
    [before, after]: [&Picture; 2],
    from: &str,
) -> PathBuf {
    let keys = |item: &Value| json!({ "pk": item["pk"], "sk": item["sk"] });
    let metadata = json!({ "WriteTimestampMicros": { "N": "1680109764000000" } });
    let mut lines = Vec::new();
    for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
        let (old, new) = (before.get(key), after.get(key));
        if old == new {
            continue;
        }
        let mut line = json!({ "Metadata": metadata, "Keys": keys(old.or(new).unwrap()) });
        for (name, image) in [("OldImage", old.filter(|_| view == View::NewAndOldImages)), ("NewImage", new)] {
            if let Some(image) = image {
                line[name] = image.clone();
            }
        }
        lines.push(line);
    }
    let times = json!({
        "exportFromTime": from, "exportToTime": now(), "exportType": "INCREMENTAL_EXPORT",
        "outputView": if view == View::NewImage { "NEW_IMAGE" } else { "NEW_AND_OLD_IMAGES" },
    });
    write(table, id, format, &lines, 2, &times)
}

/// The time until which an export shows the table.
pub fn time_of(folder: &Path) -> String {
    let summary = std::fs::read(folder.join("manifest-summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    summary["exportTime"].as_str().or(summary["exportToTime"].as_str()).unwrap().to_owned()
}

/// Puts the exports of a table into a bucket, and returns its URL.
pub async fn upload(table: &Table) -> String {
    let bucket = format!("{}-exports", table.name);
    ensure_bucket(&table.world.s3, &bucket).await.unwrap();
    let root = table.fixture.0.path();
    let mut folders = vec![root.join("AWSDynamoDB")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let key = path.strip_prefix(root).unwrap().to_str().unwrap();
            let body = std::fs::read(&path).unwrap().into();
            table.world.s3.put_object().bucket(&bucket).key(key).body(body).send().await.unwrap();
        }
    }
    format!("s3://{bucket}/AWSDynamoDB")
}
