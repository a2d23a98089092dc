//! `usagectl package`: your own pipeline in a folder that can be deployed, as far as that goes without an account. The packaged
//! program runs under the Runtime API with the variables of the packaged template.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::cloudformation::{CloudFormation, Stack};
use crate::fixture::{Fixture, Run};
use crate::runtime::{Received, Sandbox, function_binary, recent_orders};
use crate::template::root;
use crate::world::{World, services};

/// A folder with the template and a program in place of both functions, as in a release, and the pipeline `mine`.
struct Release(Fixture);

impl Release {
    fn new(function: &Path) -> Release {
        let release = Release(Fixture::new());
        for name in ["release/function", "release/compact", "mine"] {
            std::fs::create_dir_all(release.path(name)).unwrap();
        }
        std::fs::copy(root().join("template.yaml"), release.path("release/template.yaml")).unwrap();
        for folder in ["function", "compact"] {
            std::os::unix::fs::symlink(function, release.path(&format!("release/{folder}/bootstrap"))).unwrap();
        }
        for file in std::fs::read_dir(root().join("schemas/orders")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), release.path("mine").join(file.file_name())).unwrap();
        }
        release
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.0.path().join(name)
    }

    fn package(&self, more: &[&str]) -> Run {
        self.0.run(&[&["package", "--from", "release", "--out", "build"], more].concat())
    }
}

/// A program that every Linux has.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_usagectl"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_packaged_function_runs_with_the_own_pipeline() {
    let release = Release::new(Path::new(&function_binary()));
    let run = release.package(&["--pipeline-dir", "mine"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.starts_with("build: the pipeline mine (3 record types, 3 tables in Athena), for "), "{run:?}");
    assert!(run.stderr.contains("sam deploy") && run.stderr.contains("Pipeline=mine"), "{run:?}");

    let packaged = transformed(&release.path("build/template.yaml"));
    let function = &packaged["Resources"]["Function"]["Properties"];
    let variables = &function["Environment"]["Variables"];
    assert_eq!(variables["PIPELINE"], "");
    let folder = variables["PIPELINE_DIR"].as_str().unwrap().strip_prefix("/var/task/").unwrap();
    // Lambda unpacks the code into /var/task.
    let folder = release.path("build/function").join(folder);
    assert!(release.path("build/compact/pipeline/mine/pipeline.toml").exists());

    let world = World::of_folder("packaged", &folder).await;
    let bucket = world.bucket();
    let settings = [
        ("PIPELINE", ""),
        ("PIPELINE_DIR", folder.to_str().unwrap()),
        ("USAGE_TABLE", "packaged-usage"),
        ("LEDGER_TABLE", "packaged-ledger"),
        ("ARCHIVE_BUCKET", &*bucket),
        ("ARCHIVE_PREFIX", "packaged"),
        ("FRESHNESS", "now"),
    ];
    let bootstrap = release.path("build/function/bootstrap");
    let mut sandbox = Sandbox::start_binary(bootstrap.to_str().unwrap(), &settings).await;
    let response = sandbox.invoke(&recent_orders(20, 0)).await;
    assert!(
        matches!(&response, Received::Response(body) if *body == json!({ "batchItemFailures": [] })),
        "{response:?}"
    );
    let snapshots = world.items("usage").await;
    assert!(!snapshots.is_empty() && snapshots.iter().all(|item| item["orders"].as_n().unwrap() == "20"));
    assert_eq!(world.rows().await.len(), 20);
    a_command_on_the_stack_needs_no_folder(&release).await;
}

/// The stack's template has the pipeline, which the data folder then has, too.
async fn a_command_on_the_stack_needs_no_folder(release: &Release) {
    let template = std::fs::read_to_string(release.path("build/template.yaml")).unwrap();
    let outputs =
        [("PipelineName", "mine"), ("PackagedPipeline", "mine"), ("UsageTableName", "packaged-usage")].into_iter();
    let outputs = outputs.map(|(key, value)| (key, value.to_owned())).collect();
    let cloudformation = CloudFormation::start(&Stack { template, outputs, ..Stack::default() }).await;
    let dynamodb = [("AWS_ENDPOINT_URL_DYNAMODB", services().dynamodb_url())];
    std::fs::remove_dir_all(release.path("mine")).unwrap();
    let top = ["usage", "top", "--stack", "lake", "--measure", "orders", "--json"];
    for _ in 0..2 {
        let run = cloudformation.run(&release.0, &top, &dynamodb).await;
        assert!(run.code == Some(0) && run.stdout.contains("\"orders\""), "{run:?}");
    }
    assert!(release.path(".usage/stacks/lake/mine/pipeline.toml").exists());
}

fn transformed(template: &Path) -> Value {
    let target = tempfile::NamedTempFile::new().unwrap();
    let script = root().join("tests/transform.py");
    let python = root().join(".venv/bin/python");
    let output = Command::new(python).arg(script).arg(template).arg(target.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(target.path()).unwrap()).unwrap()
}

#[test]
fn athena_has_the_tables_of_the_own_pipeline_and_of_no_other() {
    let release = Release::new(program());
    let before = std::fs::read(release.path("release/template.yaml")).unwrap();
    assert_eq!(release.package(&["--pipeline-dir", "mine"]).code, Some(0));
    assert_eq!(std::fs::read(release.path("release/template.yaml")).unwrap(), before, "the template was changed");
    let template = transformed(&release.path("build/template.yaml"));
    let resources = template["Resources"].as_object().unwrap();
    let of_glue: Vec<&String> =
        resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::Glue::Table").map(|(id, _)| id).collect();
    assert_eq!(of_glue.len(), 9, "{of_glue:?}");
    assert!(of_glue.iter().all(|id| id.starts_with("Mine")), "{of_glue:?}");
    // CloudFormation must know every condition.
    let conditions = template["Conditions"].as_object().unwrap();
    for (id, resource) in resources {
        if let Some(condition) = resource["Condition"].as_str() {
            assert!(conditions.contains_key(condition), "{id}: {condition}");
        }
    }
}

#[test]
fn a_changed_pipeline_replaces_the_earlier_one_and_leaves_the_program() {
    let release = Release::new(program());
    assert_eq!(release.package(&["--pipeline-dir", "mine"]).code, Some(0));
    std::fs::remove_file(release.path("mine/usage.sql")).unwrap();
    let again = release.package(&["--pipeline-dir", "mine", "--json"]);
    let report: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&report["pipeline"], &report["out"]), (&json!("mine"), &json!("build")), "{again:?}");
    assert!(!release.path("build/function/pipeline/mine/usage.sql").exists());
    // A package of all shipped pipelines is a release.
    let shipped = release.0.run(&["package", "--from", "release", "--out", "all"]);
    assert!(shipped.stdout.starts_with("all: all shipped pipelines"), "{shipped:?}");
    let from_release = release.0.run(&["package", "--from", "all", "--pipeline-dir", "mine", "--out", "other"]);
    assert_eq!(from_release.code, Some(0), "{from_release:?}");
    let template = |folder: &str| std::fs::read_to_string(release.path(folder).join("template.yaml")).unwrap();
    assert_eq!(template("other"), template("build"));
}

#[test]
fn what_cannot_be_packaged_is_refused_with_what_to_do() {
    let release = Release::new(program());
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        let run = release.package(arguments);
        assert_eq!(run.code, Some(code), "{run:?}");
        for word in words {
            assert!(run.stderr.contains(word), "{word}: {run:?}");
        }
    };
    refused(&["--pipeline", "orders"], 2, &["Pipeline=orders"]);
    std::fs::rename(release.path("mine"), release.path("my_site")).unwrap();
    refused(&["--pipeline-dir", "my_site"], 2, &["`my_site`", "letters, digits, and hyphens"]);
    std::fs::rename(release.path("my_site"), release.path("mine")).unwrap();
    std::fs::write(release.path("build"), "").unwrap();
    refused(&["--pipeline-dir", "mine"], 1, &["create the folder build"]);
    std::fs::remove_file(release.path("build")).unwrap();
    std::fs::create_dir(release.path("build")).unwrap();
    std::fs::write(release.path("build/thesis.txt"), "").unwrap();
    refused(&["--pipeline-dir", "mine"], 2, &["files that usagectl didn't write", "--out DIR"]);
    std::fs::remove_dir_all(release.path("release/compact")).unwrap();
    refused(&["--pipeline-dir", "mine"], 2, &["find the function `compact`", "make build"]);
    std::fs::write(release.path("mine/pipeline.toml"), "typo = 1\n").unwrap();
    refused(&["--pipeline-dir", "mine"], 2, &["pipeline.toml:1: "]);
}
