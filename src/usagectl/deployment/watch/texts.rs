//! What the page says about a stack in sentences: what a proof and a reading of the usage table cost, and what a deployment can't tell.

use std::time::Duration;

use super::sizes::{Reads, Sizes};
use crate::deployment::cost::prices::{PriceItem, Prices};
use crate::shell::durations::span;
use crate::shell::numbers::{dollars, number};

/// The time that the sums are about: `the last 3 h`.
pub(super) fn shown(time: Duration) -> String {
    format!("the last {}", span(time))
}

/// What `usagectl reconcile --stack` reads, and what that costs.
pub(super) fn proof(sizes: &Sizes, prices: &Prices) -> String {
    let what = "It reads the whole usage table and the archive up to the end of yesterday";
    let (Some(Reads { units, objects, listings }), Some(usage)) = (sizes.reconcile(), sizes.usage_bytes) else {
        return format!("{what}. What that costs isn't known, because S3 hasn't reported the size of the archive yet.");
    };
    let cost = units * prices.of(PriceItem::ReadUnit)
        + objects * prices.of(PriceItem::Get)
        + listings * prices.of(PriceItem::Put);
    let size = sizes.archive_bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
    format!(
        "{what}: {} and at most {} files{size}. That costs about {}, plus the data transfer if this machine is outside of the Region.",
        bytes(usage),
        number(objects),
        dollars(cost),
    )
}

/// How the usage table is read, or why it isn't.
pub(super) fn usage(stack: &str, sizes: &Sizes, is_too_large: bool, prices: &Prices) -> Option<String> {
    let (units, size) = (sizes.usage_units()?, sizes.usage_bytes?);
    is_too_large.then(|| {
        format!(
            "The usage table has {}, so it isn't read for this page. `usagectl usage top --stack {stack}` reads it once, for about {}.",
            bytes(size),
            dollars(units * prices.of(PriceItem::ReadUnit)),
        )
    })
}

/// What a deployment can't tell, and where it can be found.
pub(super) fn left_out(stack: &str) -> [String; 4] {
    [
        "Records that wait: Lambda reports their age, not their number.".to_owned(),
        "Lanes, splits, and retries: they are inside of Lambda. A record that is delivered again counts again in all sums but the usage."
            .to_owned(),
        format!("Which record blocks a shard, and why: `usagectl doctor --stack {stack} iterator-age` reads it from the log."),
        format!("The number of files: counting them would list the whole archive. `usagectl reconcile --stack {stack}` checks them."),
    ]
}

fn bytes(size: f64) -> String {
    let mut value = size;
    for unit in ["B", "KB", "MB", "GB"] {
        if value < 1_000.0 {
            return format!("{} {unit}", number(value));
        }
        value /= 1_000.0;
    }
    format!("{} TB", number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> Sizes {
        Sizes { usage_bytes: Some(1.2e9), archive_bytes: Some(3.4e9), archive_objects: Some(12_345.0) }
    }

    #[test]
    fn a_proof_says_what_it_reads_and_what_that_costs() {
        let prices = Prices::read(None).unwrap();
        // 292,969 units at $0.125, 12,345 reads at $0.40, and 13 listings at $5 per million.
        assert_eq!(
            proof(&sizes(), &prices),
            "It reads the whole usage table and the archive up to the end of yesterday: 1.2 GB and at most 12,345 files, 3.4 GB. \
             That costs about $0.04, plus the data transfer if this machine is outside of the Region."
        );
        let unknown = proof(&Sizes { archive_objects: None, ..sizes() }, &prices);
        assert!(unknown.ends_with("because S3 hasn't reported the size of the archive yet."), "{unknown}");
    }

    #[test]
    fn a_large_usage_table_is_left_out_with_the_command_that_reads_it() {
        let prices = Prices::read(None).unwrap();
        assert_eq!(usage("mine", &sizes(), false, &prices), None);
        assert_eq!(
            usage("mine", &sizes(), true, &prices).unwrap(),
            "The usage table has 1.2 GB, so it isn't read for this page. `usagectl usage top --stack mine` reads it once, for about $0.02."
        );
        assert_eq!([bytes(0.0), bytes(999.0), bytes(2_048.0), bytes(5e15)], ["0 B", "999 B", "2 KB", "5,000 TB"]);
    }
}
