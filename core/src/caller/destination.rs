//! Where a call goes: to a worker, or not. A pure function of what the client sees and what the
//! caller allows.

use std::time::Duration;

use simple_dist_protocol::limits;
use simple_dist_protocol::message::Bound;

use super::{Fallback, Reason};

/// What a client sees of the other side at one moment, from one function's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reachability {
    pub(super) link: LinkState,
    /// For how long publishes wait for a confirm and none has come.
    pub(super) unconfirmed: Duration,
    /// For how long no distributor was heard on this connection.
    pub(super) silent: Duration,
    /// For how long it is known that nobody consumes what is submitted.
    pub(super) absent: Option<Duration>,
    /// What the distributor lately said of the function: `NotServed`.
    pub(super) refusal: Option<Reason>,
    /// Whether the function's workers are out of reach, and may come back: the distributor holds
    /// what has to wait for them.
    pub(super) expected: bool,
    /// What is full at the distributor, if anything is.
    pub(super) full: Option<Bound>,
}

/// The link, and for how long it has been so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkState {
    /// The first connection is being made: nothing is known yet.
    Starting(Duration),
    Up,
    Blocked(Duration),
    Down(Reason, Duration),
}

/// What the caller allows, and how far the job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallPolicy {
    pub(super) fallback: Fallback,
    /// Whether the function is known and may run in this process at all.
    pub(super) local: bool,
    /// Whether the job may have ended a worker, so that it must not run in this process.
    pub(super) suspect: bool,
    pub(super) sent: SendState,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendState {
    /// It was never sent.
    New,
    /// It was sent, and the broker has not confirmed it.
    Unconfirmed,
    /// The distributor may have it.
    UnderWay,
}

/// Where a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// To a worker; or it waits to be sent.
    Remote,
    /// It is held until that is over.
    Later,
    /// Into this process.
    Local(Reason),
    /// The call ends as unavailable.
    Nowhere(Reason),
}

/// Where a call goes now.
pub(super) fn destination(reach: &Reachability, policy: &CallPolicy) -> Destination {
    let may_run_here = policy.local && !policy.suspect && policy.fallback.runs_here();
    let unavailable = unavailable(reach, policy.sent, may_run_here);
    let Some(reason) = unavailable else { return Destination::Remote };
    match policy.sent {
        _ if may_run_here => Destination::Local(reason),
        SendState::New if policy.fallback == Fallback::Wait => Destination::Later,
        SendState::New if !policy.suspect => Destination::Nowhere(reason),
        // Somebody may be on it: it is held, and sent again, until its time has passed.
        SendState::New | SendState::Unconfirmed | SendState::UnderWay => Destination::Remote,
    }
}

fn unavailable(reach: &Reachability, sent: SendState, may_run_here: bool) -> Option<Reason> {
    // What is under way is not given up for a hiccup; what is not begun need not wait for one.
    let tolerance = match sent {
        SendState::New => Duration::ZERO,
        SendState::Unconfirmed => limits::UNCONFIRMED,
        SendState::UnderWay => limits::SILENCE,
    };
    match (trouble(reach), sent) {
        (Some((reason, lasts)), _) => (lasts >= tolerance).then_some(reason),
        (None, SendState::New) => {
            let unreached = may_run_here.then_some(Reason::NotServed);
            let refusal = if reach.expected { unreached } else { reach.refusal };
            refusal.or(reach.full.map(Reason::Busy))
        }
        (None, SendState::Unconfirmed | SendState::UnderWay) => None,
    }
}

/// What keeps every function's calls from workers, and for how long it has.
pub(super) fn trouble(reach: &Reachability) -> Option<(Reason, Duration)> {
    match reach.link {
        LinkState::Starting(lasts) => {
            (lasts >= limits::PREFLIGHT).then_some((Reason::NoConnection, lasts))
        }
        LinkState::Down(reason, lasts) => Some((reason, lasts)),
        LinkState::Blocked(lasts) => Some((Reason::Blocked, lasts)),
        LinkState::Up if reach.silent >= limits::SILENCE => {
            Some((Reason::NoDistributor, reach.silent))
        }
        LinkState::Up if reach.unconfirmed >= limits::UNCONFIRMED => {
            Some((Reason::Unconfirmed, reach.unconfirmed))
        }
        LinkState::Up => reach.absent.map(|lasts| (Reason::NoDistributor, lasts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Reachability = Reachability {
        link: LinkState::Up,
        unconfirmed: Duration::ZERO,
        silent: Duration::ZERO,
        absent: None,
        refusal: None,
        expected: false,
        full: None,
    };
    const NEW: CallPolicy = CallPolicy {
        fallback: Fallback::WhenUnavailable,
        local: true,
        suspect: false,
        sent: SendState::New,
    };
    const UNCONFIRMED: CallPolicy = CallPolicy { sent: SendState::Unconfirmed, ..NEW };
    const UNDER_WAY: CallPolicy = CallPolicy { sent: SendState::UnderWay, ..NEW };

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn down(lasts: u64) -> Reachability {
        Reachability { link: LinkState::Down(Reason::NoConnection, ms(lasts)), ..FINE }
    }

    #[track_caller]
    fn check(reach: Reachability, policy: CallPolicy, expected: Destination) {
        assert_eq!(destination(&reach, &policy), expected);
    }

    #[test]
    fn with_all_well_a_call_goes_to_a_worker() {
        check(FINE, NEW, Destination::Remote);
    }

    #[test]
    fn a_call_waits_three_seconds_for_the_first_connection() {
        let starting = |count| Reachability { link: LinkState::Starting(ms(count)), ..FINE };
        check(starting(2_999), NEW, Destination::Remote);
        check(starting(3_000), NEW, Destination::Local(Reason::NoConnection));
    }

    #[test]
    fn without_a_connection_a_new_call_is_local_at_once() {
        check(down(0), NEW, Destination::Local(Reason::NoConnection));
    }

    #[test]
    fn a_call_under_way_gives_the_connection_three_seconds_to_come_back() {
        check(down(2_999), UNDER_WAY, Destination::Remote);
        check(down(3_000), UNDER_WAY, Destination::Local(Reason::NoConnection));
    }

    #[test]
    fn a_blocked_broker_takes_no_new_calls_and_loses_unconfirmed_ones_after_a_second() {
        let blocked = |count| Reachability { link: LinkState::Blocked(ms(count)), ..FINE };
        check(blocked(0), NEW, Destination::Local(Reason::Blocked));
        check(blocked(999), UNCONFIRMED, Destination::Remote);
        check(blocked(1_000), UNCONFIRMED, Destination::Local(Reason::Blocked));
        check(blocked(1_000), UNDER_WAY, Destination::Remote);
    }

    #[test]
    fn a_second_without_confirms_is_unavailable() {
        let waiting = |count| Reachability { unconfirmed: ms(count), ..FINE };
        check(waiting(999), NEW, Destination::Remote);
        check(waiting(1_000), NEW, Destination::Local(Reason::Unconfirmed));
        check(waiting(1_000), UNCONFIRMED, Destination::Local(Reason::Unconfirmed));
        check(waiting(1_000), UNDER_WAY, Destination::Remote);
    }

    #[test]
    fn a_distributor_silent_for_three_seconds_is_gone_for_all() {
        let silent = |count| Reachability { silent: ms(count), ..FINE };
        check(silent(2_999), NEW, Destination::Remote);
        check(silent(3_000), NEW, Destination::Local(Reason::NoDistributor));
        check(silent(3_000), UNDER_WAY, Destination::Local(Reason::NoDistributor));
    }

    #[test]
    fn a_returned_submission_tells_new_calls_that_nobody_is_there() {
        let absent = Reachability { absent: Some(ms(0)), ..FINE };
        check(absent, NEW, Destination::Local(Reason::NoDistributor));
        check(absent, UNDER_WAY, Destination::Remote);
    }

    #[test]
    fn a_refusal_holds_for_new_calls_only() {
        let refused = Reachability { refusal: Some(Reason::NotServed), ..FINE };
        check(refused, NEW, Destination::Local(Reason::NotServed));
        check(refused, UNDER_WAY, Destination::Remote);
        let full = Reachability { full: Some(Bound::Jobs), ..FINE };
        check(full, NEW, Destination::Local(Reason::Busy(Bound::Jobs)));
        check(full, UNDER_WAY, Destination::Remote);
    }

    #[test]
    fn workers_out_of_reach_are_waited_for_by_those_who_have_to() {
        let expected = Reachability { expected: true, ..FINE };
        let refused = Reachability { refusal: Some(Reason::NotServed), ..expected };
        for reach in [expected, refused] {
            check(reach, NEW, Destination::Local(Reason::NotServed));
            check(reach, UNDER_WAY, Destination::Remote);
            for fallback in [Fallback::Never, Fallback::Wait] {
                check(reach, CallPolicy { fallback, ..NEW }, Destination::Remote);
            }
            check(reach, CallPolicy { local: false, ..NEW }, Destination::Remote);
        }
    }

    #[test]
    fn without_a_fallback_a_new_call_is_unavailable_and_one_under_way_is_held() {
        for policy in [
            CallPolicy { fallback: Fallback::Never, ..NEW },
            CallPolicy { local: false, ..NEW },
            CallPolicy { local: false, fallback: Fallback::After(ms(1)), ..NEW },
        ] {
            check(down(60_000), policy, Destination::Nowhere(Reason::NoConnection));
            let held = CallPolicy { sent: SendState::UnderWay, ..policy };
            check(down(60_000), held, Destination::Remote);
        }
    }

    #[test]
    fn what_is_to_wait_is_never_unavailable() {
        let wait = |sent| CallPolicy { fallback: Fallback::Wait, sent, ..NEW };
        let refused = Reachability { refusal: Some(Reason::NotServed), ..FINE };
        let full = Reachability { full: Some(Bound::Jobs), ..FINE };
        for reach in [down(60_000), refused, full] {
            check(reach, wait(SendState::New), Destination::Later);
            check(reach, wait(SendState::Unconfirmed), Destination::Remote);
            check(reach, wait(SendState::UnderWay), Destination::Remote);
        }
        check(FINE, wait(SendState::New), Destination::Remote);
    }

    #[test]
    fn a_suspect_is_never_local() {
        for sent in [SendState::New, SendState::Unconfirmed, SendState::UnderWay] {
            check(down(60_000), CallPolicy { suspect: true, sent, ..NEW }, Destination::Remote);
        }
    }
}
