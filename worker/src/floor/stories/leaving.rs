//! Drain, resume, and the end.

use super::*;

#[test]
fn a_draining_worker_stops_consuming_hands_back_what_waits_and_ends_what_runs() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), placed(0, 2, [2]), control(1, Control::Drain), ran(2, 0, 1)],
        [run(0, [1]), back(2), Deed::Cancel(Source::Pool), answered(1)],
    );
}

#[test]
fn what_still_comes_to_a_draining_worker_goes_back_by_its_own_will() {
    check(
        Story::live(1),
        [control(0, Control::Drain), placed(1, 1, [1]), confirmed(2, 1)],
        [Deed::Cancel(Source::Pool), back(1), Deed::Ack(1)],
    );
}

#[test]
fn a_resumed_worker_consumes_again() {
    check(
        Story::live(1),
        [control(0, Control::Drain), control(1, Control::Resume), placed(2, 1, [1])],
        [Deed::Cancel(Source::Pool), Deed::Consume(Source::Pool), run(0, [1])],
    );
}

#[test]
fn a_change_of_state_is_beaten_at_once() {
    check_beats(
        Story::live(1),
        [control(1, Control::Drain), control(2, Control::Resume), shutdown(3)],
        [
            Deed::Beat(WorkerState::Draining, vec![]),
            Deed::Beat(WorkerState::Live, vec![]),
            Deed::Beat(WorkerState::Draining, vec![]),
        ],
    );
}

#[test]
fn a_leaving_worker_does_not_resume() {
    check(Story::live(1), [shutdown(0), control(1, Control::Resume)], [Deed::Cancel(Source::Pool)]);
}

#[test]
fn a_leaving_worker_may_leave_when_its_last_answer_is_confirmed() {
    let mut story = Story::live(1);
    let may_leave = |story: &Story| story.floor.may_leave(story.start);
    story.play(placed(0, 1, [1]));
    story.play(shutdown(1));
    assert!(!may_leave(&story));
    story.play(ran(2, 0, 1));
    assert!(!may_leave(&story));
    story.play(confirmed(3, 1));
    assert!(may_leave(&story));
}

#[test]
fn what_runs_beyond_the_grace_time_is_handed_back_and_its_value_dropped() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), shutdown(0), tick(30_000), confirmed(30_001, 1), ran(30_002, 0, 1)],
        [run(0, [1]), Deed::Cancel(Source::Pool), back(1), Deed::Ack(1)],
    );
}

#[test]
fn a_leaving_worker_does_not_wait_for_ever_for_a_confirm() {
    let mut story = Story::live(1);
    for step in [placed(0, 1, [1]), shutdown(0), tick(30_000)] {
        story.play(step);
    }
    let at = |millis| story.start + Duration::from_millis(millis);
    assert_eq!(story.floor.next_wake(), Some(at(31_000)));
    assert!(!story.floor.may_leave(at(31_999)));
    assert!(story.floor.may_leave(at(32_000)));
}
