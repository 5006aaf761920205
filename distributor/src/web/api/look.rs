//! Reading: every answer is one view's, so its numbers fit each other.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use simple_dist_protocol::{Address, JobId, Selector, WorkerId};
use utoipa::{IntoParams, ToSchema};

use crate::desk::Desk;
use crate::view::{Client, Function, Job, Place, RECENT, Status, Stream, View, Worker};
use crate::web::json::Json;
use crate::web::problem::{Kind, Problem};

/// The service in numbers.
#[utoipa::path(get, path = "/status", responses((status = 200, body = Status)))]
pub(super) async fn status(State(desk): State<Desk>) -> Json<Status> {
    Json(Status::from(&*desk.view()))
}

/// Every worker; for a while also those that were lost or left.
#[utoipa::path(get, path = "/workers", responses((status = 200, body = [Worker])))]
pub(super) async fn workers(State(desk): State<Desk>) -> Json<Vec<Worker>> {
    Json(desk.view().workers.clone())
}

/// One worker.
#[utoipa::path(get, path = "/workers/{id}",
    params(("id" = String, Path, description = "The worker's id", example = "w-8cf0e2a4bd1f4c2a9f3de1f7a5b60c11")),
    responses((status = 200, body = Worker), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn worker(
    State(desk): State<Desk>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Worker>, Problem> {
    let Path(id) = path?;
    let id = worker_id(&id)?;
    let view = desk.view();
    let found = view.workers.iter().find(|worker| worker.id == id);
    found.cloned().map(Json).ok_or_else(no_worker)
}

/// Every function that is served or was asked for.
#[utoipa::path(get, path = "/functions", responses((status = 200, body = [Function])))]
pub(super) async fn functions(State(desk): State<Desk>) -> Json<Vec<Function>> {
    Json(desk.view().functions.clone())
}

/// One function; without a version the highest that is served, else the highest there was.
#[utoipa::path(get, path = "/functions/{name}",
    params(("name" = String, Path, description = "`fib` or `fib@1`", example = "fib")),
    responses((status = 200, body = Function), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn function(
    State(desk): State<Desk>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Function>, Problem> {
    let Path(name) = path?;
    let asked: Selector = name.parse().map_err(|_| no_function())?;
    let view = desk.view();
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

/// Which jobs.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this function: `fib@1`, or `fib` for all its versions.
    #[param(pattern = "^[a-z][a-z0-9_.-]{0,63}(@[0-9]{1,5})?$")]
    function: Option<String>,
    /// Of this worker.
    #[param(pattern = "^w-[0-9a-f]{32}$")]
    worker: Option<String>,
    /// Only those that failed (`true`), or only the others.
    failed: Option<bool>,
    /// Only those in this state.
    state: Option<JobState>,
    /// At most so many of each, under way and ended; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum JobState {
    /// It has not ended.
    UnderWay,
    /// It waits in the distributor.
    Queued,
    /// It is with a pool.
    Placed,
    /// A worker runs it.
    Running,
    /// It has ended.
    Ended,
}

/// Unless a caller says how many.
const LISTED: usize = 100;

/// Some of the jobs under way, then those that ended last. While more than 1,000 are under way, the
/// filters see 1,000 of them.
#[utoipa::path(get, path = "/jobs", params(Which),
    responses((status = 200, body = [Job]), (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn jobs(
    State(desk): State<Desk>,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Vec<Job>>, Problem> {
    let Query(which) = query?;
    let limit = which.limit.unwrap_or(LISTED);
    if !(1..=RECENT).contains(&limit) {
        return Err(Problem::new(Kind::BadRequest, format!("`limit` is 1 to {RECENT}")));
    }
    let wanted = Wanted::read(which)?;
    let mut jobs = Vec::new();
    if wanted.state != Some(JobState::Ended) && wanted.failed != Some(true) {
        jobs = desk.list(RECENT).await?;
        jobs.retain(|job| wanted.has(job));
        jobs.truncate(limit);
    }
    let view: &View = &desk.view();
    let ended = view.recent.iter().filter(|job| wanted.has_ended(job)).take(limit);
    jobs.extend(ended.cloned().map(Job::Ended));
    Ok(Json(jobs))
}

/// [`Which`], understood.
struct Wanted {
    function: Option<Selector>,
    worker: Option<WorkerId>,
    failed: Option<bool>,
    state: Option<JobState>,
}

impl Wanted {
    fn read(which: Which) -> Result<Self, Problem> {
        let bad = |error: &dyn std::fmt::Display| Problem::new(Kind::BadRequest, error.to_string());
        Ok(Self {
            function: which
                .function
                .map(|text| text.parse::<Selector>().map_err(|error| bad(&error)))
                .transpose()?,
            worker: which
                .worker
                .map(|text| text.parse::<WorkerId>().map_err(|error| bad(&error)))
                .transpose()?,
            failed: which.failed,
            state: which.state,
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

/// The jobs of this id, under way or ended lately: one, unless two users chose the same.
#[utoipa::path(get, path = "/jobs/{id}",
    params(("id" = String, Path, description = "The job's id", example = "0190163d8694739b9ecb1e6ffb4c5c2b")),
    responses((status = 200, body = [Job]), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn job(
    State(desk): State<Desk>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Vec<Job>>, Problem> {
    let Path(id) = path?;
    let jobs = desk.find(job_id(&id)?).await?;
    if jobs.is_empty() { Err(no_job()) } else { Ok(Json(jobs)) }
}

/// What each slot ran in the last two minutes.
#[utoipa::path(get, path = "/stream", responses((status = 200, body = Stream)))]
pub(super) async fn stream(State(desk): State<Desk>) -> Json<Stream> {
    Json(desk.view().stream.clone())
}

/// The clients heard of late.
#[utoipa::path(get, path = "/clients", responses((status = 200, body = [Client])))]
pub(super) async fn clients(State(desk): State<Desk>) -> Json<Vec<Client>> {
    Json(desk.view().clients.clone())
}

pub(super) fn worker_id(text: &str) -> Result<WorkerId, Problem> {
    text.parse().map_err(|_| no_worker())
}

pub(super) fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|_| no_job())
}

fn no_worker() -> Problem {
    Problem::new(Kind::NotFound, "no worker of this id is known")
}

pub(super) fn no_job() -> Problem {
    Problem::new(Kind::NotFound, "no job of this id is under way or ended lately")
}

fn no_function() -> Problem {
    Problem::new(Kind::NotFound, "no such function is served or was asked for")
}
