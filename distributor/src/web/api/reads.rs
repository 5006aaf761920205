//! Reading: each response comes from one view, so its numbers are consistent.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use simple_dist_protocol::{Address, JobId, Selector, WorkerId};
use utoipa::{IntoParams, ToSchema};

use crate::handle::Handle;
use crate::history::{Asked, Range, Span};
use crate::view::{
    Action, Client, Difference, Failure, Function, Job, Place, RECENT, Status, Stream, View, Worker,
};
use crate::web::json::Json;
use crate::web::problem::{Kind, Problem};

/// The state of the service.
#[utoipa::path(get, path = "/status", responses((status = 200, body = Status)))]
pub(super) async fn status(State(handle): State<Handle>) -> Json<Status> {
    Json(Status::from(&*handle.view()))
}

/// Every worker; for a while also those that were lost or have left.
#[utoipa::path(get, path = "/workers", responses((status = 200, body = [Worker])))]
pub(super) async fn workers(State(handle): State<Handle>) -> Json<Vec<Worker>> {
    let mut workers = handle.view().workers.clone();
    workers.iter_mut().for_each(|worker| worker.printed = Arc::default());
    Json(workers)
}

/// One worker.
#[utoipa::path(get, path = "/workers/{id}",
    params(("id" = String, Path, description = "The worker's id", example = "w-8cf0e2a4bd1f4c2a9f3de1f7a5b60c11")),
    responses((status = 200, body = Worker), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn worker(
    State(handle): State<Handle>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Worker>, Problem> {
    let Path(id) = path?;
    let id = worker_id(&id)?;
    let view = handle.view();
    let found = view.workers.iter().find(|worker| worker.id == id);
    found.cloned().map(Json).ok_or_else(no_worker)
}

/// Every function that is served or has been called.
#[utoipa::path(get, path = "/functions", responses((status = 200, body = [Function])))]
pub(super) async fn functions(State(handle): State<Handle>) -> Json<Vec<Function>> {
    Json(handle.view().functions.clone())
}

/// One function; without a version the highest served, else the highest known.
#[utoipa::path(get, path = "/functions/{name}",
    params(("name" = String, Path, description = "`fib` or `fib@1`", example = "fib")),
    responses((status = 200, body = Function), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn function(
    State(handle): State<Handle>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Function>, Problem> {
    let Path(name) = path?;
    let asked: Selector = name.parse().map_err(|_| no_function())?;
    let view = handle.view();
    let addressed = |function: &&Function| {
        function.name.parse::<Address>().is_ok_and(|address| asked.matches(&address))
    };
    let rank = |function: &&Function| {
        let version = function.name.parse::<Address>().map(|address| address.version());
        (function.workers > 0, version.unwrap_or_default())
    };
    let best = view.functions.iter().filter(addressed).max_by_key(rank);
    let waiting = || view.functions.iter().find(|function| *function.name == *name);
    best.or_else(waiting).cloned().map(Json).ok_or_else(no_function)
}

/// What fails, grouped by function, kind and message: the newest first, at most 100 groups. None is
/// pushed out by jobs that end well.
#[utoipa::path(get, path = "/failures", responses((status = 200, body = [Failure])))]
pub(super) async fn failures(State(handle): State<Handle>) -> Json<Vec<Failure>> {
    Json(handle.view().failures.clone())
}

/// Calls that were run again, and whose answers differed: the newest first, at most 32.
#[utoipa::path(get, path = "/differences", responses((status = 200, body = [Difference])))]
pub(super) async fn differences(State(handle): State<Handle>) -> Json<Vec<Difference>> {
    Json(handle.view().differences.clone())
}

/// One of the answers that differed, whole, as MessagePack, if the distributor shows arguments.
#[utoipa::path(get, path = "/differences/{digest}",
    params(("digest" = String, Path, description = "The answer's digest")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn differing(
    State(handle): State<Handle>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Bytes, Problem> {
    let Path(digest) = path?;
    let found = handle.differing(digest).await?;
    found.ok_or_else(|| Problem::new(Kind::NotFound, "no answer with this digest is shown"))
}

/// What operators did, the newest first: at most 100 since the distributor began.
#[utoipa::path(get, path = "/actions", responses((status = 200, body = [Action])))]
pub(super) async fn actions(State(handle): State<Handle>) -> Json<Vec<Action>> {
    Json(handle.view().actions.clone())
}

/// The last second of the year 9999.
const LATEST: u64 = 253_402_300_799;

/// Which part of the history.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// How long: a day by default.
    #[serde(default)]
    span: Span,
    /// Its end, in seconds of Unix time, before the year 10000; now by default.
    #[param(maximum = 253402300799u64)]
    to: Option<u64>,
}

/// The last hour by second, or the last week by minute, in equal steps; and what was slowest and failed
/// most in longer ones.
#[utoipa::path(get, path = "/history", params(HistoryQuery),
    responses((status = 200, body = Range), (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn history(
    State(handle): State<Handle>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Json<Range>, Problem> {
    let Query(HistoryQuery { span, to }) = query?;
    if to.is_some_and(|to| to > LATEST) {
        return Err(Problem::new(Kind::BadRequest, format!("`to` is at most {LATEST}")));
    }
    Ok(Json(handle.history(Asked { span, to }).await?))
}

/// Filters for jobs.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct JobsQuery {
    /// Only jobs of this function: `fib@1`, or `fib` for all its versions.
    #[param(pattern = "^[a-z][a-z0-9_.-]{0,63}(@[0-9]{1,5})?$")]
    function: Option<String>,
    /// Only jobs of this worker.
    #[param(pattern = "^w-[0-9a-f]{32}$")]
    worker: Option<String>,
    /// Only jobs that failed (`true`), or only those that did not (`false`).
    failed: Option<bool>,
    /// Only jobs in this state.
    state: Option<JobState>,
    /// The most jobs to return of each, unfinished and ended; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum JobState {
    /// It has not ended.
    UnderWay,
    /// It waits in the distributor's queue.
    Queued,
    /// It is in a pool's queue at the broker.
    Placed,
    /// A worker runs it.
    Running,
    /// It has ended.
    Ended,
}

/// The default limit.
const LISTED: usize = 100;

/// Some of the unfinished jobs, then the jobs that ended last. While more than 1,000 jobs are
/// unfinished, the filters see only 1,000 of them.
#[utoipa::path(get, path = "/jobs", params(JobsQuery),
    responses((status = 200, body = [Job]), (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn jobs(
    State(handle): State<Handle>,
    query: Result<Query<JobsQuery>, QueryRejection>,
) -> Result<Json<Vec<Job>>, Problem> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(LISTED);
    if !(1..=RECENT).contains(&limit) {
        return Err(Problem::new(Kind::BadRequest, format!("`limit` is 1 to {RECENT}")));
    }
    let wanted = JobFilter::read(query)?;
    let mut jobs = Vec::new();
    if wanted.state != Some(JobState::Ended) && wanted.failed != Some(true) {
        jobs = handle.list(RECENT).await?;
        jobs.retain(|job| wanted.has(job));
        jobs.truncate(limit);
    }
    let view: &View = &handle.view();
    let ended = view.recent.iter().filter(|job| wanted.has_ended(job)).take(limit);
    jobs.extend(ended.cloned().map(Job::Ended));
    Ok(Json(jobs))
}

/// [`JobsQuery`], parsed.
struct JobFilter {
    function: Option<Selector>,
    worker: Option<WorkerId>,
    failed: Option<bool>,
    state: Option<JobState>,
}

impl JobFilter {
    fn read(query: JobsQuery) -> Result<Self, Problem> {
        let bad = |error: &dyn std::fmt::Display| Problem::new(Kind::BadRequest, error.to_string());
        Ok(Self {
            function: query
                .function
                .map(|text| text.parse::<Selector>().map_err(|error| bad(&error)))
                .transpose()?,
            worker: query
                .worker
                .map(|text| text.parse::<WorkerId>().map_err(|error| bad(&error)))
                .transpose()?,
            failed: query.failed,
            state: query.state,
        })
    }

    fn has(&self, job: &Job) -> bool {
        let Job::UnderWay(job) = job else { return false };
        let state = match self.state {
            None | Some(JobState::UnderWay) => true,
            Some(JobState::Queued) => matches!(job.place, Place::Queued | Place::Unnoted),
            Some(JobState::Placed) => job.place == Place::Placed,
            Some(JobState::Running) => job.place == Place::Running,
            Some(JobState::Ended) => false,
        };
        state && self.is_of(&job.function, job.worker)
    }

    fn has_ended(&self, job: &crate::view::RecentJob) -> bool {
        matches!(self.state, None | Some(JobState::Ended))
            && self.failed.is_none_or(|failed| failed == job.is_failed())
            && self.is_of(&job.function, job.worker)
    }

    fn is_of(&self, function: &str, worker: Option<WorkerId>) -> bool {
        let of_function = |asked: &Selector| {
            *function == *asked.to_string()
                || function.parse::<Address>().is_ok_and(|address| asked.matches(&address))
        };
        self.function.as_ref().is_none_or(of_function)
            && self.worker.is_none_or(|asked| worker == Some(asked))
    }
}

/// The jobs with this id, unfinished or recently ended: one, unless two users chose the same id.
#[utoipa::path(get, path = "/jobs/{id}",
    params(("id" = String, Path, description = "The job's id", example = "0190163d8694739b9ecb1e6ffb4c5c2b")),
    responses((status = 200, body = [Job]), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn job(
    State(handle): State<Handle>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Vec<Job>>, Problem> {
    let Path(id) = path?;
    let jobs = handle.find(job_id(&id)?).await?;
    if jobs.is_empty() { Err(no_job()) } else { Ok(Json(jobs)) }
}

/// What each slot ran in the last two minutes.
#[utoipa::path(get, path = "/stream", responses((status = 200, body = Stream)))]
pub(super) async fn stream(State(handle): State<Handle>) -> Json<Stream> {
    Json(handle.view().stream.clone())
}

/// The clients heard from recently.
#[utoipa::path(get, path = "/clients", responses((status = 200, body = [Client])))]
pub(super) async fn clients(State(handle): State<Handle>) -> Json<Vec<Client>> {
    Json(handle.view().clients.clone())
}

pub(super) fn worker_id(text: &str) -> Result<WorkerId, Problem> {
    text.parse().map_err(|_| no_worker())
}

pub(super) fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|_| no_job())
}

fn no_worker() -> Problem {
    Problem::new(Kind::NotFound, "there is no known worker with this id")
}

pub(super) fn no_job() -> Problem {
    Problem::new(Kind::NotFound, "no job with this id is unfinished or recently ended")
}

fn no_function() -> Problem {
    Problem::new(Kind::NotFound, "no such function is served or has been called")
}
