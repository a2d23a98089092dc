//! Which call suffers which fault: a function of the call, so that the same calls and the same seed suffer the same.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nothing is sent; the SDK sees a broken connection.
    LoseRequest,
    /// The request has its effect; the SDK sees a timeout.
    LoseResponse,
    /// The service answers 503 without having done anything.
    Status503,
    /// The service throttles: ProvisionedThroughputExceededException in DynamoDB, SlowDown in S3, Throttling in
    /// CloudWatch.
    Throttle,
    /// Another writer was there at the same time: in DynamoDB a TransactionCanceledException whose first reason is
    /// TransactionConflict, or TransactionConflictException outside of transactions; ConditionalRequestConflict in S3;
    /// ConflictException in CloudWatch.
    TransactionConflict,
    /// The request is sent after this time.
    Delay(Duration),
    /// The SDK sees a timeout at once; the request has its effect this much later, maybe after a retry's.
    ArriveLate(Duration),
    /// The process dies before anything is sent: the call never ends.
    CrashBefore,
    /// The request has its effect and the process dies before the response is read: the call never ends.
    CrashAfter,
}

impl Fault {
    /// Every fault that takes no time, for a test that tries each of them at each call.
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
    DynamoDb,
    S3,
    CloudWatch,
}

/// One HTTP request of the SDK; its retries are calls of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// 1 for the first call.
    pub number: usize,
    pub service: Service,
    /// The operation's name, such as `UpdateItem`; the method, such as `HEAD`, where S3's SDK doesn't name it.
    pub operation: String,
    /// The path of the URL: in S3 `/bucket/key`, percent-encoded.
    pub path: String,
}

impl Call {
    pub(in crate::emulators) fn of(request: &HttpRequest, number: usize) -> Call {
        let (path, query) = split_uri(request.uri());
        let (service, operation) = match request.headers().get("x-amz-target") {
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
    /// The fault of a call is `decide` of it. `decide` must not make calls itself.
    pub fn new(decide: impl FnMut(&Call) -> Fault + Send + 'static) -> FaultPlan {
        FaultPlan(Box::new(decide))
    }

    /// No faults.
    pub fn none() -> FaultPlan {
        FaultPlan::new(|_| Fault::None)
    }

    /// `fault` for call `number`, counted from 1, and no other.
    pub fn at(number: usize, fault: Fault) -> FaultPlan {
        FaultPlan::new(move |call| if call.number == number { fault } else { Fault::None })
    }

    /// `fault` for the `nth` call of `operation`, counted from 1, and no other.
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

    /// One of `faults`, each as likely as the others, for `percent` of the calls.
    pub fn seeded(seed: u64, percent: u8, faults: &[Fault]) -> FaultPlan {
        let (mut random, faults) = (fastrand::Rng::with_seed(seed), faults.to_vec());
        FaultPlan::new(move |_| {
            // Both are drawn for every call, so that another percentage leaves the choices as they are.
            let (roll, choice) = (random.u8(0..100), random.choice(&faults).copied());
            if roll < percent { choice.unwrap_or(Fault::None) } else { Fault::None }
        })
    }

    pub(super) fn fault(&mut self, call: &Call) -> Fault {
        (self.0)(call)
    }
}
