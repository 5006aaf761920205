//! How far jobs are.

use super::*;

fn told<const N: usize>(news: [(J, f32); N]) -> Action {
    Action::Progress(news.into())
}

/// Two jobs run, which is told of them.
fn two_running(story: &mut Story) {
    story.play(placed(0, 1, [1]));
    story.play(placed(0, 2, [2]));
    story.play(tick(20));
}

#[test]
fn news_are_collected_at_once_and_then_four_times_a_second() {
    let mut story = Story::live(2);
    two_running(&mut story);
    let collected = || Action::CollectProgress;
    check(
        story,
        [
            progresses(100),
            progressed(100, [(1, 0.1)]),
            progresses(101),
            progressed(349, []),
            tick(350),
            progressed(350, [(1, 0.3), (2, 0.9)]),
            tick(900),
            progresses(901),
        ],
        [collected(), told([(1, 0.1)]), collected(), told([(1, 0.3), (2, 0.9)]), collected()],
    );
}

#[test]
fn the_worker_wakes_for_the_newest_news() {
    let mut story = Story::live(1);
    two_running(&mut story);
    story.play(progresses(100));
    story.play(progresses(101));
    let at = story.executor.next_wake().expect("it has a link");
    assert_eq!(at, story.start + Duration::from_millis(350));
}

#[test]
fn what_has_ended_or_was_given_up_is_not_told_of() {
    let mut story = Story::live(2);
    two_running(&mut story);
    story.play(cancel(50, 1));
    story.play(ran(60, 1, 2));
    check(story, [progressed(100, [(1, 0.5), (2, 1.0)])], []);
}

#[test]
fn without_a_link_news_wait_for_the_next() {
    let mut story = Story::live(1);
    story.play(placed(0, 1, [1]));
    story.play(down(30));
    check(
        story,
        [progresses(100), tick(500), up(1000, 2), progressed(1000, [(1, 0.5)])],
        [Action::Running(vec![1]), Action::CollectProgress, told([(1, 0.5)])],
    );
}
