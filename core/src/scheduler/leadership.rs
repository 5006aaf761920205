//! Leadership: the link and the term, whether our presence comes back to us, and from when on
//! silence counts.

use std::collections::VecDeque;
use std::time::Duration;

use simple_dist_protocol::limits::{BEAT, ECHO, EXPECTED_BACK, SILENCE, TERM_LISTENS};
use simple_dist_protocol::message::Presence;
use simple_dist_protocol::{DistributorId, Term};

/// A term that could not empty `sd.answers` for this long begins all the same: answers come as
/// fast as they are read, and none of them is lost by that.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
/// The presences of an outage that are remembered: only the oldest decides.
const UNECHOED: usize = 64;

/// What the broker lets us do.
#[derive(Debug, Default)]
pub(crate) struct Leadership {
    phase: Phase,
    blocked: bool,
    up_since: Duration,
    /// Since when silence counts.
    pub(crate) fresh: Duration,
    /// Whether we may judge, purge and place now.
    pub(crate) judges: bool,
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
pub(crate) struct Leading {
    pub(crate) term: Term,
    pub(crate) since: Duration,
    drain: Drain,
    /// Whether the end of its listening was acted on.
    listened: bool,
    seq: u64,
    /// When presence was last sent.
    shown: Option<Duration>,
    /// Whether presence came back since it last ceased to.
    echoed: bool,
    /// Presences that have not come back, the oldest first, and when they were sent.
    unechoed: VecDeque<(u64, Duration)>,
}

/// How far `sd.answers` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    Asking,
    /// It was seen empty; what was on its way to us then comes before the next tick.
    SeenEmpty,
    Done,
}

/// What a term is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Wait,
    /// To look whether `sd.answers` is empty.
    AskDepths,
    /// To show itself.
    Show,
}

impl Leading {
    /// Presence is to be shown at once, and nothing judged until it came back.
    fn begin_anew(&mut self) {
        self.echoed = false;
        self.unechoed.clear();
        self.shown = None;
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

    /// The distributor that leads, if it is another one and was heard of late.
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

    /// The term, while we lead.
    pub(crate) fn term(&self) -> Option<Term> {
        self.leading().map(|leading| leading.term)
    }

    /// The link is up: we stand by.
    pub(crate) fn link_up(&mut self, now: Duration) {
        self.phase = Phase::Standby;
        self.blocked = false;
        (self.up_since, self.fresh, self.last_tick) = (now, now, now);
    }

    /// The link is gone, and our term with it.
    pub(crate) fn link_down(&mut self) {
        self.phase = Phase::Down;
        self.judges = false;
    }

    /// The broker takes no messages, or takes them again.
    pub(crate) fn block(&mut self, blocked: bool) {
        self.blocked = blocked;
        self.leading_mut().into_iter().for_each(Leading::begin_anew);
    }

    /// A term of ours begins.
    pub(crate) fn lead(&mut self, term: Term, now: Duration) {
        self.phase = Phase::Leading(Leading {
            term,
            since: now,
            drain: Drain::Asking,
            listened: false,
            seq: 0,
            shown: None,
            echoed: false,
            unechoed: VecDeque::new(),
        });
        self.judges = false;
        (self.fresh, self.last_tick) = (now, now);
    }

    /// Presence came through the broker. Whether we are to step down for another one: the younger
    /// one has seen later that nobody held the lock, and what an earlier term has left behind comes
    /// to the younger one only.
    pub(crate) fn seen(&mut self, presence: &Presence, ours: DistributorId, now: Duration) -> bool {
        if presence.distributor != ours {
            self.other = Some((presence.clone(), now));
            return self.leading().is_some_and(|it| now.saturating_sub(it.since) >= SILENCE);
        }
        if let Some(leading) = self.leading_mut()
            && presence.term == leading.term
        {
            leading.echoed = true;
            while leading.unechoed.pop_front_if(|(seq, _)| *seq <= presence.seq).is_some() {}
        }
        false
    }

    /// Looks whether we may judge. If we may again, everybody gets a fresh start: whether that is
    /// so.
    pub(crate) fn watch(&mut self, now: Duration) -> bool {
        let carries = self.carries(now);
        let before = std::mem::replace(&mut self.judges, carries);
        let again = self.judges && !before;
        if again {
            self.fresh = now;
        }
        again
    }

    /// Whether this process itself stood still: then what it did not hear means nothing.
    pub(crate) fn tick(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.last_tick);
        self.last_tick = now;
        if gap >= ECHO {
            self.fresh = now;
            if let Some(leading) = self.leading_mut() {
                leading.begin_anew();
                self.judges = false;
            }
        }
    }

    /// A term drains, then shows itself once a second, and when what is served has changed.
    pub(crate) fn next(&mut self, changed: bool, now: Duration) -> Next {
        let blocked = self.blocked;
        let Some(leading) = self.leading_mut() else { return Next::Wait };
        match leading.drain {
            Drain::Asking if now.saturating_sub(leading.since) < DRAIN_PATIENCE => {
                return Next::AskDepths;
            }
            Drain::Asking | Drain::SeenEmpty => leading.drain = Drain::Done,
            Drain::Done => {}
        }
        let is_time = leading.shown.is_none_or(|shown| now.saturating_sub(shown) >= BEAT);
        if (changed || is_time) && !blocked { Next::Show } else { Next::Wait }
    }

    /// Whether every worker had the time to say what it holds: only then is placed what an earlier
    /// term may have placed.
    pub(crate) fn has_listened(&self, now: Duration) -> bool {
        self.leading().is_some_and(|leading| now.saturating_sub(leading.since) >= TERM_LISTENS)
    }

    /// The same, once: at its first look after that.
    pub(crate) fn comes_to_have_listened(&mut self, now: Duration) -> bool {
        let listened = self.has_listened(now);
        self.leading_mut()
            .is_some_and(|it| !std::mem::replace(&mut it.listened, listened) && listened)
    }

    /// Presence is sent now: its term and count.
    pub(crate) fn show(&mut self, now: Duration) -> Option<(Term, u64)> {
        let leading = self.leading_mut()?;
        leading.seq += 1;
        leading.shown = Some(now);
        if leading.unechoed.len() < UNECHOED {
            leading.unechoed.push_back((leading.seq, now));
        }
        Some((leading.term, leading.seq))
    }

    /// Whether what an earlier term left in `sd.answers` is still being read.
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

    /// From when on nobody is expected to serve a function any more that was served last then, and
    /// `expected` back if it was before the link was lost.
    pub(crate) fn hopeless_at(&self, served: Option<Duration>, expected: bool) -> Duration {
        let since = self.leading().map_or(Duration::ZERO, |leading| leading.since);
        let from = since.max(self.fresh).max(served.unwrap_or_default()) + SILENCE;
        if expected { from.max(self.up_since + EXPECTED_BACK) } else { from }
    }

    /// Whether what is old is to be forgotten: once a second or so.
    pub(crate) fn ages(&mut self, now: Duration) -> bool {
        let ages = now.saturating_sub(self.last_aged) >= BEAT;
        if ages {
            self.last_aged = now;
        }
        ages
    }
}
