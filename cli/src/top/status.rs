//! The status in words: the facts, then the problems.

use simple_dist_distributor::view::Severity;

use super::data::Data;
use super::format::{curve, exact, rate, share, some, span_or_dash};
use super::table::{Piece, Tone};

/// The status: the facts, then the problems, worst first.
pub(crate) fn sentence(data: &Data) -> Vec<Piece> {
    let problems = data.status.problems.iter().map(|problem| {
        let tone = match problem.severity {
            Severity::Critical => Tone::Bad,
            Severity::Warning => Tone::Look,
            Severity::Info => Tone::Dim,
        };
        Piece::new(format!(" {}", problem.text), tone)
    });
    let totals = &data.status.totals;
    let outlook = match totals.empty_in {
        Some(span) => Some(format!(" At this rate the queue is empty in {span}.")),
        None if totals.grows => Some(" Jobs come faster than they end.".to_owned()),
        None => None,
    };
    std::iter::once(Piece::new(summary(data), Tone::Strong))
        .chain(problems)
        .chain(outlook.map(|text| Piece::new(text, Tone::Dim)))
        .collect()
}

fn summary(data: &Data) -> String {
    let totals = &data.status.totals;
    let workers = match totals.workers {
        0 => "No worker".to_owned(),
        count => some(count as u64, "worker"),
    };
    let slots = match (totals.busy, totals.slots) {
        (_, 0) => String::new(),
        (busy, slots) => format!(", {busy} of {} busy", some(u64::from(slots), "slot")),
    };
    let queued = match (totals.queued, totals.oldest) {
        (0, _) => ", nothing queued".to_owned(),
        (jobs, None) => format!(", {} queued", some(jobs, "job")),
        (1, Some(age)) => format!(", 1 job queued for {age}"),
        (jobs, Some(age)) => format!(", {} queued, the oldest for {age}", some(jobs, "job")),
    };
    format!("{workers}{slots}{queued}.")
}

/// One of the most important numbers, with its curve over the last two minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) title: &'static str,
    pub(crate) value: String,
    pub(crate) curve: String,
}

/// The tiles, with curves of at most this width.
pub(crate) fn tiles(data: &Data, width: usize) -> [Tile; 6] {
    let (totals, series) = (&data.status.totals, &data.status.series);
    let tile =
        |title, value, samples: Vec<f64>| Tile { title, value, curve: curve(&samples, width) };
    let each = |value: fn(&simple_dist_distributor::view::Sample) -> f64| {
        series.iter().map(value).collect::<Vec<_>>()
    };
    // What was cancelled has not failed.
    let minute = series.iter().rev().take(60);
    let fails = minute.map(|at| at.failed + at.timed_out).sum::<u64>();
    [
        tile("busy", format!("{}/{}", totals.busy, totals.slots), each(|at| f64::from(at.busy))),
        tile("queued", exact(totals.queued), each(|at| at.queued as f64)),
        tile("wait95", span_or_dash(totals.wait_p95), each(|at| at.wait_p95.map_or(0.0, |s| s.0))),
        tile("done", rate(totals.rate), each(|at| at.done as f64)),
        tile("fails/min", exact(fails), each(|at| (at.failed + at.timed_out) as f64)),
        tile("local", share(totals.local_share), each(|at| at.local as f64)),
    ]
}

/// The line of job counts, as long as there is room for.
pub(crate) fn books(data: &Data, width: usize) -> Vec<Piece> {
    let books = &data.status.books;
    let balanced = books.balance();
    let tone = if balanced { Tone::Dim } else { Tone::Bad };
    let sign = if balanced { "=" } else { "is not" };
    let parts = [
        (books.queued, "queued"),
        (books.placed, "placed"),
        (books.running, "running"),
        (books.done, "done"),
        (books.failed, "failed"),
        (books.timed_out, "timed out"),
        (books.cancelled, "cancelled"),
    ];
    let told =
        |(count, what): &(u64, &str)| *count > 0 || !matches!(*what, "timed out" | "cancelled");
    let parts: Vec<_> = parts.into_iter().filter(told).collect();
    let sum: Vec<_> =
        parts.iter().map(|(count, what)| format!("{} {what}", exact(*count))).collect();
    let sum = sum.join(" + ");
    let refused: u64 = books.refused_by.values().sum();
    let long = format!("{} accepted {sign} {sum}", exact(books.accepted));
    let longer = format!("{long}; {} refused", exact(refused));
    let saved: u64 = ["coalesced", "memo"].iter().filter_map(|by| books.events.get(*by)).sum();
    let longest = match saved {
        0 => longer.clone(),
        saved => format!("{longer}; {} runs saved", exact(saved)),
    };
    let short: Vec<_> =
        parts.iter().map(|(count, what)| format!("{count}{}", &what[..1])).collect();
    let short = short.join("+");
    let line = [longest, longer, long].into_iter().find(|line| line.len() <= width);
    let line = line.unwrap_or_else(|| format!("{} {sign} {short}", books.accepted));
    vec![Piece::new(line, tone)]
}

#[cfg(test)]
mod tests {
    use simple_dist_distributor::view::CancelledBy;

    use super::super::sample::data;
    use super::*;

    #[test]
    fn problems_are_worded_as_by_the_distributor() {
        let said = sentence(&data(1));
        let said: Vec<_> = said.iter().map(|piece| (piece.tone, &*piece.text)).collect();
        assert_eq!(
            said,
            [
                (Tone::Strong, &*summary(&data(1))),
                (Tone::Bad, " render@3 is called, but no worker serves it."),
                (Tone::Look, " One worker was lost 34 s ago; 4 jobs were placed again."),
                (Tone::Dim, " At this rate the queue is empty in 9.0 s."),
            ]
        );
    }

    #[test]
    fn an_idle_service_has_nothing_wrong() {
        let mut data = data(1);
        data.workers.truncate(1);
        data.functions.truncate(1);
        data.status.problems.clear();
        data.status.totals =
            simple_dist_distributor::view::Totals { workers: 1, slots: 4, ..Default::default() };
        data.status.series.clear();
        let said = sentence(&data);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].text, "1 worker, 0 of 4 slots busy, nothing queued.");
    }

    #[test]
    fn the_counters_fit_the_available_width() {
        let data = data(1);
        let line = |width| books(&data, width)[0].text.clone();
        assert!(line(200).ends_with("; 0 refused"));
        assert!(line(80).ends_with("3 failed"));
        assert_eq!(line(40), "1404 = 40q+3p+12r+1346d+3f");
        let mut data = data;
        let books = &mut data.status.books;
        (books.accepted, books.timed_out, books.cancelled) = (1407, 2, 1);
        books.cancelled_by.insert(CancelledBy::Caller, 1);
        assert!(books.balance());
        let line = |width| super::books(&data, width)[0].text.clone();
        assert!(line(110).ends_with("3 failed + 2 timed out + 1 cancelled"), "{}", line(110));
        assert_eq!(line(40), "1407 = 40q+3p+12r+1346d+3f+2t+1c");
        data.status.books.events = [("coalesced".to_owned(), 2), ("memo".to_owned(), 5)].into();
        let line = super::books(&data, 200)[0].text.clone();
        assert!(line.ends_with("; 0 refused; 7 runs saved"), "{line}");
    }
}
