//! Actions on many jobs or workers: the page first says what would happen.

use std::collections::BTreeSet;
use std::fmt::Write;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use simple_dist_protocol::{WorkerId, text};

use super::search::Search;
use super::workers::{self, Button};
use super::{Frame, Page, Visitor, html};
use crate::operator::Operator;
use crate::view::format::{count, list, many};
use crate::view::{JobFilter, View, Worker};
use crate::web::peers::Peer;

/// The most functions listed.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "cancel.html")]
struct CancelPage<'a> {
    frame: Frame,
    wanted: &'a Wanted,
    wrong: Option<String>,
    rows: Vec<Row>,
    more: Option<String>,
    /// `12 jobs`; nothing if there are none.
    all: Option<String>,
    query: String,
    buttons: bool,
}

/// What would be cancelled of one function.
struct Row {
    function: String,
    queued: String,
    running: String,
}

#[derive(Template)]
#[template(path = "drain.html")]
struct DrainPage {
    frame: Frame,
    act: Button,
    q: String,
    says: String,
    /// What no worker would take any more.
    unserved: Option<String>,
    hosts: Vec<String>,
    all: Option<String>,
    buttons: bool,
}

/// Which jobs to cancel, as the form sends it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    function: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    client: String,
    /// If present, only those that have not started.
    #[serde(default)]
    queued: Option<String>,
}

impl Wanted {
    /// The filter; `None` if nothing is given, else what is wrong with it.
    fn filter(&self) -> Result<Option<JobFilter>, String> {
        fn read<T: std::str::FromStr>(text: &str, what: &str) -> Result<Option<T>, String> {
            let text = text.trim();
            let wrong = |_| format!("{} is no {what}.", text::line(text, text::SHOWN));
            if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
        }
        let filter = JobFilter {
            function: read(&self.function, "function")?,
            user: read(&self.user, "login")?,
            client: read(&self.client, "client's id")?,
            queued: self.queued.is_some(),
        };
        Ok((!filter.is_everything()).then_some(filter))
    }

    fn query(&self) -> String {
        let mut query = String::new();
        let fields = [("function", &self.function), ("user", &self.user), ("client", &self.client)];
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
            let value = askama::filters::urlencode_strict(value.trim()).map(|it| it.to_string());
            write!(query, "{name}={}&", value.unwrap_or_default()).expect("text takes any text");
        }
        query.push_str(if self.queued.is_some() { "queued=on" } else { "" });
        query
    }
}

/// `GET /jobs/cancel`: what would be cancelled.
pub(super) async fn cancel(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let may_act = page.may_act(visitor);
    let view = page.handle.view();
    let (affected, wrong) = match wanted.filter() {
        Ok(None) => (vec![], None),
        Ok(Some(filter)) => match page.handle.affected(filter).await {
            Ok(affected) => (affected, None),
            Err(refused) => return page.refused(refused),
        },
        Err(wrong) => (vec![], Some(wrong)),
    };
    let all: u64 = affected.iter().map(|of| of.queued + of.running).sum();
    let row = |of: &crate::view::Affected| Row {
        function: of.function.to_string(),
        queued: count(of.queued),
        running: count(of.running),
    };
    let more = affected.len().saturating_sub(SHOWN);
    html(
        &page.base,
        CancelPage {
            frame: page.frame(&view, "jobs", "Cancel many jobs".to_owned(), may_act),
            wrong,
            rows: affected.iter().take(SHOWN).map(row).collect(),
            more: (more > 0).then(|| format!("and {}", many(more, "more function"))),
            all: (all > 0).then(|| many(all, "job")),
            query: wanted.query(),
            wanted: &wanted,
            buttons: may_act,
        }
        .render(),
    )
}

/// `POST /jobs/cancel`.
pub(super) async fn cancel_now(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    peer: Option<Extension<Peer>>,
    Query(wanted): Query<Wanted>,
) -> Response {
    if !page.may_act(visitor) {
        return page.forbidden();
    }
    let Ok(Some(filter)) = wanted.filter() else {
        return page.base.to("/jobs/cancel").into_response();
    };
    match Operator::new(page.handle.clone(), peer).cancel_all(&filter).await {
        Ok(_) => page.base.to("/actions").into_response(),
        Err(refused) => page.refused(refused),
    }
}

pub(super) async fn drain(
    page: State<Page>,
    visitor: Option<Extension<Visitor>>,
    search: Query<Search>,
) -> Response {
    ask(page, visitor, search, Button::Drain)
}

pub(super) async fn resume(
    page: State<Page>,
    visitor: Option<Extension<Visitor>>,
    search: Query<Search>,
) -> Response {
    ask(page, visitor, search, Button::Resume)
}

pub(super) async fn drain_now(
    page: State<Page>,
    visitor: Option<Extension<Visitor>>,
    peer: Option<Extension<Peer>>,
    search: Query<Search>,
) -> Response {
    act(page, visitor, peer, search, Button::Drain).await
}

pub(super) async fn resume_now(
    page: State<Page>,
    visitor: Option<Extension<Visitor>>,
    peer: Option<Extension<Peer>>,
    search: Query<Search>,
) -> Response {
    act(page, visitor, peer, search, Button::Resume).await
}

fn ask(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Query(search): Query<Search>,
    act: Button,
) -> Response {
    let may_act = page.may_act(visitor);
    let view = page.handle.view();
    let meant = meant(&view, &search, act);
    let (says, unserved) = says(&view, &meant, act);
    let hosts = meant.iter().take(SHOWN);
    let hosts = hosts.map(|it| {
        let host = text::line(&it.host, workers::NAMED);
        format!("{} on {host}: {} of {} busy", it.id.short(), it.busy, workers::slots(it))
    });
    html(
        &page.base,
        DrainPage {
            frame: page.frame(&view, "workers", format!("{} workers", act.word()), may_act),
            act,
            says,
            unserved,
            hosts: hosts.collect(),
            all: (!meant.is_empty()).then(|| many(meant.len(), "worker")),
            q: search.q,
            buttons: may_act,
        }
        .render(),
    )
}

async fn act(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    peer: Option<Extension<Peer>>,
    Query(search): Query<Search>,
    act: Button,
) -> Response {
    if !page.may_act(visitor) {
        return page.forbidden();
    }
    let view = page.handle.view();
    let meant: Vec<WorkerId> = meant(&view, &search, act).iter().map(|it| it.id).collect();
    let operator = Operator::new(page.handle.clone(), peer);
    match operator.drain_all(&meant, act == Button::Drain).await {
        Ok(_) => page.base.to("/actions").into_response(),
        Err(refused) => page.refused(refused),
    }
}

/// The workers that the search finds and that have this button.
fn meant<'a>(view: &'a View, search: &Search, act: Button) -> Vec<&'a Worker> {
    let found = search.all(view.workers.iter().collect(), workers::line);
    found.into_iter().filter(|worker| Button::of(worker.state) == Some(act)).collect()
}

/// `12 workers with 48 slots, running 30 jobs. 8 other workers with 32 slots take jobs.` And
/// `Then no worker takes fib@1.`
fn says(view: &View, meant: &[&Worker], act: Button) -> (String, Option<String>) {
    let slots =
        |some: &[&Worker]| many(some.iter().map(|it| u64::from(it.slots)).sum::<u64>(), "slot");
    let busy: u64 = meant.iter().map(|it| u64::from(it.busy)).sum();
    let takes = |worker: &&Worker| Button::of(worker.state) == Some(Button::Drain);
    let is_meant = |worker: &&Worker| meant.iter().any(|one| one.id == worker.id);
    let left: Vec<&Worker> = view.workers.iter().filter(takes).filter(|it| !is_meant(it)).collect();
    let (many_of, own, jobs) = (many(meant.len(), "worker"), slots(meant), many(busy, "job"));
    let others = match left.len() {
        0 => "No other worker takes jobs.".to_owned(),
        1 => format!("1 other worker with {} takes jobs.", slots(&left)),
        others => format!("{others} other workers with {} take jobs.", slots(&left)),
    };
    let says = format!("{many_of} with {own}, running {jobs}. {others}");
    let served: BTreeSet<&str> = left.iter().flat_map(|it| &it.functions).map(|it| &**it).collect();
    let own: BTreeSet<&str> = meant.iter().flat_map(|it| &it.functions).map(|it| &**it).collect();
    let alone: Vec<&str> = own.difference(&served).copied().collect();
    let ends = act == Button::Drain && !alone.is_empty();
    (says, ends.then(|| format!("Then no worker takes {}.", list(&alone))))
}
