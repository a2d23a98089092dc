//! The page's switches of faults, on the control port.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::switches;
use crate::laptop::local::control::Control;

/// The route that switches a fault.
pub(in crate::laptop::local) fn routes() -> Router<Control> {
    Router::new().route("/page/faults", post(set_fault))
}

#[derive(Deserialize)]
struct SwitchedFault {
    name: String,
    on: bool,
}

async fn set_fault(State(control): State<Control>, body: String) -> Response {
    let switched = serde_json::from_str::<SwitchedFault>(&body)
        .map_err(|error| format!("expected {{\"name\": \"crash\", \"on\": true}}: {error}"));
    let profile = switched.and_then(|SwitchedFault { name, on }| {
        switches::switched(&control.faults.profile(), &control.reach, &name, on)
    });
    match profile {
        Ok(profile) => {
            control.faults.set(profile.clone());
            Json(json!({ "faults": profile.to_string() })).into_response()
        }
        Err(mistake) => (StatusCode::BAD_REQUEST, Json(json!({ "error": mistake }))).into_response(),
    }
}
