//! The result of a comparison as text: one line of counts, and tables of the differences.

use laptop::proof::reconcile::{Difference, LISTED_DIFFERENCES, Poison, Report};

use crate::shell::console::counted;
use crate::shell::numbers::whole;
use crate::shell::table;
use crate::shell::unsettled::{Origin, Unsettled};
use crate::shell::waiting;

/// The counts and the differences.
pub fn text(pipeline: &str, report: &Report) -> String {
    let mut lines = vec![format!("{pipeline}: {}", counts(report))];
    if let Some(poison) = report.poison.filter(|poison| poison.records > 0) {
        lines.push(found(poison));
    } else if report.poison_records > 0 {
        let why = "no bucket with failed batches or quarantined records is known";
        lines.push(format!("{} poison records not checked: {why}", report.poison_records));
    }
    let counters = report.counted.map_or(0, |counted| counted.unsure_counters);
    if report.unsure_records > 0 {
        let why = "sent across the end of an hour, or possibly not received";
        lines.push(format!("{} records uncertain ({why}); {counters} counters not compared", report.unsure_records));
    } else if counters > 0 {
        let counters = counted(usize::try_from(counters).unwrap_or(usize::MAX), "counter");
        lines.push(format!("{counters} not compared: a sum of more than 38 digits, or a change without its old value"));
    }
    if !report.skipped.is_empty() {
        let skipped = report.skipped.join(", ");
        lines.push(format!("measures not compared: {skipped}; the archive doesn't determine them"));
    }
    let expired = report.counted.map_or(0, |counted| counted.expired_windows);
    if expired > 0 {
        let windows = counted(usize::try_from(expired).unwrap_or(usize::MAX), "window");
        lines.push(format!("{windows} not compared: the snapshots have expired"));
    }
    if let Some(indicators) = report.indicators {
        lines.push(format!(
            "indicators: {} of {} targets as recomputed",
            indicators.agreeing_targets, indicators.targets
        ));
    }
    lines.extend([differing_counters(report), rows(report), poison(report), indicators(report)].into_iter().flatten());
    let shown = u64::try_from(report.differences.len()).unwrap_or(u64::MAX);
    if report.difference_count > shown {
        let more = report.difference_count - shown;
        lines.push(format!("… and {more} more differences (only {LISTED_DIFFERENCES} are listed)"));
    }
    lines.join("\n")
}

/// Where counters in groups outside the load may come from, if such counters differ.
pub fn outside(report: &Report) -> Option<String> {
    let (counters, groups) = match report.counted?.foreign_counters {
        0 => return None,
        1 => ("1 of the counters that differ is".to_owned(), "a group"),
        counters => (format!("{} of the counters that differ are", whole(counters)), "groups"),
    };
    Some(format!(
        "{counters} in {groups} to which no simulation wrote.\n\
         If another program wrote there, for example `usagectl invoke`, its records may\n\
         be in other counters as well. To check a simulation alone, start over with\n\
         `usagectl local --fresh`."
    ))
}

/// What waits, what it waits for, and what to do.
pub fn waiting(report: &Report, unsettled: Option<&Unsettled>, origin: &Origin) -> Option<String> {
    let (missing, unsettled) = (report.waiting?, unsettled?);
    let mut blocked = unsettled.waiting.blocked.clone();
    if let [only] = blocked.as_mut_slice() {
        // The ledger knows better than the mapping how many there are.
        only.waiting_records = missing.records.saturating_sub(only.records);
        only.more_unread = false;
    }
    let records = whole(missing.records);
    let mut lines = match missing.records {
        0 => Vec::new(),
        1 => vec!["1 record is missing because it waits in the stream".to_owned()],
        _ => vec![format!("{records} records are missing because they wait in the stream")],
    };
    lines.extend(blocked.iter().flat_map(waiting::described));
    match missing.pages {
        0 => {}
        1 => lines.push("1 page of the ledger waits to be folded, so counters may lack its records".to_owned()),
        _ => {
            let pages = whole(missing.pages);
            lines.push(format!("{pages} pages of the ledger wait to be folded, so counters may lack their records"));
        }
    }
    lines.extend(unsettled.unfolded.blocked.iter().flat_map(waiting::described));
    let other = if report.difference_count == 0 { "Nothing else differs. " } else { "" };
    lines.push(match origin {
        Origin::Running { .. } => format!("{other}To compare until they are processed, add --wait 5m."),
        Origin::Stopped(_) => format!("{other}To process them, start `usagectl local` again."),
    });
    Some(lines.join("\n"))
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
    // A counter lacks what waits, so it can't show which of the other records it has; rows can.
    let are_comparable = report.waiting.is_none() || report.archived.is_none();
    let counted = report
        .counted
        .filter(|_| are_comparable)
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

fn differing_counters(report: &Report) -> Option<String> {
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

fn indicators(report: &Report) -> Option<String> {
    let mut listing = table::titled(["indicator", "target", "value", "recomputed", "found"]);
    for of in &report.differences {
        if let Difference::Indicator { indicator, target, value, expected, found } = of {
            let values = [expected, found].map(|value| value.as_deref().unwrap_or("none"));
            let texts = [indicator.as_str(), target, value].into_iter().chain(values);
            listing.add_row(texts.map(table::text));
        }
    }
    (!listing.is_empty()).then(|| listing.to_string())
}

#[cfg(test)]
mod tests {
    use laptop::proof::reconcile::{Archived, Counted, Waiting as Missing};

    use super::*;
    use crate::shell::waiting::Waiting;
    use crate::shell::waiting::tests::blocked;

    #[test]
    fn records_that_wait_are_summed_up_with_what_they_wait_for() {
        let archived = Archived { records: 593, agreeing_records: 27, ..Archived::default() };
        let poison = Poison { records: 7, ..Poison::default() };
        let missing = Missing { records: 573, pages: 0 };
        let report =
            Report { archived: Some(archived), poison: Some(poison), waiting: Some(missing), ..Report::default() };
        let waiting = Waiting { records: 100, more_unread: true, blocked: vec![blocked()], ..Waiting::default() };
        let unsettled = Unsettled { source_arn: String::new(), waiting, unfolded: Waiting::default() };
        let stopped = Origin::Stopped("waiting.json".into());
        let shown = [text("orders", &report), super::waiting(&report, Some(&unsettled), &stopped).unwrap()].join("\n");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        insta::assert_snapshot!(shown);
        assert_eq!(super::waiting(&Report::default(), Some(&unsettled), &stopped), None);
    }

    #[test]
    fn pages_that_wait_to_be_folded_explain_counters() {
        let report = Report { waiting: Some(Missing { records: 0, pages: 3 }), ..Report::default() };
        let unfolded = Waiting { records: 3, ..Waiting::default() };
        let unsettled = Unsettled { source_arn: String::new(), waiting: Waiting::default(), unfolded };
        let stopped = Origin::Stopped("waiting.json".into());
        let expected = "3 pages of the ledger wait to be folded, so counters may lack their records\n\
                        Nothing else differs. To process them, start `usagectl local` again.";
        assert_eq!(waiting(&report, Some(&unsettled), &stopped).unwrap(), expected);
    }

    #[test]
    fn counters_outside_the_load_are_explained() {
        let outside = |foreign_counters| {
            let counted = Counted { foreign_counters, ..Counted::default() };
            outside(&Report { counted: Some(counted), ..Report::default() })
        };
        assert_eq!((outside(0), super::outside(&Report::default())), (None, None));
        let one = outside(1).unwrap();
        assert!(
            one.starts_with("1 of the counters that differ is in a group to which no simulation wrote.\n"),
            "{one}"
        );
        let many = outside(1_200).unwrap();
        assert!(
            many.starts_with("1,200 of the counters that differ are in groups to which no simulation wrote.\n"),
            "{many}"
        );
        assert!(many.lines().all(|line| line.chars().count() <= 80), "{many}");
    }

    #[test]
    fn rejected_records_are_where_they_were_found() {
        let poison = |found_records, quarantined_records, in_both_records| {
            found(Poison { records: 9, found_records, quarantined_records, in_both_records })
        };
        assert_eq!(poison(9, 9, 0), "9 of 9 poison records found in quarantine");
        assert_eq!(poison(9, 0, 0), "9 of 9 poison records found in the failure destination");
        assert_eq!(poison(8, 6, 0), "8 of 9 poison records found: 6 in quarantine, 2 in the failure destination");
        let both = "8 of 9 poison records found: 6 in quarantine, 3 in the failure destination, 1 in both";
        assert_eq!(poison(8, 6, 1), both);
        assert_eq!(poison(0, 0, 0), "0 of 9 poison records found");
    }
}
