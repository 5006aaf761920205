//! Jobs that wait for calls of their own.

use super::*;

/// The slots that the beats of a story tell of, each with its time.
#[track_caller]
fn check_slots<const N: usize>(mut story: Story, steps: Vec<Step>, told: [(u64, u32); N]) {
    let mut slots = vec![];
    for Step(millis, what) in steps {
        let event = match what {
            What::Event(event) => event,
            What::Waits(slot, job) => Event::Waits { slot, number: story.numbers[&job] },
            What::Resumes(slot, job) => Event::Resumes { slot, number: story.numbers[&job] },
            What::Ran(..) | What::Crashed(..) | What::Settled(..) | What::Progressed(_) => {
                panic!("not in these stories")
            }
        };
        let at = story.start + Duration::from_millis(millis);
        for effect in story.executor.apply(event, at) {
            if let Effect::Publish(Publication::Beat(beat)) = &effect {
                slots.push((millis, beat.slots));
            }
            story.action(effect);
        }
    }
    assert_eq!(slots, told);
}

#[test]
fn while_a_job_waits_another_runs_and_the_broker_may_send_it() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1]),
            waits(1, 0, 1),
            placed(2, 2, [2]),
            ran(3, 1, 2),
            confirmed(4, 2),
            resumes(5, 0, 1),
            ran(6, 0, 1),
            confirmed(7, 1),
        ],
        [
            run(0, [1]),
            Action::Lend(0, true),
            Action::Ack(1),
            run(1, [2]),
            answered(2),
            Action::Ack(2),
            answered(1),
        ],
    );
}

#[test]
fn what_lies_behind_a_job_that_waits_does_not_wait_for_it() {
    check(
        Story::live(1),
        [placed(0, 1, [1, 2, 3]), waits(1, 0, 1), recalled(1, 0, 1), ran(2, 1, 2), ran(3, 1, 3)],
        [
            run(0, [1, 2, 3]),
            Action::Lend(0, true),
            Action::Recall(0),
            run(1, [2, 3]),
            answered(2),
            answered(3),
        ],
    );
}

#[test]
fn a_place_taken_back_is_not_given_away_while_the_other_runs() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1]),
            waits(1, 0, 1),
            placed(2, 2, [2]),
            resumes(3, 0, 1),
            placed(4, 3, [3]),
            ran(5, 1, 2),
            ran(6, 0, 1),
        ],
        [
            run(0, [1]),
            Action::Lend(0, true),
            Action::Ack(1),
            run(1, [2]),
            answered(2),
            answered(1),
            run(0, [3]),
        ],
    );
}

#[test]
fn as_many_places_are_lent_as_there_may_be_and_one_more_when_one_is_back() {
    let mut story = Story::live(1);
    // Beyond what a story may name.
    for job in 1..=LENDS {
        let place = Place { term: Term(1), jobs: vec![placement(1)] };
        let mut place = place;
        place.jobs[0].key.id = JobId::from_u128(1000 + job as u128);
        let (delivery, consumer) = (DeliveryId(job as u64), Consumer::Pool);
        let placed = Event::Placed { delivery, consumer, redelivered: false, place };
        story.executor.apply(placed, story.start);
        let (slot, number) = (job - 1, Number(job as u64));
        let done = story.executor.apply(Event::Waits { slot, number }, story.start);
        assert!(done.contains(&Effect::Lend { slot, number, lent: true }), "{done:?}");
    }
    let actions = [
        placed(1, 9000, [1]),
        waits(2, LENDS, 1),
        Step(3, What::Event(Event::Resumes { slot: 0, number: Number(1) })),
        waits(4, LENDS, 1),
    ];
    let lends = |lent| Action::Lend(LENDS, lent);
    check(story, actions, [run(LENDS, [1]), lends(false), lends(true), Action::Ack(9000)]);
}

#[test]
fn what_no_thread_can_be_had_for_goes_back_and_no_more_is_taken_before_the_next_beat() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1]),
            waits(1, 0, 1),
            placed(2, 2, [2, 3]),
            event(2, Event::CannotRun { slot: 1 }),
            tick(1000),
        ],
        [
            run(0, [1]),
            Action::Lend(0, true),
            Action::Ack(1),
            run(1, [2, 3]),
            back(2),
            back(3),
            Action::Cancel(Consumer::Pool),
            Action::Running(vec![1]),
            Action::Consume(Consumer::Pool),
        ],
    );
}

#[test]
fn a_worker_that_leaves_lends_nothing_and_hands_back_what_waits() {
    check(
        Story::live(2),
        [
            placed(0, 1, [1]),
            placed(0, 2, [2]),
            waits(1, 0, 1),
            shutdown(2),
            waits(3, 1, 2),
            tick(30_002),
        ],
        [
            run(0, [1]),
            run(1, [2]),
            Action::Lend(0, true),
            Action::Ack(1),
            Action::Cancel(Consumer::Pool),
            Action::Lend(1, false),
            back(1),
            back(2),
        ],
    );
}

#[test]
fn beats_tell_of_more_places_at_once_and_of_fewer_a_little_later() {
    check_slots(
        Story::live(2),
        vec![
            placed(10, 1, [1]),
            placed(10, 2, [2]),
            waits(11, 0, 1),
            waits(12, 1, 2),
            tick(16),
            tick(17),
            resumes(20, 0, 1),
            waits(21, 0, 1),
            resumes(30, 0, 1),
            tick(200),
            tick(216),
            tick(217),
        ],
        [(11, 3), (17, 4), (217, 3)],
    );
}

#[test]
fn a_link_that_comes_back_finds_the_places_as_they_are() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1]),
            waits(1, 0, 1),
            down(2),
            up(3, 2),
            welcome(3),
            placed(4, 2, [2]),
            resumes(5, 0, 1),
            ran(6, 1, 2),
        ],
        [
            run(0, [1]),
            Action::Lend(0, true),
            Action::Ack(1),
            Action::Consume(Consumer::Pool),
            run(1, [2]),
            answered(2),
        ],
    );
}

#[test]
fn a_marked_job_behind_one_that_waits_begins_in_its_place() {
    let marked = Placement { start_confirmed: true, ..placement(2) };
    check(
        Story::live(1),
        [list(0, 1, [placement(1), marked]), waits(1, 0, 1), confirmed(2, 2)],
        [run(0, [1]), Action::Lend(0, true), Action::Begins(2), run(1, [2])],
    );
}

#[test]
fn a_worker_that_was_too_full_takes_more_once_a_job_waits() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), placed(0, 2, [2]), tick(100), waits(200, 0, 1)],
        [
            run(0, [1]),
            back(2),
            Action::Running(vec![1]),
            Action::Cancel(Consumer::Pool),
            Action::Lend(0, true),
            Action::Ack(1),
            Action::Consume(Consumer::Pool),
        ],
    );
}

/// As an async job does whose body is dropped or ends while it waits.
#[test]
fn a_job_that_ends_while_it_waits_takes_its_place_along() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), waits(1, 0, 1), ran(2, 0, 1), placed(3, 2, [2]), placed(3, 3, [3])],
        [run(0, [1]), Action::Lend(0, true), Action::Ack(1), answered(1), run(0, [2])],
    );
}
