//! Who may import whom, held against the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may name. What isn't here may name nothing of ours.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("decimal", &[]),
    ("time", &["decimal"]),
    ("record", &["decimal", "time"]),
    // The outline of an item that is values already is made of those.
    ("outline", &["decimal", "record"]),
    ("error", &[]),
    ("backoff", &["error"]),
    ("decode", &["record", "outline", "decimal", "time", "error"]),
    // A pipeline names the schema and the windows it is made of; neither knows it.
    ("pipeline", &["record", "outline", "decimal", "time", "archive", "usage"]),
    ("usage", &["record", "outline", "decimal", "time", "error", "backoff", "pipeline"]),
    ("archive", &["record", "outline", "decimal", "time", "error", "backoff"]),
    ("plan", &["record", "outline", "decode", "time", "pipeline", "usage", "archive"]),
    ("explain", &["record", "decimal", "error", "plan", "pipeline", "usage", "archive"]),
    ("config", &["pipeline", "archive"]),
    ("metrics", &["config", "error", "time"]),
    ("outcome", &["record", "decode", "error", "plan", "usage", "archive"]),
    ("clients", &[]),
    ("logs", &[]),
    (
        "handler",
        &[
            "record", "decode", "time", "error", "config", "clients", "pipeline", "plan", "usage", "archive",
            "metrics", "outcome",
        ],
    ),
    ("main", &["clients", "config", "error", "handler", "logs", "outcome", "time"]),
];

/// The files that may name an AWS service's client, and which.
pub const MAY_CALL: &[(&str, &[&str])] = &[
    ("usage/table.rs", &["aws_sdk_dynamodb"]),
    ("usage/read.rs", &["aws_sdk_dynamodb"]),
    ("usage/fraction.rs", &["aws_sdk_dynamodb"]),
    ("usage/transaction.rs", &["aws_sdk_dynamodb"]),
    ("usage/claim.rs", &["aws_sdk_dynamodb"]),
    ("archive/bucket.rs", &["aws_sdk_s3"]),
    ("metrics/cloudwatch.rs", &["aws_sdk_cloudwatch"]),
    ("clients.rs", &["aws_sdk_dynamodb", "aws_sdk_s3", "aws_sdk_cloudwatch"]),
];

/// The pure halves, which must not wait for anything.
const PURE: &[&str] = &[
    "record.rs",
    "outline.rs",
    "outline/value.rs",
    "outline/kept.rs",
    "decimal.rs",
    "time.rs",
    "plan.rs",
    "usage/counter.rs",
    "usage/group.rs",
    "usage/snapshot.rs",
    "usage/window.rs",
    "archive/encode.rs",
    "archive/file.rs",
    "archive/schema.rs",
    "outcome.rs",
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(&root).unwrap().to_owned();
            let is_test = relative.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests"));
            let is_laptop = relative.starts_with("local") || relative.starts_with("bin");
            if is_test || is_laptop {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                // Tests at the end of a file may use anything.
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
                sources.push((relative, code));
            }
        }
    }
    assert!(sources.len() > 30, "only {} sources found", sources.len());
    sources
}

/// The room of a file: its first folder, or its own name.
fn room(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The words after each `prefix`, as in `crate::word`.
fn named(code: &str, prefix: &str) -> BTreeSet<String> {
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let word = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    code.split(prefix)
        .skip(1)
        .map(word)
        .filter(|word| word.chars().next().is_some_and(|c| c.is_ascii_lowercase()))
        .collect()
}

#[test]
fn rooms_import_only_what_the_architecture_allows() {
    for (path, code) in sources().iter().filter(|(path, _)| path != Path::new("lib.rs")) {
        let room = room(path);
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{room} is a new room: say what it may import"));
        let prefix = if room == "main" { "usage_aggregator::" } else { "crate::" };
        for word in named(code, prefix) {
            let ours =
                word == room || allowed.contains(&word.as_str()) || !MAY_IMPORT.iter().any(|(name, _)| *name == word);
            assert!(ours, "{} imports {word}, which {room} may not", path.display());
        }
    }
}

#[test]
fn clients_of_services_appear_in_their_own_files_only() {
    for (path, code) in sources() {
        let name = path.to_string_lossy().replace('\\', "/");
        let allowed = MAY_CALL.iter().find(|(file, _)| *file == name).map_or(&[][..], |(_, services)| services);
        for service in named(&code, "aws_sdk_").iter().map(|word| format!("aws_sdk_{word}")) {
            assert!(allowed.contains(&service.as_str()), "{name} uses {service}");
        }
    }
}

#[test]
fn the_pure_halves_are_synchronous() {
    for (path, code) in sources() {
        let name = path.to_string_lossy().replace('\\', "/");
        if PURE.contains(&name.as_str()) || name.starts_with("decode/") || name.starts_with("pipeline/") {
            for word in ["async ", ".await", "SystemTime", "Instant::now", "fastrand"] {
                assert!(!code.contains(word), "{name} has {word}");
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, code) in sources() {
        assert!(code.starts_with("//! "), "{} has no header", path.display());
    }
}

#[test]
fn the_readme_lists_every_environment_variable() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for variable in usage_aggregator::config::VARIABLES {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{}` |", variable.name)));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for {}", variable.name));
        assert!(row.contains(variable.default), "{row} doesn't have the default {}", variable.default);
    }
}

/// cargo-lambda makes a release abort whose profile says nothing; then a panic would take the sandbox along.
#[test]
fn a_panic_is_a_function_error_and_not_the_end_of_the_sandbox() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let (_, release) = manifest.split_once("\n[profile.release]\n").unwrap();
    let release = release.split("\n[").next().unwrap();
    assert!(release.lines().any(|line| line == r#"panic = "unwind""#), "{release}");
}
