//! Which call has which fault. The decision depends on the call and the seed only, so that a run can be repeated.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call is let through.
    None,
    /// Nothing is sent, and the SDK gets a broken connection.
    LoseRequest,
    /// The request has its effect, and the SDK gets a timeout.
    LoseResponse,
    /// The service returns 503 without any effect.
    Status503,
    /// The service throttles: ProvisionedThroughputExceededException in DynamoDB, SlowDown in S3, Throttling in
    /// CloudWatch. EventBridge takes the first half of the entries, and answers with a FailedEntryCount for the others.
    Throttle,
    /// The call conflicts with a concurrent writer: in DynamoDB a TransactionCanceledException whose first reason is
    /// TransactionConflict, or a TransactionConflictException outside of transactions; ConditionalRequestConflict in S3;
    /// ConflictException in CloudWatch; ConcurrentModificationException in EventBridge.
    TransactionConflict,
    /// The service refuses the call for lack of a permission: AccessDenied in S3 (403), AccessDeniedException elsewhere.
    AccessDenied,
    /// The request is sent after this time.
    Delay(Duration),
    /// The SDK gets a timeout immediately, and the request has its effect after this time, possibly after its retry.
    ArriveLate(Duration),
    /// The process dies before anything is sent. The call never returns.
    CrashBefore,
    /// The request has its effect, and the process dies before the response is read. The call never returns.
    CrashAfter,
}

impl Fault {
    /// Every fault that takes no time and passes, for tests that try each fault at each call.
    pub const ALL: [Fault; 7] = [
        Fault::LoseRequest,
        Fault::LoseResponse,
        Fault::Status503,
        Fault::Throttle,
        Fault::TransactionConflict,
        Fault::CrashBefore,
        Fault::CrashAfter,
    ];
}

/// The service that a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB.
    DynamoDb,
    /// S3.
    S3,
    /// CloudWatch.
    CloudWatch,
    /// EventBridge.
    EventBridge,
}

/// One HTTP request of the SDK. Each retry is another call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// 1 for the first call.
    pub number: usize,
    /// The service that it goes to.
    pub service: Service,
    /// The operation's name, such as `UpdateItem`; or the method, such as `HEAD`, if S3's SDK doesn't name the operation.
    pub operation: String,
    /// The URL's path, percent-encoded: in S3, `/bucket/key`.
    pub path: String,
}

impl Call {
    pub(in crate::emulators) fn of(request: &HttpRequest, number: usize) -> Call {
        let (path, query) = split_uri(request.uri());
        let (service, operation) = match request.headers().get("x-amz-target") {
            Some(target) if target.starts_with("AWSEvents.") => (Service::EventBridge, target.rsplit('.').next()),
            Some(target) => (Service::DynamoDb, target.rsplit('.').next()),
            None if path.starts_with("/service/") => (Service::CloudWatch, path.rsplit('/').next()),
            None => (Service::S3, query.split('&').find_map(|pair| pair.strip_prefix("x-id="))),
        };
        let operation = operation.unwrap_or_else(|| request.method()).to_owned();
        Call { number, service, operation, path: path.to_owned() }
    }
}

/// The path and the query of an absolute URI.
fn split_uri(uri: &str) -> (&str, &str) {
    let (uri, query) = uri.split_once('?').unwrap_or((uri, ""));
    let authority = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let path = authority.find('/').and_then(|start| authority.get(start..));
    (path.unwrap_or("/"), query)
}

/// Decides the fault of every call.
pub struct FaultPlan(Box<dyn FnMut(&Call) -> Fault + Send>);

impl FaultPlan {
    /// `decide` returns the fault of each call. It must not make calls itself.
    pub fn new(decide: impl FnMut(&Call) -> Fault + Send + 'static) -> FaultPlan {
        FaultPlan(Box::new(decide))
    }

    /// No faults.
    pub fn none() -> FaultPlan {
        FaultPlan::new(|_| Fault::None)
    }

    /// `fault` for call `number`, counted from 1, and for no other call.
    pub fn at(number: usize, fault: Fault) -> FaultPlan {
        FaultPlan::new(move |call| if call.number == number { fault } else { Fault::None })
    }

    /// `fault` for the `nth` call of `operation`, counted from 1, and for no other call.
    pub fn on(operation: &'static str, nth: usize, fault: Fault) -> FaultPlan {
        let mut seen = 0_usize;
        FaultPlan::new(move |call| {
            seen += usize::from(call.operation == operation);
            if call.operation == operation && seen == nth { fault } else { Fault::None }
        })
    }

    /// `fault` for every call of `operation`.
    pub fn always(operation: &'static str, fault: Fault) -> FaultPlan {
        FaultPlan::new(move |call| if call.operation == operation { fault } else { Fault::None })
    }

    /// One of `faults`, with equal probability, for `percent` of the calls.
    pub fn seeded(seed: u64, percent: u8, faults: &[Fault]) -> FaultPlan {
        let (mut random, faults) = (fastrand::Rng::with_seed(seed), faults.to_vec());
        FaultPlan::new(move |_| {
            // Both are drawn for every call, so that the choices don't depend on the percentage.
            let (roll, choice) = (random.u8(0..100), random.choice(&faults).copied());
            if roll < percent { choice.unwrap_or(Fault::None) } else { Fault::None }
        })
    }

    /// The fault of this call.
    pub(crate) fn fault(&mut self, call: &Call) -> Fault {
        (self.0)(call)
    }
}
