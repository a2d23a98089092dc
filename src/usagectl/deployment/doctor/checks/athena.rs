//! Checks of Athena's tables against the schemas that are compiled in.

use serde_json::Value;
use usage_aggregator::time::Timestamp;

use super::super::facts::{Facts, GlueTable, Part, Unavailable};
use super::super::finding::{CheckResult, ok, problem, warning};
use super::of;

const RANGE: &str = "projection.partition_date.range";

/// The tables of the archived record types.
fn tables(facts: &Facts) -> Result<Vec<(&str, &str, &GlueTable)>, Unavailable> {
    let mut pairs = Vec::new();
    if facts.pipeline.schemas().next().is_none() {
        return Err(Unavailable::NotApplicable("the pipeline archives nothing"));
    }
    let tables = of(&facts.glue)?;
    for (name, schema) in facts.pipeline.schemas() {
        let table = tables.iter().find(|table| table.name == name);
        let database = facts.names.database.as_deref().unwrap_or("the database");
        let table =
            table.ok_or_else(|| Unavailable::Missing(Part::Other(format!("the table {name} in {database}"))))?;
        pairs.push((name, schema.json(), table));
    }
    Ok(pairs)
}

/// Athena reads files with the schemas that they were written with.
pub(crate) fn schema(facts: &Facts) -> CheckResult {
    let tables = tables(facts)?;
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    let differs = |schema: &str, literal: Option<&str>| json(schema) != literal.and_then(json);
    let wrong: Vec<&str> = tables
        .iter()
        .filter(|(_, schema, table)| differs(schema, table.schema_literal.as_deref()))
        .map(|(name, _, _)| *name)
        .collect();
    if wrong.is_empty() {
        return ok(format!("the {} Athena tables have the schemas of this version", tables.len()));
    }
    problem(
        format!(
            "Athena reads {} with a different schema than the files are written with: columns are missing or wrong",
            wrong.join(", ")
        ),
        format!("make glue && {}", facts.deploy("")),
    )
}

/// Athena projects today's partition.
pub(crate) fn projection(facts: &Facts) -> CheckResult {
    for (name, _, table) in tables(facts)? {
        let parameter = |name: &str| table.parameters.get(name).map_or("", String::as_str);
        if !parameter("projection.enabled").eq_ignore_ascii_case("true") {
            return problem(
                format!("partition projection is off for the table {name}: Athena finds nothing"),
                alter(facts, name, "\"projection.enabled\" = \"true\""),
            );
        }
        let range = parameter(RANGE);
        if !covers(range, facts.now) {
            let since = range.split(',').next().unwrap_or_default();
            return warning(
                format!(
                    "the partitions of {name} range from {}, which excludes today, {}",
                    range.replace(',', " to "),
                    facts.now.date()
                ),
                alter(facts, name, &format!("\"{RANGE}\" = \"{},NOW+1DAYS\"", earlier(since, facts.now))),
            );
        }
    }
    match outside(facts)? {
        Some(finding) => finding,
        None => ok("partition projection is on and includes today"),
    }
}

/// A partition date in the archive that the table doesn't project, because it comes from an attribute or from before ArchiveSince.
fn outside(facts: &Facts) -> Result<Option<CheckResult>, Unavailable> {
    // Without permission to list the archive, the ranges alone are checked.
    let Ok(dates) = &facts.partition_dates else { return Ok(None) };
    for (name, _, table) in tables(facts)? {
        let range = table.parameters.get(RANGE).map_or("", String::as_str);
        let Some((from, to)) = bounds(range, facts.now) else { continue };
        let mut of_table = dates.iter().filter(|(record_type, ..)| record_type == name);
        let Some((_, first, last)) = of_table.find(|(_, first, last)| first.days() < from || last.days() > to) else {
            continue;
        };
        let (since, until) = range.split_once(',').unwrap_or_default();
        let earliest = if first.days() < from { first.to_string() } else { since.to_owned() };
        let latest = if last.days() > to { last.to_string() } else { until.to_owned() };
        return Ok(Some(warning(
            format!(
                "{name} has files of {first} to {last}, but its partitions range from {}: Athena doesn't see all of them",
                range.replace(',', " to ")
            ),
            alter(facts, name, &format!("\"{RANGE}\" = \"{earliest},{latest}\"")),
        )));
    }
    Ok(None)
}

/// A command that sets a table's property.
fn alter(facts: &Facts, table: &str, property: &str) -> String {
    let database = facts.names.database.as_deref().unwrap_or("DATABASE");
    format!(
        "aws athena start-query-execution --work-group {} --query-execution-context Database={database} --query-string 'ALTER TABLE `{table}` SET TBLPROPERTIES ({property})'",
        facts.stack_name()
    )
}

/// Whether a range like `2026-01-01,NOW+1DAYS` includes the day.
fn covers(range: &str, now: Timestamp) -> bool {
    bounds(range, now).is_some_and(|(from, to)| (from..=to).contains(&now.date().days()))
}

/// The first and the last day of a range like `2026-01-01,NOW+5YEARS`, in days since 1970.
fn bounds(range: &str, now: Timestamp) -> Option<(i64, i64)> {
    let day = |text: &str| match text.trim().strip_prefix("NOW") {
        None => Timestamp::parse(text.trim()).map(|at| at.date().days()),
        Some("") => Some(now.date().days()),
        Some(offset) => {
            let number = offset.strip_prefix('+')?;
            let days = |unit: &str| number.strip_suffix(unit).and_then(|number| number.parse::<i64>().ok());
            let ahead = days("DAYS").or_else(|| days("YEARS").map(|years| years * 365 + years / 4));
            Some(now.date().days() + ahead?)
        }
    };
    let (from, to) = range.split_once(',')?;
    Some((day(from)?, day(to)?))
}

fn earlier(since: &str, now: Timestamp) -> String {
    match Timestamp::parse(since) {
        Some(at) if at <= now => since.to_owned(),
        _ => now.date().to_string(),
    }
}
