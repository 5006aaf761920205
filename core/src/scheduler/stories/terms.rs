//! The link, presence, and what one term leaves to the next.

use super::*;
use crate::view::Phase;

/// A term that began just now, with a worker that lives, and so many messages left in `sd.answers`.
fn new_term(left: u32) -> Stage {
    let mut stage = Stage::new(Config::new(US));
    stage.depths.1 = left;
    stage.feed(Event::LinkUp);
    stage.feed(Event::Leading { term: stage.term });
    lives(1, 1)(&mut stage);
    stage
}

#[test]
fn a_term_drains_before_it_shows_itself() {
    let mut stage = new_term(5);
    submitted(1)(&mut stage);
    stage.go_to(Duration::from_secs(2));
    assert!(stage.presences().is_empty());
    assert_eq!(stage.seen, []);
    stage.depths.1 = 0;
    stage.go_to(Duration::from_millis(2300));
    let functions: Vec<_> = stage.presences()[0].functions.iter().map(|f| f.to_string()).collect();
    assert_eq!(functions, ["fib@1"]);
    assert_eq!(stage.seen, [place(1, 1)]);
}

#[test]
fn what_was_sent_before_waits_until_every_worker_was_heard_and_what_is_new_does_not() {
    let mut stage = new_term(0);
    submitted(1)(&mut stage);
    submit_as(1, Submission { first: true, ..submission(2) })(&mut stage);
    stage.go_to(Duration::from_millis(400));
    assert_eq!(stage.seen, [place(2, 1)]);
    stage.go_to(Duration::from_millis(1400));
    assert_eq!(stage.seen, [place(2, 1)]);
    stage.go_to(Duration::from_millis(1700));
    assert_eq!(stage.seen, [place(2, 1), place(1, 1)]);
}

#[test]
fn a_drain_that_never_ends_does_not_keep_the_term_from_beginning() {
    let mut stage = Stage::new(Config::new(US));
    stage.depths.1 = 5;
    stage.feed(Event::LinkUp);
    stage.feed(Event::Leading { term: stage.term });
    stage.go_to(Duration::from_millis(5500));
    assert!(!stage.presences().is_empty());
}

#[test]
fn presence_is_shown_every_second_and_when_what_is_served_changes() {
    let mut stage = play([]);
    let before = stage.presences().len();
    stage.play([at(3.0, nothing())]);
    assert_eq!(stage.presences().len(), before + 3);
    stage.play([at(3.15, lives(1, 1)), at(3.4, nothing())]);
    assert_eq!(stage.presences().last().unwrap().functions.len(), 1);
}

#[test]
fn of_two_that_lead_the_older_one_steps_down() {
    let other = Presence {
        distributor: DistributorId::from_u128(2),
        term: Term(2),
        seq: 1,
        functions: vec![],
        backlog: 0,
        room: true,
        bound: None,
    };
    let mut stage = Stage::new(Config::new(US));
    stage.feed(Event::LinkUp);
    stage.feed(Event::Leading { term: stage.term });
    stage.feed(Event::Seen(other.clone()));
    assert_eq!(stage.scheduler.term(), Some(stage.term), "it may be left from the term before");
    stage.go_to(OPEN);
    stage.feed(Event::Seen(other));
    assert_eq!(stage.scheduler.term(), None);
}

#[test]
fn who_stands_by_wants_nothing_done() {
    let mut stage = Stage::new(Config::new(US));
    stage.feed(Event::LinkUp);
    lives(1, 1)(&mut stage);
    submitted(1)(&mut stage);
    stage.go_to(Duration::from_secs(9));
    assert_eq!(stage.effects, []);
    let view = stage.scheduler.view(stage.now, stage.now);
    assert_eq!(view.distributor.phase, Phase::Standby { active: None, backlog: None });
    assert_eq!(view.workers.len(), 1);
}

#[test]
fn the_end_of_a_term_forgets_all_jobs_but_the_recent_answers() {
    check(
        [
            at(0.0, lives(1, 2)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.5, answered(1, 1, 1)),
            at(1.0, next_term()),
            at(4.0, submitted(1)),
            at(4.0, asked(2)),
            at(4.0, submitted(2)),
        ],
        [
            place(1, 1),
            place(2, 1),
            answer(1, "value"),
            answer(1, "value"),
            Seen::Unknown { job: 2 },
            place(2, 1),
        ],
    );
}

#[test]
fn what_a_worker_holds_from_an_earlier_term_is_taken_as_running_there() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, holds(1, 1, 1)),
            at(2.0, next_term()),
            at(5.0, submitted(1)),
            at(9.0, nothing()),
            at(9.0, change(|stage| stage.term = Term(1))),
            at(9.0, answered(1, 1, 1)),
        ],
        [answer(1, "value")],
    );
}

#[test]
fn an_answer_left_behind_answers_the_job_sent_again() {
    check(
        [
            at(0.0, next_term()),
            at(0.1, answered(1, 1, 1)),
            at(0.2, lives(1, 1)),
            at(0.3, asked(1)),
            at(2.0, submitted(1)),
            at(2.1, asked(1)),
        ],
        // Whether it is an answer is known only when its job is there again.
        [Seen::Unknown { job: 1 }, answer(1, "value"), answer(1, "value")],
    );
}

#[test]
fn an_answer_left_behind_by_one_who_does_not_serve_the_function_is_none() {
    check(
        [
            at(0.0, lives(2, 1)),
            at(0.0, serves(1, 1, &["echo@1"])),
            at(0.1, answered(1, 1, 1)),
            at(2.0, submitted(1)),
        ],
        [place(1, 1)],
    );
}

#[test]
fn an_answer_of_one_not_heard_yet_waits_for_its_beat() {
    check(
        [
            at(0.0, lives(2, 1)),
            at(0.0, submitted(1)),
            at(0.1, answered(1, 1, 1)),
            at(0.5, lives(1, 1)),
        ],
        [place(1, 1), answer(1, "value")],
    );
}

#[test]
fn a_start_left_behind_strikes_when_its_worker_stays_silent() {
    check(
        [
            at(0.0, change(|stage| stage.term = Term(7))),
            at(0.0, started(1, 1, 2)),
            at(0.0, change(|stage| stage.term = Term(1))),
            at(0.1, lives(2, 1)),
            at(0.2, submitted_with(1, true, &[])),
            at(3.0, nothing()),
            at(3.4, noted(1, true, &[1])),
        ],
        [struck(1, true, &[1]), place_alone(1, 1)],
    );
}

#[test]
fn a_start_left_behind_says_nothing_when_its_worker_holds_the_job_no_more() {
    check(
        [
            at(0.0, change(|stage| stage.term = Term(7))),
            at(0.0, started(1, 1, 2)),
            at(0.0, change(|stage| stage.term = Term(1))),
            at(0.1, lives(1, 1)),
            at(0.2, submitted_with(1, true, &[])),
        ],
        [place_alone(1, 1)],
    );
}

#[test]
fn a_start_left_behind_counts_for_a_job_that_was_sent_again_before_it_was_read() {
    check(
        [
            at(0.0, submitted_with(1, true, &[])),
            at(0.0, change(|stage| stage.term = Term(7))),
            at(0.0, started(1, 1, 2)),
            at(0.0, change(|stage| stage.term = Term(1))),
            at(0.1, lives(2, 1)),
            at(3.2, nothing()),
        ],
        [struck(1, true, &[1])],
    );
}

#[test]
fn silence_counts_only_while_our_presence_comes_back() {
    let mut stage = play([
        at(0.0, lives(1, 1)),
        at(0.2, echoes(false)),
        at(0.3, falls_silent(1)),
        at(30.0, submitted(1)),
    ]);
    assert_eq!(stage.scheduler.books().lost, 0);
    assert_eq!(stage.seen, []);
    stage.play([at(30.0, echoes(true)), at(32.4, nothing())]);
    // The fresh time begins with the first presence that comes back.
    assert_eq!(stage.scheduler.books().lost, 0);
    stage.play([at(32.8, nothing())]);
    assert_eq!(stage.scheduler.books().lost, 1);
}

#[test]
fn a_blocked_link_places_nothing_and_judges_nobody() {
    let mut stage = play([
        at(0.0, lives(1, 1)),
        at(0.2, event(Event::Blocked)),
        at(0.3, falls_silent(1)),
        at(0.3, submitted(1)),
        at(30.0, nothing()),
    ]);
    assert_eq!(stage.scheduler.books().lost, 0);
    assert_eq!(stage.seen, []);
    stage.play([at(30.0, event(Event::Unblocked)), at(30.1, lives(1, 1)), at(30.5, nothing())]);
    assert_eq!(stage.seen, [place(1, 1)]);
}

#[test]
fn who_stood_still_itself_judges_nobody() {
    let mut stage = play([at(0.0, lives(1, 1)), at(1.0, nothing())]);
    stage.now += Duration::from_secs(30);
    stage.feed(Event::Tick);
    assert_eq!(stage.scheduler.books().lost, 0);
}

#[test]
fn anothers_presence_is_no_echo() {
    let mut stage = play([at(0.0, lives(1, 1)), at(0.2, echoes(false)), at(3.0, submitted(1))]);
    let mut other = (*stage.presences().last().unwrap()).clone();
    other.distributor = DistributorId::from_u128(2);
    stage.feed(Event::Seen(other));
    assert_eq!(stage.seen, []);
}

#[test]
fn old_beats_revive_nobody() {
    let stage = play([
        at(0.0, lives(1, 1)),
        at(0.5, falls_silent(1)),
        at(
            2.0,
            change(|stage| {
                let beat = stage.cast[&worker(1)].beat.clone();
                stage.feed(Event::Beat { user: workers(), beat });
            }),
        ),
        at(4.0, nothing()),
    ]);
    assert_eq!(stage.scheduler.books().lost, 1);
}

#[test]
fn an_attempt_that_an_earlier_term_cancelled_ends_nobodys_call() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, ended(1, 1, 1, End::Answer(Answer::Cancelled))),
            at(0.2, submitted(1)),
        ],
        [place(1, 1)],
    );
}
