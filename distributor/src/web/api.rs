//! The JSON API: reading the view, calling functions, operator actions.

mod actions;
mod caching;
mod call;
mod events;
mod reads;

use axum::Router;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use crate::handle::Handle;

/// Everything under `/api/v1`.
pub(super) fn router(handle: Handle, shutdown: CancellationToken) -> Router {
    let events = Router::new()
        .route("/events", get(events::events))
        .with_state(events::StreamState { handle: handle.clone(), shutdown });
    Router::new()
        .route("/status", get(reads::status))
        .route("/workers", get(reads::workers))
        .route("/workers/{id}", get(reads::worker))
        .route("/workers/{id}/drain", post(actions::drain))
        .route("/workers/{id}/resume", post(actions::resume))
        .route("/functions", get(reads::functions))
        .route("/functions/{name}", get(reads::function))
        .route("/functions/{name}/call", post(call::call))
        .route("/failures", get(reads::failures))
        .route("/differences", get(reads::differences))
        .route("/differences/{digest}", get(reads::differing))
        .route("/jobs", get(reads::jobs))
        .route("/jobs/cancel", post(actions::cancel_all))
        .route("/jobs/{id}", get(reads::job))
        .route("/jobs/{id}/retry", post(actions::retry))
        .route("/actions", get(reads::actions))
        .route("/history", get(reads::history))
        .route("/jobs/{id}/cancel", post(actions::cancel))
        .route("/stream", get(reads::stream))
        .route("/clients", get(reads::clients))
        .with_state(handle)
        .merge(events)
}

/// The handlers, for the documentation.
#[derive(utoipa::OpenApi)]
#[openapi(
    components(schemas(reads::JobState, crate::history::Span)),
    paths(
        reads::status,
        reads::workers,
        reads::worker,
        reads::functions,
        reads::function,
        reads::failures,
        reads::differences,
        reads::differing,
        reads::jobs,
        reads::job,
        reads::stream,
        reads::clients,
        call::call,
        actions::drain,
        actions::resume,
        actions::cancel,
        actions::cancel_all,
        actions::retry,
        reads::actions,
        reads::history,
        events::events,
    )
)]
pub(super) struct Documentation;
