//! The details of one worker, function or failed job.

use std::collections::BTreeMap;

use simple_dist_distributor::view::{Function, JobEvent, Percentiles, RecentJob, Worker};
use simple_dist_protocol::message::crash::ending;

use super::data::Data;
use super::format::{exact, rate, share, span, span_or_dash};
use super::table::{Piece, Tone};
use super::tables::{Table, colour, state_tone};

/// The lines to show, if it still exists.
pub(crate) fn lines(data: &Data, which: Table, id: &str) -> Option<Vec<Vec<Piece>>> {
    match which {
        Table::Workers => {
            data.workers.iter().find(|worker| worker.id.to_string() == id).map(worker)
        }
        Table::Functions => {
            data.functions.iter().find(|function| &*function.name == id).map(function)
        }
        Table::Failed => data.failed.iter().find(|job| job.id.to_string() == id).map(job),
    }
}

fn fact(name: &str, value: impl AsRef<str>) -> Vec<Piece> {
    toned(name, value, Tone::Plain)
}

fn toned(name: &str, value: impl AsRef<str>, tone: Tone) -> Vec<Piece> {
    vec![Piece::new(format!("{name:<10} "), Tone::Dim), Piece::new(value, tone)]
}

fn worker(worker: &Worker) -> Vec<Vec<Piece>> {
    let functions: Vec<&str> = worker.functions.iter().map(|name| &**name).collect();
    let pool = worker.pool.map_or_else(|| "-".to_owned(), |pool| pool.to_string());
    let mut lines = vec![
        fact("worker", worker.id.to_string()),
        toned("state", worker.state.word(), state_tone(worker.state)),
        fact("host", format!("{}, version {}", worker.host, worker.version)),
        fact("login", worker.user.to_string()),
        fact("pool", pool),
        fact("serves", functions.join(" ")),
        fact("known for", format!("{}, last beat {} ago", worker.age, worker.silent)),
        fact(
            "ended",
            format!("{} with a value, {} without", exact(worker.done), exact(worker.failed)),
        ),
        fact("slots", format!("{} of {} busy", worker.busy, worker.slots)),
        Vec::new(),
    ];
    lines.extend(worker.held.iter().map(|job| {
        let place = job.slot.map_or_else(|| "waits".to_owned(), |slot| format!("slot {slot}"));
        let attempt = if job.attempt > 1 { Tone::Look } else { Tone::Dim };
        vec![
            Piece::new(format!("{place:<7}"), Tone::Dim),
            Piece::new(format!("{:<15} ", job.function), colour(&job.function)),
            Piece::new(format!("{:>5} ", span(job.age)), Tone::Plain),
            Piece::new(format!("attempt {} ", job.attempt), attempt),
            Piece::new(if job.abandoned { "abandoned, still running " } else { "" }, Tone::Look),
            match &job.trial {
                Some(trial) => Piece::new(format!("a {trial}, nobody waits for it"), Tone::Dim),
                None => Piece::new(format!("{} of {}", job.id, job.user), Tone::Dim),
            },
        ]
    }));
    let more = worker.holds.saturating_sub(worker.held.len());
    if more > 0 {
        lines.push(vec![Piece::new(format!("and {more} more"), Tone::Dim)]);
    }
    lines
}

fn function(function: &Function) -> Vec<Vec<Piece>> {
    let versions: Vec<String> = function.versions.iter().map(u32::to_string).collect();
    let skew = if versions.len() > 1 { Tone::Look } else { Tone::Plain };
    let unserved = if function.workers == 0 { Tone::Bad } else { Tone::Plain };
    vec![
        toned("function", &*function.name, colour(&function.name)),
        toned("workers", format!("{}, {} slots", function.workers, function.slots), unserved),
        toned("versions", versions.join(", "), skew),
        fact(
            "jobs",
            format!(
                "{} queued, {} placed, {} running",
                function.queued, function.placed, function.running
            ),
        ),
        fact("rate", rate(function.rate)),
        percentiles("waits", &function.wait),
        percentiles("runs", &function.run),
        fact("answers", kinds(&function.answers)),
        fact("local", format!("{} {}", share(function.local_share), kinds(&function.local))),
    ]
}

fn percentiles(name: &str, of: &Percentiles) -> Vec<Piece> {
    let [p50, p95, p99] = [of.p50, of.p95, of.p99].map(span_or_dash);
    fact(name, format!("p50 {p50}, p95 {p95}, p99 {p99} of {}", exact(of.count)))
}

fn kinds(counts: &BTreeMap<String, u64>) -> String {
    let kinds: Vec<String> =
        counts.iter().map(|(kind, &count)| format!("{} {kind}", exact(count))).collect();
    kinds.join(", ")
}

fn job(job: &RecentJob) -> Vec<Vec<Piece>> {
    let worker = job.worker.map_or_else(|| "-".to_owned(), |worker| worker.to_string());
    let mut lines = vec![
        fact("job", job.id.to_string()),
        toned("function", &*job.function, colour(&job.function)),
        toned("answer", job.answer.replace('_', " "), Tone::Bad),
    ];
    lines.extend(job.detail.as_ref().map(|detail| fact("said", detail.as_str())));
    lines.extend(job.arguments.as_ref().map(|arguments| fact("arguments", arguments.as_str())));
    lines.extend([
        fact("client", format!("{} of {}", job.client, job.user)),
        fact("worker", worker),
        fact(
            "took",
            format!(
                "waited {}, ran {}, {} attempts",
                span(job.waited),
                span_or_dash(job.ran),
                job.attempts
            ),
        ),
        Vec::new(),
    ]);
    lines.extend(job.timeline.iter().map(|moment| {
        let (what, tone) = happened(&moment.what);
        vec![Piece::new(format!("{:>10} ", span(moment.after)), Tone::Dim), Piece::new(what, tone)]
    }));
    lines
}

fn happened(what: &JobEvent) -> (String, Tone) {
    match what {
        JobEvent::Submitted => ("submitted".to_owned(), Tone::Plain),
        JobEvent::Placed { attempt, pool } => {
            (format!("attempt {attempt} placed in {pool}"), Tone::Plain)
        }
        JobEvent::Started { attempt, worker } => {
            (format!("attempt {attempt} started by {}", worker.short()), Tone::Plain)
        }
        JobEvent::Returned { attempt, willing: true } => {
            (format!("attempt {attempt} returned unstarted by the worker"), Tone::Plain)
        }
        JobEvent::Returned { attempt, willing: false } => {
            (format!("attempt {attempt} came back"), Tone::Look)
        }
        JobEvent::Swept { attempt } => {
            (format!("attempt {attempt} was lost in transit"), Tone::Look)
        }
        JobEvent::Lost { attempt, worker } => (
            format!("attempt {attempt} lost with {}, not known to have started", worker.short()),
            Tone::Look,
        ),
        JobEvent::Struck { attempt, worker } => {
            (format!("attempt {attempt} lost with {}", worker.short()), Tone::Bad)
        }
        JobEvent::Crashed { attempt, worker, signal, code } => {
            let ending = ending(*signal, *code);
            (format!("attempt {attempt}: its process on {} {ending}", worker.short()), Tone::Bad)
        }
        JobEvent::Ended => ("ended".to_owned(), Tone::Plain),
    }
}
