//! `make deploy` as far as it can go without an account: what it asks of sam and usagectl, by programs of these names that note their
//! arguments.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::fixture::Run;
use crate::readers::python;

/// A folder with the project's Makefile and programs in place of sam and Python.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Project {
        let project = Project(tempfile::tempdir().unwrap());
        project.write("Makefile", &std::fs::read_to_string(Path::new(crate::repository()).join("Makefile")).unwrap());
        // Finished environments, which are newer than what they are made of.
        for environment in [".venv", ".venv-lint"] {
            project.write("tests/requirements.txt", "");
            project.write("tests/requirements-lint.txt", "");
            project.write(&format!("{environment}/made"), "");
        }
        let noted = |name: &str| format!("#!/bin/sh\nprintf '%s\\n' --- {name} \"$@\" >>calls\n");
        project.program(".venv-lint/bin/sam", &noted("sam"));
        // Python also runs a command in the stack's Region, and answers for the stack, as .deploy/deployed.py does.
        let real = python();
        let in_region = format!("#!/bin/sh\ncase $1 in *in_region.py) exec {} \"$@\";; esac\n", real.display());
        let answers =
            noted("python").replace("#!/bin/sh\n", &in_region) + "case $1 in *deployed.py) . ./stack;; esac\n";
        project.program(".venv-lint/bin/python", &answers);
        let script = std::fs::read_to_string(Path::new(crate::repository()).join(".deploy/in_region.py")).unwrap();
        project.write(".deploy/in_region.py", &script);
        project.write("stack", "echo --region eu-west-1\n");
        project.program(".venv/bin/cargo", "#!/bin/sh\n");
        project.program("tests/schemas.sh", "#!/bin/sh\n");
        project.program("target/debug/usagectl", "#!/bin/sh\nprintf '%s\\n' --- usagectl \"$@\" >>calls\n");
        project
    }

    fn program(&self, path: &str, text: &str) {
        self.write(path, text);
        std::fs::set_permissions(self.0.path().join(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Command::new("make").args(arguments).current_dir(self.0.path()).output().unwrap().into()
    }

    /// Runs make, and returns the calls: each program and its arguments.
    fn make(&self, arguments: &[&str]) -> Vec<Vec<String>> {
        let _ = std::fs::remove_file(self.0.path().join("calls"));
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{run:?}");
        let calls = std::fs::read_to_string(self.0.path().join("calls")).unwrap();
        calls.split("---\n").skip(1).map(|call| call.lines().map(str::to_owned).collect()).collect()
    }
}

/// The values of each option.
fn options(call: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let (mut options, mut last): (BTreeMap<&str, Vec<&str>>, &str) = (BTreeMap::new(), "");
    for argument in call {
        if argument.starts_with("--") {
            last = argument;
            options.insert(last, Vec::new());
        } else {
            options.entry(last).or_default().push(argument);
        }
    }
    options
}

#[test]
fn make_deploy_gives_tags_and_parameters_to_sam() {
    let project = Project::new();
    let calls = project.make(&[
        "deploy",
        "STACK=lake",
        "ARCH=arm64",
        "TAGS=team=data cost-center=4711",
        "PARAMETERS=BatchSize=2000 Tracing=true",
    ]);
    let [stack, build, deploy, subscribers] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(stack[..], ["python", ".deploy/deployed.py", "lake", "", "BatchSize=2000", "Tracing=true"]);
    assert_eq!(options(build)["--parameter-overrides"], ["Architecture=arm64"]);
    let options = options(deploy);
    // sam takes one argument with all tags, or an argument for each.
    assert_eq!(options["--tags"], ["team=data cost-center=4711"]);
    assert_eq!(options["--stack-name"], ["lake"]);
    let [architecture, release, batch_size, tracing] = options["--parameter-overrides"][..] else {
        panic!("{options:?}")
    };
    assert_eq!([architecture, batch_size, tracing], ["Architecture=arm64", "BatchSize=2000", "Tracing=true"]);
    // The template takes 10 characters, all of which SAM uses.
    let release = release.strip_prefix("Release=").unwrap();
    assert!(release.len() == 10 && release.parse::<u64>().is_ok(), "{release}");
    assert!(!options.contains_key("--guided"), "the stack has parameters: {options:?}");
    assert_eq!(options["--region"], ["eu-west-1"]);
    // sam refuses a file that doesn't exist, on the first machine and on every other one.
    let answers = options["--config-file"][0];
    assert!(answers.ends_with("/.samconfig-lake.toml") && Path::new(answers).exists(), "{answers}");
    assert_eq!(subscribers.last().unwrap(), "lake");
}

/// sam refuses `AlertEmail=`, and takes `AlertEmail=""`, whose quotes the shells must leave.
#[test]
fn regression_a_parameter_can_be_emptied_as_the_document_says() {
    let documented = r#"AlertEmail=\"\""#;
    let operations = std::fs::read_to_string(Path::new(crate::repository()).join("docs/operations.md")).unwrap();
    assert!(operations.contains(&format!("PARAMETERS='{documented}'")));
    let calls = Project::new().make(&["deploy", &format!("PARAMETERS={documented}")]);
    let given = options(&calls[2]);
    assert_eq!(given["--parameter-overrides"].last(), Some(&r#"AlertEmail="""#), "{given:?}");
}

#[test]
fn a_first_deployment_prompts_and_has_no_tags_unless_they_are_given() {
    let project = Project::new();
    // The answers of a stack that was deleted don't count.
    project.write(".samconfig-usage-aggregator.toml", "");
    project.write("stack", "echo --region eu-west-1 --guided\n");
    let calls = project.make(&["deploy"]);
    let options = options(&calls[2]);
    assert!(options.contains_key("--guided") && !options.contains_key("--tags"), "{options:?}");
}

/// `sam deploy --guided` prompts for the Region, and saves it with the other answers.
#[test]
fn every_command_runs_in_the_region_that_was_answered() {
    let project = Project::new();
    project.write("mine/pipeline.toml", "");
    let noted = "#!/bin/sh\nprintf '%s\\n' --- \"$AWS_REGION $AWS_DEFAULT_REGION\" >>calls\n";
    project.program(".venv-lint/bin/sam", noted);
    project.program("target/debug/usagectl", noted);
    let regions = |arguments: &[&str]| {
        let arguments = [&["STACK=lake", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1"], arguments].concat();
        let calls = project.make(&arguments).into_iter();
        calls.map(|call| call.into_iter().next().unwrap()).filter(|call| call.contains('-')).collect::<Vec<_>>()
    };
    // Without answers, the environment's.
    let own = ["deploy", "PIPELINE_DIR=mine"];
    assert_eq!(regions(&own)[0], "us-east-1 us-east-1");
    project.write(".samconfig-lake.toml", "[default.deploy.parameters]\nregion = \"eu-west-1\"\n");
    let answered = "eu-west-1 eu-west-1";
    assert_eq!(regions(&own)[0], answered, "the pipeline is compared with that of the stack");
    assert_eq!(regions(&["logs"]), [answered]);
    let deployed = project.run(&["deploy", "STACK=lake", "AWS_REGION=us-east-1"]);
    let note = "note: using the Region eu-west-1 of .samconfig-lake.toml, not us-east-1; delete the file to use another Region";
    assert!(deployed.stderr.contains(note), "{deployed:?}");
    project.write(".samconfig-lake.toml", "region =");
    let damaged = project.run(&["logs", "STACK=lake"]);
    assert!(damaged.stderr.contains("could not read the Region of the stack from .samconfig-lake.toml"), "{damaged:?}");
}

#[test]
fn nothing_is_built_for_a_stack_that_must_not_be_deployed_so() {
    let project = Project::new();
    project.write("stack", "echo 'the stack mine runs a pipeline of your own' >&2; exit 1\n");
    let refused = project.run(&["deploy", "STACK=mine"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("runs a pipeline of your own"), "{refused:?}");
    let calls = std::fs::read_to_string(project.0.path().join("calls")).unwrap();
    assert!(!calls.contains("--- sam"), "{calls}");
}

#[test]
fn make_deploy_stops_at_an_unsafe_schema_unless_it_is_told_not_to_check() {
    let project = Project::new();
    project.program("tests/schemas.sh", "#!/bin/sh\necho 'unsafe  order.avsc total: was removed'\nexit 1\n");
    let refused = project.run(&["deploy"]);
    assert!(refused.code == Some(2) && refused.stdout.contains("unsafe  order.avsc"), "{refused:?}");
    assert!(!project.0.path().join("calls").exists(), "sam was called");
    assert_eq!(project.make(&["deploy", "SCHEMAS=unchecked"]).len(), 4);
}

#[test]
fn a_pipeline_of_ones_own_is_checked_packaged_and_deployed_without_an_edit_of_the_template() {
    let project = Project::new();
    project.write("mine/pipeline.toml", "");
    let calls = project.make(&["deploy", "STACK=lake", "PIPELINE_DIR=mine"]);
    let [check, stack, package, deploy, subscribers] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(stack[..], ["python", ".deploy/deployed.py", "lake", "mine"]);
    assert_eq!(check[..], ["usagectl", "pipeline", "check", "--stack", "lake", "mine"]);
    assert_eq!(package[..], ["usagectl", "package", "--pipeline-dir", "mine", "--out", "build/lake"]);
    let options = options(deploy);
    assert_eq!(options["--template-file"], ["build/lake/template.yaml"]);
    assert!(options["--parameter-overrides"].contains(&"Pipeline=mine"), "{options:?}");
    assert_eq!(subscribers[0], "python");
}

#[test]
fn an_unsafe_change_of_the_own_pipeline_stops_the_deployment_unless_it_is_told_not_to_check() {
    let project = Project::new();
    project.write("mine/pipeline.toml", "");
    let refuse = "#!/bin/sh\nprintf '%s\\n' --- usagectl \"$@\" >>calls\nif [ $1 = pipeline ]; then echo 'unsafe  mine: day was removed'; exit 1; fi\n";
    project.program("target/debug/usagectl", refuse);
    let refused = project.run(&["deploy", "PIPELINE_DIR=mine"]);
    assert!(refused.code == Some(2) && refused.stdout.contains("unsafe  mine"), "{refused:?}");
    let calls = std::fs::read_to_string(project.0.path().join("calls")).unwrap();
    assert!(!calls.contains("sam") && !calls.contains("package"), "{calls}");
    assert_eq!(project.make(&["deploy", "PIPELINE_DIR=mine", "SCHEMAS=unchecked"]).len(), 4);
}
