//! The footer of every page: the job counts, the distributor they come from, and their time.

use crate::view::format::{count, time_of_day};
use crate::view::{Phase, View};

/// The footer of a page.
pub(super) struct Footer {
    /// `accepted 1,234 = queued 3 + ..`; `None` on a distributor that counts nothing.
    pub(super) books: Option<String>,
    pub(super) balance: bool,
    /// Refused jobs, which are not among the accepted.
    pub(super) refused: Option<String>,
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
            distributor: view.distributor.id.short(),
            version: view.distributor.version.clone(),
            up: view.distributor.up.to_string(),
            at: time_of_day(view.unix_ms),
        }
    }
}
