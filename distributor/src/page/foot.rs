//! The line at the foot of every page: the books, whose they are, and when they were read.

use crate::view::words::{count, time_of_day};
use crate::view::{Phase, View};

/// The foot of a page.
pub(super) struct Foot {
    /// `accepted 1,234 = queued 3 + ..`; none at a distributor that keeps no books.
    pub(super) books: Option<String>,
    pub(super) balance: bool,
    /// What was turned away at the door, counted apart.
    pub(super) refused: Option<String>,
    pub(super) distributor: String,
    pub(super) version: String,
    pub(super) up: String,
    pub(super) at: String,
}

impl Foot {
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
            refused: (refused > 0).then(|| format!("refused apart: {}", count(refused))),
            distributor: view.distributor.id.short(),
            version: view.distributor.version.clone(),
            up: view.distributor.up.to_string(),
            at: time_of_day(view.unix_ms),
        }
    }
}
