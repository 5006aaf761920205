//! The backlog: what waits, and in which order it goes. Each function has a queue for its calm jobs
//! and one for its marked ones; each pool a ranking of the functions whose jobs it may take next;
//! each login, and each of its clients, a fair share.

pub(crate) mod queue;
pub(crate) mod ranking;
pub(crate) mod users;

use std::collections::{BTreeMap, BTreeSet};

use simple_dist_protocol::PoolId;

use super::fleet::functions::FunctionRef;
use super::jobs::{JobRef, Line};

use queue::{First, Place, Queue};
use ranking::Ranking;
use users::Users;

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) users: Users,
    /// Of each function that anything ever waited for, in its place.
    lines: Vec<Lines<Queue>>,
    pools: BTreeMap<PoolId, Lines<Ranking>>,
    /// Functions that jobs have come to wait for.
    ready: BTreeSet<FunctionRef>,
}

/// One for calm jobs, one for those that an earlier term may have placed, and one for those with
/// marks, which are placed one at a time.
#[derive(Debug, Default)]
struct Lines<T> {
    calm: T,
    resent: T,
    suspects: T,
}

impl<T> Lines<T> {
    fn get(&mut self, line: Line) -> &mut T {
        match line {
            Line::Calm => &mut self.calm,
            Line::Resent => &mut self.resent,
            Line::Suspect => &mut self.suspects,
        }
    }
}

impl Backlog {
    /// A job joins one of its function's queues.
    pub(crate) fn push(&mut self, function: FunctionRef, line: Line, place: Place, job: JobRef) {
        if self.lines.len() <= function.place() {
            self.lines.resize_with(function.place() + 1, Lines::default);
        }
        self.users.waits(place.user, place.client);
        self.lines[function.place()].get(line).push(place, job, &self.users);
        self.ready.insert(function);
    }

    /// A job leaves it, from wherever it stands.
    pub(crate) fn remove(&mut self, function: FunctionRef, line: Line, place: Place) {
        if let Some(lines) = self.lines.get_mut(function.place()) {
            lines.get(line).remove(place);
        }
        self.users.waits_no_more(place.user, place.client);
    }

    /// The jobs without marks that wait for a function.
    pub(crate) fn calm(&self, function: FunctionRef) -> impl Iterator<Item = JobRef> {
        let lines = self.lines.get(function.place()).into_iter();
        lines.flat_map(|lines| lines.calm.jobs().chain(lines.resent.jobs()))
    }

    /// All jobs that wait for a function: the calm ones first.
    pub(crate) fn waiting(&self, function: FunctionRef) -> impl Iterator<Item = JobRef> {
        let suspects = self.lines.get(function.place()).into_iter();
        self.calm(function).chain(suspects.flat_map(|lines| lines.suspects.jobs()))
    }

    /// The oldest job of every queue.
    pub(crate) fn oldest(&self) -> impl Iterator<Item = JobRef> {
        let queues =
            self.lines.iter().flat_map(|lines| [&lines.calm, &lines.resent, &lines.suspects]);
        queues.filter_map(Queue::oldest)
    }

    /// A pool has come to serve these: it is to hear of what waits for them.
    pub(crate) fn offer(&mut self, functions: &[FunctionRef]) {
        let lines = |function: &FunctionRef| self.lines.get(function.place());
        let waits = |lines: &Lines<Queue>| {
            [&lines.calm, &lines.resent, &lines.suspects].iter().any(|line| !line.is_empty())
        };
        let ready = functions.iter().filter(|function| lines(function).is_some_and(waits));
        self.ready.extend(ready);
    }

    /// The functions that jobs have come to wait for since this was last asked.
    pub(crate) fn take_ready(&mut self) -> BTreeSet<FunctionRef> {
        std::mem::take(&mut self.ready)
    }

    /// Lets pools know of a function that jobs have come to wait for.
    pub(crate) fn rank(&mut self, function: FunctionRef, pools: &BTreeSet<PoolId>) {
        let Some(lines) = self.lines.get_mut(function.place()) else { return };
        for line in [Line::Calm, Line::Resent, Line::Suspect] {
            let Some(first) = lines.get(line).first(&self.users) else { continue };
            for pool in pools {
                let ranking = self.pools.entry(*pool).or_default().get(line);
                ranking.set(function, Some(first.rank()));
            }
        }
    }

    /// The first job in this line of all the pool's functions.
    pub(crate) fn first(&mut self, pool: PoolId, line: Line) -> Option<First> {
        let ranking = self.pools.get_mut(&pool)?.get(line);
        loop {
            let (rank, function) = ranking.first()?;
            let queue = self.lines.get_mut(function.place())?.get(line);
            let first = queue.first(&self.users);
            let now = first.map(|first| first.rank());
            if now == Some(rank) {
                return first;
            }
            ranking.set(function, now);
        }
    }

    /// The pool is no more.
    pub(crate) fn forget_pool(&mut self, pool: PoolId) {
        self.pools.remove(&pool);
    }

    /// Nothing waits any more: the term is over.
    pub(crate) fn forget_term(&mut self) {
        self.users.forget_jobs();
        self.lines.clear();
        self.pools.clear();
        self.ready.clear();
    }
}
