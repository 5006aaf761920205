//! A job that kills its worker never runs here.

use simple_dist_protocol::message::{Answer, Marks};

use super::super::{CallError, CallOptions, Fallback, Reason, Suspects};
use super::story::Seen::{Cancelled, Failed, Noted, Runs, Submitted};
use super::story::*;

fn short(job: u128) -> What {
    call_as(job, Fallback::WhenUnavailable, 500)
}

#[test]
fn marks_are_noted() {
    check(
        [at(0, up()), at(0, call(1)), at(1, struck(1, marked()))],
        [Submitted(1), Noted(1, marked())],
    );
}

#[test]
fn marks_of_a_job_that_is_not_held_cancel_it() {
    check([at(0, up()), at(1, struck(9, strike()))], [Cancelled(vec![9])]);
}

#[test]
fn with_any_evidence_a_job_ends_as_a_suspect_instead_of_running_here() {
    for marks in [marked(), strike(), crash()] {
        let suspect = Failed(1, CallError::Suspect { marks: marks.clone() });
        check(
            [at(0, up()), at(0, short(1)), at(1, struck(1, marks.clone())), at(600, nothing())],
            [Submitted(1), Noted(1, marks), suspect, Cancelled(vec![1])],
        );
    }
}

#[test]
fn nor_does_it_run_beside_the_worker_or_without_a_connection() {
    let after = Fallback::After(std::time::Duration::from_millis(100));
    let suspect = Failed(1, CallError::Suspect { marks: marked() });
    check(
        [
            at(0, up()),
            at(0, call_as(1, after, 5_000)),
            at(1, struck(1, marked())),
            at(200, down()),
            at(5_100, nothing()),
        ],
        [Submitted(1), Noted(1, marked()), suspect],
    );
}

#[test]
fn a_caller_may_allow_it() {
    let timeout = std::time::Duration::from_millis(500);
    let suspects = Suspects::RunHere;
    let allowed = call_with(1, CallOptions { timeout, suspects, ..CallOptions::default() });
    check(
        [at(0, up()), at(0, allowed), at(1, struck(1, strike())), at(600, nothing())],
        [Submitted(1), Noted(1, strike()), Runs(1, Reason::TimedOut), Cancelled(vec![1])],
    );
}

#[test]
fn what_would_not_run_here_anyway_just_times_out() {
    check(
        [
            at(0, up()),
            at(0, call_as(1, Fallback::Never, 500)),
            at(1, struck(1, strike())),
            at(600, nothing()),
        ],
        [Submitted(1), Noted(1, strike()), timed_out(1), Cancelled(vec![1])],
    );
}

#[test]
fn cleared_of_all_evidence_it_runs_here_again() {
    let none = Marks::default();
    check(
        [
            at(0, up()),
            at(0, short(1)),
            at(1, struck(1, marked())),
            at(2, struck(1, none.clone())),
            at(600, nothing()),
        ],
        [
            Submitted(1),
            Noted(1, marked()),
            Noted(1, none),
            Runs(1, Reason::TimedOut),
            Cancelled(vec![1]),
        ],
    );
}

#[test]
fn a_struck_job_stays_remote_whatever_happens_to_the_link() {
    check(
        [at(0, up()), at(0, call(1)), at(1, struck(1, strike())), at(10, down()), at(10_000, up())],
        [Submitted(1), Noted(1, strike()), Submitted(1)],
    );
}

#[test]
fn a_struck_job_that_waits_for_a_local_slot_leaves_the_queue() {
    check(
        [
            at(0, up()),
            at(0, call_as(1, Fallback::After(std::time::Duration::ZERO), 60_000)),
            at(1, call_as(2, Fallback::After(std::time::Duration::ZERO), 60_000)),
            at(2, struck(2, strike())),
            at(3, ran(1)),
        ],
        [
            Submitted(1),
            Runs(1, Reason::After),
            Submitted(2),
            Noted(2, strike()),
            local(1, Reason::After),
            Cancelled(vec![1]),
        ],
    );
}

#[test]
fn a_struck_job_that_nobody_serves_is_tried_again() {
    check(
        beats(3_000).chain([
            at(0, up()),
            at(0, call(1)),
            at(1, confirmed(1)),
            at(2, struck(1, strike())),
            at(3, answered(1, Answer::NotServed)),
            at(2_500, nothing()),
        ]),
        [Submitted(1), Noted(1, strike()), Submitted(1)],
    );
}

#[test]
fn a_poisoned_job_names_the_workers() {
    let workers = vec![worker(1), worker(2)];
    check(
        [
            at(0, up()),
            at(0, call(1)),
            at(1, answered(1, Answer::Poisoned { workers: workers.clone(), crashes: vec![] })),
        ],
        [Submitted(1), Failed(1, CallError::Poisoned { workers, crashes: vec![] })],
    );
}
