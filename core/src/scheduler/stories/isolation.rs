//! Isolated workers: what their loss says about their jobs, which is nothing.

use super::*;

#[test]
fn a_lost_isolated_worker_makes_no_suspects() {
    check(
        [
            at(0.0, isolated(1, 1)),
            at(0.0, submitted(1)),
            at(0.5, holds(1, 1, 1)),
            at(1.5, falls_silent(1)),
            at(2.0, isolated(2, 1)),
            at(4.5, nothing()),
        ],
        [place(1, 1), place(1, 2)],
    );
}

#[test]
fn nor_do_lost_messages() {
    check(
        [at(0.0, isolated(1, 1)), at(0.0, submitted(1)), at(3.5, nothing())],
        [place(1, 1), place(1, 2)],
    );
}

#[test]
fn what_came_back_is_placed_again_at_once_and_later_waits_for_its_worker() {
    check(
        [
            at(0.0, isolated(1, 1)),
            at(0.0, isolated(2, 1)),
            at(0.0, submitted(1)),
            at(0.1, holds(1, 1, 1)),
            at(0.2, came_back(2, 1, 1)),
            at(0.3, holds(1, 1, 2)),
            at(0.9, nothing()),
            at(1.4, came_back(2, 1, 2)),
            at(9.0, nothing()),
        ],
        [place(1, 1), place(1, 2)],
    );
}

#[test]
fn what_came_back_for_the_second_time_is_placed_again_when_its_worker_lets_go() {
    check(
        [
            at(0.0, isolated(1, 1)),
            at(0.0, isolated(2, 1)),
            at(0.0, submitted(1)),
            at(0.1, holds(1, 1, 1)),
            at(0.2, came_back(2, 1, 1)),
            at(0.3, holds(1, 1, 2)),
            at(0.4, came_back(2, 1, 2)),
            at(0.5, lets_go(1)),
            at(3.5, nothing()),
        ],
        [place(1, 1), place(1, 2), place(1, 3)],
    );
}

#[test]
fn out_of_reach_its_jobs_go_elsewhere_but_only_once() {
    check(
        [
            at(0.0, isolated(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, holds(1, 1, 1)),
            at(1.1, isolated(2, 1)),
            at(1.2, cut(1)),
            at(1.3, holds(2, 1, 2)),
            at(2.2, isolated(3, 1)),
            at(2.3, cut(2)),
            at(2.9, answered(2, 1, 2)),
        ],
        [place(1, 1), place(1, 2), answer(1, "value")],
    );
}

#[test]
fn with_the_whole_pool_out_of_reach_its_queue_is_emptied() {
    check(
        [
            at(0.0, isolated(1, 1)),
            at(0.0, change(|world| world.depths.0 = Some(1))),
            at(0.0, submitted(1)),
            at(0.1, falls_silent(1)),
            at(0.2, unreachable(true)),
            at(1.7, unreachable(false)),
            at(1.8, serves(2, 1, &["fib@1"])),
        ],
        [place(1, 1), Seen::Purged, place(1, 2)],
    );
}

/// The isolated workers 1 to 3 are lost one after the other, each with the job.
fn three_losses() -> Vec<TimedStep> {
    let mut story = vec![at(0.0, isolated(1, 1)), at(0.0, submitted(1))];
    for number in 1..4 {
        let from = 4.0 * f64::from(number - 1);
        story.push(at(from + 0.2, holds(number.into(), 1, number)));
        story.push(at(from + 1.2, falls_silent(number.into())));
        story.push(at(from + 2.0, isolated(u128::from(number) + 1, 1)));
    }
    story
}

#[test]
fn a_job_is_spared_three_times_and_then_a_suspect() {
    let story = three_losses().into_iter().chain([
        at(12.2, holds(4, 1, 4)),
        at(13.2, falls_silent(4)),
        at(14.0, isolated(5, 1)),
        at(16.5, noted(1, true, &[])),
        at(16.6, started(5, 1, 5)),
        at(16.7, falls_silent(5)),
        at(20.0, nothing()),
    ]);
    check(
        story,
        [
            place(1, 1),
            place(1, 2),
            place(1, 3),
            place(1, 4),
            marked(1),
            place_alone(1, 5),
            struck(1, true, &[5]),
            Seen::Purged,
        ],
    );
}

#[test]
fn that_nobody_serves_it_does_not_make_it_spared_for_ever() {
    let mut story = vec![];
    for number in 1..4_u32 {
        let from = 10.0 * f64::from(number - 1);
        story.push(at(from, isolated(number.into(), 1)));
        story.push(at(from, submitted(1)));
        story.push(at(from + 0.2, holds(number.into(), 1, 1)));
        story.push(at(from + 1.2, falls_silent(number.into())));
    }
    story.push(at(30.0, isolated(4, 1)));
    story.push(at(30.0, submitted(1)));
    story.push(at(30.1, came_back(4, 1, 1)));
    let round = [place(1, 1), Seen::Purged, answer(1, "not_served")];
    let rounds = [round.clone(), round.clone(), round].concat();
    check(story, rounds.into_iter().chain([place(1, 1), marked(1)]).collect::<Vec<_>>());
}

#[test]
fn what_no_worker_ever_had_does_not_count() {
    let mut world = play([
        at(0.0, isolated(1, 1)),
        at(0.0, change(|world| world.depths.0 = Some(1))),
        at(
            0.0,
            change(|world| {
                let attempt = Attempt { term: world.term, number: 1 };
                world.untouched = vec![(key(1), attempt)];
            }),
        ),
        at(0.0, submitted(1)),
        at(0.1, falls_silent(1)),
        at(2.0, isolated(2, 1)),
        at(4.0, nothing()),
    ]);
    // It may still be given up at once.
    world.play([at(4.1, came_back(2, 1, 1))]);
    assert_eq!(world.seen[..1], [place(1, 1)]);
    assert_eq!(world.seen.last(), Some(&place(1, 2)));
}

#[test]
fn suspects_need_not_be_alone_in_processes_of_their_own() {
    check(
        [
            at(0.0, isolated(1, 4)),
            at(0.0, submitted_with(1, true, &[])),
            at(0.0, submitted_with(2, true, &[8])),
            at(0.1, crashed(1, 1, 1)),
            at(0.2, answered(1, 2, 1)),
        ],
        [place(1, 1), place(2, 1), marked(1), answer(2, "value")],
    );
}

#[test]
fn a_pool_of_threads_has_suspects_beside_one_of_processes() {
    check(
        [
            at(0.0, serves(1, 1, &["fib@1"])),
            at(0.0, submitted_with(1, true, &[])),
            at(0.1, isolated(2, 1)),
            at(0.2, submitted_with(2, true, &[])),
        ],
        [place_alone(1, 1), place(2, 1)],
    );
}

#[test]
fn each_crash_counts_once_and_three_poison_with_their_reports() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.1, crashed(1, 1, 1)),
        at(0.1, crashed(1, 1, 1)),
        at(0.2, noted_crashes(1, 1, &[1])),
        at(0.3, crashed(1, 1, 2)),
        at(0.4, noted_crashes(1, 1, &[1])),
        at(0.5, noted_crashes(1, 1, &[1, 2])),
        at(0.6, crashed(1, 1, 3)),
    ]);
    let struck = Seen::Struck { job: 1, mark: false, strikes: vec![] };
    let expected = [
        place(1, 1),
        struck.clone(),
        place_alone(1, 2),
        struck,
        place_alone(1, 3),
        answer(1, "poisoned"),
    ];
    assert_eq!(world.seen, expected);
    assert_eq!(world.scheduler.counters().strikes, 3);
    let answer = world.view().recent[0].detail.clone().unwrap();
    assert_eq!(answer, ["killed by SIGSEGV"; 3].join("; "));
}
