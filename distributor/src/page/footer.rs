//! The footer of every page: the job counts, the distributor they come from, and their time.

use std::collections::BTreeMap;

use super::shadows;
use crate::view::format::{count, many, time_of_day};
use crate::view::{Action, Memo, Phase, View};

/// The footer of a page.
pub(super) struct Footer {
    /// `accepted 1,234 = queued 3 + ..`; `None` on a distributor that counts nothing.
    pub(super) books: Option<String>,
    pub(super) balance: bool,
    /// Refused jobs, which are not among the accepted.
    pub(super) refused: Option<String>,
    /// Jobs placed again beside an attempt that went on, if there were any.
    pub(super) again: Option<String>,
    /// How functions and their shadows compare.
    pub(super) shadows: Vec<String>,
    /// What an operator did last.
    pub(super) acted: Option<String>,
    pub(super) distributor: String,
    pub(super) version: String,
    pub(super) up: String,
    pub(super) at: String,
}

impl Footer {
    pub(super) fn of(view: &View) -> Self {
        let books = &view.books;
        let refused: u64 = books.refused_by.values().sum();
        let keeps_books = match view.distributor.phase {
            Phase::Active { .. } => true,
            Phase::Down | Phase::Standby { .. } => books.accepted > 0,
        };
        let others = [(books.timed_out, "timed out"), (books.cancelled, "cancelled")];
        let others = others.iter().filter(|(number, _)| *number > 0);
        let others: String =
            others.map(|(number, how)| format!(" + {how} {}", count(*number))).collect();
        let line = format!(
            "accepted {} = queued {} + placed {} + running {} + done {} + failed {}{others}",
            count(books.accepted),
            count(books.queued),
            count(books.placed),
            count(books.running),
            count(books.done),
            count(books.failed),
        );
        Self {
            books: keeps_books.then_some(line),
            balance: books.balance(),
            refused: (refused > 0).then(|| format!("refused: {}", count(refused))),
            again: again(&books.events, &view.memo),
            shadows: view.shadows.iter().map(shadows::line).collect(),
            acted: view.actions.first().map(acted),
            distributor: view.distributor.id.short(),
            version: view.distributor.version.clone(),
            up: view.distributor.up.to_string(),
            at: time_of_day(view.unix_ms),
        }
    }
}

/// `14:03:22 UTC: an operator drained worker w-12ab`.
fn acted(last: &Action) -> String {
    format!("{}: an operator {}", time_of_day(last.unix_ms), last.what)
}

/// Second attempts of slow jobs, what draining workers gave up, and the runs that equal calls and kept
/// answers saved.
fn again(events: &BTreeMap<String, u64>, memo: &Memo) -> Option<String> {
    let number = |name: &str| events.get(name).copied().unwrap_or(0);
    let (hedges, moved) = (number("hedges"), number("moved"));
    let (won, lost) = (count(number("hedges_won")), count(number("hedges_lost")));
    let slow = format!("slow jobs run again: {}, won {won}, lost {lost}", count(hedges));
    let moved_line = format!("moved off draining workers: {}", count(moved));
    let saved = |runs, ms| format!("{}, {:.1} s", count(runs), number(ms) as f64 / 1000.0);
    let (shared, kept) = (number("coalesced"), number("memo"));
    let shares = format!("runs saved by equal calls: {}", saved(shared, "saved_ms"));
    let (answers, mb) = (many(memo.answers, "answer"), memo.bytes as f64 / 1e6);
    let made_room = format!("{} made room", count(memo.evicted));
    let keeps = format!(
        "by kept answers: {} ({answers} in {mb:.1} MB, {made_room})",
        saved(kept, "memo_saved_ms")
    );
    let is_used = kept + memo.answers;
    let (checks, differed) = (number("checks"), count(number("checks_differed")));
    let checked = format!("calls checked by another run: {}, {differed} differed", count(checks));
    let lines = [
        (hedges, slow),
        (moved, moved_line),
        (shared, shares),
        (is_used, keeps),
        (checks, checked),
    ];
    let lines = lines.into_iter().filter(|(number, _)| *number > 0);
    let lines: Vec<String> = lines.map(|(_, line)| line).collect();
    (!lines.is_empty()).then(|| lines.join(" \u{b7} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_tells_of_second_attempts_once_there_are_some() {
        let events = |all: &[(&str, u64)]| {
            let all = all.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
            again(&all, &Memo::default())
        };
        assert_eq!(events(&[("hedges", 0), ("moved", 0)]), None);
        let hedges = [("hedges", 1200), ("hedges_won", 1000), ("hedges_lost", 150)];
        let line = "slow jobs run again: 1,200, won 1,000, lost 150";
        assert_eq!(events(&hedges).as_deref(), Some(line));
        let line = "runs saved by equal calls: 999, 99.9 s";
        assert_eq!(events(&[("coalesced", 999), ("saved_ms", 99_900)]).as_deref(), Some(line));
        assert_eq!(events(&[("moved", 2)]).as_deref(), Some("moved off draining workers: 2"));
        let checks = [("checks", 1200), ("checks_differed", 3)];
        let line = "calls checked by another run: 1,200, 3 differed";
        assert_eq!(events(&checks).as_deref(), Some(line));
        let memo = Memo { answers: 3, bytes: 2_500_000, most: 1 << 26, evicted: 1 };
        let events = [("memo".to_owned(), 12), ("memo_saved_ms".to_owned(), 3400)].into();
        let line = "by kept answers: 12, 3.4 s (3 answers in 2.5 MB, 1 made room)";
        assert_eq!(again(&events, &memo).as_deref(), Some(line));
    }
}
