//! `.deploy/release.sh` with programs in place of make and cargo-cyclonedx: what a release contains, and that it deploys without Rust.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::fixture::{Fixture, Run};
use crate::repository;

/// Writes the header of a program for the architecture in `ARCH=…` in place of a built function.
const MAKE: &str = r#"#!/bin/sh
case "$*" in *arm64*) machine='\267' ;; *) machine='\076' ;; esac
for program in usage-aggregator usage-compact; do
    mkdir -p target/lambda/$program
    printf "\\177ELF\\002\\001\\001\\000\\000\\000\\000\\000\\000\\000\\000\\000\\003\\000$machine\\000" >target/lambda/$program/bootstrap
    case "$*" in *AUDITABLE=1*) [ -e not-auditable ] || printf .dep-v0 >>target/lambda/$program/bootstrap ;; esac
    [ ! -e with-paths ] || printf '%s/registry/src' "${CARGO_HOME:-$HOME/.cargo}" >>target/lambda/$program/bootstrap
done
"#;
const CYCLONEDX: &str = r#"#!/bin/sh
for bom in usage-aggregator src/compact/usage-compact src/usagectl/usagectl src/local/laptop; do
    mkdir -p "$(dirname $bom)"
    echo "{\"bom-ref\": \"path+file://$PWD#$bom\"}" >$bom.cdx.json
done
"#;

/// Stands in for the texts, which a test of their own reads.
const LICENSES: &str = "#!/bin/sh\necho 'adler2 2.0.1: MIT'\n";

struct Project(Fixture);

impl Project {
    fn new() -> Project {
        let project = Project(Fixture::new());
        for name in [".deploy/release.sh", "Cargo.toml", "LICENSE", "README.md", "template.yaml"] {
            project.write(name, &std::fs::read_to_string(repository().join(name)).unwrap());
        }
        project.write("make/make", MAKE);
        project.write(".tools/bin/cargo-cyclonedx", CYCLONEDX);
        project.write(".deploy/licenses.py", LICENSES);
        project.git(&["init", "--quiet"]);
        project.git(&["add", "Cargo.toml"]);
        project.git(&["-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "A"]);
        project
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        assert!(Command::new("git").args(arguments).current_dir(self.0.0.path()).status().unwrap().success());
    }

    fn release(&self) -> Run {
        let path = format!("{}:{}", self.0.0.path().join("make").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(self.0.0.path().join(".deploy/release.sh"));
        command.env("PATH", path).env("USAGECTL", env!("CARGO_BIN_EXE_usagectl")).output().unwrap().into()
    }

    fn sums(&self) -> String {
        std::fs::read_to_string(self.0.0.path().join("build/release/SHA256SUMS")).unwrap()
    }
}

#[test]
fn a_release_has_packages_for_both_architectures_usagectl_sboms_and_checksums() {
    let project = Project::new();
    let run = project.release();
    assert_eq!(run.code, Some(0), "{run:?}");
    let version = env!("CARGO_PKG_VERSION");
    let names: Vec<String> =
        project.sums().lines().filter_map(|line| Some(line.split_once("  ")?.1.to_owned())).collect();
    let expected = [
        format!("usage-aggregator-{version}-arm64.tar.gz"),
        format!("usage-aggregator-{version}-x86_64.tar.gz"),
        format!("usagectl-{version}-{}-linux.tar.gz", std::env::consts::ARCH),
        format!("usage-aggregator-{version}.cdx.json"),
        format!("usage-compact-{version}.cdx.json"),
        format!("usagectl-{version}.cdx.json"),
    ];
    assert_eq!(names, expected, "{run:?}");
    let bom = format!("build/release/usagectl-{version}.cdx.json");
    let bom = std::fs::read_to_string(project.0.0.path().join(bom)).unwrap();
    assert_eq!(bom, "{\"bom-ref\": \"path+file:///usage-aggregator#src/usagectl/usagectl\"}\n");

    for name in names.iter().filter(|name| name.ends_with(".tar.gz")) {
        let archive = project.0.0.path().join("build/release").join(name);
        let texts = format!("{}/THIRD-PARTY-LICENSES.txt", name.trim_end_matches(".tar.gz"));
        let output = Command::new("tar").arg("-xzOf").arg(archive).arg(texts).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "adler2 2.0.1: MIT\n", "{name}");
    }

    let left = Command::new("git").args(["status", "--short", "src"]).current_dir(project.0.0.path()).output().unwrap();
    assert!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));

    // The same commit makes the same archives.
    let sums = project.sums();
    assert_eq!(project.release().code, Some(0));
    assert_eq!(project.sums(), sums);
}

#[test]
fn an_unpacked_release_takes_a_pipeline_of_your_own() {
    let project = Project::new();
    assert_eq!(project.release().code, Some(0));
    let folder = project.0.0.path();
    let name = format!("usage-aggregator-{}-arm64", env!("CARGO_PKG_VERSION"));
    let archive = format!("build/release/{name}.tar.gz");
    assert!(Command::new("tar").args(["-xzf", &archive]).current_dir(folder).status().unwrap().success());
    let schemas = repository().join("schemas/orders");
    assert!(Command::new("cp").arg("-r").arg(schemas).arg(folder.join("mine")).status().unwrap().success());
    let run = project.0.run(&["package", "--from", &name, "--pipeline-dir", "mine", "--out", "package"]);
    assert!(
        run.stdout.starts_with("package: the pipeline mine (3 record types, 3 tables in Athena), for arm64"),
        "{run:?}"
    );
}

#[test]
fn a_program_with_paths_of_the_machine_that_built_it_is_refused() {
    let project = Project::new();
    project.write("with-paths", "");
    let run = project.release();
    assert!(run.code == Some(1) && run.stderr.contains("bootstrap contains paths of this machine"), "{run:?}");
}

#[test]
fn a_program_that_does_not_list_its_crates_is_refused() {
    let project = Project::new();
    project.write("not-auditable", "");
    let run = project.release();
    assert!(run.code == Some(1) && run.stderr.contains("bootstrap doesn't list its crates"), "{run:?}");
}

#[test]
fn the_licenses_of_every_crate_in_the_programs_are_found_once_each() {
    let mut command = Command::new(repository().join(".deploy/licenses.py"));
    let output = command.current_dir(repository()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let texts = String::from_utf8(output.stdout).unwrap();
    let (list, texts) = texts.split_once("\n====").unwrap();
    let crates: Vec<&str> =
        list.lines().skip(4).filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
    assert!(crates.len() > 300, "{}", crates.len());
    // The names above each text.
    let covers: Vec<&str> = texts.split("\n====").map(|text| text.lines().nth(1).unwrap_or_default()).collect();
    for name in crates {
        assert!(covers.iter().any(|covered| covered.split(", ").any(|covered| covered == name)), "{name} has no text");
    }
    let named: BTreeSet<&str> = covers.iter().copied().filter(|covered| !covered.is_empty()).collect();
    assert!(named.len() > 100 && texts.contains("Zstandard") && texts.contains("Leon Sorokin"));
    // What the compiler says about its standard library repeats this text itself.
    let is_apache = |text: &&str| {
        text.contains("FOR USE, REPRODUCTION, AND DISTRIBUTION") && !text.contains("Rust's standard library")
    };
    assert!(texts.split("\n====").filter(is_apache).count() < 10);
}

#[test]
fn a_tag_of_another_version_is_refused() {
    let project = Project::new();
    project.git(&["tag", "v99.0.0"]);
    let run = project.release();
    assert!(run.code == Some(1) && run.stderr.contains("the tag is v99.0.0"), "{run:?}");
}

#[test]
fn the_workflow_pins_every_action_and_gives_the_build_no_right_to_publish() {
    let workflow = std::fs::read_to_string(repository().join(".github/workflows/release.yml")).unwrap();
    let mut actions = 0;
    for line in workflow.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")) {
        let commit = line.split_once('@').unwrap().1.split(' ').next().unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        actions += 1;
    }
    assert_eq!(actions, 4);
    let (before, publish) = workflow.split_once("\n  publish:\n").unwrap();
    let (head, build) = before.split_once("\n  build:\n").unwrap();
    assert!(head.contains("\npermissions: {}\n"));
    assert!(
        build.contains("make release")
            && build.contains("contents: read")
            && build.contains("persist-credentials: false")
    );
    assert!(!build.contains("write") && !build.contains("github.token"));
    assert!(publish.contains("contents: write") && !publish.contains("make") && !publish.contains("actions/checkout"));
}

#[test]
fn every_file_of_a_release_is_attested_before_it_is_published_by_the_job_that_publishes() {
    let workflow = std::fs::read_to_string(repository().join(".github/workflows/release.yml")).unwrap();
    let (before, publish) = workflow.split_once("\n  publish:\n").unwrap();
    for permission in ["id-token: write", "attestations: write"] {
        assert!(!before.contains(permission) && publish.contains(permission), "{permission}");
    }
    let (attested, published) = publish.split_once("gh release create").unwrap();
    assert!(attested.contains("uses: actions/attest@") && attested.contains("subject-path: release/*\n"));
    assert!(published.contains(" release/* "));
}

#[test]
fn every_build_script_is_listed_with_what_it_does() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--locked", "--format-version", "1"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]).current_dir(repository());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let is_script = |target: &serde_json::Value| target["kind"] == serde_json::json!(["custom-build"]);
    let packages = metadata["packages"].as_array().unwrap().iter();
    let found: BTreeSet<String> = packages
        .filter(|package| package["targets"].as_array().unwrap().iter().any(is_script))
        .map(|package| package["name"].as_str().unwrap().to_owned())
        .collect();
    let document = std::fs::read_to_string(repository().join("docs/dependencies.md")).unwrap();
    let section = document.split_once("## Build scripts").unwrap().1.split_once("## Licenses").unwrap().0;
    let listed: BTreeSet<String> =
        section.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned())).collect();
    assert_eq!(found, listed);
}
