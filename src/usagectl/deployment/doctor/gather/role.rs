//! IAM: the documents of the policies of the function's role, inline and attached.

use aws_sdk_iam::Client;
use serde_json::Value;

use super::super::facts::{Fact, Function, Part, Role, Unavailable};
use super::seen;
use crate::stack::Account;

pub(super) async fn of(account: &Account, function: &Fact<Function>) -> Fact<Role> {
    let arn = &function.as_ref().map_err(Clone::clone)?.role_arn;
    let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
    let client = account.iam();
    let (inline, attached) = futures::join!(inline(&client, &name), attached(&client, &name));
    let documents = inline?.into_iter().chain(attached?);
    Ok(Role { policies: documents.map(|text| document(&text)).collect::<Fact<_>>()?, name })
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

/// IAM returns documents percent-encoded.
fn document(text: &str) -> Fact<Value> {
    serde_json::from_slice(&decoded(text))
        .map_err(|error| Unavailable::Failed(format!("a policy document isn't valid JSON: {error}")))
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_documents_may_be_percent_encoded() {
        let expected = serde_json::json!({ "Resource": "a+b/*", "Sid": "100%" });
        for text in
            [r#"{"Resource":"a+b/*","Sid":"100%"}"#, "%7B%22Resource%22%3A%22a+b/%2A%22%2C%22Sid%22%3A%22100%25%22%7D"]
        {
            assert_eq!(document(text).unwrap(), expected);
        }
        assert!(matches!(document("%7"), Err(Unavailable::Failed(_))));
    }
}
