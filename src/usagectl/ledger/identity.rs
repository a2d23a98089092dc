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

#[expect(clippy::disallowed_methods, reason = "the name of the person at this machine, which no setting has")]
fn user() -> Option<String> {
    std::env::var("USER").ok().filter(|name| !name.is_empty())
}
