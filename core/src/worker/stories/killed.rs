//! What runs in a process of its own: it may end of a job, and is killed when nobody waits.

use super::*;

fn expires(job: J, millis: u64) -> Placement {
    Placement { budget_ms: millis, ..placement(job) }
}

#[test]
fn what_runs_on_at_its_deadline_is_killed_a_second_later_and_its_slot_runs_the_next() {
    check(
        Story::isolated(1),
        [
            list(0, 1, [expires(1, 50)]),
            tick(50),
            placed(60, 2, [2]),
            tick(1049),
            tick(1050),
            tick(1051),
            crashed(1055, 0, 1),
        ],
        [
            run(0, [1]),
            ended(1, Answer::Expired),
            Action::Stop(0, 1),
            back(2),
            Action::Cancel(Consumer::Pool),
            Action::Kill(0, 1),
            Action::Consume(Consumer::Pool),
        ],
    );
}

#[test]
fn what_is_cancelled_is_killed_unless_it_ends_by_itself() {
    let steps = |last| [placed(0, 1, [1]), cancel(10, 1), last, tick(1010)];
    let actions = || vec![run(0, [1]), ended(1, Answer::Cancelled), Action::Stop(0, 1)];
    let killed: Vec<Action> = actions().into_iter().chain([Action::Kill(0, 1)]).collect();
    check(Story::isolated(1), steps(tick(1009)), killed);
    check(Story::isolated(1), steps(ran(900, 0, 1)), actions());
    check(Story::live(1), steps(tick(1009)), actions());
}

#[test]
fn a_crash_ends_the_attempt_that_it_is_of_and_the_rest_of_the_list_runs_on() {
    check(
        Story::isolated(1),
        [placed(0, 1, [1, 2]), crashed(5, 0, 1), ran(6, 0, 2), confirmed(7, 1), confirmed(7, 2)],
        [run(0, [1, 2]), Action::Ended(1, End::Crashed(crash())), answered(2), Action::Ack(1)],
    );
}

#[test]
fn a_crash_of_what_nobody_waits_for_is_no_evidence() {
    check(
        Story::isolated(1),
        [placed(0, 1, [1]), cancel(1, 1), confirmed(2, 1), crashed(3, 0, 1), placed(4, 2, [2])],
        [run(0, [1]), ended(1, Answer::Cancelled), Action::Stop(0, 1), Action::Ack(1), run(0, [2])],
    );
}

#[test]
fn the_slot_of_what_runs_on_runs_the_next_a_second_after_nobody_waits() {
    for (budget, end) in
        [(50, tick(50)), (9000, cancel(50, 1)), (9000, cancel_attempts(50, [(1, 1)]))]
    {
        let mut story = Story::isolated(1);
        story.play(list(0, 1, [expires(1, budget)]));
        assert!(story.play(end).contains(&Action::Stop(0, 1)));
        // The worker wakes for it, whatever else happens.
        let killed = (0..100).find_map(|_| {
            let wake = story.executor.next_wake().expect("it beats") - story.start;
            let millis = u64::try_from(wake.as_millis()).expect("a few seconds");
            story.play(tick(millis)).contains(&Action::Kill(0, 1)).then_some(millis)
        });
        assert_eq!(killed, Some(1050));
        story.play(crashed(1055, 0, 1));
        assert_eq!(story.play(placed(1055, 2, [2])), [run(0, [2])]);
    }
}
