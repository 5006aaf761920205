//! `/metrics`, for Prometheus: the numbers of the view, and counters in the code.
//!
//! Labels are bounded: there are few kinds and states, and beyond [`FUNCTIONS`] functions the rest
//! are combined. What only grows since the process started is a counter; `accepted` is not
//! exported, since a term's end subtracts forgotten jobs.

mod text;

use std::collections::BTreeMap;
use std::fs;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use self::text::Text;
use super::middleware::unix_time;
use crate::counters;
use crate::handle::Handle;
use crate::view::{Distribution, Function, Phase, Saved, Shadow, View, WorkerState};
use crate::wire::decode::DecodeError;

/// The most functions with separate samples: the first by name.
const FUNCTIONS: usize = 100;
/// The answers that are counted from zero, so that the first of a kind is an increase.
const ANSWERS: [&str; 7] =
    ["bad_arguments", "busy", "failed", "not_served", "panicked", "poisoned", "too_large"];
/// The label of all others.
const OTHER: &str = "other";
/// The media type of Prometheus' text format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The route.
pub(super) fn router(handle: Handle) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(handle)
}

/// All metrics, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(
    State(handle): State<Handle>,
) -> ([(HeaderName, &'static str); 1], String) {
    let mut text = Text::default();
    show(&mut text, &handle.view());
    let now_ms = unix_time().as_secs_f64() * 1e3;
    let age = (now_ms - handle.view().unix_ms as f64).max(0.0) / 1e3;
    text.gauge("simple_dist_view_age_seconds", "How old these numbers are", age);
    if let Some(bytes) = resident() {
        text.gauge("process_resident_memory_bytes", "Memory of the process", bytes);
    }
    ([(CONTENT_TYPE, MEDIA_TYPE)], text.end())
}

fn show(text: &mut Text, view: &View) {
    own(text, view);
    books(text, view);
    workers(text, view);
    functions(text, &bounded(&view.functions));
    shadows(text, &view.shadows);
    counted(text);
}

/// What the process counts, from zero: without a zero before it, Prometheus would miss the first
/// increase.
fn counted(text: &mut Text) {
    let reasons = DecodeError::ALL.map(DecodeError::label);
    text.family("simple_dist_unfit_total", "counter", "Messages that could not be decoded");
    for (reason, counter) in reasons.iter().zip(&counters::UNFIT) {
        text.sample("simple_dist_unfit_total", &[("reason", reason)], counter.get());
    }
    text.family("simple_dist_http_responses_total", "counter", "Responses over HTTP");
    for (result, counter) in counters::RESULTS.iter().zip(&counters::RESPONSES) {
        text.sample("simple_dist_http_responses_total", &[("result", result)], counter.get());
    }
    for (name, help, counter) in [
        (
            "simple_dist_http_wrong_tokens_total",
            "Logins with a wrong token",
            &counters::WRONG_TOKENS,
        ),
        (
            "simple_dist_http_turned_away_total",
            "Connections above the limit",
            &counters::TURNED_AWAY,
        ),
        (
            "simple_dist_http_arguments_refused_total",
            "Calls without room for their arguments",
            &counters::ARGUMENTS_REFUSED,
        ),
        (
            "simple_dist_http_answers_refused_total",
            "Calls without room for their answer",
            &counters::ANSWERS_REFUSED,
        ),
    ] {
        text.counter(name, help, counter.get());
    }
    text.gauge("simple_dist_http_connections", "Open connections", counters::CONNECTIONS.get());
}

/// This distributor and its link.
fn own(text: &mut Text, view: &View) {
    let (distributor, broker) = (&view.distributor, &view.broker);
    text.family("simple_dist_build_info", "gauge", "The program's version");
    text.sample("simple_dist_build_info", &[("version", &distributor.version)], 1.0);
    text.gauge(
        "simple_dist_uptime_seconds",
        "Time since the distributor started",
        distributor.up.0,
    );
    let (active, age) = match &distributor.phase {
        Phase::Active { age, .. } => (true, age.0),
        Phase::Standby { .. } | Phase::Down => (false, 0.0),
    };
    text.gauge("simple_dist_active", "1 if this distributor is active", flag(active));
    text.gauge("simple_dist_term_age_seconds", "How long it has been active", age);
    text.gauge("simple_dist_broker_up", "1 if the link to the broker is up", flag(broker.up));
    text.gauge(
        "simple_dist_broker_blocked",
        "1 if the broker blocks publishers",
        flag(broker.blocked),
    );
    text.gauge(
        "simple_dist_broker_sure",
        "1 if our own presence comes back from the broker",
        flag(broker.sure),
    );
    let connections = broker.connections.into();
    text.counter("simple_dist_broker_connections_total", "Connections made so far", connections);
}

/// Counts of jobs and how they ended.
fn books(text: &mut Text, view: &View) {
    let (books, totals) = (&view.books, &view.totals);
    let count = |number: u64| number as f64;
    text.gauge("simple_dist_jobs_queued", "Jobs waiting in the distributor", count(books.queued));
    text.gauge(
        "simple_dist_jobs_placed",
        "Jobs placed in a pool, not started",
        count(books.placed),
    );
    text.gauge("simple_dist_jobs_running", "Jobs running on a worker", count(books.running));
    text.counter("simple_dist_jobs_done_total", "Jobs that ended with a value", count(books.done));
    let kinds =
        |name: &str, help: &str, label: &str, by: &BTreeMap<String, u64>, text: &mut Text| {
            text.family(name, "counter", help);
            let known = if label == "answer" { &ANSWERS[..] } else { &[] };
            for kind in known.iter().filter(|kind| !by.contains_key(**kind)) {
                text.sample(name, &[(label, kind)], 0.0);
            }
            for (kind, number) in by {
                text.sample(name, &[(label, kind)], *number as f64);
            }
        };
    kinds(
        "simple_dist_jobs_failed_total",
        "Jobs that ended without a value, other than by timeout or cancel",
        "answer",
        &books.failed_by,
        text,
    );
    let timed_out = count(books.timed_out);
    text.counter("simple_dist_jobs_timed_out_total", "Jobs that ran out of time", timed_out);
    let cancelled = books.cancelled_by.iter().map(|(by, number)| (by.word().to_owned(), *number));
    kinds("simple_dist_jobs_cancelled_total", "Jobs cancelled", "by", &cancelled.collect(), text);
    kinds("simple_dist_jobs_refused_total", "Jobs refused", "answer", &books.refused_by, text);
    kinds("simple_dist_events_total", "Other events", "event", &books.events, text);
    text.gauge("simple_dist_books_balanced", "1 if the job counts add up", flag(books.balance()));
    let oldest = totals.oldest.map_or(0.0, |oldest| oldest.0);
    text.gauge(
        "simple_dist_queue_oldest_seconds",
        "How long the oldest waiting job has waited",
        oldest,
    );
    text.gauge(
        "simple_dist_argument_bytes",
        "Bytes of the arguments of unfinished jobs",
        count(totals.argument_bytes),
    );
    text.gauge(
        "simple_dist_local_share",
        "The share of runs local to clients, 0 to 1",
        totals.local_share,
    );
    let memo = &view.memo;
    text.gauge("simple_dist_memo_answers", "Kept answers", count(memo.answers));
    text.gauge("simple_dist_memo_bytes", "Bytes that they take", count(memo.bytes));
    text.counter(
        "simple_dist_memo_evicted_total",
        "Kept answers that made room for others",
        count(memo.evicted),
    );
    text.gauge("simple_dist_clients", "Clients heard from recently", view.clients.len() as f64);
}

fn workers(text: &mut Text, view: &View) {
    const STATES: [WorkerState; 8] = [
        WorkerState::Live,
        WorkerState::Degraded,
        WorkerState::Draining,
        WorkerState::Quarantined,
        WorkerState::Late,
        WorkerState::Unreachable,
        WorkerState::Lost,
        WorkerState::Left,
    ];
    text.family("simple_dist_workers", "gauge", "Workers by state; lost and left ones for a while");
    for state in STATES {
        let count = match state {
            // Only some of those are listed.
            WorkerState::Lost => view.totals.lost,
            _ => view.workers.iter().filter(|worker| worker.state == state).count(),
        };
        text.sample("simple_dist_workers", &[("state", state.word())], count as f64);
    }
    text.gauge("simple_dist_slots", "Slots of live workers", view.totals.slots.into());
    text.gauge("simple_dist_slots_busy", "Slots running a job", view.totals.busy.into());
    text.gauge(
        "simple_dist_slots_abandoned",
        "Busy slots whose job nobody waits for any more",
        view.totals.abandoned.into(),
    );
}

type Labelled<'a> = (&'a str, Vec<&'a Function>);

/// The first functions by name, each separately, and all others together.
fn bounded(functions: &[Function]) -> Vec<Labelled<'_>> {
    let mut functions: Vec<&Function> = functions.iter().collect();
    functions.sort_by(|one, other| one.name.cmp(&other.name));
    let rest = functions.split_off(functions.len().min(FUNCTIONS));
    let mut labelled: Vec<_> =
        functions.into_iter().map(|function| (&*function.name, vec![function])).collect();
    if !rest.is_empty() {
        labelled.push((OTHER, rest));
    }
    labelled
}

type Number = fn(&Function) -> f64;
type Span = fn(&Function) -> &Distribution;

const GAUGES: [(&str, &str, Number); 6] = [
    ("simple_dist_function_workers", "Live workers that serve it", |of| of.workers as f64),
    ("simple_dist_function_slots", "Slots that accept its jobs", |of| of.slots.into()),
    ("simple_dist_function_versions", "Versions of the name served", |of| of.versions.len() as f64),
    ("simple_dist_function_queued", "Its waiting jobs", |of| of.queued as f64),
    ("simple_dist_function_placed", "Its jobs placed in a pool", |of| of.placed as f64),
    ("simple_dist_function_running", "Its running jobs", |of| of.running as f64),
];

type Pair = fn(&Saved) -> [f64; 2];

const SAVED: [(&str, &str, Pair); 2] = [
    (
        "simple_dist_function_runs_saved_total",
        "Its jobs that the run of an equal one answered",
        |of| [of.coalesced as f64, of.memo as f64],
    ),
    ("simple_dist_function_saved_seconds_total", "How long they would have run", |of| {
        [of.coalesced_seconds.0, of.memo_seconds.0]
    }),
];

fn functions(text: &mut Text, functions: &[Labelled<'_>]) {
    for (name, help, number) in GAUGES {
        text.family(name, "gauge", help);
        for (label, all) in functions {
            let sum = all.iter().map(|function| number(function)).sum();
            text.sample(name, &[("function", label)], sum);
        }
    }
    text.family("simple_dist_function_jobs_total", "counter", "Jobs that ended, by their answer");
    for (label, all) in functions {
        for (answer, count) in summed(all.iter().map(|function| &function.answers)) {
            let labels = [("function", *label), ("answer", answer)];
            text.sample("simple_dist_function_jobs_total", &labels, count);
        }
    }
    for (name, help, number) in SAVED {
        text.family(name, "counter", help);
        for (label, all) in functions {
            for (place, by) in ["coalesced", "memo"].into_iter().enumerate() {
                let sum = all.iter().map(|function| number(&function.saved)[place]).sum();
                text.sample(name, &[("function", *label), ("by", by)], sum);
            }
        }
    }
    text.family("simple_dist_local_runs_total", "counter", "Local runs of clients, by reason");
    for (label, all) in functions {
        for (reason, count) in summed(all.iter().map(|function| &function.local)) {
            let labels = [("function", *label), ("reason", reason)];
            text.sample("simple_dist_local_runs_total", &labels, count);
        }
    }
    let spans: [(_, _, Span); 2] = [
        ("simple_dist_job_wait_seconds", "Time from submission to start", |of| &of.waits),
        ("simple_dist_job_run_seconds", "Time from start to end", |of| &of.runs),
    ];
    for (name, help, distribution) in spans {
        text.family(name, "histogram", help);
        for (label, all) in functions {
            let all = all.iter().map(|function| distribution(function));
            text.histogram(name, &[("function", label)], &merged(all));
        }
    }
}

fn summed<'a>(all: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> BTreeMap<&'a str, f64> {
    let mut sums = BTreeMap::new();
    for (kind, count) in all.flatten() {
        *sums.entry(kind.as_str()).or_default() += *count as f64;
    }
    sums
}

/// The sum of several distributions: their bucket bounds are equal, or there are none.
fn merged<'a>(all: impl Iterator<Item = &'a Distribution>) -> Distribution {
    let mut sum = Distribution::default();
    for one in all {
        if sum.buckets.is_empty() {
            sum.buckets.clone_from(&one.buckets);
        } else {
            for (into, from) in sum.buckets.iter_mut().zip(&one.buckets) {
                into.1 += from.1;
            }
        }
        sum.count += one.count;
        sum.sum += one.sum;
    }
    sum
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Functions and their shadows, of which there are few.
fn shadows(text: &mut Text, shadows: &[Shadow]) {
    const RUNS: &str = "simple_dist_shadow_runs_total";
    const STOPPED: &str = "simple_dist_shadow_stopped";
    type Number = fn(&Shadow) -> u64;
    let results: [(_, Number); 6] = [
        ("equal", |it| it.equal),
        ("differ", |it| it.differ),
        ("failed", |it| it.failed),
        ("expired", |it| it.expired),
        ("lost", |it| it.lost),
        ("skipped", |it| it.skipped),
    ];
    text.family(RUNS, "counter", "Runs of calls as the shadow of their function");
    for shadow in shadows {
        for (result, number) in results {
            let labels = [("live", &*shadow.live), ("shadow", &*shadow.shadow), ("result", result)];
            text.sample(RUNS, &labels, number(shadow) as f64);
        }
    }
    text.family(STOPPED, "gauge", "1 if a shadow was stopped");
    for shadow in shadows {
        let labels = [("live", &*shadow.live), ("shadow", &*shadow.shadow)];
        text.sample(STOPPED, &labels, flag(shadow.stopped.is_some()));
    }
}

/// The process's memory, from Linux.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests;
