//! The backlog: waiting jobs and their order. Each function has one queue per class of jobs; each
//! pool ranks the functions whose jobs it may take next; each login, and each of its clients, has a
//! fair share.

pub(crate) mod queue;
pub(crate) mod ranking;
pub(crate) mod users;

use std::collections::{BTreeMap, BTreeSet};

use simple_dist_protocol::PoolId;

use super::ids::{FunctionRef, JobRef};
use queue::QueueClass;
use queue::{NextJob, Position, Queue};
use ranking::Ranking;
use users::Users;

/// The waiting jobs.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) users: Users,
    /// The queues of each function, by its index.
    lines: Vec<PerClass<Queue>>,
    pools: BTreeMap<PoolId, PerClass<Ranking>>,
    /// Functions with newly waiting jobs.
    ready: BTreeSet<FunctionRef>,
}

/// One value per class: for jobs without marks, for those that an earlier term may have placed, and
/// for marked ones, which are placed one at a time.
#[derive(Debug, Default)]
struct PerClass<T> {
    unmarked: T,
    resent: T,
    marked: T,
}

impl<T> PerClass<T> {
    fn get(&mut self, line: QueueClass) -> &mut T {
        match line {
            QueueClass::Unmarked => &mut self.unmarked,
            QueueClass::Resent => &mut self.resent,
            QueueClass::Marked => &mut self.marked,
        }
    }
}

impl Backlog {
    /// Adds a job to one of its function's queues.
    pub(crate) fn push(
        &mut self,
        function: FunctionRef,
        line: QueueClass,
        position: Position,
        job: JobRef,
    ) {
        if self.lines.len() <= function.index() {
            self.lines.resize_with(function.index() + 1, PerClass::default);
        }
        self.users.job_queued(position.user, position.client);
        self.lines[function.index()].get(line).push(position, job, &self.users);
        self.ready.insert(function);
    }

    /// Removes a job, wherever it stands.
    pub(crate) fn remove(&mut self, function: FunctionRef, line: QueueClass, position: Position) {
        if let Some(lines) = self.lines.get_mut(function.index()) {
            lines.get(line).remove(position);
        }
        self.users.job_dequeued(position.user, position.client);
    }

    /// The jobs without marks that wait for a function.
    pub(crate) fn unmarked(&self, function: FunctionRef) -> impl Iterator<Item = JobRef> {
        let lines = self.lines.get(function.index()).into_iter();
        lines.flat_map(|lines| lines.unmarked.jobs().chain(lines.resent.jobs()))
    }

    /// All jobs that wait for a function, unmarked ones first.
    pub(crate) fn waiting(&self, function: FunctionRef) -> impl Iterator<Item = JobRef> {
        let marked = self.lines.get(function.index()).into_iter();
        self.unmarked(function).chain(marked.flat_map(|lines| lines.marked.jobs()))
    }

    /// Some of the jobs that wait for a function, each with the number of jobs that it stands for.
    pub(crate) fn some(&self, function: FunctionRef) -> impl Iterator<Item = (JobRef, u64)> {
        let lines = self.lines.get(function.index()).into_iter();
        let queues = lines.flat_map(|lines| [&lines.unmarked, &lines.resent, &lines.marked]);
        queues.flat_map(Queue::some)
    }

    /// The oldest job of every queue.
    pub(crate) fn oldest(&self) -> impl Iterator<Item = JobRef> {
        let queues =
            self.lines.iter().flat_map(|lines| [&lines.unmarked, &lines.resent, &lines.marked]);
        queues.filter_map(Queue::oldest)
    }

    /// A pool now serves these functions: marks those with waiting jobs as ready.
    pub(crate) fn offer(&mut self, functions: &[FunctionRef]) {
        let lines = |function: &FunctionRef| self.lines.get(function.index());
        let waits = |lines: &PerClass<Queue>| {
            [&lines.unmarked, &lines.resent, &lines.marked].iter().any(|line| !line.is_empty())
        };
        let ready = functions.iter().filter(|function| lines(function).is_some_and(waits));
        self.ready.extend(ready);
    }

    /// The functions with newly waiting jobs since this was last called.
    pub(crate) fn take_ready(&mut self) -> BTreeSet<FunctionRef> {
        std::mem::take(&mut self.ready)
    }

    /// Updates the pools' rankings for a function with newly waiting jobs.
    pub(crate) fn rank(&mut self, function: FunctionRef, pools: &BTreeSet<PoolId>) {
        let Some(lines) = self.lines.get_mut(function.index()) else { return };
        for line in [QueueClass::Unmarked, QueueClass::Resent, QueueClass::Marked] {
            let Some(first) = lines.get(line).first(&self.users) else { continue };
            for pool in pools {
                let ranking = self.pools.entry(*pool).or_default().get(line);
                ranking.set(function, Some(first.rank()));
            }
        }
    }

    /// The first job of this class among all the pool's functions.
    pub(crate) fn first(&mut self, pool: PoolId, line: QueueClass) -> Option<NextJob> {
        let ranking = self.pools.get_mut(&pool)?.get(line);
        loop {
            let (rank, function) = ranking.first()?;
            let queue = self.lines.get_mut(function.index())?.get(line);
            let first = queue.first(&self.users);
            let now = first.map(|first| first.rank());
            if now == Some(rank) {
                return first;
            }
            ranking.set(function, now);
        }
    }

    /// Forgets a pool's ranking.
    pub(crate) fn forget_pool(&mut self, pool: PoolId) {
        self.pools.remove(&pool);
    }

    /// Forgets all waiting jobs: the term is over.
    pub(crate) fn forget_term(&mut self) {
        self.users.forget_jobs();
        self.lines.clear();
        self.pools.clear();
        self.ready.clear();
    }
}
