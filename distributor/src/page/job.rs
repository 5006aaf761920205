//! The page of one job: its details and its timeline.

use simple_dist_protocol::message::crash::ending;
use simple_dist_protocol::text;

use super::colour::Colours;
use super::jobs::{answer, label, place, tone};
use super::progress::Bar;
use crate::view::format::{ago, nth, time_of_day};
use crate::view::{CrashReport, Job, JobEvent, Place, RecentJob, Seconds, TimelineEntry, View};

/// How many lines are shown of what a process printed before it ended.
const PRINTED: usize = 3;

/// Everything known about one job.
pub(super) struct JobCard {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) class: String,
    pub(super) function: String,
    pub(super) user: String,
    /// Its state in one sentence.
    pub(super) says: String,
    pub(super) tone: &'static str,
    pub(super) progress: Option<Bar>,
    pub(super) facts: Vec<Detail>,
    pub(super) bars: Vec<Span>,
    pub(super) moments: Vec<TimelineRow>,
    pub(super) may_be_cancelled: bool,
    /// The button that runs a failed job again.
    pub(super) retry: Option<&'static str>,
}

/// A named detail, with a link to more.
pub(super) struct Detail {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) path: Option<String>,
}

/// A section of the job's time, in percent of the whole.
pub(super) struct Span {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) class: &'static str,
    pub(super) title: String,
}

/// An entry of the timeline.
pub(super) struct TimelineRow {
    pub(super) after: String,
    pub(super) text: String,
    pub(super) tone: &'static str,
}

impl JobCard {
    pub(super) fn of(job: &Job, view: &View, colours: &Colours) -> Self {
        match job {
            Job::UnderWay(job) => {
                let timeline = &job.timeline;
                let mut facts = vec![
                    fact("Function", job.function.to_string(), None),
                    fact("Caller", format!("{} · {}", job.user, job.client.short()), None),
                    fact("Priority", format!("{} of 9", job.priority), None),
                    fact("Attempts", job.attempts.to_string(), None),
                    fact("Submitted", format!("{} ago", job.age), None),
                    fact("Time left", job.left.to_string(), None),
                ];
                if let Some(worker) = job.worker {
                    let path = Some(format!("/workers/{worker}"));
                    facts.push(fact("Worker", worker.short(), path));
                }
                if job.mark || !job.strikes.is_empty() {
                    facts.push(fact("Strikes", suspicion(job.mark, &job.strikes), None));
                }
                facts.extend(job.crashes.iter().map(crash));
                facts.extend(job.arguments.as_deref().map(arguments));
                let says = format!("It is {} for {}.", place(job.place), job.place_age);
                Self {
                    says,
                    tone: "",
                    progress: job.progress.as_ref().map(Bar::of),
                    facts,
                    bars: spans(timeline, job.age, job.place == Place::Running, false),
                    moments: lines(timeline),
                    may_be_cancelled: true,
                    retry: None,
                    ..Self::named(&job.id, &job.function, &job.user.to_string(), colours)
                }
            }
            Job::Ended(job) => {
                let mut facts = vec![
                    fact("Function", job.function.to_string(), None),
                    fact("Caller", format!("{} · {}", job.user, job.client.short()), None),
                    fact("Attempts", attempts(job), None),
                    fact("Waited", job.waited.to_string(), None),
                    fact("Ran", job.ran.map_or("-".to_owned(), |ran| ran.to_string()), None),
                    fact("Ended", time_of_day(job.ended_unix_ms), None),
                ];
                if let Some(worker) = job.worker {
                    let path = Some(format!("/workers/{worker}"));
                    facts.push(fact("Worker", worker.short(), path));
                }
                facts.extend(job.crashes.iter().map(crash));
                facts.extend(job.arguments.as_deref().map(arguments));
                let since = ago(view.unix_ms, job.ended_unix_ms);
                let ran = Seconds(job.waited.0 + job.ran.unwrap_or_default().0);
                let whole = job.timeline.last().map_or(ran, |last| last.after);
                Self {
                    says: format!("It ended {since} ago: {}.", answer(job).trim_end_matches('.')),
                    tone: tone(job),
                    progress: None,
                    facts,
                    bars: match job.ran {
                        Some(ran) if !has_started(&job.timeline) => {
                            waited_and_ran(job.waited, ran, job.is_failed())
                        }
                        _ => spans(&job.timeline, whole, false, job.is_failed()),
                    },
                    moments: ended_lines(job),
                    may_be_cancelled: false,
                    retry: retry(job),
                    ..Self::named(&job.id, &job.function, &job.user.to_string(), colours)
                }
            }
        }
    }

    fn named(
        id: &simple_dist_protocol::JobId,
        function: &str,
        user: &str,
        colours: &Colours,
    ) -> Self {
        Self {
            id: id.to_string(),
            label: label(*id),
            class: colours.class(function),
            function: function.to_owned(),
            user: user.to_owned(),
            says: String::new(),
            tone: "",
            progress: None,
            facts: Vec::new(),
            bars: Vec::new(),
            moments: Vec::new(),
            may_be_cancelled: false,
            retry: None,
        }
    }
}

fn attempts(job: &RecentJob) -> String {
    match job.answered_by.filter(|answered_by| *answered_by < job.attempts) {
        Some(answered_by) => format!("{}; the {} answered", job.attempts, nth(answered_by)),
        None => job.attempts.to_string(),
    }
}

/// The button that runs it again.
fn retry(job: &RecentJob) -> Option<&'static str> {
    job.may_run_again().then(|| match &*job.answer {
        "poisoned" => "Run again, though it ended what ran it",
        _ => "Run again",
    })
}

fn fact(name: &'static str, text: String, path: Option<String>) -> Detail {
    Detail { name, text, path }
}

fn arguments(preview: &str) -> Detail {
    fact("Arguments", text::line(preview, text::SHOWN).to_string(), None)
}

/// How a process ended, and the last lines that it printed.
fn crash(crash: &CrashReport) -> Detail {
    let memory = match crash.memory_bytes {
        0 => String::new(),
        bytes => format!(", with {} MiB", bytes.div_ceil(1 << 20)),
    };
    let lines: Vec<_> = crash.output.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(PRINTED)..].join(" / ");
    let printed = if last.is_empty() { last } else { format!("; it printed last: {last}") };
    let text = format!("{}{memory}, on {}{printed}", crash.ending, crash.worker.short());
    let path = Some(format!("/workers/{}", crash.worker));
    fact("Crash", text::line(&text, text::SHOWN).to_string(), path)
}

fn suspicion(mark: bool, strikes: &[String]) -> String {
    let struck = match strikes {
        [] => None,
        workers => Some(format!("lost with it: {}", workers.join(", "))),
    };
    let marked = mark.then(|| "its first attempt came back".to_owned());
    [marked, struck].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The timeline of an ended job: its last line says how it ended.
fn ended_lines(job: &RecentJob) -> Vec<TimelineRow> {
    let mut lines = lines(&job.timeline);
    if let Some(last) = lines.last_mut()
        && job.answer != "value"
    {
        (last.text, last.tone) = (answer(job), tone(job));
    }
    lines
}

/// The timeline in words.
fn lines(timeline: &[TimelineEntry]) -> Vec<TimelineRow> {
    timeline
        .iter()
        .map(|moment| {
            let (text, tone) = match moment.what {
                JobEvent::Submitted => ("submitted".to_owned(), ""),
                JobEvent::Placed { attempt, pool } => {
                    (format!("{} attempt placed in pool {pool}", nth(attempt)), "")
                }
                JobEvent::Started { attempt, worker } => {
                    (format!("{} attempt started by {}", nth(attempt), worker.short()), "")
                }
                JobEvent::Returned { attempt, willing: true } => {
                    (format!("{} attempt returned unstarted by the worker", nth(attempt)), "")
                }
                JobEvent::Returned { attempt, willing: false } => {
                    (format!("{} attempt came back", nth(attempt)), "warn")
                }
                JobEvent::Swept { attempt } => {
                    (format!("message of the {} attempt was lost", nth(attempt)), "warn")
                }
                JobEvent::Lost { attempt, worker } => {
                    (format!("{} lost with the {} attempt", worker.short(), nth(attempt)), "warn")
                }
                JobEvent::Struck { attempt, worker } => (
                    format!("{} lost while it ran the {} attempt", worker.short(), nth(attempt)),
                    "bad",
                ),
                JobEvent::Crashed { attempt, worker, signal, code } => (
                    format!(
                        "{} attempt's process on {} {}",
                        nth(attempt),
                        worker.short(),
                        ending(signal, code)
                    ),
                    "bad",
                ),
                JobEvent::Ended => ("ended".to_owned(), ""),
            };
            TimelineRow { after: format!("+{}", moment.after), text, tone }
        })
        .collect()
}

fn has_started(timeline: &[TimelineEntry]) -> bool {
    timeline.iter().any(|moment| matches!(moment.what, JobEvent::Started { .. }))
}

/// The bars of a job whose start was never reported: its worker reports the run time when the job
/// has ended.
fn waited_and_ran(waited: Seconds, ran: Seconds, has_failed: bool) -> Vec<Span> {
    let whole = (waited.0 + ran.0).max(1e-6);
    let at = |span: Seconds| format!("{:.2}%", span.0 / whole * 100.0);
    let class = if has_failed { "bad" } else { "fn" };
    let (title, x) = (format!("waited for {waited}"), "0%".to_owned());
    vec![
        Span { x, width: at(waited), class: "wait", title },
        Span { x: at(waited), width: at(ran), class, title: format!("ran for {ran}") },
    ]
}

/// The sections between the moments: waiting, running, and how each run ended.
fn spans(
    timeline: &[TimelineEntry],
    whole: Seconds,
    is_running: bool,
    has_failed: bool,
) -> Vec<Span> {
    let whole = whole.0.max(timeline.last().map_or(0.0, |last| last.after.0)).max(1e-6);
    let ends = timeline.iter().skip(1).map(|moment| (moment.after.0, Some(moment.what)));
    timeline
        .iter()
        .zip(ends.chain([(whole, None)]))
        .filter(|(moment, _)| moment.what != JobEvent::Ended)
        .map(|(moment, (end, next))| {
            let runs = matches!(moment.what, JobEvent::Started { .. });
            let class = match (runs, next) {
                (false, _) => "wait",
                (true, Some(JobEvent::Struck { .. } | JobEvent::Crashed { .. })) => "lost",
                (true, Some(JobEvent::Ended)) if has_failed => "bad",
                (true, None) if is_running => "fn run",
                (true, _) => "fn",
            };
            let long = (end - moment.after.0).max(0.0);
            Span {
                x: format!("{:.2}%", moment.after.0 / whole * 100.0),
                width: format!("{:.2}%", long / whole * 100.0),
                class,
                title: format!("{} for {}", if runs { "ran" } else { "waited" }, Seconds(long)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::WorkerId;

    use super::*;

    #[test]
    fn a_crash_tells_how_and_the_last_lines() {
        let report = CrashReport {
            worker: WorkerId::from_u128(0xab),
            ending: "killed by SIGSEGV".to_owned(),
            signal: Some(11),
            code: None,
            memory_bytes: (64 << 20) + 1,
            output: "1\n2\n\n3\nstack \u{1b}overflow\n".to_owned(),
        };
        let told = crash(&report);
        let worker = report.worker.short();
        let printed = r"2 / 3 / stack \u{1b}overflow";
        let expected =
            format!("killed by SIGSEGV, with 65 MiB, on {worker}; it printed last: {printed}");
        assert_eq!(told.text, expected);
        let silent = CrashReport { memory_bytes: 0, output: String::new(), ..report };
        assert_eq!(crash(&silent).text, format!("killed by SIGSEGV, on {worker}"));
    }
}
