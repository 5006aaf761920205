//! Drain, resume, and the end.

use super::*;

#[test]
fn a_draining_worker_stops_consuming_hands_back_what_waits_and_ends_what_runs() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), placed(0, 2, [2]), control(1, Control::Drain), ran(2, 0, 1)],
        [run(0, [1]), back(2), Action::Cancel(Consumer::Pool), answered(1)],
    );
}

#[test]
fn what_still_comes_to_a_draining_worker_goes_back_by_its_own_will() {
    check(
        Story::live(1),
        [control(0, Control::Drain), placed(1, 1, [1]), confirmed(2, 1)],
        [Action::Cancel(Consumer::Pool), back(1), Action::Ack(1)],
    );
}

#[test]
fn a_resumed_worker_consumes_again() {
    check(
        Story::live(1),
        [control(0, Control::Drain), control(1, Control::Resume), placed(2, 1, [1])],
        [Action::Cancel(Consumer::Pool), Action::Consume(Consumer::Pool), run(0, [1])],
    );
}

#[test]
fn a_change_of_state_is_beaten_at_once() {
    check_beats(
        Story::live(1),
        [control(1, Control::Drain), control(2, Control::Resume), shutdown(3)],
        [
            Action::Beat(WorkerState::Draining, vec![]),
            Action::Beat(WorkerState::Live, vec![]),
            Action::Beat(WorkerState::Draining, vec![]),
        ],
    );
}

#[test]
fn a_leaving_worker_does_not_resume() {
    check(
        Story::live(1),
        [shutdown(0), control(1, Control::Resume)],
        [Action::Cancel(Consumer::Pool)],
    );
}

#[test]
fn a_leaving_worker_may_leave_when_its_last_answer_is_confirmed() {
    let mut story = Story::live(1);
    let may_leave = |story: &Story| story.executor.may_leave(story.start);
    story.play(placed(0, 1, [1]));
    story.play(shutdown(1));
    assert!(!may_leave(&story));
    story.play(ran(2, 0, 1));
    assert!(!may_leave(&story));
    story.play(confirmed(3, 1));
    assert!(may_leave(&story));
}

#[test]
fn the_last_word_of_a_leaving_worker_names_nothing_that_is_settled() {
    check_goodbye(vec![shutdown(0)], 0, vec![]);
    check_goodbye(vec![placed(0, 1, [1]), shutdown(1), ran(2, 0, 1), confirmed(3, 1)], 3, vec![]);
    let grace = vec![placed(0, 1, [1]), shutdown(0), tick(30_000), confirmed(30_001, 1)];
    check_goodbye(grace, 30_001, vec![]);
    let unconfirmed = vec![placed(0, 1, [1]), shutdown(0), tick(30_000), tick(31_999)];
    check_goodbye(unconfirmed, 32_000, vec![1]);
}

/// After these steps a worker may leave, not before the last of them, and its last word names
/// these.
#[track_caller]
fn check_goodbye(steps: Vec<Step>, millis: u64, held: Vec<J>) {
    let mut story = Story::live(1);
    let at = story.start + Duration::from_millis(millis);
    for step in steps {
        assert!(!story.executor.may_leave(story.start + Duration::from_millis(step.0)));
        story.play(step);
    }
    assert!(story.executor.may_leave(at));
    let actions = story.play(event(millis, Event::Leaves));
    assert!(actions.contains(&Action::Goodbye(held)), "{actions:?}");
}

#[test]
fn a_second_signal_ends_the_grace_time() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), shutdown(0), event(5, Event::GraceEnds), confirmed(6, 1)],
        [run(0, [1]), Action::Cancel(Consumer::Pool), back(1), Action::Ack(1)],
    );
}

#[test]
fn without_a_link_a_leaving_worker_waits_a_moment_for_one_to_say_goodbye_on() {
    let mut story = Story::live(1);
    story.play(down(0));
    story.play(shutdown(1));
    let at = |millis| story.start + Duration::from_millis(millis);
    assert!(!story.executor.may_leave(at(2000)));
    assert!(story.executor.may_leave(at(2001)));
    assert_eq!(story.executor.next_wake(), Some(at(2001)));
    story.play(up(500, 2));
    assert!(story.executor.may_leave(story.start + Duration::from_millis(500)));
}

#[test]
fn what_runs_beyond_the_grace_time_is_handed_back_and_its_value_dropped() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), shutdown(0), tick(30_000), confirmed(30_001, 1), ran(30_002, 0, 1)],
        [run(0, [1]), Action::Cancel(Consumer::Pool), back(1), Action::Ack(1)],
    );
}

#[test]
fn a_leaving_worker_does_not_wait_for_ever_for_a_confirm() {
    let mut story = Story::live(1);
    for step in [placed(0, 1, [1]), shutdown(0), tick(30_000)] {
        story.play(step);
    }
    let at = |millis| story.start + Duration::from_millis(millis);
    assert_eq!(story.executor.next_wake(), Some(at(31_000)));
    assert!(!story.executor.may_leave(at(31_999)));
    assert!(story.executor.may_leave(at(32_000)));
}

#[test]
fn a_leaving_worker_leaves_behind_what_runs_for_nobody() {
    let mut story = Story::live(1);
    let may_leave = |story: &Story| story.executor.may_leave(story.start);
    for step in [placed(0, 1, [1]), shutdown(1), cancel(2, 1)] {
        story.play(step);
    }
    assert!(!may_leave(&story), "its end is not confirmed");
    story.play(confirmed(3, 1));
    assert!(may_leave(&story));
}
