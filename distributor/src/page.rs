//! The status page: rendered here, complete without a script; with one it follows the service.
//!
//! ```text
//!  View ---> view-models (sentence, tiles, stream, workers, ..: pure) ---> templates ---> HTML
//!    \-----> live: the same parts, drawn once for all who look -----> /page/events
//! ```

mod actions;
mod assets;
mod colour;
mod foot;
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
use self::foot::Foot;
use self::functions::FunctionRow;
use self::job::{Fact, JobCard};
use self::jobs::{Ended, Filter, WayRow};
use self::live::{ENDED_SHOWN, JobsPart, Live};
use self::sentence::Sentence;
use self::status::Status;
use self::stream::Picture;
use self::tiles::Tile;
use self::workers::{WorkerRow, fate};
use crate::desk::{Desk, Refused};
use crate::view::words::count;
use crate::view::{View, Worker};

/// The most jobs of each kind on the page of jobs.
const JOBS_SHOWN: usize = 200;

/// What the page must know of the server around it.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// A token is configured: who has it may drain workers and cancel jobs.
    pub(crate) actions: bool,
    /// Ends the event streams.
    pub(crate) shutdown: CancellationToken,
}

/// Who asks, as the guard in front of the page found out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor {
    /// It has shown the token.
    pub(crate) may_act: bool,
}

/// All of the page.
pub(crate) fn router(desk: Desk, options: Options) -> Router {
    let live = Live::new(desk.clone(), &options);
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
        .with_state(Page { desk, live, actions: options.actions })
}

/// The page for what is not there; for the router that this one becomes a part of.
pub(crate) fn not_found() -> Response {
    let problem = ProblemPage {
        title: "There is no such page".to_owned(),
        text: "The address may have been mistyped.".to_owned(),
    };
    (StatusCode::NOT_FOUND, html(problem.render())).into_response()
}

#[derive(Clone)]
struct Page {
    desk: Desk,
    live: Live,
    actions: bool,
}

impl FromRef<Page> for Live {
    fn from_ref(page: &Page) -> Self {
        page.live.clone()
    }
}

/// What every page has: its head and its foot.
struct Frame {
    title: String,
    /// The part of the navigation that is underlined.
    here: &'static str,
    /// The parts that the script follows; empty: it asks for the whole page again instead.
    parts: &'static str,
    status: Status,
    sentence: Sentence,
    foot: Foot,
    /// There are actions, and this visitor has not logged in for them.
    may_log_in: bool,
    may_log_out: bool,
}

#[derive(Template)]
#[template(path = "now.html")]
struct NowPage<'a> {
    unlisted: &'a Option<String>,
    frame: Frame,
    tiles: [Tile; 5],
    picture: &'a Picture,
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
    facts: Vec<Fact>,
    picture: &'a Picture,
    waiting: Vec<String>,
    ended: &'a Ended,
    buttons: bool,
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage<'a> {
    frame: Frame,
    filter: &'a Filter,
    under_way: Option<Vec<WayRow>>,
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
            foot: Foot::of(view),
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
            &format!("There is no such {thing}"),
            "It may have been forgotten: what has ended is kept only for a while.",
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
        self.problem(status, "That could not be done", text)
    }
}

fn html(page: askama::Result<String>) -> Response {
    let uncached = [(header::CACHE_CONTROL, "no-store")];
    match page {
        Ok(page) => (uncached, Html(page)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be drawn");
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
    let view = page.desk.view();
    let colours = Colours::of(&view);
    let mut frame = page.frame(&view, "now", String::new(), may_act);
    frame.title = frame.sentence.title(&view);
    frame.parts = live::ALL;
    html(
        NowPage {
            frame,
            tiles: tiles::of(&view),
            picture: &Picture::of(&view, &colours, None),
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
    let view = page.desk.view();
    let frame = page.frame(&view, "functions", "Functions".to_owned(), page.may_act(visitor));
    let functions = functions::rows(&view, &Colours::of(&view));
    html(FunctionsPage { frame, functions: &functions }.render())
}

async fn workers(State(page): State<Page>, visitor: Option<Extension<Visitor>>) -> Response {
    let may_act = page.may_act(visitor);
    let view = page.desk.view();
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
    let view = page.desk.view();
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
            picture: &Picture::of(&view, &colours, Some(worker.id)),
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

fn worker_facts(worker: &Worker) -> Vec<Fact> {
    let fact = |name, text| Fact { name, text, path: None };
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
    let view = page.desk.view();
    let colours = Colours::of(&view);
    // One that does not lead, or is too busy, has none to show; the template says so.
    let list = page.desk.list(JOBS_SHOWN).await.ok();
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

/// The front page's table of jobs, for a person who types into its filter.
async fn jobs_part(State(page): State<Page>, Query(filter): Query<Filter>) -> Response {
    let view = page.desk.view();
    let ended = jobs::ended(&view, &filter, ENDED_SHOWN, &Colours::of(&view));
    html(JobsPart { ended: &ended, filtered: filter.is_on() }.render())
}

async fn job(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Path(id): Path<String>,
) -> Response {
    let may_act = page.may_act(visitor);
    let view: Arc<View> = page.desk.view();
    let Ok(id) = id.parse::<JobId>() else { return page.no_such("job") };
    let jobs = match page.desk.find(id).await {
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
