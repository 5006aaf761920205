//! The recently ended jobs, the unfinished jobs, and the filter over both.

use std::fmt::Write;

use serde::Deserialize;
use simple_dist_protocol::{JobId, WorkerId, text};

use super::colour::Colours;
use crate::view::format::{age, ago, coarse, count, nth};
use crate::view::{CancelledBy, Job, Place, RecentJob, UnfinishedJob, View};

/// The most characters shown of an answer's detail.
const DETAIL: usize = 300;
/// The most characters of a filter's text.
const TEXT: usize = 100;

/// What to show of the jobs; parsed from the query of the page's address.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Filter {
    /// Text that the job's row or its full ids must contain.
    #[serde(default)]
    pub(super) q: String,
    /// If present, only failed jobs are shown.
    #[serde(default)]
    pub(super) failed: Option<String>,
}

impl Filter {
    pub(super) fn failed_only(&self) -> bool {
        self.failed.is_some()
    }

    pub(super) fn is_on(&self) -> bool {
        self.failed_only() || !self.q.trim().is_empty()
    }

    fn text(&self) -> String {
        self.q.trim().chars().take(TEXT).collect::<String>().to_lowercase()
    }
}

/// The table of ended jobs.
pub(super) struct Ended {
    pub(super) rows: Vec<JobRow>,
    /// `showing 25 of 1,000`.
    pub(super) showing: String,
}

/// An ended job, as a row.
pub(super) struct JobRow {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) class: String,
    pub(super) function: String,
    pub(super) answer: String,
    pub(super) tone: &'static str,
    pub(super) again: Option<String>,
    pub(super) worker: Option<(WorkerId, String)>,
    pub(super) client: String,
    pub(super) waited: String,
    pub(super) ran: String,
    pub(super) when: String,
}

/// An unfinished job, as a row.
pub(super) struct UnfinishedRow {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) class: String,
    pub(super) function: String,
    pub(super) place: &'static str,
    pub(super) again: Option<String>,
    pub(super) worker: Option<(WorkerId, String)>,
    pub(super) user: String,
    pub(super) priority: u8,
    pub(super) age: String,
    pub(super) left: String,
}

/// At most `most` of the ended jobs that pass the filter.
pub(super) fn ended(view: &View, filter: &Filter, most: usize, colours: &Colours) -> Ended {
    ended_of(view, filter, most, colours, |_| true)
}

/// At most `most` of the jobs that ended on one worker, or failed there.
pub(super) fn ended_by(
    view: &View,
    worker: WorkerId,
    failed: bool,
    most: usize,
    colours: &Colours,
) -> Ended {
    let filter = Filter { failed: failed.then(String::new), ..Filter::default() };
    ended_of(view, &filter, most, colours, |job| job.worker == Some(worker))
}

fn ended_of(
    view: &View,
    filter: &Filter,
    most: usize,
    colours: &Colours,
    wanted: impl Fn(&RecentJob) -> bool,
) -> Ended {
    let text = filter.text();
    let wanted = |job: &&RecentJob| {
        wanted(job) && (!filter.failed_only() || job.is_failed()) && contains(job, &text)
    };
    listed(view, view.recent.iter().filter(wanted).collect(), most, colours)
}

/// At most `most` of these jobs.
pub(super) fn listed(view: &View, jobs: Vec<&RecentJob>, most: usize, colours: &Colours) -> Ended {
    let passed = jobs.len() as u64;
    let rows = jobs.into_iter().take(most).map(|job| row(job, view.unix_ms, colours));
    let rows: Vec<JobRow> = rows.collect();
    let showing = match (rows.len() as u64, passed) {
        (0, _) => String::new(),
        (shown, passed) if shown == passed => format!("showing all {}", count(shown)),
        (shown, passed) => format!("showing {} of {}", count(shown), count(passed)),
    };
    Ended { rows, showing }
}

fn contains(job: &RecentJob, text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let mut line = format!(
        "{} {} {} {} {} {}",
        job.id,
        job.function,
        answer(job),
        job.answer,
        job.user,
        job.client
    );
    if let Some(worker) = job.worker {
        write!(line, " {worker} {}", worker.short()).expect("text takes any text");
    }
    line.to_lowercase().contains(text)
}

fn row(job: &RecentJob, now: u64, colours: &Colours) -> JobRow {
    JobRow {
        id: job.id.to_string(),
        label: label(job.id),
        class: colours.class(&job.function),
        function: job.function.to_string(),
        answer: answer(job),
        tone: tone(job),
        again: again(job.answered_by.unwrap_or(job.attempts)),
        worker: job.worker.map(|worker| (worker, worker.short())),
        client: format!("{} · {}", job.user, job.client.short()),
        waited: job.waited.to_string(),
        ran: job.ran.map_or_else(|| "-".to_owned(), |ran| ran.to_string()),
        when: format!("{} ago", coarse(ago(now, job.ended_unix_ms))),
    }
}

/// Enough of an id to tell a few apart: ids made at the same time begin alike.
pub(super) fn label(id: JobId) -> String {
    let text = id.to_string();
    format!("{}…{}", &text[..6], &text[text.len() - 4..])
}

/// How a job ended, in words.
pub(super) fn answer(job: &RecentJob) -> String {
    let detail = job.detail.as_deref().filter(|detail| !detail.is_empty());
    let kind = match job.answer.as_str() {
        "not_served" => "no worker serves it",
        "poisoned" => "poisoned: its workers died",
        "bad_arguments" => "bad arguments",
        "too_large" => "too large",
        "busy" => "too busy",
        "cancelled" => match job.cancelled_by {
            None => "cancelled",
            Some(CancelledBy::Caller) => "cancelled by its caller",
            Some(CancelledBy::Operator) => "cancelled by an operator",
            Some(CancelledBy::ClientGone) => "cancelled: its client is gone",
        },
        "expired" => "ran out of time",
        other => other,
    };
    match detail {
        Some(detail) => format!("{kind}: {}", text::line(detail, DETAIL)),
        None => kind.to_owned(),
    }
}

/// Red for failed jobs, amber for timeouts, dim for cancelled ones.
pub(super) fn tone(job: &RecentJob) -> &'static str {
    match job.answer.as_str() {
        "value" => "",
        "expired" => "warn",
        "cancelled" => "dim",
        _ => "bad",
    }
}

fn again(attempts: u32) -> Option<String> {
    (attempts > 1).then(|| format!("{} try", nth(attempts)))
}

/// The unfinished jobs that pass the filter: running ones first, then the oldest.
pub(super) fn under_way(
    jobs: &[Job],
    filter: &Filter,
    most: usize,
    colours: &Colours,
) -> Vec<UnfinishedRow> {
    let text = filter.text();
    let mut wanted: Vec<&UnfinishedJob> = jobs
        .iter()
        .filter_map(|job| match job {
            Job::UnderWay(job) => Some(job),
            Job::Ended(_) => None,
        })
        .filter(|job| {
            let worker = job.worker.map(WorkerId::short).unwrap_or_default();
            let line = format!("{} {} {} {worker}", job.id, job.function, job.user);
            !filter.failed_only() && line.to_lowercase().contains(&text)
        })
        .collect();
    wanted.sort_by(|one, two| {
        let running = |job: &UnfinishedJob| job.place != Place::Running;
        running(one).cmp(&running(two)).then(two.age.0.total_cmp(&one.age.0))
    });
    wanted.into_iter().take(most).map(|job| unfinished_row(job, colours)).collect()
}

fn unfinished_row(job: &UnfinishedJob, colours: &Colours) -> UnfinishedRow {
    UnfinishedRow {
        id: job.id.to_string(),
        label: label(job.id),
        class: colours.class(&job.function),
        function: job.function.to_string(),
        place: place(job.place),
        again: again(job.attempts),
        worker: job.worker.map(|worker| (worker, worker.short())),
        user: job.user.to_string(),
        priority: job.priority,
        age: age(job.age),
        left: coarse(job.left),
    }
}

/// Where a job is, in a word.
pub(super) fn place(place: Place) -> &'static str {
    match place {
        Place::Queued => "queued",
        Place::Unnoted => "held until its client answers",
        Place::Placed => "placed",
        Place::Running => "running",
    }
}
