//! Lambda: the functions.

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::types::RecursiveLoop;

use super::super::facts::{Fact, Function, Part, Recursion, Unavailable};
use super::{named, seen, whole};
use crate::stack::{Account, FunctionName, Names, undecrypted};

/// The tag with the deployed version, set by template.yaml.
const VERSION_TAG: &str = "usage-aggregator-version";

/// The function that appends.
pub(super) async fn of(account: &Account, names: &Names) -> Fact<Function> {
    read(account, named(&names.function, "--function")?).await
}

/// The function that folds.
pub(super) async fn of_fold(account: &Account, names: &Names) -> Fact<Function> {
    read(account, named(&names.fold_function, "--fold-function")?).await
}

async fn read(account: &Account, name: &str) -> Fact<Function> {
    let FunctionName { unqualified, qualifier, .. } = FunctionName::parse(name);
    let got = get(account, unqualified, qualifier).await?;
    // Tags and concurrency belong to the function, not to a version.
    let function = if qualifier.is_some() { Some(get(account, unqualified, None).await?) } else { None };
    let (tags, concurrency) = match function {
        Some(function) => (function.tags, function.concurrency),
        None => (got.tags, got.concurrency),
    };
    let configuration =
        got.configuration.unwrap_or_else(|| aws_sdk_lambda::types::FunctionConfiguration::builder().build());
    // Lambda answers without the variables, and every check would judge the defaults.
    if undecrypted(configuration.environment()).is_some() {
        return Err(Unavailable::Denied { action: "kms:Decrypt" });
    }
    let variables = configuration.environment().and_then(|environment| environment.variables()).cloned();
    Ok(Function {
        name: configuration.function_name().unwrap_or(name).to_owned(),
        role_arn: configuration.role().unwrap_or_default().to_owned(),
        runtime: configuration.runtime().map_or("unknown", |runtime| runtime.as_str()).to_owned(),
        architecture: configuration.architectures().first().map_or("x86_64", |found| found.as_str()).to_owned(),
        timeout_seconds: whole(configuration.timeout()),
        reserved: concurrency.and_then(|found| found.reserved_concurrent_executions).map(i64::from),
        variables: variables.unwrap_or_default().into_iter().collect(),
        version: tags.and_then(|tags| tags.get(VERSION_TAG).cloned()),
        code_sha256: configuration.code_sha256().unwrap_or("unknown").to_owned(),
    })
}

async fn get(account: &Account, name: &str, qualifier: Option<&str>) -> Fact<GetFunctionOutput> {
    let got = account.lambda().get_function().function_name(name).set_qualifier(qualifier.map(str::to_owned));
    let part =
        || qualifier.map_or_else(|| format!("the function {name}"), |alias| format!("the function {name}:{alias}"));
    seen("lambda:GetFunction", || Part::Other(part()), got.send().await)
}

pub(super) async fn recursion(account: &Account, names: &Names) -> Fact<Recursion> {
    let name = FunctionName::parse(named(&names.function, "--function")?).unqualified;
    let got = account.lambda().get_function_recursion_config().function_name(name).send().await;
    let got =
        seen("lambda:GetFunctionRecursionConfig", || Part::Other(format!("the recursion setting of {name}")), got)?;
    Ok(match got.recursive_loop {
        Some(RecursiveLoop::Allow) => Recursion::Allowed,
        _ => Recursion::Terminates,
    })
}
