//! What runs on for nobody on threads, which cannot be stopped: the worker may leave for it.

use super::*;

fn told_to_leave(slots: usize) -> Story {
    let mut story = Story::new(slots);
    story.executor.profile.exits_when_stuck = true;
    story.linked()
}

/// Whether it is stuck after these, and may leave.
#[track_caller]
fn check(mut story: Story, steps: impl IntoIterator<Item = Step>, expected: (bool, bool)) {
    let mut now = story.start;
    for step in steps {
        now = story.start + Duration::from_millis(step.0);
        story.play(step);
    }
    assert_eq!((story.executor.is_stuck(), story.executor.may_leave(now)), expected);
}

#[test]
fn with_half_of_its_slots_lost_for_ten_seconds_a_worker_leaves() {
    let lost = || [placed(0, 1, [1]), cancel(10, 1), confirmed(11, 1)];
    let at = |millis| lost().into_iter().chain([tick(millis)]);
    check(told_to_leave(2), at(10_009), (false, false));
    check(told_to_leave(2), at(10_010), (true, true));
    check(told_to_leave(3), at(60_000), (false, false));
    check(Story::live(2), at(60_000), (false, false));
}

#[test]
fn what_stops_in_time_is_not_lost() {
    let steps =
        [placed(0, 1, [1]), cancel(10, 1), confirmed(11, 1), ran(9_000, 0, 1), tick(60_000)];
    check(told_to_leave(1), steps, (false, false));
}

#[test]
fn what_others_run_ends_first() {
    let lost =
        || [placed(0, 1, [1]), placed(1, 2, [2]), cancel(10, 1), confirmed(11, 1), tick(10_010)];
    check(told_to_leave(2), lost(), (true, false));
    let ended = [ran(11_000, 1, 2), confirmed(11_001, 2)];
    check(told_to_leave(2), lost().into_iter().chain(ended), (true, true));
}
