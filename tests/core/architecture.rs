//! Checks the sources of every package against the architecture. The compiler enforces the dependencies between
//! packages; these tests enforce the imports between the rooms inside a package.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::calls::MAY_CALL;

/// A package: its folder, and its rooms with the rooms that each may import. The list is empty if the package has no
/// rooms.
struct Package {
    folder: &'static str,
    rooms: &'static [(&'static str, &'static [&'static str])],
}

const PACKAGES: [Package; 6] = [
    Package {
        folder: "src",
        rooms: &[
            // What searches call in tests.
            ("steps", &[]),
            ("record", &[]),
            // Items that exist as values are converted to outlines.
            ("outline", &["record", "steps"]),
            ("window", &[]),
            ("error", &[]),
            ("backoff", &["error"]),
            ("connect", &[]),
            ("decode", &["record", "outline", "error"]),
            // A pipeline contains schemas and windows; neither knows about pipelines.
            ("pipeline", &["record", "outline", "archive", "window"]),
            ("usage", &["record", "outline", "window", "error", "backoff", "pipeline", "steps"]),
            // The ledger stores what usage counts; the fold turns it into snapshots.
            ("ledger", &["record", "window", "error", "backoff", "connect", "usage"]),
            ("fold", &["record", "window", "error", "backoff", "pipeline", "usage", "ledger"]),
            ("archive", &["record", "outline", "error", "backoff", "connect"]),
            // What a record asks for is planned; the recomputation is part of an invocation.
            ("indicator", &["record", "outline", "error", "backoff", "pipeline"]),
            ("plan", &["record", "outline", "decode", "error", "pipeline", "indicator", "usage", "archive"]),
            ("explain", &["record", "error", "plan", "pipeline", "indicator", "usage", "archive"]),
            ("config", &["pipeline", "window", "usage", "archive", "plan"]),
            ("metrics", &["config", "error", "telemetry"]),
            // What it exports, the other rooms give to `tracing`.
            ("telemetry", &["backoff", "logs"]),
            ("alerts", &["config", "error", "clients", "fold"]),
            ("quarantine", &["record", "decode", "plan", "archive"]),
            ("outcome", &["record", "decode", "error", "plan", "usage", "ledger", "fold", "indicator", "archive"]),
            ("clients", &[]),
            ("logs", &[]),
            (
                "handler",
                &[
                    "record",
                    "decode",
                    "error",
                    "config",
                    "clients",
                    "pipeline",
                    "plan",
                    "usage",
                    "ledger",
                    "fold",
                    "indicator",
                    "archive",
                    "metrics",
                    "alerts",
                    "outcome",
                    "quarantine",
                    "telemetry",
                ],
            ),
            ("main", &["clients", "config", "error", "handler", "logs", "outcome", "telemetry"]),
        ],
    },
    Package { folder: "src/types", rooms: &[] },
    Package { folder: "src/mapping", rooms: &[] },
    Package { folder: "src/compact", rooms: &[] },
    Package { folder: "src/local", rooms: &[("emulators", &[]), ("proof", &["emulators"])] },
    Package {
        folder: "src/usagectl",
        rooms: &[
            ("shell", &[]),
            ("stack", &["shell"]),
            ("failure_document", &[]),
            // The live page. What it shows comes from rooms above it.
            ("page", &["shell"]),
            ("event", &["shell", "failure_document"]),
            ("schema", &["shell", "stack", "event"]),
            ("results", &["shell", "stack"]),
            ("indicators", &["shell", "stack"]),
            ("ledger", &["shell", "stack"]),
            ("answers", &["shell", "stack", "ledger", "results"]),
            ("deployment", &["shell", "stack", "failure_document", "page"]),
            ("laptop", &["shell", "stack", "page", "event", "results", "schema"]),
            (
                "command",
                &["shell", "schema", "event", "results", "indicators", "ledger", "answers", "deployment", "laptop"],
            ),
        ],
    },
];

/// Rooms that every file of the function's package may import. They are re-exported from stream-types.
const TYPES: [&str; 2] = ["decimal", "time"];

/// Pure files, which must not be async or read the clock.
const PURE: [&str; 67] = [
    "record.rs",
    "record/fault.rs",
    "record/item.rs",
    "window.rs",
    "window/zone.rs",
    "outline.rs",
    "outline/lookup.rs",
    "outline/value.rs",
    "outline/written.rs",
    "plan.rs",
    "plan/backfill.rs",
    "plan/drafts.rs",
    "plan/entity.rs",
    "plan/event.rs",
    "plan/own.rs",
    "plan/partition.rs",
    "plan/recent.rs",
    "plan/route.rs",
    "plan/tally.rs",
    "plan/targets.rs",
    "indicator/ask.rs",
    "indicator/contribution.rs",
    "indicator/item.rs",
    "indicator/others.rs",
    "indicator/values.rs",
    "quarantine.rs",
    "usage/counter.rs",
    "usage/counter/additions.rs",
    "usage/counter/deltas.rs",
    "usage/counter/event_hour.rs",
    "usage/counter/pending.rs",
    "usage/counter/quantities.rs",
    "usage/counter/standing.rs",
    "usage/cell.rs",
    "usage/group.rs",
    "usage/snapshot.rs",
    "usage/key.rs",
    "ledger/correction.rs",
    "ledger/group_key.rs",
    "ledger/measure.rs",
    "ledger/moment.rs",
    "ledger/page.rs",
    "ledger/page/column.rs",
    "ledger/window_key.rs",
    "ledger/wire.rs",
    "fold/alert.rs",
    "fold/attributes.rs",
    "fold/distinct.rs",
    "fold/notice.rs",
    "fold/parts.rs",
    "fold/state.rs",
    "fold/tasks.rs",
    "fold/totals.rs",
    "fold/value.rs",
    "fold/watch.rs",
    "fold/value/distinct.rs",
    "fold/value/edge.rs",
    "fold/value/extreme.rs",
    "fold/value/quantile.rs",
    "fold/value/sum.rs",
    "archive/encode.rs",
    "archive/file.rs",
    "archive/schema.rs",
    "archive/unit.rs",
    "outcome.rs",
    "explain.rs",
    "metrics/emf.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a package: the path of each in the package, and its code without tests.
fn sources(package: &Package) -> Vec<(PathBuf, String)> {
    let base = root().join(package.folder);
    let others: Vec<PathBuf> = PACKAGES.iter().map(|other| root().join(other.folder)).collect();
    let mut folders = vec![base.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests"));
            if is_test || others.contains(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                // Tests at the end of a file may use anything.
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
                sources.push((path.strip_prefix(&base).unwrap().to_owned(), code));
            }
        }
    }
    assert!(sources.len() > 3, "only {} sources in {}", sources.len(), package.folder);
    sources
}

fn function_sources() -> Vec<(String, String)> {
    let [function, ..] = &PACKAGES;
    let name = |path: PathBuf| path.to_string_lossy().replace('\\', "/");
    sources(function).into_iter().map(|(path, code)| (name(path), code)).collect()
}

/// The room of a file: its first folder, or its own name.
fn room(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The words after each occurrence of `prefix`, as in `crate::word`.
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
    for package in PACKAGES.iter().filter(|package| !package.rooms.is_empty()) {
        let is_root =
            |path: &Path| path == Path::new("lib.rs") || (package.folder != "src" && path == Path::new("main.rs"));
        for (path, code) in sources(package).iter().filter(|(path, _)| !is_root(path)) {
            let room = room(path);
            let rooms = package.rooms;
            let (_, allowed) = rooms.iter().find(|(name, _)| *name == room).unwrap_or_else(|| {
                panic!("{}/{room} is a new room; list what it may import in PACKAGES", package.folder)
            });
            let prefix = if room == "main" { "usage_aggregator::" } else { "crate::" };
            for word in named(code, prefix) {
                let word = word.as_str();
                let ours = rooms.iter().any(|(name, _)| *name == word);
                let may = word == room || allowed.contains(&word) || TYPES.contains(&word) || !ours;
                assert!(
                    may,
                    "{}/{} imports {word}, which isn't allowed in room {room}",
                    package.folder,
                    path.display()
                );
            }
        }
    }
}

/// event-source-mapping must not depend on the function, nor the function on the laptop.
#[test]
fn packages_depend_only_on_packages_below_them() {
    let ours = ["stream-types", "event-source-mapping", "laptop", "usage-aggregator", "usage-compact", "usagectl"];
    let depends_on = |manifest: &str| {
        let text = std::fs::read_to_string(root().join(manifest)).unwrap();
        // Written as `name.workspace = true` or, with features, as `name = { workspace = true, … }`.
        let names = text.lines().filter_map(|line| {
            line.strip_suffix(".workspace = true")
                .or_else(|| line.split_once(" = { workspace = true").map(|(name, _)| name))
        });
        names.map(str::to_owned).filter(|name| ours.contains(&name.as_str())).collect::<BTreeSet<_>>()
    };
    let cases: [(&str, &[&str]); 6] = [
        ("src/types/Cargo.toml", &[]),
        ("Cargo.toml", &["stream-types"]),
        ("src/mapping/Cargo.toml", &["stream-types"]),
        ("src/compact/Cargo.toml", &["stream-types", "usage-aggregator"]),
        ("src/local/Cargo.toml", &["event-source-mapping", "stream-types", "usage-aggregator", "usage-compact"]),
        (
            "src/usagectl/Cargo.toml",
            &["event-source-mapping", "laptop", "stream-types", "usage-aggregator", "usage-compact"],
        ),
    ];
    for (manifest, expected) in cases {
        assert_eq!(depends_on(manifest), expected.iter().map(|name| (*name).to_owned()).collect(), "{manifest}");
    }
}

#[test]
fn aws_clients_are_used_only_in_the_listed_files() {
    for (name, code) in function_sources() {
        let allowed = MAY_CALL.iter().find(|(file, _)| *file == name).map_or(&[][..], |(_, services)| services);
        for service in named(&code, "aws_sdk_").iter().map(|word| format!("aws_sdk_{word}")) {
            assert!(allowed.contains(&service.as_str()), "{name} uses {service}");
        }
    }
}

/// Nobody in the network of a laptop may reach what runs on it.
#[test]
fn every_port_is_opened_on_the_loopback_interface() {
    // A random address of 127.0.0.0/8, of which another test checks that it is one.
    const HIDDEN: &str = "(hidden, 0)";
    let mut ports = 0;
    for package in &PACKAGES {
        for (path, code) in sources(package) {
            for opened in code.split("TcpListener::bind(").skip(1) {
                ports += 1;
                let is_loopback = opened.starts_with("(Ipv4Addr::LOCALHOST, ") || opened.starts_with(HIDDEN);
                assert!(is_loopback, "{}/{} opens another port", package.folder, path.display());
            }
            let has_other = ["UdpSocket", "TcpSocket", "UnixListener", "0.0.0.0", "UNSPECIFIED"]
                .iter()
                .find(|word| code.contains(**word));
            assert_eq!(has_other, None, "{}/{}", package.folder, path.display());
        }
    }
    assert!(ports >= 5, "{ports} ports were found");
}

#[test]
fn pure_files_are_synchronous() {
    let is_pure = |name: &str| PURE.contains(&name) || name.starts_with("decode/") || name.starts_with("pipeline/");
    let of_function = function_sources().into_iter().filter(|(name, _)| is_pure(name));
    let types = sources(PACKAGES.get(1).unwrap()).into_iter().map(|(path, code)| (path.display().to_string(), code));
    for (name, code) in of_function.chain(types) {
        for word in ["async ", ".await", "SystemTime", "Instant::now", "fastrand"] {
            assert!(!code.contains(word), "{name} has {word}");
        }
    }
}

#[test]
fn every_file_starts_with_its_purpose() {
    for package in &PACKAGES {
        for (path, code) in sources(package) {
            assert!(code.starts_with("//! "), "{}/{} has no header", package.folder, path.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_300_lines() {
    for package in &PACKAGES {
        let base = root().join(package.folder);
        for (path, _) in sources(package) {
            let lines = std::fs::read_to_string(base.join(&path)).unwrap().lines().count();
            assert!(lines <= 300, "{}/{} has {lines} lines: split it by purpose", package.folder, path.display());
        }
    }
}

#[test]
fn the_readme_lists_every_environment_variable() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for variable in usage_aggregator::config::VARIABLES {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{}` |", variable.name)));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for {}", variable.name));
        assert!(row.contains(variable.default), "{row} doesn't have the default {}", variable.default);
    }
}

/// Without this setting, cargo-lambda sets panic = "abort" for releases, and a panic would end the sandbox.
#[test]
fn a_panic_is_a_function_error_and_does_not_end_the_sandbox() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, release) = manifest.split_once("\n[profile.release]\n").unwrap();
    let release = release.split("\n[").next().unwrap();
    assert!(release.lines().any(|line| line == r#"panic = "unwind""#), "{release}");
}
