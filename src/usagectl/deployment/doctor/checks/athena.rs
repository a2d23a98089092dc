//! Checks of Athena's tables against the schemas that are compiled in.

use serde_json::Value;
use usage_aggregator::pipeline::PartitionDate;
use usage_aggregator::time::{Date, Timestamp};

use super::super::facts::{Facts, GlueTable, Part, Unavailable};
use super::super::finding::{CheckResult, ok, problem, warning};
use super::of;

const RANGE: &str = "projection.partition_date.range";

fn missing(facts: &Facts, table: &str) -> Unavailable {
    let database = facts.names.database.as_deref().unwrap_or("the database");
    Unavailable::Missing(Part::Other(format!("the table {table} in {database}")))
}

/// The tables of raw rows of the archived record types.
fn tables(facts: &Facts) -> Result<Vec<(&str, &str, &GlueTable)>, Unavailable> {
    let mut pairs = Vec::new();
    if facts.pipeline.schemas().next().is_none() {
        return Err(Unavailable::NotApplicable("the pipeline archives nothing"));
    }
    let tables = of(&facts.glue)?;
    for (name, schema) in facts.pipeline.schemas() {
        let table = tables.iter().find(|table| table.name == name);
        let table = table.ok_or_else(|| missing(facts, name))?;
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

/// A table of raw or of compacted rows, and the dates that it must have.
struct Projected<'f> {
    name: String,
    table: &'f GlueTable,
    /// Its range, such as `2026-01-01,NOW+1DAYS`.
    range: &'f str,
    /// The end that the template gives it.
    end: &'static str,
    /// The first and the last date in the archive.
    files: Option<(Date, Date)>,
}

/// Both tables of each archived record type.
fn projected(facts: &Facts) -> Result<Vec<Projected<'_>>, Unavailable> {
    let raw = tables(facts)?;
    let all = of(&facts.glue)?;
    let mut found = Vec::new();
    for (record_type, _, table) in raw {
        let archives = facts.pipeline.routes.iter().filter(|route| route.record_type == record_type);
        let has_own_date = archives
            .filter_map(|route| route.archive.as_ref())
            .any(|archive| archive.partition_date != PartitionDate::CreatedAt);
        let compacted_name = format!("{record_type}_compacted");
        let compacted = all.iter().find(|table| table.name == compacted_name);
        let compacted = compacted.ok_or_else(|| missing(facts, &compacted_name))?;
        // Without permission to list the archive, the ranges are only compared with today.
        let dates = facts.partition_dates.as_deref().unwrap_or_default();
        let files = dates.iter().find(|(of, ..)| of == record_type).map(|(_, first, last)| (*first, *last));
        let end = if has_own_date { "NOW+5YEARS" } else { "NOW+1DAYS" };
        for (name, table) in [(record_type.to_owned(), table), (compacted_name.clone(), compacted)] {
            let range = table.parameters.get(RANGE).map_or("", String::as_str);
            found.push(Projected { name, table, range, end, files });
        }
    }
    Ok(found)
}

impl Projected<'_> {
    fn is_on(&self) -> bool {
        self.table.parameters.get("projection.enabled").is_some_and(|on| on.eq_ignore_ascii_case("true"))
    }

    /// The first and the last date that it must have.
    fn needed(&self, now: Timestamp) -> (Date, Date) {
        let today = now.date();
        self.files.map_or((today, today), |(first, last)| (first.min(today), last.max(today)))
    }

    /// What Athena doesn't see, if its range is too narrow.
    fn lack(&self, now: Timestamp) -> Option<String> {
        let is_in = |date: Date| bounds(self.range, now).is_some_and(|(from, to)| (from..=to).contains(&date.days()));
        let range = format!("{} range from {}", self.name, self.range.replace(',', " to "));
        if !is_in(now.date()) {
            return Some(format!("{range}, which excludes today, {}", now.date()));
        }
        let (first, last) = self.files.filter(|(first, last)| !is_in(*first) || !is_in(*last))?;
        Some(format!("{range}, but there are files of {first} to {last}"))
    }

    /// The date that its range begins with, if it is one.
    fn since(&self) -> Option<Date> {
        Timestamp::parse(self.range.split(',').next()?.trim()).map(Timestamp::date)
    }

    fn begins_too_late(&self, now: Timestamp) -> bool {
        self.since().is_none_or(|since| since > self.needed(now).0)
    }

    /// The end that it should have: the latest of what it has, what the template gives it, and the last date of a file.
    fn wide_end(&self, now: Timestamp) -> String {
        let last = self.needed(now).1.to_string();
        let current = self.range.split_once(',').map_or("", |(_, end)| end.trim());
        let ends = [self.end, current, &last].into_iter();
        let latest = ends.filter_map(|end| Some((day(end, now)?, end))).rev().max_by_key(|(day, _)| *day);
        latest.map_or(self.end, |(_, end)| end).to_owned()
    }
}

/// Athena projects the partitions of today and of all files, in the tables of raw and of compacted rows.
pub(crate) fn projection(facts: &Facts) -> CheckResult {
    let tables = projected(facts)?;
    let off: Vec<&Projected<'_>> = tables.iter().filter(|table| !table.is_on()).collect();
    if !off.is_empty() {
        let names: Vec<&str> = off.iter().map(|table| table.name.as_str()).collect();
        let commands: Vec<String> =
            names.iter().map(|name| alter(facts, name, "\"projection.enabled\" = \"true\"")).collect();
        return problem(
            format!("partition projection is off for {}: Athena finds nothing there", names.join(", ")),
            commands.join(" && "),
        );
    }
    let narrow: Vec<(&Projected<'_>, String)> =
        tables.iter().filter_map(|table| Some((table, table.lack(facts.now)?))).collect();
    if narrow.is_empty() {
        return ok("partition projection is on and includes today");
    }
    let (narrow, lacks): (Vec<_>, Vec<_>) = narrow.into_iter().unzip();
    warning(
        format!("Athena doesn't see all rows: the partitions of {}", lacks.join("; those of ")),
        widen(facts, &tables, &narrow),
    )
}

/// Commands that widen the ranges. Those of all tables begin with the stack's parameter ArchiveSince; the next deployment that changes a table
/// restores that, and the end that the template gives it.
fn widen(facts: &Facts, tables: &[Projected<'_>], narrow: &[&Projected<'_>]) -> String {
    let now = facts.now;
    let needed = tables.iter().map(|table| table.needed(now).0);
    let since = tables.iter().filter_map(Projected::since).chain(needed).min().unwrap_or(now.date());
    let deploys = narrow.iter().any(|table| table.begins_too_late(now));
    let mut commands = Vec::new();
    if deploys {
        commands.push(facts.deploy(&format!("ArchiveSince={since}")));
    }
    // A table that begins with this date may have it from the parameter, so that the deployment would change nothing.
    let may_be_deployed = tables.iter().any(|table| table.since() == Some(since));
    for table in narrow {
        let end = table.wide_end(now);
        if !deploys || may_be_deployed || end != table.end {
            commands.push(alter(facts, &table.name, &format!("\"{RANGE}\" = \"{since},{end}\"")));
        }
    }
    commands.join(" && ")
}

/// A command that sets a table's property.
fn alter(facts: &Facts, table: &str, property: &str) -> String {
    let database = facts.names.database.as_deref().unwrap_or("DATABASE");
    format!(
        "aws athena start-query-execution --work-group {} --query-execution-context Database={database} --query-string 'ALTER TABLE `{table}` SET TBLPROPERTIES ({property})'",
        facts.stack_name()
    )
}

/// The first and the last day of a range like `2026-01-01,NOW+5YEARS`, in days since 1970.
fn bounds(range: &str, now: Timestamp) -> Option<(i64, i64)> {
    let (from, to) = range.split_once(',')?;
    Some((day(from, now)?, day(to, now)?))
}

/// The day of one end of a range, in days since 1970.
fn day(text: &str, now: Timestamp) -> Option<i64> {
    match text.trim().strip_prefix("NOW") {
        None => Timestamp::parse(text.trim()).map(|at| at.date().days()),
        Some("") => Some(now.date().days()),
        Some(offset) => {
            let number = offset.strip_prefix('+')?;
            let days = |unit: &str| number.strip_suffix(unit).and_then(|number| number.parse::<i64>().ok());
            let ahead = days("DAYS").or_else(|| days("YEARS").map(|years| years * 365 + years / 4));
            Some(now.date().days() + ahead?)
        }
    }
}
