//! Marked jobs: `Started` is confirmed before they run.

use super::*;

fn marked(millis: u64, job: J) -> Step {
    list(millis, 1, [Placement { start_confirmed: true, ..placement(job) }])
}

#[test]
fn a_marked_job_runs_once_its_start_is_confirmed() {
    check(
        Story::live(1),
        [marked(0, 1), tick(50), confirmed(60, 1), tick(200), ran(200, 0, 1), confirmed(201, 1)],
        [Action::Begins(1), run(0, [1]), answered(1), Action::Ack(1)],
    );
}

#[test]
fn a_marked_job_whose_start_is_refused_goes_back_unstarted() {
    check(
        Story::live(1),
        [marked(0, 1), refused(1, 1), confirmed(2, 1), placed(3, 2, [2])],
        [Action::Begins(1), back(1), Action::Ack(1), run(0, [2])],
    );
}

#[test]
fn a_marked_job_in_a_list_runs_alone_and_in_its_turn() {
    let marked = Placement { start_confirmed: true, ..placement(2) };
    check(
        Story::live(1),
        [
            list(0, 1, [placement(1), marked, placement(3)]),
            ran(1, 0, 1),
            confirmed(2, 2),
            ran(3, 0, 2),
            ran(4, 0, 3),
        ],
        [
            run(0, [1]),
            answered(1),
            Action::Begins(2),
            run(0, [2]),
            answered(2),
            run(0, [3]),
            answered(3),
        ],
    );
}

#[test]
fn a_marked_job_cancelled_before_its_confirm_never_runs() {
    check(
        Story::live(1),
        [marked(0, 1), cancel(1, 1), placed(2, 2, [2])],
        [Action::Begins(1), ended(1, Answer::Cancelled), run(0, [2])],
    );
}

#[test]
fn a_confirm_that_comes_after_the_job_went_back_starts_nothing() {
    let mut story = Story::live(1);
    story.play(marked(0, 1));
    let begins = story.tokens[&1];
    assert_eq!(story.play(control(1, Control::Drain)).first(), Some(&back(1)));
    let late = Event::Settled { token: begins, outcome: Outcome::Confirmed };
    assert_eq!(story.play(event(2, late)), []);
}
