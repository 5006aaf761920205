//! The page of one worker: what each slot runs, what it is, and the jobs that ended there.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use simple_dist_protocol::{JobId, WorkerId, limits, text};

use super::colour::Colours;
use super::job::Detail;
use super::jobs::{self, Ended};
use super::live::ENDED_SHOWN;
use super::stream::StreamChart;
use super::workers::{self, Cell, WorkerRow, fate};
use super::{Frame, Page, Visitor, html};
use crate::view::format::{Measure, count, many};
use crate::view::{Printed, Worker, WorkerState};

#[derive(Template)]
#[template(path = "worker.html")]
struct WorkerPage<'a> {
    frame: Frame,
    worker: &'a WorkerRow,
    says: String,
    facts: Vec<Detail>,
    picture: &'a StreamChart,
    waiting: Vec<String>,
    printed: Vec<PrintedRow>,
    failed: Ended,
    ended: &'a Ended,
    buttons: bool,
}

/// A line that a job printed.
struct PrintedRow {
    job: JobId,
    label: String,
    function: String,
    class: String,
    line: String,
}

impl PrintedRow {
    fn of(printed: &Printed, colours: &Colours) -> Self {
        Self {
            job: printed.job,
            label: jobs::label(printed.job),
            function: printed.function.clone(),
            class: colours.class(&printed.function),
            line: text::line(&printed.line, limits::PRINTED_BYTES).to_string(),
        }
    }
}

/// `/workers/{id}`.
pub(super) async fn page(
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
        &page.base,
        WorkerPage {
            frame: page.frame(&view, "workers", title, may_act),
            worker: &workers::alone(worker, &colours),
            says: says(worker),
            facts: facts(worker),
            picture: &StreamChart::of(&view, &colours, Some(worker.id)),
            waiting: waiting.map(|job| job.id.to_string()).collect(),
            printed: worker.printed.iter().map(|line| PrintedRow::of(line, &colours)).collect(),
            failed: jobs::ended_by(&view, worker.id, true, ENDED_SHOWN, &colours),
            ended: &jobs::ended_by(&view, worker.id, false, ENDED_SHOWN, &colours),
            buttons: may_act,
        }
        .render(),
    )
}

fn says(worker: &Worker) -> String {
    let state = match worker.state {
        WorkerState::Live => "It takes jobs",
        WorkerState::Degraded => "Half of its slots or more run on for nobody",
        WorkerState::Draining => "It finishes what it holds and takes no more",
        WorkerState::Quarantined => {
            "Its answers differ from those of all others, so it gets no more jobs"
        }
        WorkerState::Late => "Its beat is late",
        WorkerState::Unreachable => "Its link to the broker is gone",
        WorkerState::Lost | WorkerState::Left => {
            return format!("It was {}: {}.", worker.state.word(), fate(worker));
        }
    };
    format!("{state}: {} of {} busy.", worker.busy, workers::slots(worker))
}

fn facts(worker: &Worker) -> Vec<Detail> {
    let fact = |name, text| Detail { name, text, path: None };
    let mut facts = vec![
        fact("Host", text::line(&worker.host, workers::NAMED).to_string()),
        fact("Version", text::line(&worker.version, workers::NAMED).to_string()),
        fact("Jobs run in", if worker.isolated { "processes" } else { "threads" }.to_owned()),
        fact("Login", worker.user.to_string()),
        fact("Known for", worker.age.to_string()),
        fact("Last beat", format!("{} ago", worker.silent)),
        fact("Pool", worker.pool.map_or_else(|| "none".to_owned(), |pool| pool.to_string())),
        fact("Serves", worker.functions.join(", ")),
        fact("Done", count(worker.done)),
        fact("Failed", count(worker.failed)),
    ];
    if let Some(outvoted) = &worker.outvoted {
        let calls = many(u64::from(outvoted.calls), "call");
        let goes_on = outvoted.serves_alone.as_ref();
        let goes_on = goes_on.map(|alone| format!("; it goes on, as nobody else serves {alone}"));
        let goes_on = goes_on.unwrap_or_default();
        let said = format!("in {calls} of {}, {} ago{goes_on}", outvoted.function, outvoted.age);
        facts.push(fact("Answered differently from all others", said));
    }
    if let Some(load) = &worker.load {
        let gib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 30));
        let (busy, average) = (Measure::share(load.cpu), load.average);
        let memory = format!("{} of {} GiB", gib(load.memory), gib(load.memory_total));
        facts.extend([
            fact("Processors", format!("{busy} busy; {average:.1} threads run or wait")),
            fact("Memory of the machine", memory),
            fact("Memory of the worker", format!("{} MiB", count(load.resident >> 20))),
        ]);
    }
    facts
}
