//! The list of all checks: each with its name, what it examines, its rule, and the function that evaluates it.
//! docs/operations.md has the same table, and a test compares the two.

use super::checks::{
    archive, athena, delivery, destination, filters, function, load, mapping, money, source, tables, watch,
};
use super::facts::Facts;
use super::finding::{CheckResult, Finding};

/// A check's name and documentation, and the function that evaluates it.
pub struct Description {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// For docs/operations.md.
    #[cfg(test)]
    pub(super) looks_at: &'static str,
    #[cfg(test)]
    pub(super) rule: &'static str,
    evaluate: fn(&Facts) -> CheckResult,
}

impl Check {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// Evaluates the check; `None` if it doesn't apply to this deployment.
    pub fn find(self, facts: &Facts) -> Option<Finding> {
        Finding::new(self, (self.description().evaluate)(facts), facts)
    }
}

/// The table of the checks: variant, name, what it examines, its rule, the function.
macro_rules! checks {
    ($($variant:ident $name:literal $looks_at:literal $rule:literal $evaluate:path;)*) => {
        /// A check of one aspect of a deployment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $(#[doc = concat!("Examines ", $looks_at, ".")] $variant,)*
        }

        impl Check {
            /// All checks in the order in which they are reported: from the stream to the bill.
            pub const ALL: &[Check] = &[$(Check::$variant,)*];

            /// Its name, documentation and function.
            pub fn description(self) -> Description {
                match self {
                    $(Check::$variant => Description {
                        name: $name,
                        #[cfg(test)]
                        looks_at: $looks_at,
                        #[cfg(test)]
                        rule: $rule,
                        evaluate: $evaluate,
                    },)*
                }
            }
        }
    };
}

checks! {
    StreamOn "stream-on"
        "the source's stream"
        "problem: off, not active, or a newer one than is read"
        source::stream_on;
    ViewType "view-type"
        "what the stream carries, what the pipeline's record types need"
        "problem: an image is missing"
        source::view_type;
    MappingState "mapping-state"
        "State, LastProcessingResult"
        "problem: Disabled, or the last result is one; warning: changing"
        mapping::state;
    StartingPosition "starting-position"
        "StartingPosition"
        "problem: LATEST; warning: AT_TIMESTAMP"
        mapping::starting_position;
    Destination "destination"
        "DestinationConfig"
        "problem: none"
        destination::exists;
    DestinationAccepts "destination-accepts"
        "bucket, queue or topic; the role's policies; with --probe an object or message"
        "problem: not there, not allowed, probe refused; warning: allowed under a condition"
        destination::accepts;
    PartialResponses "partial-responses"
        "FunctionResponseTypes"
        "problem: no ReportBatchItemFailures"
        mapping::partial_responses;
    Bisect "bisect"
        "BisectBatchOnFunctionError"
        "warning: off"
        mapping::bisect;
    Retries "retries"
        "MaximumRetryAttempts"
        "problem: -1; warning: 0"
        mapping::retries;
    RecordAge "record-age"
        "MaximumRecordAgeInSeconds, the stream's retention"
        "warning: -1, or not below the retention"
        mapping::record_age;
    FiltersMatch "filters-match"
        "FilterCriteria, the pipeline's key templates"
        "problem: no pattern can match; warning: one of them can't, or a condition is always true"
        filters::can_match;
    OwnWrites "own-writes"
        "FilterCriteria with snapshots as the function writes them, where the source is the usage table"
        "problem: they pass"
        filters::own_writes;
    Recursion "recursion"
        "RecursiveLoop"
        "warning: Allow"
        function::recursion;
    Traffic "traffic"
        "PolledEventCount, FilteredOutEventCount, InvokedEventCount"
        "problem: polled, not delivered; warning: nothing polled, all filtered out"
        load::traffic;
    Errors "errors"
        "Errors, Invocations"
        "problem: above 1 %; warning: any"
        load::errors;
    Timeout "timeout"
        "Duration p99, Timeout"
        "problem: above 80 % of it; warning: above half"
        function::timeout;
    IteratorAge "iterator-age"
        "IteratorAge, highest"
        "problem: above 120 s; warning: above 30 s"
        load::iterator_age;
    Concurrency "concurrency"
        "reserved concurrency; open shards × ParallelizationFactor"
        "problem: 0; warning: less than that"
        function::concurrency;
    Throttles "throttles"
        "Throttles; of a Kinesis source ReadProvisionedThroughputExceeded, WriteProvisionedThroughputExceeded"
        "warning: any"
        load::throttles;
    Dropped "dropped"
        "DroppedEventCount, DestinationDeliveryFailures"
        "problem: any"
        delivery::dropped;
    Failures "failures"
        "what waits in the failure destination, the oldest's age"
        "warning: anything; problem: for 3 days, or 6 hours left"
        destination::waiting;
    Rejected "rejected"
        "RecordsRejected, UsageTooOld"
        "warning: any"
        delivery::rejected;
    LastSnapshot "last-snapshot"
        "RecordsProcessed above 0, or the newest snapshot"
        "problem: over an hour ago, and records came since"
        delivery::last_snapshot;
    TableCapacity "table-capacity"
        "billing mode, ReadThrottleEvents, WriteThrottleEvents of both tables"
        "warning: provisioned, or more than 1 throttled"
        tables::capacity;
    ClaimsTable "claims-table"
        "time to live and stream of the claims table"
        "warning: claims don't expire, or have a stream"
        tables::claims;
    TableProtection "table-protection"
        "point-in-time recovery, deletion protection of both tables"
        "warning: one is off"
        tables::protection;
    Horizon "horizon"
        "HORIZON_DAYS; retention of the stream and of the destination (a bucket counts as 14 days)"
        "warning: less than both and a day"
        destination::horizon;
    ArchiveAccess "archive-access"
        "the archive's bucket; the role's policies"
        "problem: not there, not allowed; warning: allowed under a condition"
        archive::access;
    Files "files"
        "FilesWritten, RecordsProcessed, the newest object"
        "warning: records, but no file for a day"
        archive::files;
    BucketPolicy "bucket-policy"
        "the archive's bucket policy"
        "warning: it takes requests without TLS"
        archive::policy;
    BucketLocks "bucket-locks"
        "the archive's public access block and encryption"
        "problem: open to the public; warning: no encryption"
        archive::locks;
    GlueSchema "glue-schema"
        "`avro.schema.literal` of Athena's tables, the schemas compiled into usagectl"
        "problem: another, or no table"
        athena::schema;
    Projection "projection"
        "`projection.enabled`, the range of partition_date"
        "problem: off; warning: today is left out"
        athena::projection;
    AlarmActions "alarm-actions"
        "the stack's alarms"
        "problem: one without action, or its actions are off; warning: no alarms"
        watch::alarm_actions;
    AlarmState "alarm-state"
        "the stack's alarms, Invocations"
        "problem: one rings; warning: no data though the function runs"
        watch::alarm_state;
    LogRetention "log-retention"
        "the function's log group"
        "warning: kept for ever"
        watch::log_retention;
    OwnMetrics "own-metrics"
        "metrics in the function's namespace"
        "warning: more than the 10 that are free"
        money::own_metrics;
    Batches "batches"
        "InvokedEventCount, Invocations"
        "warning: below 10 records a batch in 1,000 batches an hour"
        load::batches;
    Version "version"
        "runtime and tag `usage-aggregator-version` of the function, this usagectl"
        "problem: not provided.al2023; warning: another version, or no tag"
        function::version;
}
