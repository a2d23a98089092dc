//! A CloudFormation with one stack, `lake`, for commands that read its template, parameters, and outputs.

use axum::Router;
use axum::http::StatusCode;

use crate::fixture::{Fixture, Run};

const UNKNOWN: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
    <Message>Stack with id other does not exist</Message></Error><RequestId>1</RequestId></ErrorResponse>";

/// What the stack is made of.
#[derive(Debug, Default)]
pub struct Stack {
    pub template: String,
    pub parameters: Vec<(&'static str, String)>,
    pub outputs: Vec<(&'static str, String)>,
}

/// A running CloudFormation.
pub struct CloudFormation(String);

impl CloudFormation {
    /// Starts one that knows `stack`.
    pub async fn start(stack: &Stack) -> CloudFormation {
        let template = format!(
            "<GetTemplateResponse><GetTemplateResult><TemplateBody>{}</TemplateBody></GetTemplateResult></GetTemplateResponse>",
            escaped(&stack.template)
        );
        let described = format!(
            "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>lake</StackName>\
            <CreationTime>2026-11-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
            <Parameters>{}</Parameters><Outputs>{}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>",
            members("Parameter", &stack.parameters),
            members("Output", &stack.outputs)
        );
        let answer = move |body: String| {
            let answer = match (body.contains("StackName=lake"), body.contains("Action=GetTemplate")) {
                (false, _) => (StatusCode::BAD_REQUEST, UNKNOWN.to_owned()),
                (true, true) => (StatusCode::OK, template.clone()),
                (true, false) => (StatusCode::OK, described.clone()),
            };
            async move { answer }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        CloudFormation(url)
    }

    /// Runs a command in this account, with more variables.
    pub async fn run(&self, fixture: &Fixture, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = fixture.command(arguments);
        command.envs([
            ("AWS_ENDPOINT_URL_CLOUDFORMATION", &*self.0),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_REGION", "us-east-1"),
        ]);
        command.envs(variables.iter().copied());
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
    }
}

fn members(kind: &str, pairs: &[(&str, String)]) -> String {
    let member = |(key, value): &(&str, String)| {
        format!("<member><{kind}Key>{key}</{kind}Key><{kind}Value>{}</{kind}Value></member>", escaped(value))
    };
    pairs.iter().map(member).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
