//! The JSON API: what the view shows, calls, and people's wishes.

mod act;
mod call;
mod events;
mod look;

use axum::Router;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;

/// All that is under `/api/v1`.
pub(super) fn router(desk: Desk, shutdown: CancellationToken) -> Router {
    let events = Router::new()
        .route("/events", get(events::events))
        .with_state(events::Source { desk: desk.clone(), shutdown });
    Router::new()
        .route("/status", get(look::status))
        .route("/workers", get(look::workers))
        .route("/workers/{id}", get(look::worker))
        .route("/workers/{id}/drain", post(act::drain))
        .route("/workers/{id}/resume", post(act::resume))
        .route("/functions", get(look::functions))
        .route("/functions/{name}", get(look::function))
        .route("/functions/{name}/call", post(call::call))
        .route("/jobs", get(look::jobs))
        .route("/jobs/{id}", get(look::job))
        .route("/jobs/{id}/cancel", post(act::cancel))
        .route("/stream", get(look::stream))
        .route("/clients", get(look::clients))
        .with_state(desk)
        .merge(events)
}

/// The handlers, for the documentation.
#[derive(utoipa::OpenApi)]
#[openapi(
    components(schemas(look::JobState)),
    paths(
        look::status,
        look::workers,
        look::worker,
        look::functions,
        look::function,
        look::jobs,
        look::job,
        look::stream,
        look::clients,
        call::call,
        act::drain,
        act::resume,
        act::cancel,
        events::events,
    )
)]
pub(super) struct Documentation;
