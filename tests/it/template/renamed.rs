//! Fields that were renamed after their rows were compacted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::lake::{Lake, now};
use super::root;

/// The pipeline `orders` in a folder of its own.
struct Orders<'l> {
    lake: &'l Lake,
    folder: PathBuf,
}

impl Orders<'_> {
    fn new(lake: &Lake) -> Orders<'_> {
        let folder = lake.0.path().join("orders");
        std::fs::create_dir(&folder).unwrap();
        for file in std::fs::read_dir(root().join("schemas/orders")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
        Orders { lake, folder }
    }

    fn usagectl(&self, arguments: &[&str]) {
        self.lake.usagectl(&[&["--pipeline-dir", self.folder.to_str().unwrap()], arguments].concat());
    }

    /// Renames a field of order.avsc, with an alias.
    fn rename(&self, old: &str, new: &str) {
        let path = self.folder.join("order.avsc");
        let mut schema: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let fields = schema["fields"].as_array_mut().unwrap();
        let field = fields.iter_mut().find(|field| field["name"] == old).unwrap();
        (field["name"], field["aliases"]) = (json!(new), json!([old]));
        if field.get("source").is_none() && field.get("attribute").is_none() {
            field["attribute"] = json!(old);
        }
        std::fs::write(path, schema.to_string()).unwrap();
    }

    /// The rows of the view by their id, as the template of the current schema shows them.
    fn rows(&self, id: &str) -> BTreeMap<String, Value> {
        let template = self.lake.0.path().join("template.yaml");
        std::fs::copy(root().join("template.yaml"), &template).unwrap();
        self.usagectl(&["schema", "glue", "--into", template.to_str().unwrap()]);
        let template = super::transformed_file(&template, &[]);
        let answer = self.lake.run_with(&template, "orders", &[&now().to_string(), "2026-11-20"]);
        let rows = answer["order_once"]["rows"].as_array().unwrap().iter();
        let by_id: BTreeMap<_, _> =
            rows.clone().map(|row| (row[id].as_str().unwrap().to_owned(), row.clone())).collect();
        assert_eq!(by_id.len(), rows.len());
        by_id
    }
}

/// The values of some columns.
fn values(rows: &BTreeMap<String, Value>, names: [&str; 3]) -> BTreeMap<String, Vec<Value>> {
    rows.iter().map(|(id, row)| (id.clone(), names.map(|name| row[name].clone()).to_vec())).collect()
}

#[test]
fn regression_a_renamed_field_keeps_its_values_in_compacted_rows() {
    let lake = Lake::new();
    let orders = Orders::new(&lake);
    let batch: Value = serde_json::from_str(&super::file("events/batch-1000.json")).unwrap();
    let records = batch["Records"].as_array().unwrap();
    let invoke = |name: &str, records: &[Value]| {
        let path = lake.0.path().join(name);
        std::fs::write(&path, json!({ "Records": records }).to_string()).unwrap();
        orders.usagectl(&["invoke", path.to_str().unwrap()]);
    };
    invoke("all.json", records);
    let before = values(&orders.rows("record_id"), ["currency", "ordered_at", "total"]);
    // Most are compacted under the old names, the others under the new ones.
    std::fs::remove_dir_all(lake.folder("avro")).unwrap();
    invoke("first.json", &records[..800]);
    orders.usagectl(&["compact", "--local", "--now"]);
    for (old, new) in [("currency", "coin"), ("ordered_at", "placed_at"), ("total", "amount"), ("record_id", "id")] {
        orders.rename(old, new);
    }
    std::fs::remove_dir_all(lake.folder("avro")).unwrap();
    invoke("rest.json", &records[800..]);
    orders.usagectl(&["compact", "--local", "--now"]);
    let after = values(&orders.rows("id"), ["coin", "placed_at", "amount"]);
    assert!(before.len() > 100 && before.values().any(|row| row[1] != Value::Null), "{before:?}");
    assert_eq!(after, before);
    // A day later, without their raw files.
    std::fs::remove_dir_all(lake.folder("avro")).unwrap();
    std::fs::create_dir(lake.folder("avro")).unwrap();
    assert_eq!(values(&orders.rows("id"), ["coin", "placed_at", "amount"]), before);
    // A redelivery of a row that has its id under the old name.
    invoke("again.json", &records[..100]);
    assert_eq!(values(&orders.rows("id"), ["coin", "placed_at", "amount"]), before);
}
