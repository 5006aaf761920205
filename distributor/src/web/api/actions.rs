//! Operator actions on workers and jobs; the access layer has checked the token.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use simple_dist_protocol::JobKey;

use super::reads::{job_id, no_job, worker_id};
use crate::handle::Handle;
use crate::view::Job;
use crate::web::problem::{Kind, Problem};

/// Makes a worker finish what it holds and take no more.
#[utoipa::path(post, path = "/workers/{id}/drain", security(("token" = [])),
    params(("id" = String, Path, description = "The worker's id", example = "w-8cf0e2a4bd1f4c2a9f3de1f7a5b60c11")),
    responses((status = 204, description = "The worker has been told"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn drain(
    State(handle): State<Handle>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    set_draining(&handle, path, true).await
}

/// Makes a drained worker take jobs again.
#[utoipa::path(post, path = "/workers/{id}/resume", security(("token" = [])),
    params(("id" = String, Path, description = "The worker's id", example = "w-8cf0e2a4bd1f4c2a9f3de1f7a5b60c11")),
    responses((status = 204, description = "The worker has been told"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn resume(
    State(handle): State<Handle>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    set_draining(&handle, path, false).await
}

async fn set_draining(
    handle: &Handle,
    path: Result<Path<String>, PathRejection>,
    drain: bool,
) -> Result<StatusCode, Problem> {
    let Path(id) = path?;
    let worker = worker_id(&id)?;
    handle.drain(worker, drain).await?;
    tracing::info!(worker.id = %worker, drain, "an operator drained or resumed a worker");
    Ok(StatusCode::NO_CONTENT)
}

/// Cancels a job; its caller gets the answer `Cancelled`. If several users chose this id, the jobs
/// of all of them are cancelled.
#[utoipa::path(post, path = "/jobs/{id}/cancel", security(("token" = [])),
    params(("id" = String, Path, description = "The job's id", example = "0190163d8694739b9ecb1e6ffb4c5c2b")),
    responses((status = 204, description = "The job is cancelled"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn cancel(
    State(handle): State<Handle>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(text) = path?;
    let id = job_id(&text)?;
    let found = handle.find(id).await?;
    if found.is_empty() {
        return Err(no_job());
    }
    let mut any = false;
    for job in found {
        let Job::UnderWay(job) = job else { continue };
        handle.cancel(JobKey { user: job.user, id }).await?;
        any = true;
    }
    if !any {
        return Err(Problem::new(Kind::Conflict, "the job has already ended").of(id));
    }
    tracing::info!(job.id = %id, "an operator cancelled the job");
    Ok(StatusCode::NO_CONTENT)
}
