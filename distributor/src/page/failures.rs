//! What fails, and what it says: a line for each group.

use simple_dist_protocol::{WorkerId, text};

use super::colour::Colours;
use super::jobs::label;
use crate::view::format::{coarse, count};
use crate::view::{Failure, View};

/// The most characters shown of a message.
const MESSAGE: usize = 200;

/// Failures that say the same.
pub(super) struct FailureRow {
    pub(super) key: String,
    pub(super) class: String,
    pub(super) function: String,
    /// `panicked`, `timed out`.
    pub(super) kind: &'static str,
    pub(super) says: String,
    /// Where it panicked, and with which arguments.
    pub(super) about: Vec<String>,
    pub(super) count: String,
    /// `12 in the last 2 min`.
    pub(super) lately: Option<String>,
    /// `34 s ago, since 2 h`.
    pub(super) when: String,
    /// Whether the newest may be run again by a click: not what ends the process that runs it.
    pub(super) is_harmless: bool,
    /// The newest.
    pub(super) job: String,
    pub(super) label: String,
    pub(super) worker: Option<(WorkerId, String)>,
}

/// The table of failures.
pub(super) struct Failures {
    pub(super) rows: Vec<FailureRow>,
    /// `and 12 more`.
    pub(super) more: Option<String>,
}

impl Failures {
    /// At most `most` groups: those that fail now most often, then those that failed last.
    pub(super) fn of(view: &View, most: usize, colours: &Colours) -> Self {
        Self::among(view.failures.iter().collect(), most, colours)
    }

    /// Those of one function.
    pub(super) fn of_function(view: &View, function: &str, colours: &Colours) -> Self {
        let own = view.failures.iter().filter(|group| &*group.function == function);
        Self::among(own.collect(), usize::MAX, colours)
    }

    fn among(mut groups: Vec<&Failure>, most: usize, colours: &Colours) -> Self {
        groups.sort_by_key(|group| std::cmp::Reverse(group.lately));
        let more = groups.len().saturating_sub(most);
        Self {
            rows: groups.into_iter().take(most).map(|group| row(group, colours)).collect(),
            more: (more > 0).then(|| format!("and {} more", count(more as u64))),
        }
    }
}

/// What an answer without a value is called.
pub(crate) fn kind(kind: &str) -> &'static str {
    match kind {
        "failed" => "returned an error",
        "panicked" => "panicked",
        "expired" => "ran out of time",
        "crashed" => "ended its process",
        "poisoned" => "ended its workers",
        "not_served" => "had no worker",
        "bad_arguments" => "bad arguments",
        "too_large" => "too large",
        "unsendable" => "cannot be sent",
        _ => "refused",
    }
}

fn row(group: &Failure, colours: &Colours) -> FailureRow {
    let line = |said: &str| text::line(said, MESSAGE).to_string();
    let said = group.message.as_deref().map(line).unwrap_or_default();
    let with = group.arguments.as_deref().map(|it| format!("with {}", line(it)));
    let at = group.location.as_deref().map(|it| format!("at {}", line(it)));
    FailureRow {
        key: format!("{} {} {}", group.function, group.kind, group.first),
        class: colours.class(&group.function),
        function: group.function.to_string(),
        kind: if group.rest { "failed otherwise" } else { kind(&group.kind) },
        says: said,
        about: at.into_iter().chain(with).collect(),
        count: count(group.count),
        lately: (group.lately > 0).then(|| format!("{} in the last 2 min", count(group.lately))),
        when: match group.count {
            1 => format!("{} ago", coarse(group.last)),
            _ => format!("{} ago, since {}", coarse(group.last), coarse(group.first)),
        },
        is_harmless: !matches!(&*group.kind, "crashed" | "poisoned"),
        job: group.job.to_string(),
        label: label(group.job),
        worker: group.worker.map(|worker| (worker, worker.short())),
    }
}
