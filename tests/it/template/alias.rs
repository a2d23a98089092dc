//! Gradual deployment: what the mappings invoke, what shifts it, and what undoes the shift. SAM makes versions, aliases, and
//! CodeDeploy's resources, so the template is transformed with the parameters, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::alarms::alarms;
use super::{members, template, transformed};

const CANARY: &str = "Canary10Percent15Minutes";

const RELEASE: &str = "1795000000";

/// The template with gradual deployment.
fn gradual() -> &'static Value {
    static GRADUAL: OnceLock<Value> = OnceLock::new();
    GRADUAL.get_or_init(|| released(RELEASE))
}

fn released(release: &str) -> Value {
    transformed(&[&format!("GradualDeployment={CANARY}"), &format!("Release={release}")])
}

/// The logical IDs of a type.
fn ids<'t>(template: &'t Value, of_type: &str) -> BTreeSet<&'t str> {
    let resources = template["Resources"].as_object().unwrap().iter();
    resources.filter(|(_, resource)| resource["Type"] == of_type).map(|(id, _)| id.as_str()).collect()
}

#[test]
fn with_gradual_deployment_the_mappings_and_the_sweeps_invoke_the_alias() {
    let resources = &template()["Resources"];
    let shifted = |alias: &str, otherwise: Value| json!({ "Fn::If": ["ShiftsGradually", { "Ref": alias }, otherwise] });
    for (mapping, function) in [("EventSourceMapping", "Function"), ("LedgerMapping", "FoldFunction")] {
        let invoked = shifted(&format!("{function}Aliaslive"), json!({ "Ref": function }));
        assert_eq!(resources[mapping]["Properties"]["FunctionName"], invoked, "{mapping}");
    }
    let fold = shifted("FoldFunctionAliaslive", json!({ "Fn::GetAtt": ["FoldFunction", "Arn"] }));
    for schedule in ["SweepSchedule", "LateSweepSchedule", "ProofSchedule"] {
        assert_eq!(resources[schedule]["Properties"]["Target"]["Arn"], fold, "{schedule}");
    }
    let role = &resources["SweepRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0];
    assert_eq!(role["Resource"], fold);
    for (policy, sid) in [("OperatorPolicy", "OperateFunctions"), ("AnalystPolicy", "ReadVariables")] {
        let statements = resources[policy]["Properties"]["PolicyDocument"]["Statement"].as_array().unwrap();
        let statement = statements.iter().find(|statement| statement["Sid"] == sid).unwrap();
        let aliases = json!({ "Fn::Sub": "${Function.Arn}:*" });
        assert!(members(&statement["Resource"]).contains(&&aliases), "{policy}");
    }
    let output = &template()["Outputs"]["FunctionAlias"];
    assert_eq!((&output["Value"], &output["Condition"]), (&json!("live"), &json!("ShiftsGradually")));
}

#[test]
fn by_default_nothing_is_shifted() {
    assert_eq!(template()["Parameters"]["GradualDeployment"]["Default"], "none");
    assert_eq!(ids(template(), "AWS::CodeDeploy::DeploymentGroup"), BTreeSet::new());
    for alias in ids(template(), "AWS::Lambda::Alias") {
        assert!(template()["Resources"][alias].get("UpdatePolicy").is_none(), "{alias}");
    }
}

#[test]
fn codedeploy_shifts_both_aliases_and_back_if_an_error_alarm_fires() {
    let made = gradual();
    let named: BTreeMap<String, &str> =
        alarms().into_iter().map(|(id, alarm)| (alarm["AlarmName"].to_string(), id)).collect();
    for (function, expected) in
        [("Function", ["ErrorRate", "RecordsFailed"]), ("FoldFunction", ["FoldErrors", "NoticesFailed"])]
    {
        let alias = &made["Resources"][format!("{function}Aliaslive")];
        let group =
            alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"].as_str().unwrap();
        let group = &made["Resources"][group]["Properties"];
        let watched = members(&group["AlarmConfiguration"])[0]["Alarms"].as_array().unwrap();
        let watched: Vec<&str> = watched.iter().map(|alarm| named[&alarm["Name"].to_string()]).collect();
        assert_eq!(watched, expected);
        let rollback = &group["AutoRollbackConfiguration"];
        assert!(rollback["Enabled"] == true && rollback["Events"].to_string().contains("DEPLOYMENT_STOP_ON_ALARM"));
        assert_eq!(group["DeploymentConfigName"]["Fn::Sub"][1]["ConfigName"], CANARY);
        // SAM's own role would have no permissions boundary.
        let role = json!({ "Fn::If": ["ShiftsGradually", { "Fn::GetAtt": ["DeploymentRole", "Arn"] }, { "Fn::GetAtt": ["FunctionRole", "Arn"] }] });
        assert_eq!(group["ServiceRoleArn"], role);
    }
    assert!(ids(made, "AWS::IAM::Role").contains("DeploymentRole"));
    assert!(!ids(made, "AWS::IAM::Role").contains("CodeDeployServiceRole"));
}

#[test]
fn a_shift_takes_longer_than_the_alarms_that_undo_it() {
    let allowed = template()["Parameters"]["GradualDeployment"]["AllowedValues"].as_array().unwrap();
    let slowest = ["ErrorRate", "RecordsFailed", "FoldErrors", "NoticesFailed"].map(|name| {
        let alarm = alarms()[name];
        let period =
            alarm["Period"].as_u64().unwrap_or_else(|| alarm["Metrics"][1]["MetricStat"]["Period"].as_u64().unwrap());
        period * alarm["DatapointsToAlarm"].as_u64().unwrap() / 60
    });
    let slowest = slowest.into_iter().max().unwrap();
    assert_eq!((slowest, allowed.len()), (10, 6));
    for name in allowed.iter().map(|name| name.as_str().unwrap()) {
        let enabled = if name == "none" { "false" } else { "true" };
        assert_eq!(template()["Mappings"]["GradualDeployments"][name]["Enabled"], enabled, "{name}");
        let number = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>().parse::<u64>().unwrap();
        let minutes = match (name.strip_prefix("Canary10Percent"), name.strip_prefix("Linear10PercentEvery")) {
            (Some(once), _) => number(once),
            (_, Some(each)) => 9 * number(each),
            _ => continue,
        };
        assert!(minutes > slowest, "{name} takes {minutes} minutes");
    }
}

/// SAM hashes the code and references to parameters, so by itself, it publishes nothing if only FoldEpoch is raised.
#[test]
fn each_release_publishes_a_version_even_if_only_a_parameter_changed() {
    let (first, next) = (gradual(), released("1795000001"));
    let versions = |made| ids(made, "AWS::Lambda::Version").into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert!(versions(first).is_disjoint(&versions(&next)), "{:?}", versions(&next));
    // Lambda publishes no version of a function that hasn't changed.
    let description = |made: &Value| made["Resources"]["FoldFunction"]["Properties"]["Description"].to_string();
    assert!(description(&next).contains("1795000001") && description(first) != description(&next));
}

/// What a part of the template refers to.
fn references<'t>(value: &'t Value, into: &mut BTreeSet<&'t str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| references(value, into)),
        Value::Object(object) => {
            let names = [value["Ref"].as_str(), value["Fn::GetAtt"][0].as_str()];
            into.extend(names.into_iter().flatten());
            let text = value["Fn::Sub"].as_str().or(value["Fn::Sub"][0].as_str()).unwrap_or_default();
            into.extend(text.split("${").skip(1).filter_map(|rest| rest.split(['}', '.']).next()));
            object.values().for_each(|value| references(value, into));
        }
        _ => {}
    }
}

#[test]
fn nothing_depends_on_itself() {
    let made = gradual();
    let resources = made["Resources"].as_object().unwrap();
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (id, resource) in resources {
        let mut named = BTreeSet::new();
        references(&resource["Properties"], &mut named);
        references(&resource["UpdatePolicy"], &mut named);
        waiting.insert(id, named.into_iter().filter(|name| resources.contains_key(*name)).collect());
    }
    while let Some(ready) = waiting.iter().find(|(_, on)| on.is_empty()).map(|(id, _)| *id) {
        waiting.remove(ready);
        for on in waiting.values_mut() {
            on.remove(ready);
        }
    }
    assert!(waiting.is_empty(), "{:?}", waiting.keys());
}
