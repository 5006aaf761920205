//! Leadership: the link and the term, whether our presence comes back to us, and since when silence
//! counts.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use simple_dist_protocol::limits::{BEAT, ECHO, EXPECTED_BACK, SILENCE, TERM_LISTENS};
use simple_dist_protocol::message::Presence;
use simple_dist_protocol::{DistributorId, Term, WorkerId};

use crate::round_trips::RoundTrips;

/// How long a term tries to empty `sd.answers` before it begins anyway: later answers are still
/// read, and none is lost.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// The most unechoed presences remembered: only the oldest matters.
const UNECHOED: usize = 64;

/// The state of our link and term.
#[derive(Debug, Default)]
pub(crate) struct Leadership {
    phase: Phase,
    blocked: bool,
    up_since: Duration,
    /// Silence before this moment does not count.
    pub(crate) silence_from: Duration,
    /// Whether we may declare workers lost, purge and place now.
    pub(crate) may_act: bool,
    last_tick: Duration,
    last_expired: Duration,
    /// Another distributor's last presence, and when it arrived.
    other: Option<(Presence, Duration)>,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Down,
    Standby,
    Leading(Leading),
}

/// Our term.
#[derive(Debug)]
pub(crate) struct Leading {
    pub(crate) term: Term,
    pub(crate) since: Duration,
    drain: Drain,
    /// The workers that have not said yet what they hold, if all are known that may hold something.
    awaited: Option<BTreeSet<WorkerId>>,
    /// Whether the end of the listening period was acted on.
    listened: bool,
    seq: u64,
    /// When presence was last sent.
    presence_at: Option<Duration>,
    /// Whether presence has come back since the last restart.
    echoed: bool,
    /// Presences that have not come back, oldest first: number and time sent.
    unechoed: VecDeque<(u64, Duration)>,
    /// How long the others took.
    round_trips: RoundTrips,
}

/// How far `sd.answers` has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    Asking,
    /// It was seen empty; messages then on their way arrive before the next tick.
    SeenEmpty,
    Done,
}

/// What a term has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Wait,
    /// Ask whether `sd.answers` is empty.
    AskDepths,
    /// Send presence.
    SendPresence,
}

impl Leading {
    /// Send presence at once, and act on nothing until it has come back.
    fn restart_echo(&mut self) {
        self.echoed = false;
        self.unechoed.clear();
        self.presence_at = None;
    }
}

impl Leadership {
    /// Our term, if we lead.
    pub(crate) fn leading(&self) -> Option<&Leading> {
        match &self.phase {
            Phase::Leading(leading) => Some(leading),
            Phase::Down | Phase::Standby => None,
        }
    }

    fn leading_mut(&mut self) -> Option<&mut Leading> {
        match &mut self.phase {
            Phase::Leading(leading) => Some(leading),
            Phase::Down | Phase::Standby => None,
        }
    }

    /// The active distributor, if it is another one and was heard recently.
    pub(crate) fn active(&self, now: Duration) -> Option<&Presence> {
        let (presence, at) = self.other.as_ref()?;
        (now.saturating_sub(*at) < SILENCE).then_some(presence)
    }

    pub(crate) fn is_up(&self) -> bool {
        !matches!(self.phase, Phase::Down)
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether our link demonstrably works, so that silence means something.
    fn link_verified(&self, now: Duration) -> bool {
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

    /// The id of our term, if we lead.
    pub(crate) fn term(&self) -> Option<Term> {
        self.leading().map(|leading| leading.term)
    }

    /// The link is up: we are on standby.
    pub(crate) fn link_up(&mut self, now: Duration) {
        self.phase = Phase::Standby;
        self.blocked = false;
        (self.up_since, self.silence_from, self.last_tick) = (now, now, now);
    }

    /// The link is down, and our term is over.
    pub(crate) fn link_down(&mut self) {
        self.phase = Phase::Down;
        self.may_act = false;
    }

    /// The broker blocks publishers, or stops blocking them.
    pub(crate) fn block(&mut self, blocked: bool) {
        self.blocked = blocked;
        self.leading_mut().into_iter().for_each(Leading::restart_echo);
    }

    /// Our term begins. These workers live, as far as we have heard.
    pub(crate) fn lead(&mut self, term: Term, workers: BTreeSet<WorkerId>, now: Duration) {
        let heard_all = now.saturating_sub(self.up_since) >= TERM_LISTENS;
        self.phase = Phase::Leading(Leading {
            term,
            since: now,
            drain: Drain::Asking,
            awaited: heard_all.then_some(workers),
            listened: false,
            seq: 0,
            presence_at: None,
            echoed: false,
            unechoed: VecDeque::new(),
            round_trips: RoundTrips::default(),
        });
        self.may_act = false;
        (self.silence_from, self.last_tick) = (now, now);
    }

    /// A presence arrived. Returns whether we must step down for another distributor: the older
    /// term yields, because the younger one saw the lock free later, and what earlier terms left
    /// behind goes to the younger one.
    pub(crate) fn seen(&mut self, presence: &Presence, ours: DistributorId, now: Duration) -> bool {
        if presence.distributor != ours {
            self.other = Some((presence.clone(), now));
            return self.leading().is_some_and(|it| now.saturating_sub(it.since) >= SILENCE);
        }
        if let Some(leading) = self.leading_mut()
            && presence.term == leading.term
        {
            leading.echoed = true;
            while let Some((seq, sent)) =
                leading.unechoed.pop_front_if(|(seq, _)| *seq <= presence.seq)
            {
                if seq == presence.seq {
                    leading.round_trips.add(now.saturating_sub(sent));
                }
            }
        }
        false
    }

    /// Updates whether we may act. Returns true if we may again after a pause: then all silence
    /// starts from zero.
    pub(crate) fn update_may_act(&mut self, now: Duration) -> bool {
        let verified = self.link_verified(now);
        let before = std::mem::replace(&mut self.may_act, verified);
        let again = self.may_act && !before;
        if again {
            self.silence_from = now;
        }
        again
    }

    /// Detects that this process itself was frozen: then the silence of others means nothing.
    pub(crate) fn tick(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.last_tick);
        self.last_tick = now;
        if gap >= ECHO {
            self.silence_from = now;
            if let Some(leading) = self.leading_mut() {
                leading.restart_echo();
                self.may_act = false;
            }
        }
    }

    /// The next step of a term: it drains, then sends presence once a second and whenever the set
    /// of served functions changes.
    pub(crate) fn next(&mut self, changed: bool, now: Duration) -> Next {
        let blocked = self.blocked;
        let Some(leading) = self.leading_mut() else { return Next::Wait };
        match leading.drain {
            Drain::Asking if now.saturating_sub(leading.since) < DRAIN_TIMEOUT => {
                return Next::AskDepths;
            }
            Drain::Asking | Drain::SeenEmpty => leading.drain = Drain::Done,
            Drain::Done => {}
        }
        let is_time =
            leading.presence_at.is_none_or(|presence_at| now.saturating_sub(presence_at) >= BEAT);
        if (changed || is_time) && !blocked { Next::SendPresence } else { Next::Wait }
    }

    /// How long a round trip to the broker takes, as far as our echo has shown it.
    pub(crate) fn round_trip(&self) -> Duration {
        self.leading().and_then(|leading| leading.round_trips.shortest()).unwrap_or_default()
    }

    /// Whether every worker has had time to say what it holds: only then are jobs placed that an
    /// earlier term may have placed.
    pub(crate) fn has_listened(&self, now: Duration) -> bool {
        self.leading().is_some_and(|leading| {
            let all_spoke = leading.awaited.as_ref().is_some_and(BTreeSet::is_empty);
            all_spoke || now.saturating_sub(leading.since) >= TERM_LISTENS
        })
    }

    /// A worker has said in this term what it holds, or is gone.
    pub(crate) fn stop_awaiting(&mut self, worker: WorkerId) {
        if let Some(awaited) = self.leading_mut().and_then(|leading| leading.awaited.as_mut()) {
            awaited.remove(&worker);
        }
    }

    /// True once: the first time it is asked after that.
    pub(crate) fn listening_ended(&mut self, now: Duration) -> bool {
        let listened = self.has_listened(now);
        self.leading_mut()
            .is_some_and(|it| !std::mem::replace(&mut it.listened, listened) && listened)
    }

    /// Notes that presence is sent now; returns its term and number.
    pub(crate) fn presence_sent(&mut self, now: Duration) -> Option<(Term, u64)> {
        let leading = self.leading_mut()?;
        leading.seq += 1;
        leading.presence_at = Some(now);
        if leading.unechoed.len() < UNECHOED {
            leading.unechoed.push_back((leading.seq, now));
        }
        Some((leading.term, leading.seq))
    }

    /// Whether `sd.answers` is still being drained.
    pub(crate) fn is_draining(&self) -> bool {
        self.leading().is_some_and(|leading| leading.drain == Drain::Asking)
    }

    /// `sd.answers` was seen empty.
    pub(crate) fn answers_seen_empty(&mut self) {
        if let Some(leading) = self.leading_mut()
            && leading.drain == Drain::Asking
        {
            leading.drain = Drain::SeenEmpty;
        }
    }

    /// From when on a function counts as not served. `served` is when it was last served;
    /// `expected` if it was served before the link was lost.
    pub(crate) fn unserved_from(&self, served: Option<Duration>, expected: bool) -> Duration {
        let since = self.leading().map_or(Duration::ZERO, |leading| leading.since);
        let from = since.max(self.silence_from).max(served.unwrap_or_default()) + SILENCE;
        if expected { from.max(self.up_since + EXPECTED_BACK) } else { from }
    }

    /// Whether it is time to expire old entries: about once a second.
    pub(crate) fn is_time_to_expire(&mut self, now: Duration) -> bool {
        let is_time = now.saturating_sub(self.last_expired) >= BEAT;
        if is_time {
            self.last_expired = now;
        }
        is_time
    }
}
