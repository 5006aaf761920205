//! Trials: runs that the scheduler makes of its own accord, whose answers no client waits for. A room
//! of its own: in the tables of jobs there is none of them, so that they change no count, share,
//! measurement or evidence. Where they are, in a queue or a slot, the orphans say.
//!
//! Each is one attempt that is never repeated. A call of which a trial ended its process, or was lost
//! with its worker, is not tried again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::{Address, Attempt, CallDigest, JobKey, PoolId, Term, WorkerId};

use super::cross_check::Check;
use super::fleet::orphans::OrphanId;
use super::ids::Key;
use super::shadowing::Shadowed;

/// The most trials at once, and the most bytes of what they keep.
const MOST: (usize, usize) = (64, 16 * 1024 * 1024);
/// The most calls remembered that are not tried again.
const BLAMED: usize = 1024;
/// A trial that found no idle slot for so long is not made.
const WAITS: Duration = Duration::from_secs(5);
/// An attempt that is nowhere any more has ended; its answer may be on its way for so long.
const ANSWER: Duration = Duration::from_secs(1);

/// A run to make.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) function: Address,
    pub(crate) args: Bytes,
    /// How long the run took that it repeats.
    pub(crate) took: Duration,
    /// The worker of that run; another one is better.
    pub(crate) beside: WorkerId,
    pub(crate) purpose: Purpose,
}

/// What a trial is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// Its answer is compared with that of the call's own run.
    Check(Box<Check>),
    /// Its answer is compared with that of the call's own run, of another version.
    Shadow(Box<Shadowed>),
}

/// A trial in a pool's queue or a slot.
#[derive(Debug)]
struct Placed {
    trial: Trial,
    pool: PoolId,
    /// When it is given up.
    until: Duration,
    /// Since when its attempt is neither in a queue nor in a slot.
    gone: Option<Duration>,
    /// Whether its slot was wanted.
    given_up: bool,
}

/// What is wrong with a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// No slot was idle.
    Waiting,
    /// It runs for too long.
    Running,
    /// It ended without a word.
    Gone,
}

/// All trials.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    waiting: VecDeque<(Duration, Trial)>,
    placed: BTreeMap<OrphanId, Placed>,
    bytes: usize,
    made: u64,
    blamed: VecDeque<CallDigest>,
}

impl Trial {
    fn bytes(&self) -> usize {
        let kept = match &self.purpose {
            Purpose::Check(check) => check.bytes(),
            Purpose::Shadow(shadowed) => shadowed.bytes(),
        };
        self.args.len() + kept
    }

    /// Whether nobody knows yet how its function behaves.
    pub(crate) fn is_shadow(&self) -> bool {
        matches!(self.purpose, Purpose::Shadow(_))
    }

    fn call(&self) -> CallDigest {
        CallDigest::of(&self.function, &self.args)
    }
}

impl Trials {
    /// Wants a run to be made. Returns it if there is no room for it, or its call may not be tried.
    pub(crate) fn propose(&mut self, trial: Trial, now: Duration) -> Option<Trial> {
        let bytes = self.bytes + trial.bytes();
        let is_full = self.waiting.len() + self.placed.len() >= MOST.0 || bytes > MOST.1;
        if is_full || self.blamed.contains(&trial.call()) {
            return Some(trial);
        }
        self.bytes = bytes;
        self.waiting.push_back((now, trial));
        None
    }

    /// The next trial to place, and since when it waits.
    pub(crate) fn next(&mut self) -> Option<(Duration, Trial)> {
        let next = self.waiting.pop_front()?;
        self.bytes -= next.1.bytes();
        Some(next)
    }

    /// It waits on.
    pub(crate) fn wait(&mut self, since: Duration, trial: Trial) {
        self.bytes += trial.bytes();
        self.waiting.push_back((since, trial));
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is any for such a purpose.
    pub(crate) fn has(&self, is_such: impl Fn(&Purpose) -> bool) -> bool {
        let waiting = self.waiting.iter().map(|(_, trial)| trial);
        waiting.chain(self.placed.values().map(|it| &it.trial)).any(|it| is_such(&it.purpose))
    }

    /// The key of the next run.
    pub(crate) fn next_key(&mut self, term: Term) -> JobKey {
        self.made += 1;
        JobKey::trial(term, self.made)
    }

    /// A trial is sent to a pool.
    pub(crate) fn place(&mut self, id: OrphanId, trial: Trial, pool: PoolId, until: Duration) {
        self.bytes += trial.bytes();
        self.placed.insert(id, Placed { trial, pool, until, gone: None, given_up: false });
    }

    /// Whether this attempt is a trial that goes on.
    pub(crate) fn is_placed(&self, id: &OrphanId) -> bool {
        self.placed.contains_key(id)
    }

    /// What this attempt is for, in one word.
    pub(crate) fn purpose(&self, id: &OrphanId) -> Option<&'static str> {
        self.placed.get(id).map(|placed| match placed.trial.purpose {
            Purpose::Check(_) => "check",
            Purpose::Shadow(_) => "shadow",
        })
    }

    /// A trial that is over; with the pool it was sent to.
    pub(crate) fn take(&mut self, id: &OrphanId) -> Option<(Trial, PoolId)> {
        let Placed { trial, pool, .. } = self.placed.remove(id)?;
        self.bytes -= trial.bytes();
        Some((trial, pool))
    }

    /// The pool that a trial was sent to.
    pub(crate) fn pool(&self, id: &OrphanId) -> Option<PoolId> {
        self.placed.get(id).map(|placed| placed.pool)
    }

    /// Its call is not tried again, and what of it waits is dropped. Returns that.
    pub(crate) fn blame(&mut self, trial: &Trial) -> Vec<Trial> {
        let call = trial.call();
        if self.blamed.len() >= BLAMED {
            self.blamed.pop_front();
        }
        self.blamed.push_back(call);
        let is_same = |other: &Trial| other.call() == call;
        let (gone, stay) = self.waiting.drain(..).partition(|(_, trial)| is_same(trial));
        self.waiting = stay;
        let gone: VecDeque<(Duration, Trial)> = gone;
        gone.into_iter()
            .map(|(_, trial)| {
                self.bytes -= trial.bytes();
                trial
            })
            .collect()
    }

    /// Gives up the trials that are in the way. They stay known until they have ended: one of them may
    /// have ended its process.
    pub(crate) fn give_up(
        &mut self,
        is_in_the_way: impl Fn(&OrphanId, PoolId) -> bool,
    ) -> Vec<Key> {
        let given_up = self.placed.iter_mut();
        let given_up = given_up.filter(|(id, it)| !it.given_up && is_in_the_way(id, it.pool));
        given_up
            .map(|(id, placed)| {
                placed.given_up = true;
                id.0
            })
            .collect()
    }

    /// Whether this attempt is a trial that was given up.
    pub(crate) fn is_given_up(&self, id: &OrphanId) -> bool {
        self.placed.get(id).is_some_and(|placed| placed.given_up)
    }

    /// The trials that are over by now, each with its attempt. `is_there` tells whether that is in a
    /// queue or a slot.
    pub(crate) fn overdue(
        &mut self,
        is_there: impl Fn(&OrphanId) -> bool,
        now: Duration,
    ) -> Vec<(Option<Key>, Trial, Overdue)> {
        let mut over = vec![];
        while self.waiting.front().is_some_and(|(since, _)| now.saturating_sub(*since) >= WAITS) {
            over.extend(self.next().map(|(_, trial)| (None, trial, Overdue::Waiting)));
        }
        let mut ids = vec![];
        for (id, placed) in &mut self.placed {
            placed.gone = if is_there(id) { None } else { placed.gone.or(Some(now)) };
            if placed.gone.is_some_and(|since| now.saturating_sub(since) >= ANSWER) {
                ids.push((*id, Overdue::Gone));
            } else if now >= placed.until {
                ids.push((*id, if placed.given_up { Overdue::Waiting } else { Overdue::Running }));
            }
        }
        for (id, why) in ids {
            over.extend(self.take(&id).map(|(trial, _)| (Some(id.0), trial, why)));
        }
        over
    }

    /// The term is over: all of them are dropped. Returns how many.
    pub(crate) fn clear(&mut self) -> usize {
        let gone = self.waiting.len() + self.placed.len();
        *self = Self { made: self.made, ..Self::default() };
        gone
    }
}

/// The one attempt of a trial.
pub(crate) fn attempt(term: Term) -> Attempt {
    Attempt { term, number: 1 }
}
