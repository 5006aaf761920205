//! The page of one function: its last two minutes, its versions, what fails, what was slow, and who
//! calls it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use simple_dist_protocol::{ClientId, UserName};

use super::colour::Colours;
use super::failures::Failures;
use super::functions::{self, FunctionRow};
use super::jobs::{self, Ended};
use super::shadows::{self, ExampleRow, ShadowRow};
use super::tiles::{self, Tile};
use super::{Frame, Page, Visitor, html};
use crate::view::format::{count, many};
use crate::view::{Function, RecentJob, Saved, Seconds, View};

/// The most jobs in a list.
const JOBS: usize = 10;
/// The most callers listed.
const CALLERS: usize = 10;

#[derive(Template)]
#[template(path = "function.html")]
struct FunctionPage<'a> {
    frame: Frame,
    name: &'a str,
    class: String,
    says: String,
    tiles: [Tile; 4],
    failures: Failures,
    buttons: bool,
    functions: Vec<FunctionRow>,
    more: Option<String>,
    shadows: Vec<ShadowRow>,
    differing: Vec<ExampleRow>,
    failed: Ended,
    slowest: Ended,
    callers: Vec<Caller>,
    among: String,
}

/// Who called it, of the jobs that ended last.
struct Caller {
    user: String,
    client: String,
    label: String,
    calls: String,
    failed: Option<String>,
}

/// `/functions/{name}`.
pub(super) async fn page(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Path(name): Path<String>,
) -> Response {
    let view = page.handle.view();
    let Some(function) = view.functions.iter().find(|function| *function.name == *name) else {
        return page.no_such("function");
    };
    let colours = Colours::of(&view);
    let buttons = page.may_act(visitor);
    let frame = page.frame(&view, "functions", name.clone(), buttons);
    let own: Vec<&RecentJob> = view.recent.iter().filter(|job| *job.function == *name).collect();
    let mut slowest: Vec<&RecentJob> =
        own.iter().copied().filter(|job| job.ran.is_some()).collect();
    slowest.sort_by_key(|job| Reverse(job.ran.map(|ran| (ran.0 * 1e6) as u64)));
    let failed = own.iter().copied().filter(|job| job.is_failed()).collect();
    let (shadows, differing) = shadows::of_function(&view, &name, &colours);
    let list = |jobs: Vec<&RecentJob>| jobs::listed(&view, jobs, JOBS, &colours);
    html(
        &page.base,
        FunctionPage {
            frame,
            buttons,
            name: &name,
            class: colours.class(&name),
            says: says(function),
            tiles: tiles::of_function(function),
            failures: Failures::of_function(&view, &name, &colours),
            functions: functions::rows(&versions(&view, &name), &view, &colours),
            more: None,
            shadows,
            differing,
            failed: list(failed),
            slowest: list(slowest),
            callers: callers(&own),
            among: many(own.len() as u64, "job"),
        }
        .render(),
    )
}

/// `3 workers serve it in 12 slots; 4 jobs wait and 2 run.`
fn says(function: &Function) -> String {
    let waits = (function.queued + function.placed) as u64;
    let jobs = format!("{} wait and {} run", many(waits, "job"), count(function.running as u64));
    let Saved { coalesced, coalesced_seconds, memo, memo_seconds } = function.saved;
    let saved = |runs: u64, seconds: Seconds, how| {
        (runs > 0).then(|| format!(" {how} saved {}, {:.1} s.", many(runs, "run"), seconds.0))
    };
    let saved: String = [
        saved(coalesced, coalesced_seconds, "Equal calls under way"),
        saved(memo, memo_seconds, "Kept answers"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match function.workers {
        0 => format!("No worker serves it; {jobs}.{saved}"),
        workers => {
            let slots = many(function.slots, "slot");
            let verb = if workers == 1 { "serves" } else { "serve" };
            format!("{} {verb} it in {slots}; {jobs}.{saved}", many(workers as u64, "worker"))
        }
    }
}

/// All versions of the same name.
fn versions<'a>(view: &'a View, name: &str) -> Vec<&'a Function> {
    let bare = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    view.functions.iter().filter(|function| bare(&function.name) == bare(name)).collect()
}

fn callers(jobs: &[&RecentJob]) -> Vec<Caller> {
    let mut known: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for job in jobs {
        let (calls, failed) = known.entry((job.user.clone(), job.client)).or_default();
        *calls += 1;
        *failed += u64::from(job.is_failed());
    }
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_by_key(|(_, (calls, _))| Reverse(*calls));
    let caller = |((user, client), (calls, failed)): ((UserName, ClientId), (u64, u64))| Caller {
        user: user.to_string(),
        client: client.to_string(),
        label: client.short(),
        calls: count(calls),
        failed: (failed > 0).then(|| format!("{} failed", count(failed))),
    };
    known.into_iter().take(CALLERS).map(caller).collect()
}
