//! Who runs a command, for what it leaves in the ledger.

use super::Open;
use crate::shell::console::UsageError;

/// The author that was given; else the caller's identity in the account, or the user of this machine.
///
/// # Errors
/// If none is known.
pub(crate) async fn author(given: Option<&str>, ledger: &Open) -> anyhow::Result<String> {
    let remedy = "specify a name with --author";
    if let Some(given) = given {
        return match given.trim() {
            "" => Err(UsageError(format!("--author: is empty; {remedy}")).into()),
            name => Ok(name.to_owned()),
        };
    }
    #[cfg(feature = "deployment")]
    if let Some(account) = ledger.deployment.account() {
        use anyhow::Context;
        return account.caller().await.with_context(|| format!("find out who you are; or {remedy}"));
    }
    #[cfg(not(feature = "deployment"))]
    let _ = ledger;
    user().ok_or_else(|| UsageError(format!("USER isn't set; {remedy}")).into())
}

/// Whether two authors are the same: of sessions of a role, only the role is compared, because some credentials have a session with
/// a new name in each process.
pub(crate) fn is_same_author(one: &str, other: &str) -> bool {
    lasting(one) == lasting(other)
}

/// What stays the same of an author from one process to the next: of the session of a role, all but the session's name.
pub(crate) fn lasting(author: &str) -> &str {
    let role = author.split_once(":assumed-role/").filter(|_| author.starts_with("arn:")).map(|(_, role)| role);
    let session = role.and_then(|role| role.split_once('/')).map(|(_, session)| session);
    session.and_then(|session| author.strip_suffix(session)).unwrap_or(author)
}

#[expect(clippy::disallowed_methods, reason = "the name of the person at this machine, which no setting has")]
fn user() -> Option<String> {
    std::env::var("USER").ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_a_role_are_the_same_author_and_users_are_not() {
        let session = |role: &str, name: &str| format!("arn:aws:sts::123456789012:assumed-role/{role}/{name}");
        assert!(is_same_author(&session("Admin", "1764500000"), &session("Admin", "1764500001")));
        assert!(!is_same_author(&session("Admin", "ann"), &session("Audit", "ann")));
        for user in ["ann", "a/b", "arn:aws:iam::123456789012:user/ann", "arn:aws:sts::1:assumed-role/Admin", ""] {
            assert_eq!(lasting(user), user);
        }
        assert!(!is_same_author("arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:user/bob"));
    }
}
