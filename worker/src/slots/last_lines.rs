//! The last lines that jobs have printed, until a beat tells them.

use std::collections::VecDeque;
use std::mem::{replace, take};
use std::sync::{Mutex, MutexGuard, PoisonError};

use simple_dist_protocol::Term;
use simple_dist_protocol::limits::PRINTED_LINES;
use simple_dist_protocol::message::Printed;
use simple_dist_protocol::panic_log::Run as Logged;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LastLines(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Printed>,
    /// Whether one has come since they were last told.
    is_new: bool,
    /// The term that the last beat named: another one has not heard them.
    term: Option<Term>,
}

impl LastLines {
    /// A job has printed this.
    pub(super) fn push(&self, job: &Logged, line: &str) {
        let printed = Printed::new(job.job, job.function.clone(), line);
        let mut kept = self.lock();
        if kept.lines.len() == PRINTED_LINES {
            kept.lines.pop_front();
        }
        kept.lines.push_back(printed);
        kept.is_new = true;
    }

    /// What a beat that names this term is to tell: all of them, or none.
    pub(super) fn due(&self, term: Option<Term>) -> Vec<Printed> {
        let mut kept = self.lock();
        let is_told = replace(&mut kept.term, term) == term;
        if take(&mut kept.is_new) || !is_told {
            kept.lines.iter().cloned().collect()
        } else {
            vec![]
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::JobId;

    use super::*;

    #[test]
    fn the_last_lines_are_told_when_one_is_new_and_to_each_term() {
        let job =
            Logged { job: JobId::from_u128(1), function: "f@1".parse().unwrap(), attempt: None };
        let lines = LastLines::default();
        for number in 0..=PRINTED_LINES {
            lines.push(&job, &number.to_string());
        }
        let told = |term| {
            let due = lines.due(term);
            due.first().map(|it| (due.len(), it.line.clone()))
        };
        let all = Some((PRINTED_LINES, "1".to_owned()));
        assert_eq!([None, None].map(told), [all.clone(), None]);
        assert_eq!(
            [Some(Term(1)), Some(Term(1)), Some(Term(2))].map(told),
            [all.clone(), None, all]
        );
        lines.push(&job, "more");
        assert_eq!(told(Some(Term(2))), Some((PRINTED_LINES, "2".to_owned())));
    }
}
