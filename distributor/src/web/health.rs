//! Probes for process managers and load balancers: is it alive, is it ready.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::Json;
use super::middleware::unix_time;
use crate::handle::Handle;
use crate::view::{self, Phase, Seconds, View};

/// `/healthz` and `/readyz`.
pub(super) fn router(handle: Handle) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(handle)
}

/// Whether this distributor can have jobs run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Readiness {
    /// True if it can.
    ready: bool,
    /// `active`, `standby` or `down`.
    phase: String,
    /// Why it cannot, one sentence each.
    reasons: Vec<String>,
}

/// Whether the process answers. If this succeeds, a restart would not help.
#[utoipa::path(get, path = "/healthz",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether jobs can be run: an active distributor with a link to the broker and a worker.
#[utoipa::path(get, path = "/readyz",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn readyz(State(handle): State<Handle>) -> (StatusCode, Json<Readiness>) {
    let view = handle.view();
    let readiness = readiness(&view, view.age(unix_time()));
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

fn readiness(view: &View, age: Seconds) -> Readiness {
    let phase = match view.distributor.phase {
        Phase::Down => "down",
        Phase::Standby { .. } => "standby",
        Phase::Active { .. } => "active",
    };
    let problems = view.problems.iter().filter(|problem| problem.blocks);
    let reasons: Vec<_> =
        view::stale(age).into_iter().chain(problems.cloned()).map(|problem| problem.text).collect();
    Readiness { ready: reasons.is_empty(), phase: phase.to_owned(), reasons }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    const NOW: u64 = 1_700_000_123_000;

    #[track_caller]
    fn check(mut view: View, age: f64, reasons: usize) {
        view.problems = view::diagnose(&view);
        let readiness = readiness(&view, Seconds(age));
        assert_eq!((readiness.ready, readiness.reasons.len()), (reasons == 0, reasons));
    }

    #[test]
    fn ready_means_leading_with_a_link_and_a_worker() {
        for view in [sample::idle, sample::busy, sample::lost, sample::unserved] {
            check(view(NOW), 0.1, 0);
        }
        for view in [sample::empty, sample::down, sample::standby] {
            check(view(NOW), 0.1, 1);
        }
        check(sample::idle(NOW), 60.0, 1);
    }
}
