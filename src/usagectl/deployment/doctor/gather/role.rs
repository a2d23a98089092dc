//! IAM: the documents of the policies of the function's role, inline and attached.

use aws_sdk_iam::Client;

use super::super::facts::{Fact, Function, Part, Role, Unavailable};
use super::super::policy::document;
use super::seen;
use crate::stack::Account;

pub(super) async fn of(account: &Account, function: &Fact<Function>) -> Fact<Role> {
    let arn = &function.as_ref().map_err(Clone::clone)?.role_arn;
    let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
    let client = account.iam();
    let (inline, attached) = futures::join!(inline(&client, &name), attached(&client, &name));
    let documents = inline?.into_iter().chain(attached?);
    Ok(Role {
        policies: documents.map(|text| document(&text).map_err(Unavailable::Failed)).collect::<Fact<_>>()?,
        name,
    })
}

async fn inline(client: &Client, role: &str) -> Fact<Vec<String>> {
    let mut documents = Vec::new();
    let mut names = client.list_role_policies().role_name(role).into_paginator().items().send();
    while let Some(name) = names.next().await {
        let name = seen("iam:ListRolePolicies", || Part::Other(format!("the policies of the role {role}")), name)?;
        let got = client.get_role_policy().role_name(role).policy_name(&name).send().await;
        documents.push(
            seen("iam:GetRolePolicy", || Part::Other(format!("the policy {name} of {role}")), got)?.policy_document,
        );
    }
    Ok(documents)
}

async fn attached(client: &Client, role: &str) -> Fact<Vec<String>> {
    let mut documents = Vec::new();
    let mut policies = client.list_attached_role_policies().role_name(role).into_paginator().items().send();
    while let Some(policy) = policies.next().await {
        let policy =
            seen("iam:ListAttachedRolePolicies", || Part::Other(format!("the policies of the role {role}")), policy)?;
        let arn = policy.policy_arn.unwrap_or_default();
        let got = client.get_policy().policy_arn(&arn).send().await;
        let version = seen("iam:GetPolicy", || Part::Other(format!("the policy {arn}")), got)?
            .policy
            .and_then(|policy| policy.default_version_id);
        let got = client.get_policy_version().policy_arn(&arn).version_id(version.unwrap_or_default()).send().await;
        let got = seen("iam:GetPolicyVersion", || Part::Other(format!("the policy {arn}")), got)?;
        documents.extend(got.policy_version.and_then(|version| version.document));
    }
    Ok(documents)
}
