//! How far calls are.

use std::time::Duration;

use super::super::{Fallback, Reason};
use super::story::Seen::{Progress, Runs, Submitted};
use super::story::*;

#[test]
fn a_call_is_told_how_far_its_job_is_and_not_what_came_too_late() {
    check(
        [
            at(0, up()),
            at(0, call(1)),
            at(1, confirmed(1)),
            at(2, progress(1, 0.5)),
            at(3, progress(2, 0.5)),
            at(4, value(1)),
            at(5, progress(1, 1.0)),
        ],
        [Submitted(1), Progress(1, 0.5), remote(1)],
    );
}

#[test]
fn a_run_here_is_heard_and_not_the_worker_beside_it() {
    check(
        [
            at(0, up()),
            at(0, call_as(1, Fallback::After(Duration::from_millis(100)), 60_000)),
            at(1, confirmed(1)),
            at(50, progress(1, 0.5)),
            at(150, progress(1, 0.7)),
            at(160, ran(1)),
        ],
        [
            Submitted(1),
            Progress(1, 0.5),
            Runs(1, Reason::After),
            local(1, Reason::After),
            Seen::Cancelled(vec![1]),
        ],
    );
}
