//! The three tables: workers, functions, failed jobs.

use simple_dist_distributor::view::{Function, HeldJob, RecentJob, Seconds, Worker, WorkerState};

use super::data::Data;
use super::format::{count, rate, share, some, span, span_or_dash};
use super::table::{Cell, Column, Key, Piece, Row, Sort, Tone, figure, text};

/// One of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Workers,
    Functions,
    Failed,
}

const WORKERS: [Column; 9] = [
    text("WORKERS", 10, 0),
    text("state", 11, 0),
    figure("slots", 5, 1),
    figure("done", 6, 2),
    figure("failed", 6, 4),
    figure("beat", 5, 3),
    text("host", 14, 5),
    figure("known", 5, 6),
    text("running", 31, 0).growing(usize::MAX),
];

const FUNCTIONS: [Column; 13] = [
    text("FUNCTIONS", 14, 0).growing(20),
    figure("wrk", 3, 0),
    figure("queued", 6, 0),
    figure("running", 7, 1),
    figure("rate", 6, 2),
    figure("wait50", 6, 5),
    figure("wait95", 6, 3),
    figure("wait99", 6, 8),
    figure("run50", 5, 4),
    figure("run95", 5, 6),
    figure("run99", 5, 7),
    figure("failed", 6, 0),
    figure("local", 5, 0),
];

const FAILED: [Column; 8] = [
    text("FAILED JOBS", 11, 0),
    figure("ago", 4, 0),
    text("function", 13, 0),
    text("answer", 13, 0),
    text("worker", 10, 2),
    figure("tries", 5, 3),
    figure("waited", 6, 4),
    text("message", 20, 0).growing(usize::MAX),
];

impl Table {
    pub(crate) const ALL: [Self; 3] = [Self::Workers, Self::Functions, Self::Failed];

    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Self::Workers => &WORKERS,
            Self::Functions => &FUNCTIONS,
            Self::Failed => &FAILED,
        }
    }

    /// The initial order: by name, or newest failure first.
    pub(crate) fn sort(self) -> Sort {
        match self {
            Self::Workers | Self::Functions => Sort { column: 0, down: false },
            Self::Failed => Sort { column: 1, down: false },
        }
    }

    /// The text shown for an empty table.
    pub(crate) fn nothing(self) -> &'static str {
        match self {
            Self::Workers => "no workers",
            Self::Functions => "no function is served or has been called",
            Self::Failed => "none recently",
        }
    }

    pub(crate) fn rows(self, data: &Data) -> Vec<Row> {
        match self {
            Self::Workers => data.workers.iter().map(worker).collect(),
            Self::Functions => data.functions.iter().map(function).collect(),
            Self::Failed => {
                data.failed.iter().map(|job| failed(job, data.status.unix_ms)).collect()
            }
        }
    }
}

/// The colour of a function: a hash of its name, so the same everywhere and in every run.
pub(crate) fn colour(function: &str) -> Tone {
    let hash = function
        .bytes()
        .fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
    Tone::Of((hash % 6) as u8)
}

pub(crate) fn state_tone(state: WorkerState) -> Tone {
    match state {
        WorkerState::Live => Tone::Good,
        WorkerState::Degraded | WorkerState::Draining | WorkerState::Late => Tone::Look,
        WorkerState::Quarantined | WorkerState::Unreachable | WorkerState::Lost => Tone::Bad,
        WorkerState::Left => Tone::Dim,
    }
}

fn worker(worker: &Worker) -> Row {
    let alive = worker.state.is_alive();
    let name = worker.id.short();
    // Gone workers come after live ones.
    let key = Key::Text(format!("{}{name}", u8::from(!alive)));
    let beat = if worker.silent.0 < 1.5 || !alive { Tone::Dim } else { Tone::Look };
    let failed = if worker.failed > 0 { Tone::Bad } else { Tone::Dim };
    Row {
        id: worker.id.to_string(),
        cells: vec![
            Cell { key, ..Cell::text(name, Tone::Strong) },
            Cell::text(worker.state.word(), state_tone(worker.state)),
            Cell::number(
                f64::from(worker.busy),
                format!("{}/{}", worker.busy, worker.slots),
                if worker.busy > 0 { Tone::Plain } else { Tone::Dim },
            ),
            Cell::number(worker.done as f64, count(worker.done), Tone::Plain),
            Cell::number(worker.failed as f64, count(worker.failed), failed),
            Cell::number(worker.silent.0, span(worker.silent), beat),
            Cell::text(worker.host.as_str(), Tone::Dim),
            Cell::number(worker.age.0, span(worker.age), Tone::Dim),
            running(worker),
        ],
        faded: !alive,
    }
}

fn running(worker: &Worker) -> Cell {
    let said = |text: String| Cell { key: Key::Number(-1.0), ..Cell::text(text, Tone::Dim) };
    match worker.state {
        WorkerState::Lost => said(match worker.gave_back {
            0 => format!("lost {} ago with nothing", worker.silent),
            jobs => {
                let jobs = some(u64::from(jobs), "job");
                format!("lost {} ago; {jobs} placed again", worker.silent)
            }
        }),
        WorkerState::Left => said(format!("left {} ago", worker.silent)),
        WorkerState::Live
        | WorkerState::Degraded
        | WorkerState::Draining
        | WorkerState::Quarantined
        | WorkerState::Late
        | WorkerState::Unreachable => {
            if worker.holds == 0 {
                return said("idle".to_owned());
            }
            Cell {
                parts: worker.held.iter().map(held).collect(),
                unnamed: worker.holds.saturating_sub(worker.held.len()),
                key: Key::Number(worker.holds as f64),
            }
        }
    }
}

fn held(job: &HeldJob) -> Vec<Piece> {
    let runs = job.slot.is_some();
    let tone = if runs { colour(&job.function) } else { Tone::Dim };
    let mut pieces = vec![
        Piece::new(&*job.function, tone),
        Piece::new(format!(" {}", span(job.age)), if runs { Tone::Plain } else { Tone::Dim }),
    ];
    if job.attempt > 1 {
        pieces.push(Piece::new(format!(" #{}", job.attempt), Tone::Look));
    }
    if !runs {
        pieces.push(Piece::new(" waits", Tone::Dim));
    }
    pieces
}

fn function(function: &Function) -> Row {
    let queued = function.queued + function.placed;
    let figure = |number: usize| {
        let tone = if number > 0 { Tone::Plain } else { Tone::Dim };
        Cell::number(number as f64, count(number as u64), tone)
    };
    let time = |time: Option<Seconds>| {
        let tone = if time.is_some() { Tone::Plain } else { Tone::Dim };
        Cell::number(time.map_or(-1.0, |time| time.0), span_or_dash(time), tone)
    };
    let failed = if function.failed > 0 { Tone::Bad } else { Tone::Dim };
    let local = match function.local_share {
        none if none <= 0.0 => Tone::Dim,
        some if some < 0.1 => Tone::Plain,
        _ => Tone::Look,
    };
    let workers = match function.workers {
        0 => Cell::number(0.0, "0", Tone::Bad),
        some => Cell::number(some as f64, some.to_string(), Tone::Plain),
    };
    let rate_tone = if function.rate > 0.0 { Tone::Plain } else { Tone::Dim };
    Row {
        id: function.name.to_string(),
        cells: vec![
            name(function),
            workers,
            figure(queued),
            figure(function.running),
            Cell::number(function.rate, rate(function.rate), rate_tone),
            time(function.wait.p50),
            time(function.wait.p95),
            time(function.wait.p99),
            time(function.run.p50),
            time(function.run.p95),
            time(function.run.p99),
            Cell::number(function.failed as f64, count(function.failed), failed),
            Cell::number(function.local_share, share(function.local_share), local),
        ],
        faded: false,
    }
}

/// The name, with a warning in words if there is room, and its sign if not.
fn name(function: &Function) -> Cell {
    let (sign, note) = if function.workers == 0 {
        (Piece::new("! ", Tone::Bad), Piece::new(" no worker", Tone::Bad))
    } else if function.versions.len() > 1 {
        let versions = format!(" {} versions", function.versions.len());
        (Piece::new("! ", Tone::Look), Piece::new(versions, Tone::Look))
    } else {
        (Piece::new("■ ", colour(&function.name)), Piece::new("", Tone::Plain))
    };
    let name = Piece::new(&*function.name, Tone::Plain);
    Cell {
        key: Key::Text(function.name.to_string()),
        parts: vec![vec![sign, name, note]],
        unnamed: 0,
    }
}

fn failed(job: &RecentJob, unix_ms: u64) -> Row {
    let ago = Seconds(unix_ms.saturating_sub(job.ended_unix_ms) as f64 / 1e3);
    let when = if ago.0 < 1.0 { "now".to_owned() } else { span(Seconds(ago.0.round())) };
    let worker = job.worker.map_or_else(|| "-".to_owned(), |worker| worker.short());
    let tries = if job.attempts > 1 { Tone::Look } else { Tone::Dim };
    Row {
        id: job.id.to_string(),
        cells: vec![
            Cell::text(job.id.short(), Tone::Strong),
            Cell::number(ago.0, when, Tone::Plain),
            Cell::text(&*job.function, colour(&job.function)),
            Cell::text(job.answer.replace('_', " "), Tone::Bad),
            Cell::text(worker, Tone::Plain),
            Cell::number(f64::from(job.attempts), job.attempts.to_string(), tries),
            Cell::number(job.waited.0, span(job.waited), Tone::Dim),
            Cell::text(job.detail.clone().unwrap_or_default(), Tone::Plain),
        ],
        faded: false,
    }
}
