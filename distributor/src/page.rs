//! The status page: rendered on the server and complete without scripts; with scripts it updates
//! live.
//!
//! ```text
//!  View ---> view-models (sentence, tiles, stream, workers, ..: pure) ---> templates ---> HTML
//!    \-----> live: the same parts, rendered once for all viewers -----> /page/events
//! ```

mod actions;
mod assets;
mod colour;
mod footer;
mod functions;
mod job;
mod jobs;
mod live;
mod sentence;
mod status;
mod stream;
mod tiles;
mod workers;

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRef, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Deserialize;
use simple_dist_protocol::{JobId, WorkerId, text};
use tokio_util::sync::CancellationToken;

use self::colour::Colours;
use self::footer::Footer;
use self::functions::FunctionRow;
use self::job::{Detail, JobCard};
use self::jobs::{Ended, Filter, UnfinishedRow};
use self::live::{ENDED_SHOWN, JobsPart, Live};
use self::sentence::Sentence;
use self::status::Status;
use self::stream::StreamChart;
use self::tiles::Tile;
use self::workers::{WorkerRow, fate};
use crate::handle::{Handle, Refused};
use crate::view::format::count;
use crate::view::{View, Worker};

/// The most jobs of each kind on the jobs page.
const JOBS_SHOWN: usize = 200;

/// What the page needs to know about the server.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Whether a token is configured, so that a visitor who has it may drain workers and cancel
    /// jobs.
    pub(crate) actions: bool,
    /// Ends the event streams.
    pub(crate) shutdown: CancellationToken,
}

/// The visitor, as identified by the middleware.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor {
    /// Whether it has shown the token.
    pub(crate) may_act: bool,
}

/// The routes of the page.
pub(crate) fn router(handle: Handle, options: Options) -> Router {
    let live = Live::new(handle.clone(), &options);
    Router::new()
        .route("/", get(now))
        .route("/functions", get(functions))
        .route("/workers", get(workers))
        .route("/workers/{id}", get(worker))
        .route("/jobs", get(jobs))
        .route("/jobs/{id}", get(job))
        .route("/login", get(login))
        .route("/page/events", get(live::events))
        .route("/page/jobs", get(jobs_part))
        .route("/assets/{name}", get(assets::serve))
        .route("/workers/{id}/drain", post(actions::drain))
        .route("/workers/{id}/resume", post(actions::resume))
        .route("/jobs/{id}/cancel", post(actions::cancel))
        .with_state(Page { handle, live, actions: options.actions })
}

/// The page for unknown addresses; the outer router uses it as its fallback.
pub(crate) fn not_found() -> Response {
    let problem = ProblemPage {
        title: "Page not found".to_owned(),
        text: "The address may have been mistyped.".to_owned(),
    };
    (StatusCode::NOT_FOUND, html(problem.render())).into_response()
}

#[derive(Clone)]
struct Page {
    handle: Handle,
    live: Live,
    actions: bool,
}

impl FromRef<Page> for Live {
    fn from_ref(page: &Page) -> Self {
        page.live.clone()
    }
}

/// What every page has: its header and its footer.
struct Frame {
    title: String,
    /// The current entry of the navigation.
    here: &'static str,
    /// The parts that the script updates live; if empty, it reloads the whole page instead.
    parts: &'static str,
    status: Status,
    sentence: Sentence,
    foot: Footer,
    /// Whether the visitor may log in to perform actions.
    may_log_in: bool,
    may_log_out: bool,
}

#[derive(Template)]
#[template(path = "now.html")]
struct NowPage<'a> {
    unlisted: &'a Option<String>,
    frame: Frame,
    tiles: [Tile; 5],
    picture: &'a StreamChart,
    workers: &'a [WorkerRow],
    buttons: bool,
    from: &'static str,
    functions: &'a [FunctionRow],
    filter: &'a Filter,
    ended: &'a Ended,
    filtered: bool,
}

#[derive(Template)]
#[template(path = "functions.html")]
struct FunctionsPage<'a> {
    frame: Frame,
    functions: &'a [FunctionRow],
}

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage<'a> {
    unlisted: &'a Option<String>,
    frame: Frame,
    workers: &'a [WorkerRow],
    buttons: bool,
    from: &'static str,
}

#[derive(Template)]
#[template(path = "worker.html")]
struct WorkerPage<'a> {
    frame: Frame,
    worker: &'a WorkerRow,
    says: String,
    facts: Vec<Detail>,
    picture: &'a StreamChart,
    waiting: Vec<String>,
    ended: &'a Ended,
    buttons: bool,
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage<'a> {
    frame: Frame,
    filter: &'a Filter,
    under_way: Option<Vec<UnfinishedRow>>,
    ended: &'a Ended,
    filtered: bool,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    cards: Vec<JobCard>,
    buttons: bool,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    actions: bool,
    wrong: bool,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    title: String,
    text: String,
}

impl Page {
    fn may_act(&self, visitor: Option<Extension<Visitor>>) -> bool {
        self.actions && visitor.is_some_and(|Extension(visitor)| visitor.may_act)
    }

    fn frame(&self, view: &View, here: &'static str, title: String, may_act: bool) -> Frame {
        let age = live::age(view);
        Frame {
            title,
            here,
            parts: "",
            status: Status::of(view, age),
            sentence: Sentence::of(view, age),
            foot: Footer::of(view),
            may_log_in: self.actions && !may_act,
            may_log_out: may_act,
        }
    }

    fn problem(&self, status: StatusCode, title: &str, text: &str) -> Response {
        let problem = ProblemPage { title: title.to_owned(), text: text.to_owned() };
        (status, html(problem.render())).into_response()
    }

    fn no_such(&self, thing: &str) -> Response {
        self.problem(
            StatusCode::NOT_FOUND,
            &format!("No such {thing}"),
            "It may be too old: what has ended is kept only for a while.",
        )
    }

    fn forbidden(&self) -> Response {
        self.problem(
            StatusCode::FORBIDDEN,
            "This needs the token",
            "Log in with the distributor's token first.",
        )
    }

    fn refused(&self, refused: Refused) -> Response {
        let text = match refused {
            Refused::NotActive => "This distributor is on standby. Ask the active one.",
            Refused::Busy => "The distributor did not answer in time. Try again in a moment.",
            Refused::Unknown => "It does not exist, or is gone.",
        };
        let status = match refused {
            Refused::NotActive | Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Unknown => StatusCode::NOT_FOUND,
        };
        self.problem(status, "That did not work", text)
    }
}

fn html(page: askama::Result<String>) -> Response {
    let uncached = [(header::CACHE_CONTROL, "no-store")];
    match page {
        Ok(page) => (uncached, Html(page)).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot render a page");
            (StatusCode::INTERNAL_SERVER_ERROR, uncached).into_response()
        }
    }
}

async fn now(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Query(filter): Query<Filter>,
) -> Response {
    let may_act = page.may_act(visitor);
    let view = page.handle.view();
    let colours = Colours::of(&view);
    let mut frame = page.frame(&view, "now", String::new(), may_act);
    frame.title = frame.sentence.title(&view);
    frame.parts = live::ALL;
    html(
        NowPage {
            frame,
            tiles: tiles::of(&view),
            picture: &StreamChart::of(&view, &colours, None),
            workers: &workers::rows(&view, &colours),
            unlisted: &workers::unlisted(&view),
            buttons: may_act,
            from: "now",
            functions: &functions::rows(&view, &colours),
            filter: &filter,
            ended: &jobs::ended(&view, &filter, ENDED_SHOWN, &colours),
            filtered: filter.is_on(),
        }
        .render(),
    )
}

async fn functions(State(page): State<Page>, visitor: Option<Extension<Visitor>>) -> Response {
    let view = page.handle.view();
    let frame = page.frame(&view, "functions", "Functions".to_owned(), page.may_act(visitor));
    let functions = functions::rows(&view, &Colours::of(&view));
    html(FunctionsPage { frame, functions: &functions }.render())
}

async fn workers(State(page): State<Page>, visitor: Option<Extension<Visitor>>) -> Response {
    let may_act = page.may_act(visitor);
    let view = page.handle.view();
    let frame = page.frame(&view, "workers", "Workers".to_owned(), may_act);
    let workers = &workers::rows(&view, &Colours::of(&view));
    let unlisted = &workers::unlisted(&view);
    html(WorkersPage { unlisted, frame, workers, buttons: may_act, from: "workers" }.render())
}

async fn worker(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Path(id): Path<String>,
) -> Response {
    let may_act = page.may_act(visitor);
    let view = page.handle.view();
    let found = id.parse::<WorkerId>().ok();
    let found = found.and_then(|id| view.workers.iter().find(|worker| worker.id == id));
    let Some(worker) = found else { return page.no_such("worker") };
    let colours = Colours::of(&view);
    let title = format!("Worker {}", worker.id.short());
    let waiting = worker.held.iter().filter(|job| job.slot.is_none());
    html(
        WorkerPage {
            frame: page.frame(&view, "workers", title, may_act),
            worker: &workers::alone(worker, &colours),
            says: worker_says(worker),
            facts: worker_facts(worker),
            picture: &StreamChart::of(&view, &colours, Some(worker.id)),
            waiting: waiting.map(|job| job.id.to_string()).collect(),
            ended: &jobs::ended_by(&view, worker.id, ENDED_SHOWN, &colours),
            buttons: may_act,
        }
        .render(),
    )
}

fn worker_says(worker: &Worker) -> String {
    let state = match worker.state {
        crate::view::WorkerState::Live => "It takes jobs",
        crate::view::WorkerState::Draining => "It finishes what it holds and takes no more",
        crate::view::WorkerState::Late => "Its beat is late",
        crate::view::WorkerState::Unreachable => "Its link to the broker is gone",
        crate::view::WorkerState::Lost | crate::view::WorkerState::Left => {
            return format!("It was {}: {}.", worker.state.word(), fate(worker));
        }
    };
    format!("{state}: {} of {} busy.", worker.busy, workers::slots(worker))
}

fn worker_facts(worker: &Worker) -> Vec<Detail> {
    let fact = |name, text| Detail { name, text, path: None };
    vec![
        fact("Host", text::line(&worker.host, workers::NAMED).to_string()),
        fact("Version", text::line(&worker.version, workers::NAMED).to_string()),
        fact("Login", worker.user.to_string()),
        fact("Known for", worker.age.to_string()),
        fact("Last beat", format!("{} ago", worker.silent)),
        fact("Pool", worker.pool.map_or_else(|| "none".to_owned(), |pool| pool.to_string())),
        fact("Serves", worker.functions.join(", ")),
        fact("Done", count(worker.done)),
        fact("Failed", count(worker.failed)),
    ]
}

async fn jobs(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Query(filter): Query<Filter>,
) -> Response {
    let view = page.handle.view();
    let colours = Colours::of(&view);
    // A distributor that is not active, or is too busy, lists none; the template says so.
    let list = page.handle.list(JOBS_SHOWN).await.ok();
    html(
        JobsPage {
            frame: page.frame(&view, "jobs", "Jobs".to_owned(), page.may_act(visitor)),
            under_way: list.map(|jobs| jobs::under_way(&jobs, &filter, JOBS_SHOWN, &colours)),
            ended: &jobs::ended(&view, &filter, JOBS_SHOWN, &colours),
            filtered: filter.is_on(),
            filter: &filter,
        }
        .render(),
    )
}

/// The front page's table of jobs, while a visitor types into its filter.
async fn jobs_part(State(page): State<Page>, Query(filter): Query<Filter>) -> Response {
    let view = page.handle.view();
    let ended = jobs::ended(&view, &filter, ENDED_SHOWN, &Colours::of(&view));
    html(JobsPart { ended: &ended, filtered: filter.is_on() }.render())
}

async fn job(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Path(id): Path<String>,
) -> Response {
    let may_act = page.may_act(visitor);
    let view: Arc<View> = page.handle.view();
    let Ok(id) = id.parse::<JobId>() else { return page.no_such("job") };
    let jobs = match page.handle.find(id).await {
        Ok(jobs) if jobs.is_empty() => return page.no_such("job"),
        Ok(jobs) => jobs,
        Err(refused) => return page.refused(refused),
    };
    let colours = Colours::of(&view);
    let title = format!("Job {}", jobs::label(id));
    let frame = page.frame(&view, "jobs", title, may_act);
    let cards = jobs.iter().map(|job| JobCard::of(job, &view, &colours)).collect();
    html(JobPage { frame, cards, buttons: may_act }.render())
}

#[derive(Debug, Default, Deserialize)]
struct Login {
    wrong: Option<String>,
}

async fn login(State(page): State<Page>, Query(login): Query<Login>) -> Response {
    html(LoginPage { actions: page.actions, wrong: login.wrong.is_some() }.render())
}

#[cfg(test)]
mod tests;
