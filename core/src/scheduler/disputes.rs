//! What the answers of equal calls say of workers and functions, if they differ. A worker explains a
//! difference if all runs of other workers agree; only one that explains every difference of a
//! function may be to blame, and if none does, the function differs by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::message::Answer;
use simple_dist_protocol::{Address, WorkerId};

/// The most runs of one call: after so many it stays undecided.
const RUNS: usize = 5;
/// The most functions whose answers differ at once; the one that did so longest ago makes room.
const FUNCTIONS: usize = 256;
/// A function whose answers have not differed for so long begins anew.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Runs of one call, in order: the worker of each, and what it has answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Runs(Vec<(WorkerId, Answer)>);

impl Runs {
    /// The call's own run.
    pub(crate) fn of(worker: WorkerId, answer: Answer) -> Self {
        Self(vec![(worker, answer)])
    }

    /// One more run.
    pub(crate) fn add(&mut self, worker: WorkerId, answer: Answer) {
        self.0.push((worker, answer));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(WorkerId, Answer)> {
        self.0.iter()
    }

    /// Whether all of them have answered the same.
    pub(crate) fn agree(&self) -> bool {
        self.0.windows(2).all(|two| two[0].1 == two[1].1)
    }

    /// Whether other workers than the first have run it.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.0.iter().any(|(worker, _)| *worker != self.0[0].0)
    }

    /// The workers that explain the difference.
    fn culprits(&self) -> Vec<WorkerId> {
        let mut workers: Vec<WorkerId> = self.0.iter().map(|(worker, _)| *worker).collect();
        workers.sort_unstable();
        workers.dedup();
        let explains = |culprit: &WorkerId| {
            let mut others = self.0.iter().filter(|(worker, _)| worker != culprit);
            let first = others.next().map(|(_, answer)| answer);
            others.all(|(_, answer)| Some(answer) == first)
        };
        workers.retain(explains);
        workers
    }

    /// The one worker that explains the difference, if two runs agree against it, one of them of
    /// another worker.
    pub(crate) fn outvoted(&self) -> Option<WorkerId> {
        let [culprit] = self.culprits()[..] else { return None };
        let (_, right) = self.0.iter().find(|(worker, _)| *worker != culprit)?;
        let votes = self.0.iter().filter(|(_, answer)| answer == right).count();
        (votes >= 2).then_some(culprit)
    }

    /// Whether a further run would tell nothing new, or there were enough.
    pub(crate) fn is_decided(&self) -> bool {
        self.culprits().is_empty() || self.outvoted().is_some() || self.0.len() >= RUNS
    }
}

/// What all differences of a function say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Several workers may be to blame.
    Undecided,
    /// One worker was outvoted in so many calls, and nobody else.
    Outvoted(WorkerId, u32),
    /// No worker explains them: the function differs by itself.
    NotDeterministic,
}

/// The functions whose answers differ.
#[derive(Debug, Default)]
pub(crate) struct Disputes {
    functions: BTreeMap<Address, Dispute>,
    /// Who was outvoted, of which function and in how many calls, and has yet to be judged.
    pub(crate) outvoted: Vec<(WorkerId, Address, u32)>,
}

#[derive(Debug)]
struct Dispute {
    /// The workers that explain all of it.
    culprits: Vec<WorkerId>,
    /// In how many calls the only one of them was outvoted.
    calls: u32,
    last: Duration,
}

impl Disputes {
    /// Whether answers of this function have differed lately.
    pub(crate) fn is_open(&self, function: &Address, now: Duration) -> bool {
        let of = self.functions.get(function);
        of.is_some_and(|of| now.saturating_sub(of.last) < FORGOTTEN)
    }

    /// Answers of a call of this function differ.
    pub(crate) fn note(&mut self, function: &Address, runs: &Runs, now: Duration) -> Verdict {
        let culprits = runs.culprits();
        self.functions.retain(|_, of| now.saturating_sub(of.last) < FORGOTTEN);
        if self.functions.len() >= FUNCTIONS && !self.functions.contains_key(function) {
            let oldest = self.functions.iter().min_by_key(|(_, of)| of.last);
            let oldest = oldest.map(|(function, _)| function.clone());
            oldest.into_iter().for_each(|function| _ = self.functions.remove(&function));
        }
        let of = self.functions.entry(function.clone()).or_insert_with(|| Dispute {
            culprits: culprits.clone(),
            calls: 0,
            last: now,
        });
        of.culprits.retain(|worker| culprits.contains(worker));
        of.calls += u32::from(runs.outvoted().is_some());
        of.last = now;
        match of.culprits[..] {
            [] => {
                self.functions.remove(function);
                Verdict::NotDeterministic
            }
            [worker] if of.calls > 0 => Verdict::Outvoted(worker, of.calls),
            [_, ..] => Verdict::Undecided,
        }
    }

    /// What was said of this worker counts no more.
    pub(crate) fn pardon(&mut self, worker: WorkerId) {
        self.functions.retain(|_, of| !of.culprits.contains(&worker));
        self.outvoted.retain(|(outvoted, ..)| *outvoted != worker);
    }

    /// The term is over.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(all: &[(u128, u8)]) -> Runs {
        let run = |(worker, value): &(u128, u8)| {
            (WorkerId::from_u128(*worker), Answer::Value(vec![*value].into()))
        };
        Runs(all.iter().map(run).collect())
    }

    /// The verdict on these calls of one function, one after another.
    fn verdict(calls: &[&[(u128, u8)]]) -> Verdict {
        let (mut disputes, function) = (Disputes::default(), "fib@1".parse().unwrap());
        let verdicts =
            calls.iter().map(|call| disputes.note(&function, &runs(call), Duration::ZERO));
        verdicts.last().unwrap()
    }

    fn outvoted(worker: u128, calls: u32) -> Verdict {
        Verdict::Outvoted(WorkerId::from_u128(worker), calls)
    }

    #[test]
    fn two_against_one_decide_if_they_are_not_the_same() {
        for (all, is_decided) in [
            (&[(1, 0), (2, 1)][..], false),
            (&[(1, 0), (2, 1), (3, 0)], true),
            (&[(1, 0), (2, 1), (3, 1)], true),
            // One worker agrees with itself: the other may be right.
            (&[(1, 0), (2, 1), (1, 0)], false),
            // It does not agree with itself, and nobody else has run it.
            (&[(1, 0), (1, 1), (1, 0)], false),
            (&[(1, 0), (1, 1), (2, 0)], true),
            (&[(1, 0), (1, 1), (2, 2)], false),
            (&[(1, 0), (2, 1), (3, 2)], true),
            (&[(1, 0), (2, 1), (1, 0), (2, 1), (1, 0)], true),
        ] {
            assert_eq!(runs(all).is_decided(), is_decided, "{all:?}");
        }
    }

    #[test]
    fn a_worker_is_to_blame_if_it_alone_explains_every_difference() {
        let first = &[(1, 0), (2, 1), (3, 0)][..];
        assert_eq!(verdict(&[first]), outvoted(2, 1));
        assert_eq!(verdict(&[first, &[(2, 7), (1, 0), (3, 0)]]), outvoted(2, 2));
        // What cannot be decided between two counts for neither, and clears the third.
        let between = &[(1, 0), (2, 1), (1, 0), (2, 1), (1, 0)][..];
        assert_eq!(verdict(&[between]), Verdict::Undecided);
        assert_eq!(verdict(&[first, between]), outvoted(2, 1));
        assert_eq!(verdict(&[between, &[(1, 0), (2, 0), (3, 1)]]), Verdict::NotDeterministic);
    }

    #[test]
    fn if_no_worker_explains_the_differences_the_function_differs_by_itself() {
        assert_eq!(verdict(&[&[(1, 0), (2, 1), (3, 2)]]), Verdict::NotDeterministic);
        let (one, other) = (&[(1, 0), (2, 1), (3, 0)][..], &[(1, 0), (2, 0), (3, 1)][..]);
        assert_eq!(verdict(&[one, other]), Verdict::NotDeterministic);
        // Alone it may be the function or the machine.
        assert_eq!(verdict(&[&[(1, 0), (1, 1), (1, 2), (1, 3), (1, 4)]]), Verdict::Undecided);
    }

    #[test]
    fn what_differed_long_ago_is_forgotten_and_so_many_functions_are_kept() {
        let mut disputes = Disputes::default();
        let of = |number: u64| -> Address { format!("f{number}@1").parse().unwrap() };
        for number in 0..=FUNCTIONS as u64 {
            let now = Duration::from_secs(number);
            disputes.note(&of(number), &runs(&[(1, 0), (2, 1), (3, 0)]), now);
        }
        let late = Duration::from_secs(300);
        assert!(!disputes.is_open(&of(0), late) && disputes.is_open(&of(1), late));
        let late = late + FORGOTTEN;
        assert!(!disputes.is_open(&of(1), late));
        let again = disputes.note(&of(1), &runs(&[(1, 1), (2, 0), (3, 0)]), late);
        assert_eq!((again, disputes.functions.len()), (outvoted(1, 1), 1));
    }
}
