//! The link, presence, and what one term leaves to the next.

use super::*;
use crate::view::Phase;

/// A term that began just now, with a worker that lives, and so many messages left in `sd.answers`.
fn new_term(left: u32) -> World {
    let mut world = World::new(Config::new(US));
    world.depths.1 = left;
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    lives(1, 1)(&mut world);
    world
}

#[test]
fn a_term_drains_its_queue_before_its_first_presence() {
    let mut world = new_term(5);
    submitted(1)(&mut world);
    world.go_to(Duration::from_secs(2));
    assert!(world.presences().is_empty());
    assert_eq!(world.seen, []);
    world.depths.1 = 0;
    world.go_to(Duration::from_millis(2300));
    let functions: Vec<_> = world.presences()[0].functions.iter().map(|f| f.to_string()).collect();
    assert_eq!(functions, ["fib@1"]);
    assert_eq!(world.seen, [place(1, 1)]);
}

#[test]
fn resent_jobs_wait_until_every_worker_was_heard_and_new_jobs_do_not() {
    let mut world = new_term(0);
    submitted(1)(&mut world);
    submit_as(1, Submission { first: true, ..submission(2) })(&mut world);
    world.go_to(Duration::from_millis(400));
    assert_eq!(world.seen, [place(2, 1)]);
    world.go_to(Duration::from_millis(1400));
    assert_eq!(world.seen, [place(2, 1)]);
    world.go_to(Duration::from_millis(1700));
    assert_eq!(world.seen, [place(2, 1), place(1, 1)]);
}

/// A standby has long heard the workers 1 and 2 when its term begins.
fn takeover() -> World {
    let mut world = World::new(Config::new(US));
    world.feed(Event::LinkUp);
    lives(1, 1)(&mut world);
    lives(2, 1)(&mut world);
    world.go_to(Duration::from_secs(5));
    world.feed(Event::Leading { term: world.term });
    submitted(1)(&mut world);
    world.go_to(world.now + TICK * 2);
    world
}

/// A worker has been welcomed by this term, and says so.
fn says(number: u128, term: u64) -> Step {
    change(move |world| {
        world.workers.get_mut(&worker(number)).unwrap().beat.term = Some(Term(term));
        world.beat(worker(number));
    })
}

#[test]
fn a_standby_waits_only_until_every_worker_has_spoken() {
    let mut world = takeover();
    says(1, 1)(&mut world);
    says(2, 7)(&mut world);
    world.go_to(world.now + TICK);
    assert_eq!(world.seen, [], "the second worker has not heard of this term yet");
    says(2, 1)(&mut world);
    assert_eq!(world.seen, [place(1, 1)]);
}

#[test]
fn a_worker_that_speaks_in_time_keeps_its_job() {
    let mut world = takeover();
    says(1, 1)(&mut world);
    holds(2, 1, 4)(&mut world);
    says(2, 1)(&mut world);
    submitted(1)(&mut world);
    answered(2, 1, 4)(&mut world);
    assert_eq!(world.seen, [answer(1, "value")]);
}

#[test]
fn a_silent_worker_is_waited_for_as_by_a_new_distributor() {
    let mut world = takeover();
    says(1, 1)(&mut world);
    falls_silent(2)(&mut world);
    world.go_to(Duration::from_millis(6400));
    assert_eq!(world.seen, []);
    world.go_to(Duration::from_millis(6600));
    assert_eq!(world.seen, [place(1, 1)]);
}

#[test]
fn a_drain_that_never_ends_does_not_keep_the_term_from_starting() {
    let mut world = World::new(Config::new(US));
    world.depths.1 = 5;
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.go_to(Duration::from_millis(5500));
    assert!(!world.presences().is_empty());
}

#[test]
fn presence_is_sent_every_second_and_when_the_served_functions_change() {
    let mut world = play([]);
    let before = world.presences().len();
    world.play([at(3.0, nothing())]);
    assert_eq!(world.presences().len(), before + 3);
    world.play([at(3.15, lives(1, 1)), at(3.4, nothing())]);
    assert_eq!(world.presences().last().unwrap().functions.len(), 1);
}

#[test]
fn of_two_leaders_the_older_one_steps_down() {
    let other = Presence {
        distributor: DistributorId::from_u128(2),
        term: Term(2),
        seq: 1,
        functions: vec![],
        expected: vec![],
        backlog: 0,
        room: true,
        bound: None,
        past: None,
    };
    let mut world = World::new(Config::new(US));
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.feed(Event::PresenceSeen(other.clone()));
    assert_eq!(world.scheduler.term(), Some(world.term), "it may be left from the term before");
    world.go_to(OPEN);
    world.feed(Event::PresenceSeen(other));
    assert_eq!(world.scheduler.term(), None);
}

#[test]
fn a_standby_has_no_effects() {
    let mut world = World::new(Config::new(US));
    world.feed(Event::LinkUp);
    lives(1, 1)(&mut world);
    submitted(1)(&mut world);
    world.go_to(Duration::from_secs(9));
    assert_eq!(world.effects, []);
    let view = world.scheduler.view(world.now, world.now);
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
fn a_job_held_since_an_earlier_term_is_adopted_as_running() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, holds(1, 1, 1)),
            at(2.0, next_term()),
            at(5.0, submitted(1)),
            at(9.0, nothing()),
            at(9.0, change(|world| world.term = Term(1))),
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
fn an_answer_left_behind_by_a_worker_without_the_function_is_ignored() {
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
fn an_answer_of_an_unknown_worker_waits_for_its_beat() {
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
            at(0.0, change(|world| world.term = Term(7))),
            at(0.0, started(1, 1, 2)),
            at(0.0, change(|world| world.term = Term(1))),
            at(0.1, lives(2, 1)),
            at(0.2, submitted_with(1, true, &[])),
            at(3.0, nothing()),
            at(3.4, noted(1, true, &[1])),
        ],
        [struck(1, true, &[1]), place_alone(1, 1)],
    );
}

#[test]
fn a_start_left_behind_is_ignored_when_its_worker_no_longer_holds_the_job() {
    check(
        [
            at(0.0, change(|world| world.term = Term(7))),
            at(0.0, started(1, 1, 2)),
            at(0.0, change(|world| world.term = Term(1))),
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
            at(0.0, change(|world| world.term = Term(7))),
            at(0.0, started(1, 1, 2)),
            at(0.0, change(|world| world.term = Term(1))),
            at(0.1, lives(2, 1)),
            at(3.2, nothing()),
        ],
        [struck(1, true, &[1])],
    );
}

#[test]
fn silence_counts_only_while_our_presence_comes_back() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.2, echoes(false)),
        at(0.3, falls_silent(1)),
        at(30.0, submitted(1)),
    ]);
    assert_eq!(world.scheduler.counters().lost, 0);
    assert_eq!(world.seen, []);
    world.play([at(30.0, echoes(true)), at(32.4, nothing())]);
    // The fresh time begins with the first presence that comes back.
    assert_eq!(world.scheduler.counters().lost, 0);
    world.play([at(32.8, nothing())]);
    assert_eq!(world.scheduler.counters().lost, 1);
}

#[test]
fn a_blocked_link_places_nothing_and_declares_nothing_lost() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.2, event(Event::Blocked)),
        at(0.3, falls_silent(1)),
        at(0.3, submitted(1)),
        at(30.0, nothing()),
    ]);
    assert_eq!(world.scheduler.counters().lost, 0);
    assert_eq!(world.seen, []);
    world.play([at(30.0, event(Event::Unblocked)), at(30.1, lives(1, 1)), at(30.5, nothing())]);
    assert_eq!(world.seen, [place(1, 1)]);
}

#[test]
fn a_distributor_that_was_suspended_declares_no_worker_lost() {
    let mut world = play([at(0.0, lives(1, 1)), at(1.0, nothing())]);
    world.now += Duration::from_secs(30);
    world.feed(Event::Tick);
    assert_eq!(world.scheduler.counters().lost, 0);
}

#[test]
fn the_presence_of_another_distributor_is_no_echo() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.2, echoes(false)), at(3.0, submitted(1))]);
    let mut other = (*world.presences().last().unwrap()).clone();
    other.distributor = DistributorId::from_u128(2);
    world.feed(Event::PresenceSeen(other));
    assert_eq!(world.seen, []);
}

#[test]
fn old_beats_revive_no_worker() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.5, falls_silent(1)),
        at(
            2.0,
            change(|world| {
                let beat = world.workers[&worker(1)].beat.clone();
                world.feed(Event::Beat { user: workers(), beat });
            }),
        ),
        at(4.0, nothing()),
    ]);
    assert_eq!(world.scheduler.counters().lost, 1);
}

#[test]
fn an_attempt_cancelled_by_an_earlier_term_does_not_end_the_job() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, ended(1, 1, 1, End::Answer(Answer::Cancelled))),
            at(0.2, submitted(1)),
        ],
        [place(1, 1)],
    );
}
