//! The result of a comparison as text: one line of counts, and tables of the differences.

use laptop::proof::reconcile::{Difference, LISTED_DIFFERENCES, Poison, Report};

use crate::shell::table;

/// The counts and the differences.
pub fn text(pipeline: &str, report: &Report) -> String {
    let mut lines = vec![format!("{pipeline}: {}", counts(report))];
    if let Some(poison) = report.poison {
        lines.push(found(poison));
    } else if report.poison_records > 0 {
        let remedy = "set the failure destination with --failures s3://bucket/prefix";
        lines.push(format!("{} poison records not checked: {remedy}", report.poison_records));
    }
    if report.unsure_records > 0 {
        let counters = report.counted.map_or(0, |counted| counted.unsure_counters);
        let why = "sent across the end of an hour, or possibly not received";
        lines.push(format!("{} records uncertain ({why}); {counters} counters not compared", report.unsure_records));
    }
    lines.extend([counters(report), rows(report), poison(report)].into_iter().flatten());
    let shown = u64::try_from(report.differences.len()).unwrap_or(u64::MAX);
    if report.difference_count > shown {
        let more = report.difference_count - shown;
        lines.push(format!("… and {more} more differences (only {LISTED_DIFFERENCES} are listed)"));
    }
    lines.join("\n")
}

/// Where the rejected records are.
fn found(poison: Poison) -> String {
    let Poison { records, found_records, quarantined_records, in_both_records } = poison;
    let found = format!("{found_records} of {records} poison records found");
    let discarded = found_records - quarantined_records + in_both_records;
    match (quarantined_records, discarded) {
        (0, 0) => found,
        (0, _) => format!("{found} in the failure destination"),
        (_, 0) => format!("{found} in quarantine"),
        _ => {
            let both = if in_both_records > 0 { format!(", {in_both_records} in both") } else { String::new() };
            format!("{found}: {quarantined_records} in quarantine, {discarded} in the failure destination{both}")
        }
    }
}

fn counts(report: &Report) -> String {
    let counted = report
        .counted
        .map(|counted| format!("{} of {} records counted once", counted.agreeing_records, counted.records));
    let archived = report.archived.map(|archived| {
        let repeated = match archived.repeated_rows {
            0 => String::new(),
            rows => format!(" ({rows} rows duplicated in other files)"),
        };
        format!("{} of {} archived{repeated}", archived.agreeing_records, archived.records)
    });
    [counted, archived].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn counters(report: &Report) -> Option<String> {
    let titles = ["entity", "resource", "window", "start", "measure", "expected", "found", "difference"];
    let mut listing = table::titled(titles);
    for of in &report.differences {
        if let Difference::Counter { group, window, window_start, measure, expected, found, difference } = of {
            // Further group variables are listed after the resource.
            let (entity, rest) =
                group.split_first().map_or(("", String::new()), |(first, rest)| (first, rest.join(" ")));
            let texts = [entity, rest.as_str(), window, window_start, measure].map(table::text);
            let numbers =
                [expected, found, difference].map(|number| table::number(number.as_deref().unwrap_or("none")));
            listing.add_row(texts.into_iter().chain(numbers));
        }
    }
    (!listing.is_empty()).then(|| listing.to_string())
}

fn rows(report: &Report) -> Option<String> {
    let mut listing = table::titled(["record type", "item", "expected rows", "found"]);
    for of in &report.differences {
        if let Difference::Rows { record_type, item, expected, found } = of {
            let numbers = [expected, found].map(|number| table::number(&number.to_string()));
            listing.add_row([table::text(record_type), table::text(item)].into_iter().chain(numbers));
        }
    }
    (!listing.is_empty()).then(|| listing.to_string())
}

fn poison(report: &Report) -> Option<String> {
    let mut listing = table::titled(["item", "in quarantine or the failure destination"]);
    for of in &report.differences {
        if let Difference::Poison { item, expected, .. } = of {
            let what = if *expected > 0 { "missing" } else { "unexpected: it is not poison" };
            listing.add_row([table::text(item), table::text(what)]);
        }
    }
    (!listing.is_empty()).then(|| listing.to_string())
}
