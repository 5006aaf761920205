//! Deadlines: the call ends, whatever it was doing.

use std::time::Duration;

use simple_dist_protocol::message::Answer;

use super::super::{CallError, Fallback, Reason};
use super::story::Seen::{Cancelled, LeftBehind, Runs, Submitted};
use super::story::*;

fn until(job: u128, deadline: u64) -> What {
    call_until(job, Fallback::WhenUnavailable, 60_000, deadline)
}

#[test]
fn a_call_under_way_ends_at_its_deadline_and_does_not_begin_here() {
    check(
        beats(2_000).chain([at(0, up()), at(0, until(1, 1_000)), at(1, confirmed(1))]),
        [Submitted(1), past_deadline(1), Cancelled(vec![1])],
    );
    check(
        [at(0, up()), at(0, until(1, 1_000)), at(999, answered(1, Answer::Expired))],
        [Submitted(1), past_deadline(1)],
    );
}

#[test]
fn a_run_here_is_left_behind_at_the_deadline_and_keeps_its_slot() {
    check(
        [at(0, down()), at(1, until(1, 1_000)), at(2, call(2)), at(5_000, ran(1))],
        [
            Runs(1, Reason::NoConnection),
            LeftBehind(1),
            past_deadline(1),
            Runs(2, Reason::NoConnection),
        ],
    );
}

#[test]
fn a_call_that_waits_for_a_local_slot_ends_at_its_deadline() {
    check(
        [at(0, down()), at(1, call(1)), at(2, until(2, 1_000)), at(3_000, ran(1))],
        [Runs(1, Reason::NoConnection), past_deadline(2), local(1, Reason::NoConnection)],
    );
}

#[test]
fn past_its_timeout_a_call_runs_here_until_its_deadline() {
    let call = || call_until(1, Fallback::WhenUnavailable, 500, 1_000);
    let story = || [at(0, up()), at(0, call()), at(1, confirmed(1))];
    let begins = || [Submitted(1), Runs(1, Reason::TimedOut), Cancelled(vec![1])];
    check(
        story().into_iter().chain([at(900, ran(1)), at(2_000, nothing())]),
        begins().into_iter().chain([local(1, Reason::TimedOut)]),
    );
    check(
        story().into_iter().chain([at(1_100, ran(1))]),
        begins().into_iter().chain([LeftBehind(1), past_deadline(1)]),
    );
}

#[test]
fn a_hedge_has_until_the_deadline() {
    let hedged = Fallback::After(Duration::from_millis(100));
    check(
        [at(0, up()), at(0, call_until(1, hedged, 60_000, 1_000)), at(1_100, value(1))],
        [Submitted(1), Runs(1, Reason::After), LeftBehind(1), past_deadline(1), Cancelled(vec![1])],
    );
}

#[test]
fn a_struck_job_out_of_time_does_not_wait_for_its_deadline() {
    let hedged = |job| call_until(job, Fallback::After(Duration::ZERO), 500, 60_000);
    check(
        [
            at(0, up()),
            at(0, hedged(1)),
            at(1, hedged(2)),
            at(600, struck(2, strike())),
            at(700, ran(1)),
        ],
        [
            Submitted(1),
            Runs(1, Reason::After),
            Submitted(2),
            Cancelled(vec![1]),
            Cancelled(vec![2]),
            Seen::Noted(2, strike()),
            Seen::Failed(2, CallError::Suspect { marks: strike() }),
            local(1, Reason::After),
        ],
    );
}

#[test]
fn a_call_that_waits_an_outage_out_ends_by_the_nearer_of_its_two_times() {
    let waits = |job, timeout, deadline| call_until(job, Fallback::Wait, timeout, deadline);
    check(
        [
            at(0, down()),
            at(1, waits(1, 1_000, 2_000)),
            at(2, waits(2, 60_000, 3_000)),
            at(5_000, nothing()),
        ],
        [timed_out(1), past_deadline(2)],
    );
}
