//! CloudWatch Logs: the function's log group.

use super::super::facts::{Fact, LogGroup, Part, Unavailable};
use super::{named, seen};
use crate::stack::Account;

pub(super) async fn of(account: &Account, name: &Option<String>) -> Fact<LogGroup> {
    let name = named(name, "--log-group")?;
    let described = account.logs().describe_log_groups().log_group_name_prefix(name).send().await;
    let described = seen("logs:DescribeLogGroups", || Part::LogGroup(name.to_owned()), described)?;
    let found = described.log_groups().iter().find(|group| group.log_group_name() == Some(name));
    let found = found.ok_or_else(|| Unavailable::Missing(Part::LogGroup(name.to_owned())))?;
    Ok(LogGroup { name: name.to_owned(), retention_days: found.retention_in_days().map(i64::from) })
}
