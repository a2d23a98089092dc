//! The warning of `make deploy` if no one receives the alarms, on moto.

use std::process::Command;

use laptop::emulators::sdk_config;
use serde_json::json;

use crate::readers::python;
use crate::redrive::moto::Moto;

fn warnings(moto: &Moto) -> String {
    let output = Command::new(python())
        .args([".deploy/subscribers.py", "deployed"])
        .current_dir(crate::repository())
        .envs([("AWS_ENDPOINT_URL", moto.url.as_str()), ("AWS_DEFAULT_REGION", "us-east-1")])
        .envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_warns_until_each_topic_has_a_subscriber() {
    let moto = Moto::start();
    let config = sdk_config(None).into_builder().endpoint_url(&moto.url).build();
    assert!(warnings(&moto).starts_with("warning: could not check who receives the alarms: "));

    let topic = |name: &str| json!({ "Type": "AWS::SNS::Topic", "Properties": { "TopicName": name } });
    let output = |name: &str| json!({ "Value": { "Ref": name } });
    let template = json!({
        "Resources": { "Alarm": topic("alarm"), "Page": topic("page") },
        "Outputs": { "AlarmTopicArn": output("Alarm"), "PageTopicArn": output("Page") },
    });
    let cloudformation = aws_sdk_cloudformation::Client::new(&config);
    let create = cloudformation.create_stack().stack_name("deployed").template_body(template.to_string());
    create.send().await.unwrap();
    let every = "warning: no one receives every alarm: make deploy STACK=deployed PARAMETERS='AlarmEmail=ADDRESS'\n";
    let page = "warning: no one receives Page, which needs someone now: make deploy STACK=deployed PARAMETERS='PageEndpoint=URL'\n";
    assert_eq!(warnings(&moto), [every, page].concat());

    let sns = aws_sdk_sns::Client::new(&config);
    for name in ["alarm", "page"] {
        let arn = format!("arn:aws:sns:us-east-1:123456789012:{name}");
        let queue = "arn:aws:sqs:us-east-1:123456789012:someone";
        sns.subscribe().topic_arn(arn).protocol("sqs").endpoint(queue).send().await.unwrap();
    }
    assert_eq!(warnings(&moto), "");
}
