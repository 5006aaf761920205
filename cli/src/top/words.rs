//! The status in words: what there is, then what is wrong.

use simple_dist_distributor::view::{Phase, WorkerState};

use super::data::Data;
use super::figures::{curve, exact, rate, share, some, span_or_dash};
use super::table::{Piece, Tone};

/// The status: what there is, then what is wrong, the worst first.
pub(crate) fn sentence(data: &Data) -> Vec<Piece> {
    let mut said = vec![Piece::new(summary(data), Tone::Strong)];
    let mut say = |text: String, tone| said.push(Piece::new(format!(" {text}"), tone));
    let broker = &data.status.broker;
    match &data.status.distributor.phase {
        Phase::Down => {
            let (address, since) = (&broker.address, broker.since);
            say(format!("The broker at {address} has been gone for {since}."), Tone::Bad);
        }
        Phase::Standby { active: Some(active), backlog } => {
            let backlog = backlog.map(|jobs| format!(", {} wait there", some(jobs, "job")));
            let backlog = backlog.unwrap_or_default();
            say(format!("This distributor stands by; {active} leads{backlog}."), Tone::Look);
        }
        Phase::Standby { active: None, .. } => {
            say("This distributor stands by, and none is heard to lead.".to_owned(), Tone::Bad);
        }
        Phase::Active { .. } => {}
    }
    if broker.up && broker.blocked {
        say("The broker takes no messages: it is out of memory or disk.".to_owned(), Tone::Bad);
    }
    if broker.up && !broker.sure {
        say(
            "Our own beats do not come back: workers may be other than told.".to_owned(),
            Tone::Look,
        );
    }
    workers_wrong(data, &mut say);
    functions_wrong(data, &mut say);
    let failed: u64 = data.status.series.iter().rev().take(60).map(|second| second.failed).sum();
    if failed > 0 {
        say(format!("{} failed in the last minute.", some(failed, "job")), Tone::Bad);
    }
    if !data.status.books.balance() {
        say("The books do not balance: this is a fault of ours.".to_owned(), Tone::Bad);
    }
    if let Some(span) = data.status.totals.empty_in {
        say(format!("At this rate the queue is empty in {span}."), Tone::Dim);
    }
    // Stable, so that within one tone the order is that of the text above.
    said.sort_by_key(|piece| match piece.tone {
        Tone::Strong => 0,
        Tone::Bad => 1,
        Tone::Look => 2,
        Tone::Plain | Tone::Dim | Tone::Good | Tone::Of(_) => 3,
    });
    said
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

fn workers_wrong(data: &Data, say: &mut impl FnMut(String, Tone)) {
    let of = |state| data.workers.iter().filter(move |worker| worker.state == state);
    let last_lost = of(WorkerState::Lost).min_by(|one, two| one.silent.0.total_cmp(&two.silent.0));
    match (data.status.totals.lost, last_lost) {
        (0, _) => {}
        (1, Some(worker)) => {
            let became = match worker.gave_back {
                0 => "it held nothing".to_owned(),
                1 => "its job was placed again".to_owned(),
                jobs => format!("its {jobs} jobs were placed again"),
            };
            say(format!("One worker was lost {} ago; {became}.", worker.silent), Tone::Look);
        }
        (lost, Some(worker)) => {
            let last = worker.silent;
            say(
                format!("{lost} workers were lost in ten minutes, the last {last} ago."),
                Tone::Look,
            );
        }
        (lost, None) => {
            say(format!("{} lost in ten minutes.", some(lost as u64, "worker")), Tone::Look);
        }
    }
    let out_of_reach = of(WorkerState::Unreachable).count() + of(WorkerState::Late).count();
    if out_of_reach > 0 {
        let verb = if out_of_reach == 1 { "is" } else { "are" };
        let workers = some(out_of_reach as u64, "worker");
        say(format!("{workers} {verb} late."), Tone::Look);
    }
}

fn functions_wrong(data: &Data, say: &mut impl FnMut(String, Tone)) {
    let unserved: Vec<&str> = data
        .functions
        .iter()
        .filter(|function| function.workers == 0)
        .map(|function| &*function.name)
        .collect();
    match unserved[..] {
        [] => {}
        [one] => say(format!("{one} has no worker."), Tone::Bad),
        [one, two] => say(format!("{one} and {two} have no worker."), Tone::Bad),
        [one, ..] => {
            let others = unserved.len() - 1;
            say(format!("{one} and {others} more functions have no worker."), Tone::Bad);
        }
    }
    let skewed = data.functions.iter().find(|function| function.versions.len() > 1);
    if let Some(function) = skewed {
        let name = function.name.split('@').next().unwrap_or_default();
        let versions = function.versions.len();
        say(format!("{name} is served in {versions} versions."), Tone::Look);
    }
}

/// One of the numbers that say most, and how it went in the last two minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) title: &'static str,
    pub(crate) value: String,
    pub(crate) curve: String,
}

/// The tiles, their curves at most so wide.
pub(crate) fn tiles(data: &Data, width: usize) -> [Tile; 5] {
    let (totals, series) = (&data.status.totals, &data.status.series);
    let tile =
        |title, value, samples: Vec<f64>| Tile { title, value, curve: curve(&samples, width) };
    let each = |value: fn(&simple_dist_distributor::view::Sample) -> f64| {
        series.iter().map(value).collect::<Vec<_>>()
    };
    [
        tile("busy", format!("{}/{}", totals.busy, totals.slots), each(|at| f64::from(at.busy))),
        tile("queued", exact(totals.queued), each(|at| at.queued as f64)),
        tile("wait95", span_or_dash(totals.wait_p95), each(|at| at.wait_p95.map_or(0.0, |s| s.0))),
        tile("done", rate(totals.rate), each(|at| at.done as f64)),
        tile("local", share(totals.local_share), each(|at| at.local as f64)),
    ]
}

/// The line that balances the books, as long as there is room for.
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
    ];
    let sum = parts.map(|(count, what)| format!("{} {what}", exact(count))).join(" + ");
    let refused: u64 = books.refused_by.values().sum();
    let long = format!("{} accepted {sign} {sum}", exact(books.accepted));
    let longest = format!("{long}; {} refused", exact(refused));
    let short = parts.map(|(count, what)| format!("{count}{}", &what[..1])).join("+");
    let line = [longest, long].into_iter().find(|line| line.len() <= width);
    let line = line.unwrap_or_else(|| format!("{} {sign} {short}", books.accepted));
    vec![Piece::new(line, tone)]
}

#[cfg(test)]
mod tests {
    use super::super::sample::data;
    use super::*;

    #[track_caller]
    fn says(change: impl FnOnce(&mut Data), text: &str, tone: Tone) {
        let mut data = data(1);
        change(&mut data);
        let said = sentence(&data);
        let found = said.iter().find(|piece| piece.text.contains(text));
        assert_eq!(found.map(|piece| piece.tone), Some(tone), "{said:?}");
    }

    #[test]
    fn what_is_wrong_is_said_and_how_bad_it_is() {
        says(|_| {}, "4 workers, 12 of 16 slots busy, 40 jobs queued, the oldest", Tone::Strong);
        says(|_| {}, "One worker was lost 34 s ago; its 4 jobs were placed again.", Tone::Look);
        says(|_| {}, "render@3 has no worker.", Tone::Bad);
        says(|_| {}, "sleep is served in 2 versions.", Tone::Look);
        says(|_| {}, "1 job failed in the last minute.", Tone::Bad);
        says(|_| {}, "At this rate the queue is empty in 9.0 s.", Tone::Dim);
        let down = |data: &mut Data| {
            data.status.distributor.phase = Phase::Down;
            data.status.broker.up = false;
        };
        says(down, "The broker at 127.0.0.1:5672 has been gone for 4 min 10 s.", Tone::Bad);
        let standby = Phase::Standby { active: Some("d-9".to_owned()), backlog: Some(3) };
        let standby = |data: &mut Data| data.status.distributor.phase = standby;
        says(standby, "stands by; d-9 leads, 3 jobs wait there.", Tone::Look);
        says(|data| data.status.broker.blocked = true, "takes no messages", Tone::Bad);
        says(|data| data.status.broker.sure = false, "do not come back", Tone::Look);
        says(|data| data.status.books.done += 1, "do not balance", Tone::Bad);
    }

    #[test]
    fn an_idle_service_has_nothing_wrong() {
        let mut data = data(1);
        data.workers.truncate(1);
        data.functions.truncate(1);
        data.status.totals =
            simple_dist_distributor::view::Totals { workers: 1, slots: 4, ..Default::default() };
        data.status.series.clear();
        let said = sentence(&data);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].text, "1 worker, 0 of 4 slots busy, nothing queued.");
    }

    #[test]
    fn the_books_are_told_in_the_room_there_is() {
        let data = data(1);
        let line = |width| books(&data, width)[0].text.clone();
        assert!(line(200).ends_with("; 0 refused"));
        assert!(line(80).ends_with("3 failed"));
        assert_eq!(line(40), "1404 = 40q+3p+12r+1346d+3f");
    }
}
