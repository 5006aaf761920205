//! For whoever starts, stops and balances processes: does it live, can it work.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::Desk;
use crate::view::{Phase, View};

/// `/healthz` and `/readyz`.
pub(super) fn router(desk: Desk) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(desk)
}

/// Whether this distributor can have jobs run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether it can.
    ready: bool,
    /// `active`, `standby` or `down`.
    phase: String,
    /// Why it cannot.
    reasons: Vec<String>,
}

/// Whether the process answers. A restart mends nothing that this does not tell.
#[utoipa::path(get, path = "/healthz",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether jobs can be run: an active distributor with a link to the broker and a worker.
#[utoipa::path(get, path = "/readyz",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn readyz(State(desk): State<Desk>) -> (StatusCode, Json<Readiness>) {
    let readiness = readiness(&desk.view());
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

fn readiness(view: &View) -> Readiness {
    let phase = match view.distributor.phase {
        Phase::Down => "down",
        Phase::Standby { .. } => "standby",
        Phase::Active { .. } => "active",
    };
    let checks = [
        (!view.broker.up, "there is no link to the broker"),
        (view.broker.up && view.broker.blocked, "the broker takes no messages: an alarm"),
        (
            view.broker.up && !view.broker.sure,
            "our own presence does not come back from the broker",
        ),
        (phase == "standby", "another distributor leads; this one stands by"),
        (view.broker.up && phase == "down", "this distributor does not lead yet"),
        (phase == "active" && view.totals.workers == 0, "no worker lives"),
    ];
    let reasons: Vec<_> =
        checks.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| why.to_owned()).collect();
    Readiness { ready: reasons.is_empty(), phase: phase.to_owned(), reasons }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Broker, Seconds};

    fn working() -> View {
        let broker = Broker { up: true, sure: true, ..Broker::default() };
        let mut view = View { broker, ..View::default() };
        view.distributor.phase = Phase::Active { term: "1".to_owned(), age: Seconds(1.0) };
        view.totals.workers = 1;
        view
    }

    #[track_caller]
    fn not_ready(change: impl FnOnce(&mut View)) {
        let mut view = working();
        change(&mut view);
        let readiness = readiness(&view);
        assert!(!readiness.ready && readiness.reasons.len() == 1, "{readiness:?}");
    }

    #[test]
    fn ready_is_who_leads_with_a_link_and_a_worker() {
        assert_eq!(readiness(&working()).reasons, Vec::<String>::new());
        not_ready(|view| view.broker.blocked = true);
        not_ready(|view| view.broker.sure = false);
        not_ready(|view| view.totals.workers = 0);
        not_ready(|view| view.distributor.phase = Phase::Standby { active: None, backlog: None });
        not_ready(|view| {
            view.broker.up = false;
            view.distributor.phase = Phase::Down;
        });
    }
}
