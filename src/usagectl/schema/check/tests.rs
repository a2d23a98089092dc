//! All ordered pairs of the types in tests/avro/types.json, compared with the answers of Avro's Java library in
//! tests/avro/readable.txt, which `make avro-table` writes.

use apache_avro::Schema;
use serde_json::{Map, Value, json};
use usage_compact::resolution::reads;

use super::compare::compare;
use super::finding::Verdict;

/// Each type with its name, in the order of the table.
fn types() -> Vec<(String, Value)> {
    let types = in_order(include_str!("../../../../tests/avro/types.json"));
    assert!(types.len() > 40);
    types
}

/// The entries in the order of the file, one a line, because a JSON object forgets it.
fn in_order(text: &str) -> Vec<(String, Value)> {
    let entry = |line: &str| -> Map<String, Value> {
        serde_json::from_str(&format!("{{{}}}", line.trim().trim_end_matches(','))).unwrap()
    };
    text.lines().filter(|line| line.starts_with("  \"")).flat_map(entry).collect()
}

/// Whether Java's reader of the type in this row reads the type in this column.
fn table() -> Vec<Vec<bool>> {
    let text = include_str!("../../../../tests/avro/readable.txt");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| row.chars().map(|mark| mark == 'R').collect()).collect()
}

#[test]
fn all_pairs_of_types_resolve_as_in_java() {
    let (types, table) = (types(), table());
    assert_eq!(table.len(), types.len(), "run `make avro-table`");
    let schemas: Vec<Schema> = types.iter().map(|(_, node)| Schema::parse(node).unwrap()).collect();
    let mut wrong = Vec::new();
    for (row, reader) in schemas.iter().enumerate() {
        for (column, writer) in schemas.iter().enumerate() {
            if reads(reader, writer) != table[row][column] {
                wrong.push(format!("{} reads {}: Java says {}", types[row].0, types[column].0, table[row][column]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A change is safe only if both readers read both types. The changes that are safe are few enough to be read.
#[test]
fn a_change_is_safe_only_if_java_reads_it_both_ways() {
    let (types, table) = (types(), table());
    let row = |node: &Value| {
        Schema::parse(&json!({ "type": "record", "name": "Row", "fields": [{ "name": "a", "type": node }] })).unwrap()
    };
    let schemas: Vec<Schema> = types.iter().map(|(_, node)| row(node)).collect();
    let mut safe = Vec::new();
    for (before, old) in schemas.iter().enumerate() {
        for (after, new) in schemas.iter().enumerate() {
            let findings = compare(old, new);
            let is_safe = findings.iter().all(|finding| finding.verdict == Verdict::Safe);
            let both_ways = table[before][after] && table[after][before];
            let change = format!("{} becomes {}", types[before].0, types[after].0);
            assert!(both_ways || !is_safe, "{change}: {findings:?}");
            assert!(before != after || findings.is_empty(), "{change}: {findings:?}");
            if is_safe && before != after {
                safe.push(change);
            }
        }
    }
    insta::assert_snapshot!(safe.join("\n"));
}
