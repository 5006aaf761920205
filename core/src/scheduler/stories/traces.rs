//! What is recorded in the trace of a job.

use super::*;
use crate::scheduler::QueueTime;

/// Plays a story with a traced job, and compares how long that waited.
#[track_caller]
fn check_traced(story: impl IntoIterator<Item = TimedStep>, waited: f64, failure: Option<&str>) {
    let traced = Submission { trace: Some("00-1-2-01".to_owned()), ..submission(1) };
    let world =
        play([at(0.0, lives(1, 1)), at(0.5, submit_as(1, traced))].into_iter().chain(story));
    let traces = world.effects.iter().filter_map(|effect| {
        let Effect::Trace(queued) = effect else { return None };
        Some(&**queued)
    });
    let traces: Vec<&QueueTime> = traces.collect();
    let [queued] = traces[..] else { panic!("{traces:?}") };
    assert_eq!((queued.trace.as_str(), &*queued.function), ("00-1-2-01", "fib@1"));
    assert_eq!(queued.from, OPEN + Duration::from_millis(500));
    assert_eq!((queued.to - queued.from).as_secs_f64(), waited);
    assert_eq!(queued.failure, failure);
}

#[test]
fn a_job_waits_until_it_runs() {
    check_traced([at(1.5, started(1, 1, 1)), at(4.5, answered(1, 1, 1))], 1.0, None);
}

#[test]
fn a_job_that_never_runs_waits_until_its_end() {
    check_traced([at(0.5, submitted(2)), at(3.5, cancelled(1))], 3.0, Some("cancelled"));
}
