//! Operator actions on workers and jobs; the access layer has checked the token.

use axum::Extension;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use simple_dist_protocol::Selector;
use utoipa::{IntoParams, ToSchema};

use super::call::{CallQuery, answer, tell, time};
use super::reads::{job_id, no_job, worker_id};
use crate::handle::Handle;
use crate::operator::{Cancel, NotRetried, Operator};
use crate::view::{Affected, JobFilter};
use crate::web::json::Json;
use crate::web::memory::MemoryBudget;
use crate::web::peers::Peer;
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
    peer: Option<Extension<Peer>>,
) -> Result<StatusCode, Problem> {
    set_draining(&Operator::new(handle, peer), path, true).await
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
    peer: Option<Extension<Peer>>,
) -> Result<StatusCode, Problem> {
    set_draining(&Operator::new(handle, peer), path, false).await
}

async fn set_draining(
    operator: &Operator,
    path: Result<Path<String>, PathRejection>,
    drain: bool,
) -> Result<StatusCode, Problem> {
    let Path(id) = path?;
    let worker = worker_id(&id)?;
    operator.drain(worker, drain).await?;
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
    peer: Option<Extension<Peer>>,
) -> Result<StatusCode, Problem> {
    let Path(text) = path?;
    let id = job_id(&text)?;
    match Operator::new(handle, peer).cancel(id, None).await? {
        Cancel::Cancelled => Ok(StatusCode::NO_CONTENT),
        Cancel::HasEnded => Err(Problem::new(Kind::Conflict, "the job has already ended").of(id)),
        Cancel::Unknown => Err(no_job()),
    }
}

/// Which jobs to cancel: those that fit all that is given. One of function, user and client is.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CancelQuery {
    /// Only jobs of this function: `fib@1`, or `fib` for all its versions.
    #[param(pattern = "^[a-z][a-z0-9_.-]{0,63}(@[0-9]{1,5})?$")]
    function: Option<String>,
    /// Only jobs of this login.
    user: Option<String>,
    /// Only jobs of this client.
    #[param(pattern = "^c-[0-9a-f]{32}$")]
    client: Option<String>,
    /// Only jobs that have not started.
    #[serde(default)]
    queued: bool,
    /// Only say what would be cancelled.
    #[serde(default)]
    dry_run: bool,
}

/// What was cancelled, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CancelReport {
    /// The jobs meant, by function.
    jobs: Vec<Affected>,
    /// How many were cancelled.
    cancelled: u64,
}

/// Cancels many jobs, or says which it would cancel. Jobs that come meanwhile are not meant.
#[utoipa::path(post, path = "/jobs/cancel", params(CancelQuery), security(("token" = [])),
    responses((status = 200, body = CancelReport),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn cancel_all(
    State(handle): State<Handle>,
    query: Result<Query<CancelQuery>, QueryRejection>,
    peer: Option<Extension<Peer>>,
) -> Result<Json<CancelReport>, Problem> {
    let Query(query) = query?;
    let bad = |what| Problem::new(Kind::BadRequest, format!("`{what}` is none"));
    let filter = JobFilter {
        function: query
            .function
            .map(|text| text.parse::<Selector>().map_err(|_| bad("function")))
            .transpose()?,
        user: query.user.map(|text| text.parse().map_err(|_| bad("user"))).transpose()?,
        client: query.client.map(|text| text.parse().map_err(|_| bad("client"))).transpose()?,
        queued: query.queued,
    };
    if filter.is_everything() {
        return Err(Problem::new(Kind::BadRequest, "say which: `function`, `user` or `client`"));
    }
    let jobs = handle.affected(filter.clone()).await?;
    let cancelled = match query.dry_run {
        true => 0,
        false => Operator::new(handle, peer).cancel_all(&filter).await?,
    };
    Ok(Json(CancelReport { jobs, cancelled }))
}

/// Calls a failed job again, as a new job, and waits for its value; the answers are those of a call.
/// The arguments of failed jobs are kept up to 32 MiB. Closing the connection cancels the new job.
#[utoipa::path(post, path = "/jobs/{id}/retry", security(("token" = [])),
    params(("id" = String, Path, description = "The job's id", example = "0190163d8694739b9ecb1e6ffb4c5c2b"), CallQuery),
    responses((status = 200, description = "The value, as JSON", body = serde_json::Value, content_type = "application/json"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`not-failed`: it has not ended, or not without a value", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "`gone`: its arguments are not kept any more", body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 500, body = Problem, content_type = "application/problem+json"),
        (status = 502, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
        (status = 504, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn retry(
    State(handle): State<Handle>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<CallQuery>, QueryRejection>,
    Extension(memory): Extension<MemoryBudget>,
    peer: Option<Extension<Peer>>,
) -> Result<Response, Problem> {
    let Path(text) = path?;
    let id = job_id(&text)?;
    let Query(how) = query?;
    let timeout = time(how.timeout)
        .ok_or_else(|| Problem::new(Kind::BadRequest, "`timeout` is 0.001 to 3600"))?;
    let retried = Operator::new(handle.clone(), peer).retry(id, timeout).await;
    let retried = retried.map_err(|not| Problem::from(not).of(id))?;
    let (id, answered) = (retried.id, &retried.answered);
    let mut response = match answer(&handle, &memory, &retried.function, id, answered).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    tell(response.headers_mut(), id, answered);
    Ok(response)
}

impl From<NotRetried> for Problem {
    fn from(not: NotRetried) -> Self {
        let kind = match not {
            NotRetried::Unknown => Kind::NotFound,
            NotRetried::UnderWay | NotRetried::DidNotFail => Kind::NotFailed,
            NotRetried::Gone => Kind::Gone,
            NotRetried::Refused(refused) => return refused.into(),
        };
        Self::new(kind, not.to_string())
    }
}
