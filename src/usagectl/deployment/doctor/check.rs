//! The list of all checks: each with its name, what it examines, its rule, and the function that evaluates it.
//! docs/operations.md has the same table, and a test compares the two.

use super::checks::{
    alerts, archive, athena, contents, delivery, destination, filters, function, ledger, load, mapping, money, source,
    tables, watch,
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
        "problem: disabled, not active, or replaced by a newer stream"
        source::stream_on;
    ViewType "view-type"
        "the stream's view type, and the images that the pipeline's record types need"
        "problem: a required image is missing"
        source::view_type;
    MappingState "mapping-state"
        "State, LastProcessingResult"
        "problem: Disabled, or the last result is a PROBLEM; warning: being created, changed, or deleted"
        mapping::state;
    StartingPosition "starting-position"
        "StartingPosition"
        "problem: LATEST; warning: AT_TIMESTAMP"
        mapping::starting_position;
    Destination "destination"
        "DestinationConfig"
        "problem: no failure destination"
        destination::exists;
    DestinationAccepts "destination-accepts"
        "the bucket, queue, or topic; the role's policies; with --probe, a test object or message"
        "problem: doesn't exist, not allowed, or rejects the probe; warning: allowed only under a condition"
        destination::accepts;
    PartialResponses "partial-responses"
        "FunctionResponseTypes"
        "problem: ReportBatchItemFailures is missing"
        mapping::partial_responses;
    Bisect "bisect"
        "BisectBatchOnFunctionError"
        "warning: off"
        mapping::bisect;
    Retries "retries"
        "MaximumRetryAttempts, REJECTED_RECORDS"
        "problem: -1 (no limit); warning: 0, or more than 20 if REJECTED_RECORDS is fail"
        mapping::retries;
    RecordAge "record-age"
        "MaximumRecordAgeInSeconds, the stream's retention"
        "warning: -1 (no limit), or not below the retention"
        mapping::record_age;
    FiltersMatch "filters-match"
        "FilterCriteria, the pipeline's key templates"
        "problem: invalid, or no pattern can match; warning: a pattern can't match, or a condition is always true"
        filters::can_match;
    OwnWrites "own-writes"
        "FilterCriteria, tested with the snapshots that the function writes if the source is the usage table"
        "problem: snapshots pass the filter"
        filters::own_writes;
    Recursion "recursion"
        "RecursiveLoop"
        "warning: Allow"
        function::recursion;
    Traffic "traffic"
        "PolledEventCount, FilteredOutEventCount, InvokedEventCount"
        "problem: polled but not delivered; warning: nothing polled, or everything filtered out"
        load::traffic;
    Errors "errors"
        "Errors, Invocations, FailedInvokeEventCount, ProcessingErrors"
        "problem: more than 1% of the invocations or of the delivered records; warning: any"
        load::errors;
    BlockedShard "blocked-shard"
        "IteratorAge, FailedInvokeEventCount, ProcessingErrors, and Errors of the last 15 minutes; locally, the batch that blocks"
        "problem: the iterator age grows while deliveries fail; locally, a batch blocks"
        load::blocked_shard;
    Timeout "timeout"
        "p99 of Duration, Timeout"
        "problem: above 80% of the timeout; warning: above 50%"
        function::timeout;
    IteratorAge "iterator-age"
        "highest IteratorAge"
        "problem: above 120 s; warning: above 30 s"
        load::iterator_age;
    Concurrency "concurrency"
        "reserved concurrency; open shards × ParallelizationFactor"
        "problem: 0; warning: below shards × factor"
        function::concurrency;
    Throttles "throttles"
        "Throttles; for a Kinesis source, also ReadProvisionedThroughputExceeded and WriteProvisionedThroughputExceeded"
        "warning: any"
        load::throttles;
    Dropped "dropped"
        "DroppedEventCount, DestinationDeliveryFailures"
        "problem: any"
        delivery::dropped;
    Failures "failures"
        "failed batches in the failure destination, and the age of the oldest; for a queue, also MaximumRecordAgeInSeconds and the stream's retention"
        "problem: any in a queue, older than 3 days, or less than 6 hours left to redrive it; warning: any other"
        destination::waiting;
    Quarantine "quarantine"
        "quarantined records in the failure bucket, and the age of the oldest"
        "problem: older than 3 days, or less than 6 hours left to redrive it; warning: any"
        destination::quarantine;
    Rejected "rejected"
        "RecordsRejected, UsageTooOld; locally, the last rejected record"
        "warning: any"
        delivery::rejected;
    LastSnapshot "last-snapshot"
        "RecordsProcessed above 0; locally, the newest snapshot"
        "problem: more than an hour ago (locally, 2 hours), although records have arrived"
        delivery::last_snapshot;
    TableCapacity "table-capacity"
        "billing mode, ReadThrottleEvents, and WriteThrottleEvents of both tables"
        "warning: provisioned capacity, or more than 1 throttle event"
        tables::capacity;
    LedgerTable "ledger-table"
        "stream and time to live of the ledger table"
        "problem: the stream is off; warning: items don't expire, or the view type isn't KEYS_ONLY"
        ledger::table;
    LedgerMapping "ledger-mapping"
        "the mapping of the ledger's stream: State, EventSourceArn, LastProcessingResult, FunctionResponseTypes, FilterCriteria, ParallelizationFactor, MaximumRetryAttempts"
        "problem: Disabled, another stream than the newest of the ledger, the last result is a PROBLEM, no ReportBatchItemFailures, or pages don't pass the filter; warning: a factor above 1, or limited retries"
        ledger::ledger_mapping;
    UnfoldedPages "unfolded-pages"
        "PagesWritten, NoticesFolded"
        "problem: pages were written, and none was folded"
        ledger::unfolded;
    StuckMinutes "stuck-minutes"
        "the pages and states of the last 15 minutes that should be folded: two windows and 60 s ago"
        "problem: a page is in no state"
        contents::stuck_minutes;
    FoldAge "fold-age"
        "FoldAge, IteratorAge of the fold function, MaximumBatchingWindowInSeconds"
        "problem: above two windows and 60 s"
        ledger::fold_age;
    FoldErrors "fold-errors"
        "Errors of the fold function, FoldErrors, LedgerBehind"
        "problem: snapshots are ahead of the ledger; warning: any error"
        ledger::fold_errors;
    FoldRepairs "fold-repairs"
        "SweepRepaired, Unpublished, Overflow, Conflicts, NoticesTooOld, and notices that the mapping gave up"
        "warning: any"
        ledger::fold_repairs;
    PagesInMinute "pages-in-minute"
        "PagesInMinute, LEDGER_BUCKETS"
        "problem: above 20,000; warning: above 10,000, or several buckets for fewer than 1,000"
        ledger::pages;
    StateSize "state-size"
        "the states of those minutes, and of the open hour, day, and month"
        "warning: above 180 KB and not split, or a part above 200 KB"
        contents::state_size;
    FoldSettings "fold-settings"
        "the variables and code of both functions, KEEP_DAYS, HORIZON_DAYS"
        "problem: different tables, pipeline, horizon, epoch, or COUNT_FROM; warning: KEEP_DAYS below HORIZON_DAYS, or different code"
        ledger::settings;
    AlertTarget "alert-target"
        "ALERT_BUS or ALERT_TOPIC, the rules and targets of the event bus, the subscriptions of topics, AlertsFailed"
        "problem: doesn't exist, or nothing there receives alerts; warning: alerts could not be sent"
        alerts::target;
    TableProtection "table-protection"
        "point-in-time recovery and deletion protection of both tables"
        "warning: either is off"
        tables::protection;
    Horizon "horizon"
        "HORIZON_DAYS; retention of the stream and of the failure destination (a bucket counts as 14 days)"
        "warning: less than the sum of both plus one day"
        destination::horizon;
    ArchiveAccess "archive-access"
        "the archive's bucket; the role's policies"
        "problem: doesn't exist, or not allowed; warning: allowed only under a condition"
        archive::access;
    Files "files"
        "FilesWritten, RecordsProcessed, the newest object"
        "warning: records were processed, but no file was written for a day"
        archive::files;
    BucketPolicy "bucket-policy"
        "the archive's bucket policy"
        "warning: requests without TLS are allowed"
        archive::policy;
    BucketLocks "bucket-locks"
        "the archive's public access block and encryption"
        "problem: public access isn't blocked; warning: no default encryption"
        archive::locks;
    GlueSchema "glue-schema"
        "`avro.schema.literal` of the Athena tables, and the schemas compiled into usagectl"
        "problem: a schema differs, or a table is missing"
        athena::schema;
    Projection "projection"
        "`projection.enabled` and the range of partition_date of the tables of raw and compacted rows, the dates in the archive"
        "problem: off; warning: the range excludes today, or a date that has files"
        athena::projection;
    AlarmActions "alarm-actions"
        "the stack's alarms"
        "problem: an alarm has no action, or its actions are disabled; warning: there are no alarms"
        watch::alarm_actions;
    AlarmSubscribers "alarm-subscribers"
        "the subscriptions of the topics that the stack's alarms notify"
        "problem: no topic has a confirmed subscription; warning: one topic has none"
        watch::alarm_subscribers;
    AlarmState "alarm-state"
        "the stack's alarms, Invocations"
        "problem: an alarm is firing; warning: an alarm has no data although the function runs"
        watch::alarm_state;
    LogRetention "log-retention"
        "the function's log group"
        "warning: log events never expire"
        watch::log_retention;
    OwnMetrics "own-metrics"
        "number of custom metrics in the function's namespace"
        "warning: more than the 38 that the stack sends (10 are free)"
        money::own_metrics;
    Batches "batches"
        "InvokedEventCount, Invocations"
        "warning: fewer than 10 records per batch, with at least 1,000 batches per hour"
        load::batches;
    Version "version"
        "the function's runtime and its tag `usage-aggregator-version`, and the version of this usagectl"
        "problem: the runtime isn't provided.al2023; warning: different version, or no tag"
        function::version;
}
