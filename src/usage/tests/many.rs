//! Records with very many names of measures: the work grows with their number, not with its square.

use super::*;
use crate::steps;

/// An image with this many names, each of which has this value.
fn names(count: usize, value: usize) -> String {
    let names: Vec<String> = (0..count).map(|number| format!(r#""b_{number:05}_tc":{value}"#)).collect();
    format!("{{{}}}", names.join(","))
}

/// Two counters that have the same key, so that their amounts are merged.
fn two_counters(cleared: &str) -> Pipeline {
    let measure = format!(
        r##"
        [[record.counter.measure]]
        name = "{{limit}}"
        kind = "delta"
        attributes = "b_{{limit}}_tc"
        cleared = "{cleared}"
        "##
    );
    let counter = r#"[[record.counter]]
        entity = "{customer}"
        resource = "limits""#;
    pipeline(&format!(
        r##"
        [[record]]
        type = "bucket"
        match = {{ pk = "CUSTOMER#{{customer}}", sk = "ORDER#{{order}}" }}
        {counter}
        {measure}
        {counter}
        {measure}
        "##
    ))
}

#[test]
fn regression_a_record_with_many_names_takes_few_steps_for_each() {
    for cleared in ["ignore", "subtract"] {
        let pipeline = two_counters(cleared);
        for count in [3, 40, 4_000] {
            let (old, new) = (names(count + 1, 1), names(count, 3));
            let mut shown = String::new();
            let steps = steps::of(|| shown = counted(&pipeline, modify(&old, &new)));
            let gone = usize::from(cleared == "subtract");
            assert_eq!(shown.split(", ").count(), count + gone, "{shown:.100}");
            assert!(shown.starts_with("7/limits 00000 4, 7/limits 00001 4"), "{shown:.100}");
            assert_eq!(shown.contains(&format!("7/limits {count:05} -2")), gone == 1, "{cleared}");
            // Up to 32 amounts, and an image of up to 64 attributes, are searched one by one.
            assert!(steps < 150 * (count + 10), "{cleared}: {steps} steps for {count} names");
        }
    }
}
