//! The views of a story.

use super::*;
use simple_dist_protocol::message::Printed;

use crate::view::{
    BarEnd, CancelledBy, Job, JobEvent, JobFilter, Phase, Place, RECENT, Seconds, View, WorkerState,
};

impl World {
    pub(super) fn view(&self) -> View {
        self.scheduler.view(self.now, Duration::from_secs(1_000_000) + self.now)
    }
}

/// The jobs in the first worker's hands: job, slot, tenths of a second.
fn held(view: &View) -> Vec<(u128, Option<u32>, u64)> {
    let held = view.workers[0].held.iter();
    held.map(|job| (number(job.id), job.slot, (job.age.0 * 10.0).round() as u64)).collect()
}

#[test]
fn a_job_is_seen_from_its_start_and_gone_with_its_answer() {
    let mut world = play([
        at(0.0, lives(1, 2)),
        at(0.1, submitted(1)),
        at(0.1, submitted(2)),
        at(0.2, started_via(Via::Beats, 1, 1, 1)),
    ]);
    assert_eq!(held(&world.view()), [(1, Some(0), 0)], "no beat has named it yet");
    world.play([at(0.3, holds(1, 1, 1)), at(1.3, nothing())]);
    let view = world.view();
    assert_eq!(held(&view), [(1, Some(0), 3)]);
    assert_eq!((view.workers[0].busy, view.totals.busy, view.books.running), (1, 1, 1));
    world.play([at(1.4, answered(1, 1, 1))]);
    let view = world.view();
    assert_eq!(held(&view), [], "though its last beat names it");
    assert_eq!((view.workers[0].done, view.books.done, view.functions[0].done), (1, 1, 1));
}

#[test]
fn a_standby_sees_the_jobs_named_by_beats() {
    let mut world = World::new(Config::new(US));
    world.feed(Event::LinkUp);
    lives(1, 1)(&mut world);
    holds(1, 7, 1)(&mut world);
    world.go_to(Duration::from_secs(2));
    let presence = Presence {
        distributor: DistributorId::from_u128(2),
        term: Term(9),
        seq: 1,
        functions: vec![],
        expected: vec![],
        backlog: 5,
        room: true,
        bound: None,
        past: None,
    };
    world.feed(Event::PresenceSeen(presence));
    let view = world.view();
    let active = Some(DistributorId::from_u128(2).to_string());
    assert_eq!(view.distributor.phase, Phase::Standby { active, backlog: Some(5) });
    assert_eq!(held(&view).len(), 1);
    assert_eq!(view.totals.queued, 5);
    world.go_to(Duration::from_secs(9));
    assert_eq!(
        world.view().distributor.phase,
        Phase::Standby { active: None, backlog: None },
        "it was silent for three seconds"
    );
}

#[test]
fn a_draining_workers_slots_count_as_long_as_they_run() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, lives(2, 1)),
        at(0.1, submitted(1)),
        at(0.2, started_via(Via::Beats, 1, 1, 1)),
        at(0.3, drains(1)),
    ]);
    let view = world.view();
    assert_eq!((view.totals.busy, view.totals.slots), (1, 2));
    assert_eq!(view.functions[0].slots, 1, "one takes jobs");
}

#[test]
fn a_lost_worker_stays_with_what_became_of_its_jobs() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.1, started_via(Via::Beats, 1, 1, 1)),
        at(0.2, falls_silent(1)),
        at(4.0, lives(2, 1)),
        at(4.1, noted(1, true, &[])),
    ]);
    let view = world.view();
    let states: Vec<_> = view.workers.iter().map(|it| (it.state, it.gave_back)).collect();
    assert_eq!(states, [(WorkerState::Live, 0), (WorkerState::Lost, 1)]);
    assert_eq!((view.totals.workers, view.totals.lost), (1, 1));
    let lane = view.stream.lanes.iter().find(|lane| lane.worker == worker(1)).unwrap();
    assert!(lane.lost.is_some());
    assert_eq!(lane.bars.iter().map(|bar| bar.end).collect::<Vec<_>>(), [BarEnd::Lost]);
    world.play([at(4.2, started(2, 1, 2)), at(4.3, answered(2, 1, 2))]);
    let view = world.view();
    let told: Vec<_> = view.recent[0].timeline.iter().map(|moment| moment.what).collect();
    assert!(
        matches!(
            told[..],
            [
                JobEvent::Submitted,
                JobEvent::Placed { attempt: 1, .. },
                JobEvent::Started { attempt: 1, .. },
                JobEvent::Lost { attempt: 1, .. },
                JobEvent::Placed { attempt: 2, .. },
                JobEvent::Started { attempt: 2, .. },
                JobEvent::Ended
            ]
        ),
        "{told:?}"
    );
    assert_eq!((view.recent[0].attempts, view.recent[0].worker), (2, Some(worker(2))));
}

#[test]
fn the_lanes_of_a_worker_that_is_gone_leave_after_a_minute() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, lives(2, 1)),
        at(0.0, submitted(1)),
        at(0.1, started_via(Via::Beats, 1, 1, 1)),
        at(0.5, answered(1, 1, 1)),
        at(1.0, falls_silent(1)),
        at(5.0, nothing()),
    ]);
    let lanes = |world: &World| {
        let view = world.view();
        let of = |number| view.stream.lanes.iter().filter(|it| it.worker == worker(number)).count();
        (of(1), of(2), view.workers.len())
    };
    assert_eq!(lanes(&world), (1, 1, 2));
    world.play([at(62.0, nothing())]);
    assert_eq!(lanes(&world), (1, 1, 2));
    world.play([at(66.0, nothing())]);
    assert_eq!(lanes(&world), (0, 1, 2), "it is still listed");
}

#[test]
fn of_more_slots_than_fit_those_that_ran_something_are_shown() {
    let mut world = play((1..=20).map(|number| at(0.0, lives(number, 8))));
    world.play([at(0.1, submitted(1)), at(0.2, started_via(Via::Beats, 20, 1, 1))]);
    let stream = world.view().stream;
    assert_eq!((stream.lanes.len(), stream.more), (128, 32));
    assert_eq!(stream.lanes[0].worker, worker(20));
}

#[test]
fn a_job_returned_when_its_worker_died_counts_as_lost_with_it() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, lives(2, 1)),
        at(0.0, submitted(1)),
        at(0.1, started_via(Via::Beats, 1, 1, 1)),
        at(1.2, falls_silent(1)),
        at(1.3, came_back(2, 1, 1)),
        at(1.4, noted(1, true, &[])),
    ]);
    assert_eq!(world.view().workers[1].gave_back, 0, "its link is gone, and maybe no more");
    world.play([at(5.0, nothing())]);
    let view = world.view();
    let lost = view.workers.iter().find(|it| it.state == WorkerState::Lost).unwrap();
    assert_eq!(lost.gave_back, 1);
    let lane = view.stream.lanes.iter().find(|lane| lane.worker == worker(1)).unwrap();
    assert_eq!(lane.bars.iter().map(|bar| bar.end).collect::<Vec<_>>(), [BarEnd::Lost]);
}

#[test]
fn the_queue_has_no_estimate_without_workers() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(2.1, answered(1, 1, 1)),
        at(2.2, submitted(2)),
        at(2.2, submitted(3)),
        at(3.3, nothing()),
    ]);
    let totals = world.view().totals.clone();
    assert!(totals.queued > 0 && totals.empty_in.is_none(), "more have come than ended");
    world.play([at(6.3, nothing())]);
    let totals = world.view().totals.clone();
    assert!(totals.queued > 0 && totals.empty_in.is_some(), "{totals:?}");
    world.play([at(6.3, falls_silent(1)), at(9.5, nothing())]);
    let totals = world.view().totals.clone();
    assert!(totals.queued > 0 && totals.rate > 0.0, "{totals:?}");
    assert_eq!((totals.slots, totals.empty_in), (0, None));
}

#[test]
fn waiting_and_running_are_distinguished() {
    let world = play([at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(2.1, answered(1, 1, 1))]);
    let recent = &world.view().recent[0];
    assert_eq!((recent.ran, recent.answer.as_str()), (Some(Seconds(0.001)), "value"));
    assert!((recent.waited.0 - 2.099).abs() < 1e-6, "{recent:?}");
    assert_eq!(recent.ended_unix_ms, 1_000_007_100);
    let function = &world.view().functions[0];
    assert!(function.wait.p50.unwrap().0 > 1.8 && function.run.p99.unwrap().0 < 0.0012);
    assert_eq!((function.waits.count, function.answers["value"]), (1, 1));
}

#[test]
fn what_still_waits_counts_with_its_wait_so_far() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(0.1, answered(1, 1, 1))]);
    let p95 = |world: &World| {
        let view = world.view();
        let told = [view.totals.wait_p95, view.functions[0].wait.p95, view.series.last()?.wait_p95];
        Some(told.map(|wait| wait.unwrap().0))
    };
    world.play([at(1.5, nothing())]);
    assert!(p95(&world).unwrap().iter().all(|wait| *wait < 0.12));
    // One runs, one is placed, the others are queued.
    for job in 2..=600 {
        world.play([at(2.0, submitted(job))]);
    }
    for second in 1..=8 {
        world.play([at(2.0 + f64::from(second), holds(1, 2, 1))]);
    }
    world.play([at(10.8, nothing())]);
    let told = p95(&world).unwrap();
    assert!(told.iter().all(|wait| (7.0..=9.7).contains(wait)), "{told:?}");
    assert_eq!(world.view().functions[0].wait.count, 1, "these are measured");
}

#[test]
fn unserved_functions_and_mixed_versions_are_reported() {
    let world = play([
        at(0.0, serves(1, 1, &["fib@1"])),
        at(0.0, serves(2, 1, &["fib@2"])),
        at(0.0, submit_as(1, Submission { function: "gone@3".into(), ..submission(1) })),
    ]);
    let view = world.view();
    let told: Vec<_> =
        view.functions.iter().map(|it| (&*it.name, it.workers, it.versions.clone())).collect();
    assert_eq!(told, [("fib@1", 1, vec![1, 2]), ("fib@2", 1, vec![1, 2])], "refused on arrival");
    assert_eq!(view.books.refused_by["not_served"], 1);
}

#[test]
fn a_job_is_found_before_and_after_its_end() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.1, submitted(1)), at(0.2, submitted(2))]);
    let found = |world: &World, job| {
        world.scheduler.find(JobId::from_u128(job), world.now, Duration::from_secs(1_000_000))
    };
    let [Job::UnderWay(first)] = &found(&world, 1)[..] else { panic!("{:?}", found(&world, 1)) };
    assert_eq!((first.place, first.attempts, &first.arguments), (Place::Placed, 1, &None));
    world.play([at(0.3, answered(1, 1, 1))]);
    assert!(matches!(&found(&world, 1)[..], [Job::Ended(job)] if job.answer == "value"));
    assert_eq!(found(&world, 3), []);
}

#[test]
fn arguments_are_shown_only_where_that_was_wanted() {
    let mut world = World::new(Config { preview: true, ..Config::new(US) });
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.go_to(OPEN);
    world.play([at(0.0, lives(1, 1)), at(0.1, submitted(1)), at(0.2, answered(1, 1, 1))]);
    assert_eq!(world.view().recent[0].arguments.as_deref(), Some("20"));
}

/// A beat of worker 1 that tells these lines.
fn prints(lines: impl IntoIterator<Item = usize>) -> Step {
    let line = |number: usize| Printed {
        job: JobId::from_u128(1),
        function: "fib@1".parse().unwrap(),
        line: format!("{number} {}", "x".repeat(300)),
    };
    let lines: Vec<Printed> = lines.into_iter().map(line).collect();
    change(move |world| {
        world.workers.get_mut(&worker(1)).unwrap().beat.printed = lines.clone();
        world.beat(worker(1));
        world.workers.get_mut(&worker(1)).unwrap().beat.printed = vec![];
    })
}

#[test]
fn the_last_lines_that_jobs_printed_stay_with_their_worker_within_their_bounds() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.1, prints(0..3)), at(1.5, nothing())]);
    let shown = |world: &World| {
        let printed = world.view().workers[0].printed.clone();
        assert!(printed.iter().all(|it| it.function == "fib@1" && it.line.len() == 200));
        (printed.len(), printed[0].line[..2].to_owned())
    };
    assert_eq!(shown(&world), (3, "0 ".to_owned()), "later beats tell nothing new");
    world.play([at(1.6, prints(5..1000))]);
    assert_eq!(shown(&world), (20, "98".to_owned()));
    world.play([at(1.7, falls_silent(1)), at(6.0, nothing())]);
    assert_eq!((world.view().workers[0].state, shown(&world).0), (WorkerState::Lost, 20));
}

#[test]
fn every_second_is_sampled_and_the_rate_is_of_the_last_ten() {
    let mut world = play([at(0.0, lives(1, 1))]);
    for job in 1..=20 {
        let time = job as f64;
        world.play([at(time, submitted(job)), at(time + 0.1, answered(1, job, 1))]);
    }
    world.play([at(21.0, nothing())]);
    let view = world.view();
    assert!((0.8..=1.1).contains(&view.totals.rate), "{}", view.totals.rate);
    assert_eq!(view.series.iter().map(|sample| sample.done).sum::<u64>(), 20);
    assert_eq!(view.series.last().unwrap().slots, 1);
}

#[test]
fn a_view_stays_small_however_many_jobs_wait() {
    let mut world = play([at(0.0, lives(1, 1))]);
    for job in 1..=2_000 {
        world.play([at(0.1, submitted(job))]);
    }
    let few = serde_json::to_string(&world.view()).unwrap().len();
    assert!(few < 10_000, "{few} bytes");
    for job in 2_001..=4_000 {
        world.play([at(0.1, cancelled(job - 2_000))]);
    }
    assert_eq!(world.view().recent.len(), crate::view::RECENT);
}

#[test]
fn what_an_operator_means_is_counted_by_function_and_by_whether_it_runs() {
    let mut world = play([at(0.0, lives(1, 1))]);
    world.play((1..=5).map(|job| at(0.1, submitted(job))));
    world.play([at(0.2, started(1, 1, 1)), at(0.3, holds(1, 1, 1))]);
    let counted = |filter: &JobFilter| -> Vec<(u64, u64)> {
        let affected = world.scheduler.affected(filter);
        affected.iter().map(|of| (of.queued, of.running)).collect()
    };
    let all = JobFilter::default();
    assert_eq!(counted(&all), [(4, 1)]);
    let queued = JobFilter { queued: true, ..JobFilter::default() };
    assert_eq!(counted(&queued), [(4, 0)]);
    assert_eq!(world.scheduler.some_of(&queued, 3).len(), 3);
    assert!(!world.scheduler.some_of(&queued, 9).contains(&key(1)));
    let of = |function: &str| JobFilter { function: function.parse().ok(), ..all.clone() };
    let own = world.view().functions[0].name.to_string();
    let bare = own.split('@').next().unwrap();
    for (function, meant) in [(own.as_str(), 1), (bare, 1), ("other@1", 0), ("other", 0)] {
        assert_eq!(counted(&of(function)).len(), meant, "{function}");
    }
    let others = JobFilter { user: "other".parse().ok(), ..all.clone() };
    assert_eq!(counted(&others), []);
}

#[test]
fn the_arguments_of_what_failed_are_kept_and_of_nothing_else() {
    let mut world = play([at(0.0, lives(1, 3))]);
    world.play((1..=3).map(|job| at(0.1, submitted(job))));
    world.play([
        at(0.2, answered(1, 1, 1)),
        at(0.3, ended(1, 2, 1, End::Answer(Answer::panicked("no")))),
        at(0.4, cancelled(3)),
    ]);
    let kept = |job| world.scheduler.failed_calls(key(job).id).len();
    assert_eq!([kept(1), kept(2), kept(3)], [0, 1, 0]);
    let call = &world.scheduler.failed_calls(key(2).id)[0];
    assert_eq!((&call.args, &*call.function), (&submission(2).args, &*submission(2).function));
}

#[test]
fn the_ending_and_who_caused_it_are_distinguished() {
    let hasty = |job| submit_as(1, Submission { budget_ms: 4000, ..submission(job) });
    let failed = Answer::Failed { message: "no such file".into(), error: vec![0xc0].into() };
    let world = play([
        at(0.0, lives(1, 2)),
        at(0.0, submitted(1)),
        at(0.0, submitted(2)),
        at(0.0, hasty(3)),
        at(0.0, hasty(4)),
        at(0.0, hasty(5)),
        at(0.0, submitted(6)),
        at(0.0, submitted(7)),
        at(0.1, cancelled(1)),
        at(0.2, event(Event::CancelJob(key(2)))),
        // What its caller gives up when its time is over has run out of time.
        at(3.4, cancelled(3)),
        at(3.6, cancelled(4)),
        at(4.6, nothing()),
        at(4.7, ended(1, 6, 1, End::Answer(Answer::panicked("no")))),
        at(4.8, ended(1, 7, 1, End::Answer(failed))),
    ]);
    let view = world.view();
    assert_eq!(view.recent[0].detail.as_deref(), Some("no such file"));
    let ends = view.recent.iter().map(|job| (number(job.id), &*job.answer, job.cancelled_by));
    let ends: Vec<_> = ends.collect();
    assert_eq!(
        ends,
        [
            (7, "failed", None),
            (6, "panicked", None),
            (5, "expired", None),
            (4, "expired", None),
            (3, "cancelled", Some(CancelledBy::Caller)),
            (2, "cancelled", Some(CancelledBy::Operator)),
            (1, "cancelled", Some(CancelledBy::Caller)),
        ]
    );
    let books = &view.books;
    assert!(books.balance());
    assert_eq!((books.failed, books.timed_out, books.cancelled), (2, 2, 3));
    assert_eq!(books.failed_by, [("failed".to_owned(), 1), ("panicked".to_owned(), 1)].into());
    assert_eq!(books.cancelled_by, [(CancelledBy::Caller, 2), (CancelledBy::Operator, 1)].into());
    let function = &view.functions[0];
    assert_eq!((function.failed, function.timed_out, function.cancelled), (2, 2, 3));
    let lately = function.lately;
    assert_eq!((lately.ended, lately.failed, lately.timed_out), (7, 2, 2));
}

#[test]
fn failures_are_grouped_and_no_success_pushes_them_out() {
    let panicked = |at: u32| {
        let location = Some(format!("src/fib.rs:{at}:5"));
        Answer::Panicked { message: format!("{at} is too many"), unsendable: false, location }
    };
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(5001)),
        at(0.0, submitted(5002)),
        at(0.0, submitted(5003)),
        at(0.0, submit_as(1, Submission { budget_ms: 2_000, ..submission(5004) })),
        at(0.1, cancelled(5003)),
        at(0.1, ended(1, 5001, 1, End::Answer(panicked(11)))),
        at(0.2, ended(1, 5002, 1, End::Answer(panicked(12)))),
        at(3.0, nothing()),
    ]);
    for job in 1..=RECENT as u128 + 1 {
        world.play([at(3.0, submitted(job)), at(3.0, answered(1, job, 1))]);
    }
    let view = world.view();
    let groups: Vec<_> =
        view.failures.iter().map(|it| (&*it.kind, it.count, it.lately, number(it.job))).collect();
    assert_eq!(groups, [("expired", 1, 1, 5004), ("panicked", 2, 2, 5002)], "no cancel is one");
    let newest = &view.failures[1];
    assert_eq!(newest.message.as_deref(), Some("12 is too many"));
    assert_eq!(newest.location.as_deref(), Some("src/fib.rs:12:5"));
    assert_eq!((newest.worker, &newest.arguments), (Some(worker(1)), &None));
    let old: Vec<_> = view.recent[RECENT..].iter().map(|job| number(job.id)).collect();
    assert_eq!(old, [5004, 5002, 5001]);
    assert_eq!(world.scheduler.find(JobId::from_u128(5001), world.now, world.now).len(), 1);
}

#[test]
fn a_crash_is_a_failure_of_its_own_whatever_becomes_of_the_job() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.1, crashed(1, 1, 1)),
        at(0.2, noted_crashes(1, 1, &[1])),
        at(0.3, crashed(1, 1, 2)),
        at(0.4, noted_crashes(1, 1, &[1, 2])),
        at(0.5, answered(1, 1, 3)),
    ]);
    let seen = |world: &World| -> Vec<(String, Option<String>, u64)> {
        let failures = world.view().failures.into_iter();
        failures.map(|it| (it.kind, it.message, it.count)).collect()
    };
    let crashes = ("crashed".to_owned(), Some("killed by SIGSEGV".to_owned()), 2);
    assert_eq!(seen(&world), [crashes]);
    assert_eq!(world.view().books.failed, 0, "the job has its value");
    world.play([at(1.0, submitted(2))]);
    for (attempt, noted) in [(1, &[1][..]), (2, &[1, 2]), (3, &[])] {
        world.play([at(1.1, crashed(1, 2, attempt)), at(1.1, noted_crashes(2, 1, noted))]);
    }
    let kinds: Vec<_> = seen(&world).into_iter().map(|(kind, _, count)| (kind, count)).collect();
    assert_eq!(kinds, [("crashed".to_owned(), 5), ("poisoned".to_owned(), 1)]);
}

#[test]
fn a_queue_grows_only_if_more_came_than_ended_for_half_a_minute() {
    // One job runs and none has ended: nobody can tell.
    let mut world = play([at(0.0, lives(1, 1)), at(0.0, submitted(1000))]);
    let mut come = |from: u128, seconds: u32, each: u128, ends: bool| {
        let mut job = from;
        for second in 0..seconds {
            let time = (world.now - OPEN).as_secs_f64() + 1.0;
            for _ in 0..each {
                world.play([at(time, submitted(job))]);
                job += 1;
            }
            if ends {
                world.play([at(time, answered(1, from + u128::from(second), 1))]);
            }
            world.play([at(time, holds(1, 1000, 1))]);
        }
        let totals = world.view().totals;
        (totals.queued > 0, totals.grows, totals.empty_in.is_some())
    };
    assert_eq!(come(1, 20, 1, false), (true, false, false));
    assert_eq!(come(100, 31, 2, true), (true, true, false), "two come, one ends");
    assert_eq!(come(300, 31, 0, true), (true, false, true), "none come any more");
}

#[test]
fn every_lost_worker_is_counted_even_if_not_listed() {
    let come = (1..=300).map(|number| at(0.0, lives(number, 1)));
    let go = (1..=300).map(|number| at(0.5, falls_silent(number)));
    let mut world = play(come.chain(go).chain([at(9.0, nothing())]));
    let view = world.view();
    let listed = view.workers.iter().filter(|it| it.state == WorkerState::Lost).count();
    assert_eq!((view.totals.lost, listed), (300, 64));
    world.go_to(Duration::from_secs(700));
    assert_eq!(world.view().totals.lost, 0, "that was more than ten minutes ago");
}

#[test]
fn a_slot_with_an_abandoned_run_is_shown_as_busy() {
    let mut world = play([
        at(0.0, lives(1, 2)),
        at(0.0, submitted(1)),
        at(0.0, holds(1, 1, 1)),
        at(1.1, cancelled(1)),
        at(1.2, ended(1, 1, 1, End::Answer(Answer::Cancelled))),
    ]);
    let abandoned = |world: &World| {
        let view = world.view();
        let worker = &view.workers[0];
        let held: Vec<_> =
            worker.held.iter().map(|it| (&*it.function, it.slot, it.abandoned)).collect();
        assert_eq!(held, [("fib@1", Some(0), true)]);
        assert!(worker.held[0].age.0 > 0.0, "{:?}", worker.held);
        assert_eq!((worker.busy, worker.abandoned), (1, 1));
        assert_eq!((view.totals.busy, view.totals.abandoned, view.pools[0].abandoned), (1, 1, 1));
        assert_eq!(view.stream.lanes[0].bars.last().unwrap().end, BarEnd::Abandoned);
    };
    abandoned(&world);
    assert_eq!(world.view().workers[0].state, WorkerState::Live, "it may stop yet");
    world.play([at(5.0, nothing())]);
    abandoned(&world);
    assert_eq!(world.view().workers[0].state, WorkerState::Degraded, "half of its slots");
    assert_eq!(world.view().series.last().unwrap().busy, 1);
    world.play([at(5.1, lets_go(1)), at(6.1, nothing())]);
    let view = world.view();
    assert_eq!((view.totals.busy, view.totals.abandoned, view.pools[0].abandoned), (0, 0, 0));
    assert_eq!(view.workers[0].state, WorkerState::Live);
}

#[test]
fn jobs_with_the_same_id_are_found_in_a_stable_order() {
    let found = || {
        let submits = (1..=8).map(|from| at(0.0, submit_as(from, submission(1))));
        let world = play([at(0.0, lives(1, 1))].into_iter().chain(submits));
        let jobs = world.scheduler.find(JobId::from_u128(1), world.now, world.now);
        let user = |job: &Job| match job {
            Job::UnderWay(job) => job.user.clone(),
            Job::Ended(job) => job.user.clone(),
        };
        jobs.iter().map(user).collect::<Vec<_>>()
    };
    assert_eq!((found().len(), found()), (8, found()));
}
