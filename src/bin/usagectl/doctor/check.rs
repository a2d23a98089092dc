//! All checks by name: what each looks at, its rule, and the function that judges. docs/operations.md has the same table,
//! and a test holds the two together.

use super::checks::{
    archive, athena, delivery, destination, filters, function, load, mapping, money, source, tables, watch,
};
use super::facts::Facts;
use super::finding::{Finding, Look};

/// One question to the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    StreamOn,
    ViewType,
    MappingState,
    StartingPosition,
    Destination,
    DestinationAccepts,
    PartialResponses,
    Bisect,
    Retries,
    RecordAge,
    FiltersMatch,
    OwnWrites,
    Recursion,
    Traffic,
    Errors,
    Timeout,
    IteratorAge,
    Concurrency,
    Throttles,
    Dropped,
    Failures,
    Rejected,
    LastSnapshot,
    TableCapacity,
    ClaimsTable,
    TableProtection,
    Horizon,
    ArchiveAccess,
    Files,
    BucketPolicy,
    BucketLocks,
    GlueSchema,
    Projection,
    AlarmActions,
    AlarmState,
    LogRetention,
    OwnMetrics,
    Batches,
    Version,
}

/// What is said of a check, and what asks it.
pub struct Description {
    pub name: &'static str,
    pub looks_at: &'static str,
    pub rule: &'static str,
    ask: fn(&Facts) -> Look,
}

const fn described(
    name: &'static str,
    looks_at: &'static str,
    rule: &'static str,
    ask: fn(&Facts) -> Look,
) -> Description {
    Description { name, looks_at, rule, ask }
}

impl Check {
    /// In the order in which they are told: from the stream to the bill.
    pub const ALL: [Check; 39] = [
        Check::StreamOn,
        Check::ViewType,
        Check::MappingState,
        Check::StartingPosition,
        Check::Destination,
        Check::DestinationAccepts,
        Check::PartialResponses,
        Check::Bisect,
        Check::Retries,
        Check::RecordAge,
        Check::FiltersMatch,
        Check::OwnWrites,
        Check::Recursion,
        Check::Traffic,
        Check::Errors,
        Check::Timeout,
        Check::IteratorAge,
        Check::Concurrency,
        Check::Throttles,
        Check::Dropped,
        Check::Failures,
        Check::Rejected,
        Check::LastSnapshot,
        Check::TableCapacity,
        Check::ClaimsTable,
        Check::TableProtection,
        Check::Horizon,
        Check::ArchiveAccess,
        Check::Files,
        Check::BucketPolicy,
        Check::BucketLocks,
        Check::GlueSchema,
        Check::Projection,
        Check::AlarmActions,
        Check::AlarmState,
        Check::LogRetention,
        Check::OwnMetrics,
        Check::Batches,
        Check::Version,
    ];

    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// The judgement; none where the deployment has no such thing.
    pub fn find(self, facts: &Facts) -> Option<Finding> {
        Finding::new(self, (self.description().ask)(facts), facts)
    }

    pub fn description(self) -> Description {
        match self {
            Check::StreamOn => described(
                "stream-on",
                "the source's stream",
                "problem: off, not active, or a newer one than is read",
                source::stream_on,
            ),
            Check::ViewType => described(
                "view-type",
                "what the stream carries, what the pipeline's record types need",
                "problem: an image is missing",
                source::view_type,
            ),
            Check::MappingState => described(
                "mapping-state",
                "State, LastProcessingResult",
                "problem: Disabled, or the last result is one; warning: changing",
                mapping::state,
            ),
            Check::StartingPosition => described(
                "starting-position",
                "StartingPosition",
                "problem: LATEST; warning: AT_TIMESTAMP",
                mapping::starting_position,
            ),
            Check::Destination => described("destination", "DestinationConfig", "problem: none", destination::exists),
            Check::DestinationAccepts => described(
                "destination-accepts",
                "bucket, queue or topic; the role's policies; with --probe an object or message",
                "problem: not there, not allowed, probe refused; warning: allowed under a condition",
                destination::accepts,
            ),
            Check::PartialResponses => described(
                "partial-responses",
                "FunctionResponseTypes",
                "problem: no ReportBatchItemFailures",
                mapping::partial_responses,
            ),
            Check::Bisect => described("bisect", "BisectBatchOnFunctionError", "warning: off", mapping::bisect),
            Check::Retries => described("retries", "MaximumRetryAttempts", "problem: -1; warning: 0", mapping::retries),
            Check::RecordAge => described(
                "record-age",
                "MaximumRecordAgeInSeconds, the stream's retention",
                "warning: -1, or not below the retention",
                mapping::record_age,
            ),
            Check::FiltersMatch => described(
                "filters-match",
                "FilterCriteria, the pipeline's key templates",
                "problem: no pattern can match; warning: one of them can't, or a condition is always true",
                filters::can_match,
            ),
            Check::OwnWrites => described(
                "own-writes",
                "FilterCriteria with snapshots as the function writes them, where the source is the usage table",
                "problem: they pass",
                filters::own_writes,
            ),
            Check::Recursion => described("recursion", "RecursiveLoop", "warning: Allow", function::recursion),
            Check::Traffic => described(
                "traffic",
                "PolledEventCount, FilteredOutEventCount, InvokedEventCount",
                "problem: polled, not delivered; warning: nothing polled, all filtered out",
                load::traffic,
            ),
            Check::Errors => {
                described("errors", "Errors, Invocations", "problem: above 1 %; warning: any", load::errors)
            }
            Check::Timeout => described(
                "timeout",
                "Duration p99, Timeout",
                "problem: above 80 % of it; warning: above half",
                function::timeout,
            ),
            Check::IteratorAge => described(
                "iterator-age",
                "IteratorAge, highest",
                "problem: above 120 s; warning: above 30 s",
                load::iterator_age,
            ),
            Check::Concurrency => described(
                "concurrency",
                "reserved concurrency; open shards × ParallelizationFactor",
                "problem: 0; warning: less than that",
                function::concurrency,
            ),
            Check::Throttles => described("throttles", "Throttles", "warning: any", load::throttles),
            Check::Dropped => described(
                "dropped",
                "DroppedEventCount, DestinationDeliveryFailures",
                "problem: any",
                delivery::dropped,
            ),
            Check::Failures => described(
                "failures",
                "what waits in the failure destination, the oldest's age",
                "warning: anything; problem: for 3 days, or 6 hours left",
                destination::waiting,
            ),
            Check::Rejected => {
                described("rejected", "RecordsRejected, UsageTooOld", "warning: any", delivery::rejected)
            }
            Check::LastSnapshot => described(
                "last-snapshot",
                "RecordsProcessed above 0, or the newest snapshot",
                "problem: over an hour ago, and records came since",
                delivery::last_snapshot,
            ),
            Check::TableCapacity => described(
                "table-capacity",
                "billing mode, ReadThrottleEvents, WriteThrottleEvents of both tables",
                "warning: provisioned, or more than 1 throttled",
                tables::capacity,
            ),
            Check::ClaimsTable => described(
                "claims-table",
                "time to live and stream of the claims table",
                "warning: claims don't expire, or have a stream",
                tables::claims,
            ),
            Check::TableProtection => described(
                "table-protection",
                "point-in-time recovery, deletion protection of both tables",
                "warning: one is off",
                tables::protection,
            ),
            Check::Horizon => described(
                "horizon",
                "HORIZON_DAYS; retention of the stream and of the destination (a bucket counts as 14 days)",
                "warning: less than both and a day",
                destination::horizon,
            ),
            Check::ArchiveAccess => described(
                "archive-access",
                "the archive's bucket; the role's policies",
                "problem: not there, not allowed; warning: allowed under a condition",
                archive::access,
            ),
            Check::Files => described(
                "files",
                "FilesWritten, RecordsProcessed, the newest object",
                "warning: records, but no file for a day",
                archive::files,
            ),
            Check::BucketPolicy => described(
                "bucket-policy",
                "the archive's bucket policy",
                "warning: it takes requests without TLS",
                archive::policy,
            ),
            Check::BucketLocks => described(
                "bucket-locks",
                "the archive's public access block and encryption",
                "problem: open to the public; warning: no encryption",
                archive::locks,
            ),
            Check::GlueSchema => described(
                "glue-schema",
                "`avro.schema.literal` of Athena's tables, the schemas compiled into usagectl",
                "problem: another, or no table",
                athena::schema,
            ),
            Check::Projection => described(
                "projection",
                "`projection.enabled`, the range of partition_date",
                "problem: off; warning: today is left out",
                athena::projection,
            ),
            Check::AlarmActions => described(
                "alarm-actions",
                "the stack's alarms",
                "problem: one without action, or its actions are off; warning: no alarms",
                watch::alarm_actions,
            ),
            Check::AlarmState => described(
                "alarm-state",
                "the stack's alarms, Invocations",
                "problem: one rings; warning: no data though the function runs",
                watch::alarm_state,
            ),
            Check::LogRetention => {
                described("log-retention", "the function's log group", "warning: kept for ever", watch::log_retention)
            }
            Check::OwnMetrics => described(
                "own-metrics",
                "metrics in the function's namespace",
                "warning: more than the 10 that are free",
                money::own_metrics,
            ),
            Check::Batches => described(
                "batches",
                "InvokedEventCount, Invocations",
                "warning: below 10 records a batch in 1,000 batches an hour",
                load::batches,
            ),
            Check::Version => described(
                "version",
                "runtime and tag `usage-aggregator-version` of the function, this usagectl",
                "problem: not provided.al2023; warning: another version, or no tag",
                function::version,
            ),
        }
    }
}
