//! Checks of both tables that the functions write to.

use super::super::facts::{Facts, Table, Unavailable};
use super::super::finding::{CheckResult, ok, warning};
use super::of;

fn tables(facts: &Facts) -> Result<[&Table; 2], Unavailable> {
    Ok([of(&facts.usage_table)?, of(&facts.ledger_table)?])
}

/// The tables are on demand and aren't throttled.
pub(crate) fn capacity(facts: &Facts) -> CheckResult {
    if facts.here {
        return Err(Unavailable::NotApplicable("the embedded tables have no capacity"));
    }
    let tables = tables(facts)?;
    if let Some(table) = tables.iter().find(|table| !table.on_demand) {
        return warning(
            format!("the table {} has provisioned capacity: a peak in traffic is throttled", table.name),
            format!("aws dynamodb update-table --table-name {} --billing-mode PAY_PER_REQUEST", table.name),
        );
    }
    let events = match &facts.measured {
        Ok(numbers) => numbers.read_throttles.unwrap_or_default() + numbers.write_throttles.unwrap_or_default(),
        Err(why) => return Err(why.clone()),
    };
    // 1: the threshold of the alarm TableThrottles.
    if events > 1.0 {
        return warning(
            format!(
                "{events:.0} reads and writes of the tables were throttled in the last hour: one item can take at most 1,000 writes per second"
            ),
            facts.deploy("BatchSize=2000 BatchWindowSeconds=5"),
        );
    }
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    ok(format!("{} are on demand and were not throttled", names.join(" and ")))
}

/// The tables can be restored, and are protected against deletion.
pub(crate) fn protection(facts: &Facts) -> CheckResult {
    if facts.here {
        return Err(Unavailable::NotApplicable("embedded tables are files on your disk"));
    }
    for table in tables(facts)? {
        let name = &table.name;
        if !*of(&table.point_in_time_recovery)? {
            return warning(
                format!("the table {name} has no point-in-time recovery"),
                format!(
                    "aws dynamodb update-continuous-backups --table-name {name} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
                ),
            );
        }
        if !table.deletion_protection {
            return warning(
                format!("the table {name} has no deletion protection"),
                format!("aws dynamodb update-table --table-name {name} --deletion-protection-enabled"),
            );
        }
    }
    ok("the tables have point-in-time recovery and deletion protection")
}
