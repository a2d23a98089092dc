//! A stack whose mappings invoke an alias: each command reads and measures what the alias invokes.

use std::collections::HashMap;

use aws_sdk_lambda::types::Environment;
use laptop::emulators::Services;
use serde_json::{Value, json};

use super::blocked::put;
use super::lambda::Front;
use super::place::{Place, front};
use super::{healthy, unwrapped};

async fn gradual() -> Place {
    let parameters = ["Pipeline=orders", "GradualDeployment=Canary10Percent15Minutes"];
    let place = Place::new(&parameters, front("Terminate", 10, env!("CARGO_PKG_VERSION")), healthy()).await;
    place.complete().await;
    // What was changed by hand and never published doesn't run.
    let lambda = aws_sdk_lambda::Client::new(&place.config);
    for function in ["FunctionName", "FoldFunctionName"] {
        let variables = HashMap::from([("PIPELINE".to_owned(), "demand".to_owned())]);
        let changed = lambda.update_function_configuration().function_name(place.output(function)).memory_size(3_008);
        changed.environment(Environment::builder().set_variables(Some(variables)).build()).send().await.unwrap();
    }
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_whose_mappings_invoke_an_alias_is_diagnosed_by_what_the_alias_invokes() {
    let place = gradual().await;
    let run = place.doctor(&["--stack", "moto"]).await;
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run:?}");
    assert!(!run.stdout.contains("unknown"), "{}", run.stdout);
    // A mapping of an alias isn't listed as one of the function.
    let by_function = place.doctor(&["--function", place.output("FunctionName"), "no-invocations"]).await;
    assert_eq!(by_function.code, Some(0), "{by_function:?}");
    assert!(unwrapped(&by_function.stdout).contains("mapping-state"), "{by_function:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_settings_of_an_alias_are_found_by_the_functions_name() {
    let mut place = gradual().await;
    let cloudwatch = Services::start(None).unwrap();
    place.environment.insert("AWS_ENDPOINT_URL_CLOUDWATCH", cloudwatch.cloudwatch_url().to_owned());
    let minutes = |value: f64| -> Vec<(u64, f64)> { (1..=30).map(|minute| (minute, value)).collect() };
    let hundreds = minutes(100.0);
    for function in ["FunctionName", "FoldFunctionName"] {
        let dimension = ("FunctionName", place.output(function));
        for (metric, values) in [("Invocations", &hundreds), ("Duration", &hundreds), ("IteratorAge", &hundreds)] {
            put(&cloudwatch, "AWS/Lambda", metric, dimension, values).await;
        }
    }
    let mapping = ("EventSourceMappingUUID", place.output("EventSourceMappingId"));
    put(&cloudwatch, "AWS/Lambda", "InvokedEventCount", mapping, &minutes(40_000.0)).await;
    let json_of = async |command: &[&str]| -> Value {
        let run = place.run(&[command, &["--stack", "moto", "--json"]].concat()).await;
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    };
    let tune = json_of(&["tune", "--span", "1h"]).await;
    let seen = ["batch", "iterator_age_seconds"].map(|name| &tune["seen"][name]);
    assert_eq!(seen, [&json!(400.0), &json!(0.1)], "{tune:#}");
    assert_eq!(tune["now"]["MemoryMegabytes"], json!(256.0), "{tune:#}");
    let cost = json_of(&["cost"]).await;
    assert!(cost.to_string().len() > 100, "{cost:#}");
}

/// Lambda answers without the variables if the caller may not decrypt them. Each check then judged the defaults, and two functions
/// without variables had the same settings.
#[tokio::test(flavor = "multi_thread")]
async fn regression_variables_that_cannot_be_decrypted_are_not_judged() {
    let front = Front { key_denied: true, ..front("Terminate", 10, env!("CARGO_PKG_VERSION")) };
    let place = Place::new(&["Pipeline=orders"], front, healthy()).await;
    let run = place.doctor(&["--stack", "moto"]).await;
    let text = unwrapped(&run.stdout);
    let settings = text.lines().find(|line| line.contains(" fold-settings ")).unwrap();
    assert!(settings.contains("permission denied: kms:Decrypt"), "{settings}");
}
