//! The link and the term: when we lead, whether our presence comes back to us, and from when on
//! silence counts.

use std::collections::VecDeque;
use std::time::Duration;

use simple_dist_protocol::limits::{BEAT, ECHO, EXPECTED_BACK, SILENCE, TERM_LISTENS};
use simple_dist_protocol::message::Presence;
use simple_dist_protocol::{PoolId, Term};

use super::fact::Fact;
use super::functions::{Function, FunctionRef};
use super::pools::PoolQueue;
use super::{Effect, Outgoing, Rooms, Sweep};

/// A term that could not empty `sd.answers` for this long begins all the same: answers come as
/// fast as they are read, and none of them is lost by that.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
/// The presences of an outage that are remembered: only the oldest decides.
const UNECHOED: usize = 64;

/// What the broker lets us do.
#[derive(Debug, Default)]
pub(super) struct LinkState {
    phase: Phase,
    blocked: bool,
    up_since: Duration,
    /// Since when silence counts.
    pub(super) fresh: Duration,
    /// Whether we may judge, purge and place now.
    pub(super) judges: bool,
    last_tick: Duration,
    last_aged: Duration,
    /// What another distributor showed last, and when.
    other: Option<(Presence, Duration)>,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Down,
    Standby,
    Leading(Leading),
}

/// A term of ours.
#[derive(Debug)]
pub(super) struct Leading {
    pub(super) term: Term,
    pub(super) since: Duration,
    drain: Drain,
    seq: u64,
    /// When presence was last sent.
    shown: Option<Duration>,
    /// Whether presence came back since it last ceased to.
    echoed: bool,
    /// Presences that have not come back, the oldest first, and when they were sent.
    unechoed: VecDeque<(u64, Duration)>,
    /// What is served has changed since.
    pub(super) changed: bool,
}

/// How far `sd.answers` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    Asking,
    /// It was seen empty; what was on its way to us then comes before the next tick.
    SeenEmpty,
    Done,
}

impl Leading {
    /// Presence is to be shown at once, and nothing judged until it came back.
    fn begin_anew(&mut self) {
        self.echoed = false;
        self.unechoed.clear();
        self.shown = None;
    }
}

impl LinkState {
    /// Our term, if we lead.
    pub(super) fn leading(&self) -> Option<&Leading> {
        match &self.phase {
            Phase::Leading(leading) => Some(leading),
            Phase::Down | Phase::Standby => None,
        }
    }

    pub(super) fn leading_mut(&mut self) -> Option<&mut Leading> {
        match &mut self.phase {
            Phase::Leading(leading) => Some(leading),
            Phase::Down | Phase::Standby => None,
        }
    }

    /// The distributor that leads, if it is another one and was heard of late.
    pub(super) fn active(&self, now: Duration) -> Option<&Presence> {
        let (presence, at) = self.other.as_ref()?;
        (now.saturating_sub(*at) < SILENCE).then_some(presence)
    }

    pub(super) fn is_up(&self) -> bool {
        !matches!(self.phase, Phase::Down)
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether what we hear, and do not hear, means anything at this time.
    fn carries(&self, now: Duration) -> bool {
        let echoes = match &self.phase {
            Phase::Down => false,
            Phase::Standby => true,
            Phase::Leading(leading) => {
                leading.echoed
                    && leading
                        .unechoed
                        .front()
                        .is_none_or(|(_, sent)| now.saturating_sub(*sent) < ECHO)
            }
        };
        echoes && !self.blocked
    }
}

impl Rooms {
    pub(super) fn link_up(&mut self) {
        self.forget_term();
        self.link.phase = Phase::Standby;
        self.link.blocked = false;
        self.link.up_since = self.now;
        self.link.fresh = self.now;
        self.link.last_tick = self.now;
    }

    pub(super) fn link_down(&mut self) {
        self.forget_term();
        for function in self.functions.iter_mut() {
            function.expected |= !function.pools.is_empty();
            function.pools.clear();
        }
        self.facts.push(Fact::LinkLost);
        self.workers.clear();
        self.pools.clear();
        self.link.phase = Phase::Down;
        self.link.judges = false;
    }

    pub(super) fn block(&mut self, blocked: bool) {
        self.link.blocked = blocked;
        if let Some(leading) = self.link.leading_mut() {
            leading.begin_anew();
        }
        self.watch_link();
    }

    pub(super) fn lead(&mut self, term: Term) {
        self.forget_term();
        self.link.phase = Phase::Leading(Leading {
            term,
            since: self.now,
            drain: Drain::Asking,
            seq: 0,
            shown: None,
            echoed: false,
            unechoed: VecDeque::new(),
            changed: false,
        });
        self.link.judges = false;
        self.link.fresh = self.now;
        self.link.last_tick = self.now;
        self.ask_depths(vec![]);
        let pools: Vec<_> = self.pools.keys().copied().collect();
        for pool in pools {
            self.declare(pool);
        }
    }

    /// Presence came through the broker.
    pub(super) fn seen(&mut self, presence: &Presence) {
        let ours = self.config.distributor;
        if let Some(leading) = self.link.leading_mut()
            && (presence.distributor, presence.term) == (ours, leading.term)
        {
            leading.echoed = true;
            while leading.unechoed.pop_front_if(|(seq, _)| *seq <= presence.seq).is_some() {}
            self.watch_link();
        }
        if presence.distributor != ours {
            // The younger one has seen later that nobody held the lock. What an earlier term has
            // left behind, too, comes to the younger one only.
            let leading = self.link.leading();
            if leading.is_some_and(|it| self.now.saturating_sub(it.since) >= SILENCE) {
                self.effects.push(Effect::StepDown);
            }
            self.link.other = Some((presence.clone(), self.now));
        }
    }

    /// Whether we may judge; if we may again, everybody gets a fresh start.
    pub(super) fn watch_link(&mut self) {
        let carries = self.link.carries(self.now);
        if carries && !self.link.judges {
            self.link.fresh = self.now;
            self.open.extend(self.pools.keys());
        }
        if !carries {
            self.sweep.void();
        }
        self.link.judges = carries;
    }

    /// Whether this process itself stood still: then what it did not hear means nothing.
    pub(super) fn mind_the_gap(&mut self) {
        let gap = self.now.saturating_sub(self.link.last_tick);
        self.link.last_tick = self.now;
        if gap >= ECHO {
            self.link.fresh = self.now;
            if let Some(leading) = self.link.leading_mut() {
                leading.begin_anew();
                self.link.judges = false;
            }
        }
    }

    /// Drains, listens, then shows itself once a second.
    pub(super) fn go_on_with_the_term(&mut self) {
        let (now, blocked) = (self.now, self.link.blocked);
        let Some(leading) = self.link.leading_mut() else { return };
        match leading.drain {
            Drain::Asking if now.saturating_sub(leading.since) < DRAIN_PATIENCE => {
                self.ask_depths(vec![]);
                return;
            }
            Drain::Asking | Drain::SeenEmpty => leading.drain = Drain::Done,
            Drain::Done => {}
        }
        let listened = now.saturating_sub(leading.since) >= TERM_LISTENS;
        let due =
            leading.changed || leading.shown.is_none_or(|shown| now.saturating_sub(shown) >= BEAT);
        if listened && due && !blocked {
            self.show();
        }
    }

    /// Whether what an earlier term left in `sd.answers` is still being read.
    pub(super) fn is_draining(&self) -> bool {
        self.link.leading().is_some_and(|leading| leading.drain == Drain::Asking)
    }

    /// `sd.answers` was seen empty.
    pub(super) fn answers_seen_empty(&mut self) {
        if let Some(leading) = self.link.leading_mut()
            && leading.drain == Drain::Asking
        {
            leading.drain = Drain::SeenEmpty;
        }
    }

    fn show(&mut self) {
        let functions = self
            .functions
            .iter()
            .filter(|(_, function)| function.is_live())
            .filter_map(|(_, function)| function.address.clone())
            .collect();
        let (distributor, backlog, bound) =
            (self.config.distributor, self.jobs.waiting(), self.full_for(0));
        let now = self.now;
        let Some(leading) = self.link.leading_mut() else { return };
        leading.seq += 1;
        leading.shown = Some(now);
        leading.changed = false;
        if leading.unechoed.len() < UNECHOED {
            leading.unechoed.push_back((leading.seq, now));
        }
        let (term, seq) = (leading.term, leading.seq);
        let presence =
            Presence { distributor, term, seq, functions, backlog, room: bound.is_none(), bound };
        self.effects.push(Effect::Presence(presence));
    }

    /// From when on nobody is expected to serve the function any more.
    pub(super) fn hopeless_at(&self, function: Option<FunctionRef>) -> Duration {
        let since = self.link.leading().map_or(Duration::ZERO, |leading| leading.since);
        let mut from = since.max(self.link.fresh) + SILENCE;
        if let Some(function) = function.map(|function| self.functions.get(function)) {
            let pools = function.pools.iter().filter_map(|pool| self.pools.get(pool));
            let heard = pools.filter_map(|pool| pool.heard).max().max(function.served);
            from = from.max(heard.map_or(Duration::ZERO, |heard| heard + SILENCE));
            if self.is_expected(function) {
                from = from.max(self.link.up_since + EXPECTED_BACK);
            }
        }
        from
    }

    /// Whether it, or any version of it, was served before the link was lost.
    fn is_expected(&self, function: &Function) -> bool {
        function.expected
            || function.address.is_none()
                && self
                    .functions
                    .versions(function.selector.name())
                    .any(|version| self.functions.get(version).expected)
    }

    fn declare(&mut self, pool: PoolId) {
        if let Some(found) = self.pools.get_mut(&pool) {
            found.queue = PoolQueue::Asked;
            self.effects.push(Effect::DeclarePool(pool));
        }
    }

    /// Sees to it that the pool's queue is declared, if we lead.
    pub(super) fn want_declared(&mut self, pool: PoolId) {
        let unknown = self.pools.get(&pool).is_some_and(|pool| pool.queue == PoolQueue::Unknown);
        if unknown && self.link.leading().is_some() {
            self.declare(pool);
        }
    }

    /// Asks again for queues that were not to be had; and what was refused is tried again.
    pub(super) fn mend_pools(&mut self) {
        let now = self.now;
        let mut failed = vec![];
        for (id, pool) in &mut self.pools {
            if std::mem::take(&mut pool.paused) {
                self.open.insert(*id);
            }
            if let PoolQueue::Failed { at } = pool.queue
                && now.saturating_sub(at) >= BEAT
            {
                failed.push(*id);
            }
        }
        for pool in failed {
            self.declare(pool);
        }
    }

    /// Forgets what is old, once a second or so.
    pub(super) fn age(&mut self) {
        if self.now.saturating_sub(self.link.last_aged) >= BEAT {
            self.link.last_aged = self.now;
            self.recent.age(self.now);
            self.workers.age(self.now);
        }
    }

    /// All jobs are their clients' again; workers, functions and recent answers stay.
    fn forget_term(&mut self) {
        self.facts.push(Fact::TermOver);
        self.jobs.clear();
        self.orphans.clear();
        self.clients.clear();
        self.minded.clear();
        self.unnoted.clear();
        self.strikers.clear();
        self.sent.clear();
        self.outgoing = Outgoing::default();
        self.open.clear();
        self.sweep = Sweep::default();
        self.users.forget_jobs();
        self.ready.clear();
        self.functions.forget_term();
        for pool in self.pools.values_mut() {
            pool.out.clear();
            pool.suspect = None;
            (pool.calm, pool.suspects) = Default::default();
            pool.orphans.clear();
            pool.queue = PoolQueue::Unknown;
            (pool.slots, pool.occupied) = (0, 0);
        }
        self.workers.forget_term();
    }
}
