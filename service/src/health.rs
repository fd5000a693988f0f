//! `/livez` and `/readyz`: is the process there, and can it do its work, and if not, why not.

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a process still waits for before it can do its work. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    missing: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Readiness {
    /// Not ready until each of `conditions` has been [met](Self::ready).
    #[must_use]
    pub fn waiting_for(conditions: &[&'static str]) -> Self {
        let missing = conditions.iter().map(|name| (*name, "not up yet".to_owned())).collect();
        Self { missing: Arc::new(Mutex::new(missing)) }
    }

    /// The condition is met.
    pub fn ready(&self, condition: &'static str) {
        self.lock().remove(condition);
    }

    /// The condition isn't met (any more), and why, in words for an operator.
    pub fn not_ready(&self, condition: &'static str, reason: impl Into<String>) {
        self.lock().insert(condition, reason.into());
    }

    /// What is missing, by condition; empty when ready.
    #[must_use]
    pub fn missing(&self) -> BTreeMap<&'static str, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        // The map is whole after any panic: each change is one call.
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self) -> Response {
        let missing = self.missing();
        let ready = missing.is_empty();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(json!({ "ready": ready, "missing": missing }))).into_response()
    }
}

/// The two routes.
pub fn routes<S: Clone + Send + Sync + 'static>(readiness: Readiness) -> Router<S> {
    Router::new()
        .route("/livez", get(async || Json(json!({ "live": true }))))
        .route("/readyz", get(async move || readiness.answer()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    async fn ask(readiness: &Readiness, path: &str) -> (StatusCode, serde_json::Value) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = routes::<()>(readiness.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_process_is_live_before_it_is_ready_and_says_what_it_waits_for() {
        let readiness = Readiness::waiting_for(&["trunk", "media"]);
        assert_eq!(ask(&readiness, "/livez").await.0, StatusCode::OK);
        readiness.ready("media");
        readiness.not_ready("trunk", "the campus refuses our certificate");
        let (status, body) = ask(&readiness, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["missing"], json!({"trunk": "the campus refuses our certificate"}));
        readiness.ready("trunk");
        assert_eq!(ask(&readiness, "/readyz").await.0, StatusCode::OK);
    }
}
