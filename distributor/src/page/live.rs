//! Live updates: each view is rendered once for all viewers, and only while there are any.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::colour::Colours;
use super::failures::Failures;
use super::footer::Footer;
use super::functions::{self, FunctionRow};
use super::jobs::{self, Ended, Filter};
use super::sentence::Sentence;
use super::status::Status;
use super::stream::StreamChart;
use super::tiles::{self, Tile};
use super::workers::{self, Cell, WorkerList};
use super::{Options, Visitor};
use crate::handle::Handle;
use crate::view::{Seconds, View};
use crate::web::BasePath;

/// How often a page is rendered at most: faster would not be noticed, slower would.
const EVERY: Duration = Duration::from_millis(450);
/// How long a stream may be silent before a comment is sent, so that both sides notice a dead
/// connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The most ended jobs on the front page.
pub(super) const ENDED_SHOWN: usize = 15;

/// The most groups of failures there.
pub(super) const FAILURES_SHOWN: usize = 4;

/// The parts that can be updated, in the order of the front page.
const PARTS: [&str; 9] =
    ["status", "sentence", "tiles", "failures", "stream", "workers", "functions", "jobs", "foot"];
/// All parts, as the query of the front page.
pub(super) const ALL: &str = "status,sentence,tiles,failures,stream,workers,functions,jobs,foot";

/// Renders parts for all viewers; cheap to clone.
#[derive(Clone)]
pub(super) struct Live {
    handle: Handle,
    drawn: Arc<watch::Sender<Arc<RenderedParts>>>,
    actions: bool,
    base: BasePath,
    shutdown: CancellationToken,
}

/// All parts of one view, rendered.
#[derive(Debug, Default)]
struct RenderedParts {
    unix_ms: u64,
    sequence: u64,
    parts: [Arc<str>; PARTS.len()],
    /// The same, for visitors who may act: with buttons.
    acting: [Arc<str>; PARTS.len()],
}

#[derive(Template)]
#[template(path = "part/status.html")]
struct StatusPart<'a> {
    status: &'a Status,
}

#[derive(Template)]
#[template(path = "part/sentence.html")]
struct SentencePart<'a> {
    sentence: &'a Sentence,
    title: &'a str,
}

#[derive(Template)]
#[template(path = "part/tiles.html")]
struct TilesPart<'a> {
    tiles: &'a [Tile],
}

#[derive(Template)]
#[template(path = "part/failures.html")]
struct FailuresPart<'a> {
    failures: &'a Failures,
    buttons: bool,
}

#[derive(Template)]
#[template(path = "part/stream.html")]
struct StreamPart<'a> {
    picture: &'a StreamChart,
}

#[derive(Template)]
#[template(path = "part/workers.html")]
struct WorkersPart<'a> {
    workers: &'a WorkerList,
    searched: bool,
    buttons: bool,
    from: &'static str,
}

#[derive(Template)]
#[template(path = "part/functions.html")]
struct FunctionsPart<'a> {
    functions: &'a [FunctionRow],
    more: Option<String>,
    searched: bool,
}

#[derive(Template)]
#[template(path = "part/jobs.html")]
pub(super) struct JobsPart<'a> {
    pub(super) ended: &'a Ended,
    pub(super) filtered: bool,
}

#[derive(Template)]
#[template(path = "part/footer.html")]
struct FooterPart<'a> {
    foot: &'a Footer,
}

impl RenderedParts {
    /// Renders every part, and the table of workers both with and without buttons.
    fn of(view: &View, age: Seconds, actions: bool, base: &BasePath) -> askama::Result<Self> {
        let colours = Colours::of(view);
        let sentence = Sentence::of(view, age);
        let (workers, searched) = (&workers::few(view, &colours), false);
        let list = |buttons| WorkersPart { workers, searched, buttons, from: "now" }.render();
        let (functions, more) = functions::few(view, &colours);
        let failures = &Failures::of(view, FAILURES_SHOWN, &colours);
        let ended = jobs::ended(view, &Filter::default(), ENDED_SHOWN, &colours);
        let parts = [
            StatusPart { status: &Status::of(view, age) }.render()?,
            SentencePart { sentence: &sentence, title: &sentence.title(view) }.render()?,
            TilesPart { tiles: &tiles::of(view) }.render()?,
            FailuresPart { failures, buttons: false }.render()?,
            StreamPart { picture: &StreamChart::of(view, &colours, None) }.render()?,
            list(false)?,
            FunctionsPart { functions: &functions, more, searched }.render()?,
            JobsPart { ended: &ended, filtered: false }.render()?,
            FooterPart { foot: &Footer::of(view) }.render()?,
        ];
        let parts: [Arc<str>; PARTS.len()] = parts.map(|part| base.under(part).into());
        let mut acting = parts.clone();
        if actions {
            let buttons = true;
            let with = [list(buttons)?, FailuresPart { failures, buttons }.render()?];
            for (place, with) in ["workers", "failures"].into_iter().zip(with) {
                let place = PARTS.iter().position(|part| *part == place).unwrap_or_default();
                acting[place] = base.under(with).into();
            }
        }
        Ok(Self { unix_ms: view.unix_ms, sequence: view.sequence, parts, acting })
    }
}

impl Live {
    pub(super) fn new(handle: Handle, options: &Options) -> Self {
        Self {
            handle,
            drawn: Arc::new(watch::Sender::new(Arc::default())),
            actions: options.actions,
            base: options.base.clone(),
            shutdown: options.shutdown.clone(),
        }
    }

    /// The newest parts. The first viewer to ask after a new view renders it; the others get a
    /// copy.
    fn drawn(&self) -> Arc<RenderedParts> {
        let view = self.handle.view();
        self.drawn.send_if_modified(|drawn| {
            let is_new = view.sequence != drawn.sequence || drawn.unix_ms == 0;
            if !is_new || view.unix_ms.abs_diff(drawn.unix_ms) < EVERY.as_millis() as u64 {
                return false;
            }
            match RenderedParts::of(&view, age(&view), self.actions, &self.base) {
                Ok(new) => *drawn = Arc::new(new),
                Err(error) => tracing::error!(%error, "cannot render the parts of the page"),
            }
            true
        });
        self.drawn.borrow().clone()
    }

    /// A stream of the changed parts, until the distributor stops.
    fn follow(
        self,
        wanted: [bool; PARTS.len()],
        buttons: bool,
    ) -> impl Stream<Item = Result<Event, Infallible>> {
        let mut views = self.handle.views();
        views.mark_changed();
        let shutdown = self.shutdown.clone();
        let follower = Follower {
            live: self,
            views,
            wanted,
            buttons,
            sent: Arc::default(),
            next: Instant::now(),
        };
        stream::unfold(follower, |mut follower| async {
            Some((Ok(follower.changed().await?), follower))
        })
        .take_until(shutdown.cancelled_owned())
    }
}

/// One page that is being updated.
struct Follower {
    live: Live,
    views: watch::Receiver<Arc<View>>,
    wanted: [bool; PARTS.len()],
    buttons: bool,
    /// The parts it has.
    sent: Arc<RenderedParts>,
    next: Instant,
}

impl Follower {
    /// The parts that differ from those it has; `None` when there will be no more views.
    async fn changed(&mut self) -> Option<Event> {
        let drawn = loop {
            sleep_until(self.next).await;
            self.views.changed().await.ok()?;
            let drawn = self.live.drawn();
            if drawn.sequence != self.sent.sequence || self.sent.unix_ms == 0 {
                break drawn;
            }
        };
        self.next = Instant::now() + EVERY;
        let mut html = String::new();
        for (place, wanted) in self.wanted.into_iter().enumerate() {
            let part = |of: &Arc<RenderedParts>| match self.buttons {
                true => Arc::clone(&of.acting[place]),
                false => Arc::clone(&of.parts[place]),
            };
            let new = part(&drawn);
            if wanted && part(&self.sent) != new {
                html.push_str(&new);
            }
        }
        self.sent = drawn;
        Some(Event::default().event("view").data(html))
    }
}

/// The age of a view.
pub(super) fn age(view: &View) -> Seconds {
    view.age(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Which parts a page wants: `?of=status,workers`; all by default.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PartsQuery {
    of: Option<String>,
}

impl PartsQuery {
    fn wanted(&self) -> [bool; PARTS.len()] {
        let Some(of) = &self.of else { return [true; PARTS.len()] };
        PARTS.map(|part| of.split(',').any(|name| name == part))
    }
}

/// The stream of changes. The middleware limits how many are open at once.
pub(super) async fn events(
    State(live): State<Live>,
    Query(of): Query<PartsQuery>,
    visitor: Option<Extension<Visitor>>,
) -> Response {
    let buttons = live.actions && visitor.is_some_and(|Extension(visitor)| visitor.may_act);
    let changes = live.follow(of.wanted(), buttons);
    let uncached = [(header::CACHE_CONTROL, "no-store")];
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    (uncached, Sse::new(changes).keep_alive(alive)).into_response()
}
