//! What `make deploy` asks about a stack, on moto: whether to prompt for its parameters, and whether someone receives its alarms.

use std::process::{Command, Output};

use laptop::emulators::sdk_config;
use serde_json::json;

use crate::readers::python;
use crate::redrive::moto::Moto;

fn script(url: &str, arguments: &[&str]) -> Output {
    Command::new(python())
        .args(arguments)
        .current_dir(crate::repository())
        .envs([("AWS_ENDPOINT_URL", url), ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_MAX_ATTEMPTS", "1")])
        .envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")])
        .output()
        .unwrap()
}

fn warnings(moto: &Moto) -> String {
    let output = script(&moto.url, &[".deploy/subscribers.py", "deployed"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A stack in another Region than that of the environment, in which its answers file has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_looks_for_the_stack_in_the_region_that_was_answered() {
    let moto = Moto::start();
    let region = aws_sdk_cloudformation::config::Region::new("eu-west-1");
    let config = sdk_config(None).into_builder().endpoint_url(&moto.url).region(region).build();
    let template = json!({ "Resources": { "Topic": { "Type": "AWS::SNS::Topic" } } });
    let cloudformation = aws_sdk_cloudformation::Client::new(&config);
    cloudformation.create_stack().stack_name("lake").template_body(template.to_string()).send().await.unwrap();
    assert_eq!(options(&moto.url, "lake", "").unwrap(), "--region us-east-1 --guided", "the environment's Region");

    let folder = tempfile::tempdir().unwrap();
    let answers = folder.path().join(".samconfig-lake.toml");
    let (answers, program) = (answers.to_str().unwrap(), python());
    let in_region = |script: &[&str]| {
        let command = [&[".deploy/in_region.py", answers, program.to_str().unwrap()], script].concat();
        let output = self::script(&moto.url, &command);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let deployed = [".deploy/deployed.py", "lake", ""];
    assert_eq!(in_region(&deployed), "--region us-east-1 --guided\n", "there are no answers yet");
    // What sam saves.
    let saved = "version = 0.1\n[default.deploy.parameters]\nstack_name = \"lake\"\nregion = \"eu-west-1\"\n[default.global.parameters]\nregion = \"eu-west-1\"\n";
    std::fs::write(answers, saved).unwrap();
    assert_eq!(in_region(&deployed), "--region eu-west-1\n");
    assert_eq!(
        in_region(&[".deploy/subscribers.py", "lake"]),
        "warning: lake has no alarms: make deploy STACK=lake PARAMETERS='Alarms=true'\n"
    );
}

/// The options for sam, or why it isn't called.
fn options(url: &str, stack: &str, pipeline_dir: &str) -> Result<String, String> {
    let output = script(url, &[".deploy/deployed.py", stack, pipeline_dir]);
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_prompts_for_a_new_stack_only_and_keeps_the_own_pipeline_of_another() {
    let moto = Moto::start();
    let config = sdk_config(None).into_builder().endpoint_url(&moto.url).build();
    let cloudformation = aws_sdk_cloudformation::Client::new(&config);
    let guided = Ok("--region us-east-1 --guided".to_owned());
    let keeps = Ok("--region us-east-1".to_owned());
    assert_eq!(options(&moto.url, "mine", ""), guided);
    for (stack, metadata) in [("usage", json!({})), ("mine", json!({ "UsageAggregatorPipeline": "eyJ9" }))] {
        let template = json!({
            "Metadata": metadata,
            "Parameters": { "Pipeline": { "Type": "String", "Default": stack } },
            "Resources": { "Topic": { "Type": "AWS::SNS::Topic" } },
        });
        let create = cloudformation.create_stack().stack_name(stack).template_body(template.to_string());
        create.send().await.unwrap();
    }
    assert_eq!(options(&moto.url, "usage", ""), keeps);
    assert_eq!(options(&moto.url, "mine", "pipelines/mine"), keeps);
    let refused = options(&moto.url, "mine", "").unwrap_err();
    assert!(refused.ends_with("make deploy STACK=mine PIPELINE_DIR=path/to/mine"), "{refused}");
    // It never takes a stack for a new one because it could not be looked for.
    let unknown = options("http://127.0.0.1:9", "usage", "").unwrap_err();
    assert!(unknown.starts_with("could not look for the stack usage: "), "{unknown}");
}

/// The queue left the stack with its messages, and their records expired within hours while nothing reported them.
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_deployment_does_not_leave_a_failure_queue_behind_that_has_messages() {
    let moto = Moto::start();
    let config = sdk_config(None).into_builder().endpoint_url(&moto.url).build();
    let queue = moto.queue("failures").await;
    let template = json!({
        "Resources": { "Topic": { "Type": "AWS::SNS::Topic" } },
        "Outputs": { "FailureQueueUrl": { "Value": queue.url } },
    });
    let cloudformation = aws_sdk_cloudformation::Client::new(&config);
    cloudformation.create_stack().stack_name("usage").template_body(template.to_string()).send().await.unwrap();
    let deploy = |change: &str| script(&moto.url, &[".deploy/deployed.py", "usage", "", "BatchSize=2000", change]);
    assert!(deploy("FailureStore=S3").status.success(), "the queue is empty");
    queue.send("a position").await;
    assert!(deploy("Tracing=true").status.success(), "the queue stays");
    let refused = deploy("FailureStore=S3");
    let said = String::from_utf8(refused.stderr).unwrap();
    let expected = "the failure queue of the stack usage has messages (1), which no alarm or command would find after FailureStore=S3: \
        redrive them first, usagectl redrive --stack usage, and then deploy again\n";
    assert_eq!((refused.status.code(), said.as_str()), (Some(1), expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_warns_until_each_topic_has_a_subscriber() {
    let moto = Moto::start();
    let config = sdk_config(None).into_builder().endpoint_url(&moto.url).build();
    assert!(warnings(&moto).starts_with("warning: could not check who receives the alarms: "));

    let topic = |name: &str| json!({ "Type": "AWS::SNS::Topic", "Properties": { "TopicName": name } });
    let output = |name: &str| json!({ "Value": { "Ref": name } });
    let template = json!({
        "Resources": { "Alarm": topic("alarm"), "Page": topic("page"), "Alerts": topic("alerts") },
        "Outputs": {
            "AlarmTopicArn": output("Alarm"), "PageTopicArn": output("Page"), "UsageAlertTopicArn": output("Alerts"),
        },
    });
    let cloudformation = aws_sdk_cloudformation::Client::new(&config);
    let create = cloudformation.create_stack().stack_name("deployed").template_body(template.to_string());
    create.send().await.unwrap();
    let every = "warning: no one receives every alarm: make deploy STACK=deployed PARAMETERS='AlarmEmail=ADDRESS'\n";
    let page = "warning: no one receives Page, which needs someone now: make deploy STACK=deployed PARAMETERS='PageEndpoint=URL'\n";
    // An AlertEmail that nobody confirmed.
    let alerts = "warning: no one receives the alerts of the pipeline: make deploy STACK=deployed PARAMETERS='AlertEmail=ADDRESS'\n";
    assert_eq!(warnings(&moto), [every, page, alerts].concat());

    let sns = aws_sdk_sns::Client::new(&config);
    for name in ["alarm", "page", "alerts"] {
        let arn = format!("arn:aws:sns:us-east-1:123456789012:{name}");
        let queue = "arn:aws:sqs:us-east-1:123456789012:someone";
        sns.subscribe().topic_arn(arn).protocol("sqs").endpoint(queue).send().await.unwrap();
    }
    assert_eq!(warnings(&moto), "");
}
