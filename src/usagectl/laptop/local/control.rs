//! The control endpoint of a local run, on the loopback interface: shows the status and the live page, changes
//! faults, and stops the run.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use laptop::proof::{FaultInjector, RequestedFaults};
use tokio::sync::watch;

use super::page::routes;
use super::reach::Reach;
use super::status::Status;
use crate::page::{self, Page};

/// What can be seen and changed during a run.
#[derive(Debug, Clone)]
pub(super) struct Control {
    /// The faults in effect.
    pub faults: FaultInjector,
    /// The latest status.
    pub status: Arc<Mutex<Status>>,
    /// Which faults can have an effect.
    pub reach: Reach,
    /// The live page.
    pub page: Arc<Page>,
    /// True once the run is to stop.
    pub stop: watch::Sender<bool>,
}

impl Control {
    /// A control for a run that starts with these faults.
    pub(super) fn new(faults: FaultInjector, reach: Reach, page: Arc<Page>) -> Control {
        Control { faults, status: Arc::default(), reach, page, stop: watch::Sender::new(false) }
    }

    /// What can be requested.
    pub(super) fn routes(&self) -> Router {
        Router::new()
            .route("/status", get(status))
            .route("/faults", get(faults))
            .route("/faults", put(set_faults))
            .route("/stop", post(stop))
            .merge(routes())
            .with_state(self.clone())
            .merge(page::routes(self.page.clone()))
    }

    /// Serves on a port of the loopback interface, or on a free one if it is 0, and returns the URL.
    pub(super) async fn serve(&self, port: u16) -> anyhow::Result<String> {
        page::serve(self.routes(), ("--control-port", port), &self.page.token).await
    }
}

async fn status(State(control): State<Control>) -> Json<Status> {
    Json(control.status.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

async fn faults(State(control): State<Control>) -> String {
    control.faults.profile().to_string()
}

async fn set_faults(State(control): State<Control>, text: String) -> (StatusCode, String) {
    let requested = text.parse::<RequestedFaults>();
    match requested.and_then(|requested| control.reach.check(&requested.named).map(|()| requested.profile)) {
        Ok(profile) => {
            control.faults.set(profile.clone());
            (StatusCode::OK, profile.to_string())
        }
        Err(mistake) => (StatusCode::BAD_REQUEST, mistake),
    }
}

async fn stop(State(control): State<Control>) -> StatusCode {
    control.stop.send_replace(true);
    StatusCode::ACCEPTED
}
