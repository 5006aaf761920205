//! What is kept of the hours before, what of it is told, and what a file does to it.

use std::fs;

use super::*;
use crate::view::sample;

const NOON: u64 = 1_800_014_400;
const TERM: Term = Term(7);

fn at(unix: u64) -> Duration {
    Duration::from_secs(unix)
}

/// A second in which two jobs ended, and at each minute's end one failed.
fn second(unix: u64) -> Sample {
    let failed = u64::from(unix % 60 == 59);
    Sample { unix, done: 2, failed, busy: 1, slots: 4, queued: unix % 60, ..Sample::default() }
}

/// A view at this Unix time, with the seconds up to it.
fn seen(unix: u64) -> View {
    let mut view = sample::empty(unix * 1000);
    view.series = (unix - 9..=unix).map(second).collect();
    let of = |function: &str, failed, run| view::MinuteOf {
        function: function.into(),
        ended: 120,
        failed,
        wait_p95: Some(Seconds(0.5)),
        run_p95: Some(Seconds(run)),
    };
    view.minute = Some(view::Minute {
        unix: (unix / 60 - 1) * 60,
        wait_p95: Some(Seconds(0.5)),
        run_p95: Some(Seconds(3.0)),
        functions: vec![of("broken@1", 1, 0.1), of("slow@1", 0, 3.0)],
    });
    view
}

/// A history of these seconds, as an active distributor keeps it.
fn of(seconds: impl IntoIterator<Item = u64>) -> History {
    let mut history = History::default();
    seconds.into_iter().for_each(|unix| history.see(&seen(unix), TERM));
    history
}

fn asked(span: Span, to: u64) -> Asked {
    Asked { span, to: Some(to) }
}

#[test]
fn an_hour_of_seconds_and_a_week_of_minutes_are_kept_and_no_more() {
    let history = of(NOON..NOON + 2 * 3600);
    assert_eq!((history.seconds.len(), history.minutes.len()), (3600, 119));
    let minute = &history.minutes[60];
    assert_eq!((minute.all.unix, minute.all.done, minute.all.failed), (NOON + 3600, 120, 1));
    assert_eq!((minute.all.busy, minute.all.queued, minute.run_us), (1, 59, 3_000_000));
    assert_eq!(minute.functions.len(), 2);
    let mut long = history.clone();
    let minutes = (0..20_000).map(|number| Minute {
        all: Moment { unix: NOON + 7200 + number * 60, ..Moment::default() },
        ..minute.clone()
    });
    minutes.for_each(|minute| long.complete(minute));
    assert_eq!(long.minutes.len(), KEPT.1);
    let bytes = KEPT.0 * size_of::<Moment>()
        + KEPT.1 * (size_of::<Minute>() + FUNCTIONS.0 * size_of::<MinuteOf>());
    assert!(bytes < 4 << 20, "{bytes}");
    let names: BTreeSet<_> =
        long.minutes.iter().flat_map(|it| &it.functions).map(|of| of.function.as_ptr()).collect();
    assert_eq!(names.len(), 2, "each name is kept once");
}

#[test]
fn what_was_slow_at_noon_is_in_its_row_and_a_gap_stays_one() {
    // Its first view after the gap knows two seconds before it.
    let history = of((NOON..NOON + 600).chain(NOON + 1202..NOON + 1800));
    let now = NOON + 1800;
    let hour = history.range(asked(Span::Hour, NOON + 3600), now + 3600);
    assert_eq!((hour.from, hour.step, hour.points.len()), (NOON, 20, 180));
    let known: Vec<usize> = (0..180).filter(|at| hour.points[*at].is_some()).collect();
    assert_eq!((known.len(), known[29], known[30]), (60, 29, 60));
    let point = hour.points[0].unwrap();
    assert_eq!((point.done, point.busy, point.slots, point.queued), (2.0, 1.0, 4, 19));
    assert_eq!(point.run_p95, Some(Seconds(3.0)));
    let row = &hour.rows[hour.rows.len() - 1];
    assert_eq!((row.from, row.done, row.failed), (NOON, 600, 5));
    let slowest = row.slowest.as_ref().unwrap();
    assert_eq!((&*slowest.function, slowest.run_p95), ("slow@1", Some(Seconds(3.0))));
    let failing = row.failing.as_ref().unwrap();
    assert_eq!((&*failing.function, failing.failed), ("broken@1", 5));
    let day = history.range(asked(Span::Day, NOON + 3600), now + 3600);
    assert_eq!((day.step, day.points.len()), (480, 180));
    assert_eq!(day.points.iter().flatten().count(), 4);
    assert!((day.points.iter().flatten().last().unwrap().done - 2.0).abs() < 0.1);
    let future = history.range(asked(Span::Minutes, u64::MAX), now);
    assert!(future.to <= now + 60);
}

#[test]
fn a_standby_keeps_the_same_and_goes_on_with_it_in_the_next_term() {
    let (mut active, mut standby) = (History::default(), History::default());
    for unix in NOON..NOON + 600 {
        active.see(&seen(unix), TERM);
        // Every other message is lost, and each loses nothing.
        if unix % 2 == 0 {
            standby.hear(active.past(at(unix)).unwrap(), TERM, at(unix));
        }
    }
    assert_eq!(standby.minutes, active.minutes);
    let all_but_the_last = active.seconds.range(..599).eq(&standby.seconds);
    assert!(all_but_the_last, "{} of 600", standby.seconds.len());
    for unix in NOON + 610..NOON + 700 {
        standby.see(&seen(unix), Term(8));
    }
    let range = standby.range(asked(Span::Hour, NOON + 700), NOON + 700);
    assert_eq!(range.terms, [NOON + 610]);
    standby.hear(active.past(at(NOON)).unwrap(), TERM, at(NOON));
    assert_eq!(standby.seconds.back().unwrap().unix, NOON + 699, "nothing old");
    let ahead = Moment { unix: u64::MAX, ..Moment::default() };
    standby.hear(Past { seconds: vec![ahead], minute: None }, TERM, at(NOON + 700));
    assert_eq!(standby.seconds.back().unwrap().unix, NOON + 699, "nothing of the future");
}

#[test]
fn a_view_that_was_late_leaves_no_gap_but_what_was_before_the_term_is_not_taken() {
    let history = of([NOON, NOON + 1, NOON + 4, NOON + 8]);
    let seconds: Vec<u64> = history.seconds.iter().map(|second| second.unix - NOON).collect();
    assert_eq!(seconds, [0, 1, 2, 3, 4, 6, 7, 8]);
}

#[test]
fn a_minute_is_told_only_just_after_its_end() {
    let history = of(NOON..=NOON + 60);
    let told = |after| history.past(at(NOON + 60 + after)).unwrap().minute.is_some();
    assert_eq!([told(0), told(2), told(3)], [true, true, false]);
}

#[tokio::test]
async fn a_file_keeps_it_and_a_broken_one_is_set_aside() {
    let folder =
        std::env::temp_dir().join(format!("history-{}", simple_dist_protocol::JobId::new()));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("file");
    let now = at(NOON + 3600);
    assert_eq!(read(Some(&path), now).seconds.len(), 0, "there is none yet");
    let history = of(NOON..NOON + 3600);
    HistoryFile::at(Some(path.clone())).finish(&history).await;
    let again = read(Some(&path), now);
    assert_eq!((&again.seconds, &again.minutes), (&history.seconds, &history.minutes));
    assert_eq!(again.terms, history.terms);
    assert_eq!(read(Some(&path), at(NOON)).seconds.len(), 61, "a clock that was set back");
    let whole = fs::read(&path).unwrap();
    for broken in [&whole[..whole.len() / 2], b"", b"{}"] {
        fs::write(&path, broken).unwrap();
        assert_eq!(read(Some(&path), now).seconds.len(), 0);
        assert_eq!(fs::read(folder.join("file.broken")).unwrap(), broken);
        assert!(!path.exists());
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(read(Some(&path), now).minutes.len(), 59);
    fs::remove_dir_all(&folder).unwrap();
    HistoryFile::at(Some(path)).finish(&history).await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_keeps_no_distributor_from_stopping() {
    let folder = std::env::temp_dir().join(format!("hangs-{}", simple_dist_protocol::JobId::new()));
    fs::create_dir_all(&folder).unwrap();
    // Opening a pipe that nobody reads takes for ever.
    let pipe = std::process::Command::new("mkfifo").arg(folder.join("file.new")).status();
    assert!(pipe.unwrap().success());
    let history = of(NOON..NOON + 60);
    let stops = HistoryFile::at(Some(folder.join("file"))).finish(&history);
    tokio::time::timeout(std::time::Duration::from_secs(60), stops).await.expect("it stops");
    // Whoever still waits for the pipe may be about to open it.
    let _left = fs::remove_dir_all(&folder);
}
