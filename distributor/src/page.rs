//! The status page: rendered on the server and complete without scripts; with scripts it updates
//! live.
//!
//! ```text
//!  View ---> view-models (sentence, tiles, stream, workers, ..: pure) ---> templates ---> HTML
//!    \-----> live: the same parts, rendered once for all viewers -----> /page/events
//! ```

mod actions;
mod assets;
mod bulk;
mod colour;
mod failures;
mod footer;
mod function;
mod functions;
mod history;
mod job;
mod jobs;
mod live;
mod problem;
mod progress;
mod retry;
mod search;
mod sentence;
mod shadows;
mod status;
mod stream;
mod tiles;
mod worker;
mod workers;

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRef, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Deserialize;
use simple_dist_protocol::JobId;
use tokio_util::sync::CancellationToken;

use self::colour::Colours;
use self::failures::Failures;
use self::footer::Footer;
use self::functions::FunctionRow;
use self::job::JobCard;
use self::jobs::{Ended, Filter, UnfinishedRow};
use self::live::{ENDED_SHOWN, JobsPart, Live};
pub(crate) use self::problem::not_found;
use self::retry::Retries;
use self::search::{Pages, Search};
use self::sentence::Sentence;
use self::status::Status;
use self::stream::StreamChart;
use self::tiles::Tile;
use self::workers::{Cell, WorkerList};
use crate::handle::Handle;
use crate::view::View;
use crate::web::BasePath;

/// The most jobs of each kind on the jobs page.
const JOBS_SHOWN: usize = 200;

/// What the page needs to know about the server.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Whether a token is configured, so that a visitor who has it may drain workers and cancel
    /// jobs.
    pub(crate) actions: bool,
    /// The path under which a proxy shows the page.
    pub(crate) base: BasePath,
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
        .route("/functions/{name}", get(function::page))
        .route("/workers", get(workers))
        .route("/workers/{id}", get(worker::page))
        .route("/jobs", get(jobs))
        .route("/jobs/{id}", get(job))
        .route("/history", get(history::page))
        .route("/login", get(login))
        .route("/page/events", get(live::events))
        .route("/page/jobs", get(jobs_part))
        .route("/assets/{name}", get(assets::serve))
        .route("/workers/{id}/drain", post(actions::drain))
        .route("/workers/{id}/resume", post(actions::resume))
        .route("/workers/drain", get(bulk::drain).post(bulk::drain_now))
        .route("/workers/resume", get(bulk::resume).post(bulk::resume_now))
        .route("/jobs/cancel", get(bulk::cancel).post(bulk::cancel_now))
        .route("/jobs/{id}/cancel", post(actions::cancel))
        .route("/jobs/{id}/retry", post(retry::retry))
        .route("/jobs/{id}/retried", get(retry::retried))
        .route("/actions", get(actions::list))
        .with_state(Page {
            handle,
            live,
            retries: Retries::default(),
            actions: options.actions,
            base: options.base,
        })
}

#[derive(Clone)]
struct Page {
    handle: Handle,
    live: Live,
    retries: Retries,
    actions: bool,
    base: BasePath,
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
    frame: Frame,
    tiles: [Tile; 6],
    failures: Failures,
    picture: &'a StreamChart,
    workers: &'a WorkerList,
    buttons: bool,
    from: &'static str,
    functions: &'a [FunctionRow],
    more: Option<String>,
    filter: &'a Filter,
    ended: &'a Ended,
    filtered: bool,
}

#[derive(Template)]
#[template(path = "functions.html")]
struct FunctionsPage<'a> {
    frame: Frame,
    failures: Failures,
    buttons: bool,
    functions: &'a [FunctionRow],
    more: Option<String>,
    search: &'a Search,
    pages: &'a Pages,
}

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage<'a> {
    frame: Frame,
    workers: &'a WorkerList,
    buttons: bool,
    from: &'static str,
    search: &'a Search,
    pages: &'a Pages,
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage<'a> {
    frame: Frame,
    filter: &'a Filter,
    buttons: bool,
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
}

fn html(base: &BasePath, page: askama::Result<String>) -> Response {
    let uncached = [(header::CACHE_CONTROL, "no-store")];
    match page {
        Ok(page) => (uncached, Html(base.under(page))).into_response(),
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
    let (functions, more) = functions::few(&view, &colours);
    html(
        &page.base,
        NowPage {
            frame,
            tiles: tiles::of(&view),
            failures: Failures::of(&view, live::FAILURES_SHOWN, &colours),
            picture: &StreamChart::of(&view, &colours, None),
            workers: &workers::few(&view, &colours),
            buttons: may_act,
            from: "now",
            functions: &functions,
            more,
            filter: &filter,
            ended: &jobs::ended(&view, &filter, ENDED_SHOWN, &colours),
            filtered: filter.is_on(),
        }
        .render(),
    )
}

async fn functions(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Query(search): Query<Search>,
) -> Response {
    let buttons = page.may_act(visitor);
    let view = page.handle.view();
    let frame = page.frame(&view, "functions", "Functions".to_owned(), buttons);
    let colours = Colours::of(&view);
    let failures = Failures::of(&view, usize::MAX, &colours);
    let found = functions::found(&view, &colours, &search);
    let (functions, pages, search) = (&found.rows, &found.pages, &search);
    html(
        &page.base,
        FunctionsPage { frame, failures, buttons, functions, more: None, search, pages }.render(),
    )
}

async fn workers(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Query(search): Query<Search>,
) -> Response {
    let may_act = page.may_act(visitor);
    let view = page.handle.view();
    let frame = page.frame(&view, "workers", "Workers".to_owned(), may_act);
    let (workers, pages) = workers::found(&view, &Colours::of(&view), &search);
    let (workers, pages, search) = (&workers, &pages, &search);
    html(
        &page.base,
        WorkersPage { frame, workers, buttons: may_act, from: "workers", search, pages }.render(),
    )
}

async fn jobs(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Query(filter): Query<Filter>,
) -> Response {
    let buttons = page.may_act(visitor);
    let view = page.handle.view();
    let colours = Colours::of(&view);
    // A distributor that is not active, or is too busy, lists none; the template says so.
    let list = page.handle.list(JOBS_SHOWN).await.ok();
    html(
        &page.base,
        JobsPage {
            frame: page.frame(&view, "jobs", "Jobs".to_owned(), buttons),
            buttons,
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
    html(&page.base, JobsPart { ended: &ended, filtered: filter.is_on() }.render())
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
    html(&page.base, JobPage { frame, cards, buttons: may_act }.render())
}

#[derive(Debug, Default, Deserialize)]
struct Login {
    wrong: Option<String>,
}

async fn login(State(page): State<Page>, Query(login): Query<Login>) -> Response {
    html(&page.base, LoginPage { actions: page.actions, wrong: login.wrong.is_some() }.render())
}

#[cfg(test)]
mod tests;
