//! Faults between the SDK's retries and the network, where real ones occur: requests and responses are lost, services
//! refuse, and the process dies in the middle of a call.
//!
//! A [`FaultPlan`] decides which call has which fault; [`FaultyHttp`] injects it and keeps a log. The tests of the code
//! under fault check what must then be true.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::sync::watch;

mod answers;
mod entries;
mod plan;

pub use plan::{Call, Fault, FaultPlan, Service};

/// An HTTP client that injects the faults of a plan. Clones share the plan, the log and the crash.
#[derive(Clone)]
pub struct FaultyHttp {
    inner: SharedHttpClient,
    script: Arc<Mutex<Script>>,
    crashed: Arc<watch::Sender<bool>>,
}

struct Script {
    plan: FaultPlan,
    calls: Vec<(Call, Fault)>,
}

impl FaultyHttp {
    /// Sends requests through `inner`, except for the faults of `plan`.
    pub fn new(inner: SharedHttpClient, plan: FaultPlan) -> FaultyHttp {
        let script = Script { plan, calls: Vec::new() };
        FaultyHttp { inner, script: Arc::new(Mutex::new(script)), crashed: Arc::new(watch::Sender::new(false)) }
    }

    /// The client to put into the SDK's configuration.
    pub fn client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    /// The calls so far and the fault of each, in order, including the SDK's retries.
    pub fn calls(&self) -> Vec<(Call, Fault)> {
        self.script().calls.clone()
    }

    /// Replaces the plan and clears the log: the next call is number 1.
    pub fn set_plan(&self, plan: FaultPlan) {
        *self.script() = Script { plan, calls: Vec::new() };
    }

    /// Completes when a call has crashed, immediately if one already has. The caller then drops the future of the code
    /// under test, as the end of its process would.
    pub async fn crashed(&self) {
        // It can't fail, because self holds the sender.
        let _ = self.crashed.subscribe().wait_for(|crashed| *crashed).await;
    }

    /// Lets calls through again, as in a new process. The plan and the log stay.
    pub fn revive(&self) {
        self.crashed.send_replace(false);
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers and logs the call of `request`, and decides its fault.
    fn decide(&self, request: &HttpRequest) -> (Call, Fault) {
        let mut script = self.script();
        let call = Call::of(request, script.calls.len() + 1);
        let fault = script.plan.fault(&call);
        script.calls.push((call.clone(), fault));
        (call, fault)
    }

    fn crash(&self) {
        self.crashed.send_replace(true);
    }
}

impl HttpClient for FaultyHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(FaultyConnector { inner, faulty: self.clone() })
    }
}

#[derive(Debug)]
struct FaultyConnector {
    inner: SharedHttpConnector,
    faulty: FaultyHttp,
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // A dead process sends nothing, even if its futures are still polled.
        if *self.faulty.crashed.borrow() {
            return HttpConnectorFuture::new(pending());
        }
        // Decided here rather than in the future, so that faults are decided in the order of calls.
        let (call, fault) = self.faulty.decide(&request);
        let (inner, faulty) = (self.inner.clone(), self.faulty.clone());
        HttpConnectorFuture::new(async move { inject(fault, &call, request, &inner, &faulty).await })
    }
}

async fn inject(
    fault: Fault,
    call: &Call,
    request: HttpRequest,
    inner: &SharedHttpConnector,
    faulty: &FaultyHttp,
) -> Result<HttpResponse, ConnectorError> {
    match fault {
        Fault::None => inner.call(request).await,
        Fault::LoseRequest => Err(ConnectorError::io("injected: the request was lost".into())),
        Fault::LoseResponse => {
            inner.call(request).await?;
            Err(ConnectorError::timeout("injected: the response was lost".into()))
        }
        Fault::Status503 => answers::unavailable(),
        Fault::Throttle if call.service == Service::EventBridge => entries::throttled(request, inner).await,
        Fault::Throttle => answers::throttled(call.service),
        Fault::TransactionConflict => answers::conflict(call, &request),
        Fault::AccessDenied => answers::denied(call.service),
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            inner.call(request).await
        }
        Fault::ArriveLate(time) => {
            let inner = inner.clone();
            // Nobody is waiting for the result.
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                drop(inner.call(request).await);
            });
            Err(ConnectorError::timeout("injected: the request is delayed".into()))
        }
        Fault::CrashBefore => {
            faulty.crash();
            pending().await
        }
        Fault::CrashAfter => {
            // The process dies even if the call fails.
            let _ = inner.call(request).await;
            faulty.crash();
            pending().await
        }
    }
}

impl fmt::Debug for FaultyHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyHttp").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
