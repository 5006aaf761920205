//! Where a call goes: to a worker, or not. A pure function of what the client sees and what the
//! caller allows.

use std::time::Duration;

use simple_dist_protocol::limits;
use simple_dist_protocol::message::Bound;

use crate::{Fallback, Reason};

/// What a client sees of the other side at one moment, from one function's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) link: LinkView,
    /// For how long publishes wait for a confirm and none has come.
    pub(crate) unconfirmed: Duration,
    /// For how long no distributor was heard on this connection.
    pub(crate) silent: Duration,
    /// For how long it is known that nobody consumes what is submitted.
    pub(crate) absent: Option<Duration>,
    /// What the distributor lately said of the function: `NotServed`.
    pub(crate) refusal: Option<Reason>,
    /// What is full at the distributor, if anything is.
    pub(crate) full: Option<Bound>,
}

/// The link, and for how long it has been so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkView {
    /// The first connection is being made: nothing is known yet.
    Starting(Duration),
    Up,
    Blocked(Duration),
    Down(Reason, Duration),
}

/// What the caller allows, and how far the job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) fallback: Fallback,
    /// Whether the function is known and may run in this process at all.
    pub(crate) local: bool,
    /// Whether a worker was lost with the job.
    pub(crate) struck: bool,
    pub(crate) standing: Standing,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was never sent.
    New,
    /// It was sent, and the broker has not confirmed it.
    Unconfirmed,
    /// The distributor may have it.
    UnderWay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// To a worker; or it waits to be sent.
    Remote,
    /// Into this process.
    Local(Reason),
    /// The call ends as unavailable.
    Nowhere(Reason),
}

/// Where a call goes.
pub(crate) fn place(view: &View, policy: &Policy) -> Placement {
    let Some(reason) = unavailable(view, policy.standing) else { return Placement::Remote };
    let may_run_here = match policy.fallback {
        Fallback::WhenUnavailable | Fallback::After(_) => policy.local && !policy.struck,
        Fallback::Never => false,
    };
    match policy.standing {
        _ if may_run_here => Placement::Local(reason),
        Standing::New if !policy.struck => Placement::Nowhere(reason),
        // Somebody may be on it: it is held, and sent again, until its time has passed.
        Standing::New | Standing::Unconfirmed | Standing::UnderWay => Placement::Remote,
    }
}

fn unavailable(view: &View, standing: Standing) -> Option<Reason> {
    // What is under way is not given up for a hiccup; what is not begun need not wait for one.
    let patience = match standing {
        Standing::New => Duration::ZERO,
        Standing::Unconfirmed => limits::UNCONFIRMED,
        Standing::UnderWay => limits::SILENCE,
    };
    match (trouble(view), standing) {
        (Some((reason, lasts)), _) => (lasts >= patience).then_some(reason),
        (None, Standing::New) => view.refusal.or(view.full.map(Reason::Busy)),
        (None, Standing::Unconfirmed | Standing::UnderWay) => None,
    }
}

/// What keeps every function's calls from workers, and for how long it has.
pub(crate) fn trouble(view: &View) -> Option<(Reason, Duration)> {
    match view.link {
        LinkView::Starting(lasts) => {
            (lasts >= limits::PREFLIGHT).then_some((Reason::NoConnection, lasts))
        }
        LinkView::Down(reason, lasts) => Some((reason, lasts)),
        LinkView::Blocked(lasts) => Some((Reason::Blocked, lasts)),
        LinkView::Up if view.silent >= limits::SILENCE => {
            Some((Reason::NoDistributor, view.silent))
        }
        LinkView::Up if view.unconfirmed >= limits::UNCONFIRMED => {
            Some((Reason::Unconfirmed, view.unconfirmed))
        }
        LinkView::Up => view.absent.map(|lasts| (Reason::NoDistributor, lasts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: View = View {
        link: LinkView::Up,
        unconfirmed: Duration::ZERO,
        silent: Duration::ZERO,
        absent: None,
        refusal: None,
        full: None,
    };
    const NEW: Policy = Policy {
        fallback: Fallback::WhenUnavailable,
        local: true,
        struck: false,
        standing: Standing::New,
    };
    const UNCONFIRMED: Policy = Policy { standing: Standing::Unconfirmed, ..NEW };
    const UNDER_WAY: Policy = Policy { standing: Standing::UnderWay, ..NEW };

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn down(lasts: u64) -> View {
        View { link: LinkView::Down(Reason::NoConnection, ms(lasts)), ..FINE }
    }

    #[track_caller]
    fn check(view: View, policy: Policy, placement: Placement) {
        assert_eq!(place(&view, &policy), placement);
    }

    #[test]
    fn with_all_well_a_call_goes_to_a_worker() {
        check(FINE, NEW, Placement::Remote);
    }

    #[test]
    fn a_call_waits_three_seconds_for_the_first_connection() {
        let starting = |count| View { link: LinkView::Starting(ms(count)), ..FINE };
        check(starting(2_999), NEW, Placement::Remote);
        check(starting(3_000), NEW, Placement::Local(Reason::NoConnection));
    }

    #[test]
    fn without_a_connection_a_new_call_is_local_at_once() {
        check(down(0), NEW, Placement::Local(Reason::NoConnection));
    }

    #[test]
    fn a_call_under_way_gives_the_connection_three_seconds_to_come_back() {
        check(down(2_999), UNDER_WAY, Placement::Remote);
        check(down(3_000), UNDER_WAY, Placement::Local(Reason::NoConnection));
    }

    #[test]
    fn a_blocked_broker_takes_no_new_calls_and_loses_unconfirmed_ones_after_a_second() {
        let blocked = |count| View { link: LinkView::Blocked(ms(count)), ..FINE };
        check(blocked(0), NEW, Placement::Local(Reason::Blocked));
        check(blocked(999), UNCONFIRMED, Placement::Remote);
        check(blocked(1_000), UNCONFIRMED, Placement::Local(Reason::Blocked));
        check(blocked(1_000), UNDER_WAY, Placement::Remote);
    }

    #[test]
    fn a_second_without_confirms_is_unavailable() {
        let waiting = |count| View { unconfirmed: ms(count), ..FINE };
        check(waiting(999), NEW, Placement::Remote);
        check(waiting(1_000), NEW, Placement::Local(Reason::Unconfirmed));
        check(waiting(1_000), UNCONFIRMED, Placement::Local(Reason::Unconfirmed));
        check(waiting(1_000), UNDER_WAY, Placement::Remote);
    }

    #[test]
    fn a_distributor_silent_for_three_seconds_is_gone_for_all() {
        let silent = |count| View { silent: ms(count), ..FINE };
        check(silent(2_999), NEW, Placement::Remote);
        check(silent(3_000), NEW, Placement::Local(Reason::NoDistributor));
        check(silent(3_000), UNDER_WAY, Placement::Local(Reason::NoDistributor));
    }

    #[test]
    fn a_returned_submission_tells_new_calls_that_nobody_is_there() {
        let absent = View { absent: Some(ms(0)), ..FINE };
        check(absent, NEW, Placement::Local(Reason::NoDistributor));
        check(absent, UNDER_WAY, Placement::Remote);
    }

    #[test]
    fn a_refusal_holds_for_new_calls_only() {
        let refused = View { refusal: Some(Reason::NotServed), ..FINE };
        check(refused, NEW, Placement::Local(Reason::NotServed));
        check(refused, UNDER_WAY, Placement::Remote);
        let full = View { full: Some(Bound::Jobs), ..FINE };
        check(full, NEW, Placement::Local(Reason::Busy(Bound::Jobs)));
        check(full, UNDER_WAY, Placement::Remote);
    }

    #[test]
    fn without_a_fallback_a_new_call_is_unavailable_and_one_under_way_is_held() {
        for policy in [
            Policy { fallback: Fallback::Never, ..NEW },
            Policy { local: false, ..NEW },
            Policy { local: false, fallback: Fallback::After(ms(1)), ..NEW },
        ] {
            check(down(60_000), policy, Placement::Nowhere(Reason::NoConnection));
            let held = Policy { standing: Standing::UnderWay, ..policy };
            check(down(60_000), held, Placement::Remote);
        }
    }

    #[test]
    fn a_struck_job_is_never_local() {
        for standing in [Standing::New, Standing::Unconfirmed, Standing::UnderWay] {
            check(down(60_000), Policy { struck: true, standing, ..NEW }, Placement::Remote);
        }
    }
}
