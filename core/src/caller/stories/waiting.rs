//! Calls that wait outages out: what each is held for, and what lets it go.

use simple_dist_protocol::message::Answer;

use super::super::Fallback;
use super::story::Seen::{Cancelled, Submitted};
use super::story::*;

fn waits(job: u128) -> What {
    call_as(job, Fallback::Wait, 60_000)
}

/// Beats that list nothing as served, every second.
fn beats_of_nothing(until: u64) -> impl Iterator<Item = Told> {
    (0..=until).step_by(1_000).map(|ms| at(ms, presence_with(1, false, true)))
}

#[test]
fn a_call_that_waits_goes_out_when_there_is_a_connection() {
    check(
        [at(0, down()), at(1, waits(1)), at(10_000, up()), at(10_001, value(1))],
        [Submitted(1), remote(1)],
    );
}

#[test]
fn a_call_that_waits_for_the_first_connection_goes_on_waiting() {
    check([at(0, waits(1)), at(5_000, down()), at(9_000, up())], [Submitted(1)]);
}

#[test]
fn a_blocked_broker_is_waited_for() {
    check([at(0, up()), at(1, blocked()), at(2, waits(1)), at(502, unblocked())], [Submitted(1)]);
}

#[test]
fn a_distributor_that_is_not_there_is_waited_for() {
    check(
        [at(0, up()), at(1, waits(1)), at(2, returned(1)), at(2_500, waits(2))]
            .into_iter()
            .chain([at(9_000, presence(1))]),
        [Submitted(1), Submitted(1), Submitted(2)],
    );
}

#[test]
fn a_worker_is_waited_for_and_one_call_of_many_asks_for_it() {
    check(
        beats_of_nothing(2_500).chain([
            at(0, up()),
            at(1, waits(1)),
            at(2, answered(1, Answer::NotServed)),
            at(3, waits(2)),
            at(2_300, answered(1, Answer::NotServed)),
            at(2_700, presence(1)),
        ]),
        [Submitted(1), Submitted(1), Submitted(2), Submitted(1)],
    );
}

#[test]
fn room_is_waited_for() {
    check(
        [
            at(0, up()),
            at(0, presence_with(1, true, false)),
            at(1, waits(1)),
            at(1_000, presence_with(1, true, false)),
            at(2_000, presence_with(1, true, false)),
            at(3_000, presence_with(1, true, true)),
            at(3_001, answered(1, Answer::Busy)),
            at(4_000, presence_with(1, true, false)),
            at(5_500, presence_with(1, true, true)),
        ],
        [Submitted(1), Submitted(1)],
    );
}

#[test]
fn a_call_that_has_waited_for_all_its_time_times_out() {
    let short = |job| call_as(job, Fallback::Wait, 5_000);
    check([at(0, down()), at(1, short(1)), at(5_100, nothing())], [timed_out(1)]);
    check(
        beats_of_nothing(6_000).chain([
            at(0, up()),
            at(1, short(1)),
            at(2, answered(1, Answer::NotServed)),
            at(2_300, answered(1, Answer::NotServed)),
            at(4_600, answered(1, Answer::NotServed)),
        ]),
        [Submitted(1), Submitted(1), Submitted(1), timed_out(1), Cancelled(vec![1])],
    );
    check(
        beats(6_000).chain([at(0, up()), at(1, short(1)), at(2, confirmed(1))]),
        [Submitted(1), timed_out(1), Cancelled(vec![1])],
    );
}

#[test]
fn a_struck_call_that_waits_ends_where_it_was_struck() {
    let workers = vec![worker(1)];
    check(
        [
            at(0, up()),
            at(0, waits(1)),
            at(1, struck(1, strike())),
            at(2, answered(1, Answer::Poisoned { workers: workers.clone(), crashes: vec![] })),
        ],
        [
            Submitted(1),
            Seen::Noted(1, strike()),
            Seen::Failed(1, super::super::CallError::Poisoned { workers, crashes: vec![] }),
        ],
    );
}
