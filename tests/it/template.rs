//! Checks template.yaml against the code and docs/operations.md: variables, permissions, metrics, schemas, alarms. It is read
//! as SAM transforms it, by the venv's Python.

mod access;
mod accounts;
mod alarms;
mod alerts;
mod alias;
mod code;
mod compact;
mod failure_destination;
mod faults;
mod lake;
mod mapping;
pub mod moto;
mod pipelines;
mod policies;
mod renamed;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::readers::python;

/// The tree that is read. TREE is another one, broken on purpose: tests/mutants/template.py.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| std::env::var_os("TREE").map_or_else(|| crate::repository().to_owned(), PathBuf::from))
}

pub fn file(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The transformed template.
pub fn template() -> &'static Value {
    static TEMPLATE: OnceLock<Value> = OnceLock::new();
    TEMPLATE.get_or_init(|| transformed(&[]))
}

/// The template as SAM transforms it with these parameters, given as `NAME=VALUE`.
fn transformed(parameters: &[&str]) -> Value {
    transformed_file(Path::new("template.yaml"), parameters)
}

/// A template as SAM transforms it.
fn transformed_file(template: &Path, parameters: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("template.json");
    let output = Command::new(python())
        .arg("tests/transform.py")
        .args([template, &target])
        .args(parameters)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(target).unwrap()).unwrap()
}

/// The properties of a resource.
pub fn properties(resource: &str) -> &'static Value {
    let properties = &template()["Resources"][resource]["Properties"];
    assert!(properties.is_object(), "template.yaml has no resource {resource}");
    properties
}

/// All resources of a type: logical id and properties.
pub fn resources(of_type: &str) -> Vec<(&'static str, &'static Value)> {
    let resources = template()["Resources"].as_object().unwrap().iter();
    let found: Vec<_> = resources
        .filter(|(_, resource)| resource["Type"] == of_type)
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect();
    assert!(!found.is_empty(), "template.yaml has no {of_type}");
    found
}

/// A value, or the default of the parameter that it refers to, as text.
fn text(value: &Value) -> String {
    let value = match value["Ref"].as_str() {
        Some(parameter) => &template()["Parameters"][parameter]["Default"],
        None => value,
    };
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The members of a list or a single one, with both branches of conditions.
fn members(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().flat_map(members).collect(),
        Value::Object(object) if object.contains_key("Fn::If") => {
            value["Fn::If"].as_array().unwrap()[1..].iter().flat_map(members).collect()
        }
        value if value["Ref"] == "AWS::NoValue" => Vec::new(),
        value => vec![value],
    }
}
