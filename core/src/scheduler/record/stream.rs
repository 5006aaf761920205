//! What each slot ran recently: bars for the page's job stream.
//!
//! Workers name their slots only in beats, once a second: a run that no beat named goes into the
//! worker's first lane that was free at the time. Short runs in close succession share one bar, so
//! that a lane stays bounded however short its jobs are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::WorkerId;

use crate::scheduler::fact::Run;
use crate::view::{self, BarEnd, STREAM, Seconds, WINDOW};

/// Runs shorter than this, and no further apart, are drawn as one bar.
const FINE: Duration = Duration::from_millis(100);
/// How much a run may seem to begin before the previous one ended, because clocks differ.
const SLACK: Duration = Duration::from_millis(5);
/// The most lanes kept of one worker.
pub(super) const LANES: usize = 64;
/// The most lanes kept of all workers: a page shows far fewer.
const LANES_IN_ALL: usize = 1024;
/// The most bars of local runs: one per report and function.
const LOCAL: usize = 512;

/// Bars of all slots.
#[derive(Debug, Default)]
pub(super) struct Stream {
    workers: BTreeMap<WorkerId, Vec<VecDeque<Bar>>>,
    /// How many lanes there are in all.
    lanes: usize,
    local: VecDeque<Bar>,
}

/// Runs of one function that ended the same way.
#[derive(Debug, Clone)]
struct Bar {
    function: Arc<str>,
    from: Duration,
    to: Duration,
    count: u64,
    end: BarEnd,
}

impl Stream {
    /// Adds a worker's run.
    pub(super) fn ran(&mut self, run: Run, end: BarEnd) {
        let worker = run.worker;
        let most = (run.slots.max(1) as usize).min(LANES);
        let known = self.workers.get(&worker).map_or(0, Vec::len);
        if known < most {
            if self.lanes - known + most > LANES_IN_ALL {
                return;
            }
            self.lanes += most - known;
            self.workers.entry(worker).or_default().resize(most, VecDeque::new());
        }
        let Some(lanes) = self.workers.get_mut(&worker) else { return };
        let is_free = |lane: &VecDeque<Bar>| {
            lane.back().is_none_or(|last| last.to <= run.from.saturating_add(SLACK))
        };
        let named = run.slot.map(|slot| slot as usize).filter(|slot| *slot < lanes.len());
        let longest_free = || {
            let ends = lanes.iter().map(|lane| lane.back().map(|bar| bar.to));
            ends.enumerate().min_by_key(|(_, to)| *to).map_or(0, |(lane, _)| lane)
        };
        let lane = named.or_else(|| lanes.iter().position(is_free)).unwrap_or_else(longest_free);
        push(&mut lanes[lane], run, end);
    }

    /// Adds the local runs of a client's report.
    pub(super) fn ran_locally(
        &mut self,
        function: Arc<str>,
        from: Duration,
        to: Duration,
        runs: u64,
    ) {
        self.local.push_back(Bar { function, from, to, count: runs, end: BarEnd::Value });
        if self.local.len() > LOCAL {
            self.local.pop_front();
        }
    }

    /// Drops bars older than the window.
    pub(super) fn age(&mut self, now: Duration) {
        let oldest = now.saturating_sub(WINDOW);
        let is_old = |bar: &mut Bar| bar.to < oldest;
        for lane in self.workers.values_mut().flatten().chain([&mut self.local]) {
            while lane.pop_front_if(is_old).is_some() {}
        }
        self.workers.retain(|_, lanes| lanes.iter().any(|lane| !lane.is_empty()));
        self.lanes = self.workers.values().map(Vec::len).sum();
    }

    /// Whether there are bars of this worker.
    pub(super) fn has(&self, worker: WorkerId) -> bool {
        self.workers.contains_key(&worker)
    }

    /// The bars of a worker's lane.
    pub(super) fn bars(&self, worker: WorkerId, lane: usize, now: Duration) -> Vec<view::Bar> {
        let lane = self.workers.get(&worker).and_then(|lanes| lanes.get(lane));
        lane.into_iter().flatten().map(|bar| bar.view(now)).collect()
    }

    /// The bars of local runs.
    pub(super) fn local(&self, now: Duration) -> Vec<view::Bar> {
        self.local.iter().map(|bar| bar.view(now)).collect()
    }
}

/// Adds a run to a lane, merging it into the last bar if both are short and alike.
fn push(lane: &mut VecDeque<Bar>, run: Run, end: BarEnd) {
    if let Some(last) = lane.back_mut() {
        let near = run.from <= last.to.saturating_add(FINE);
        let alike = last.function == run.name && last.end == end;
        let short = run.to.saturating_sub(run.from) < FINE
            && last.to.saturating_sub(last.from)
                < FINE * u32::try_from(last.count).unwrap_or(u32::MAX);
        if near && alike && short {
            last.to = last.to.max(run.to);
            last.count += 1;
            return;
        }
        // Bars of one lane never cover each other.
        if run.to <= last.to {
            return;
        }
    }
    let from = lane.back().map_or(run.from, |last| run.from.max(last.to));
    lane.push_back(Bar { function: run.name, from, to: run.to, count: 1, end });
    if lane.len() > STREAM.1 {
        lane.pop_front();
    }
}

impl Bar {
    fn view(&self, now: Duration) -> view::Bar {
        view::Bar {
            function: Arc::clone(&self.function),
            from: Seconds::from(now.saturating_sub(self.from)),
            to: Seconds::from(now.saturating_sub(self.to)),
            count: self.count,
            end: self.end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::fact::RunEnd;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn ran(stream: &mut Stream, slots: u32, function: &str, from: u64, to: u64) {
        let run = Run {
            job: Default::default(),
            attempt: 1,
            name: function.into(),
            worker: worker(),
            slots,
            slot: None,
            from: ms(from),
            to: ms(to),
            end: RunEnd::Lost,
        };
        stream.ran(run, BarEnd::Value);
    }

    fn lanes(stream: &Stream, lanes: usize) -> Vec<Vec<(u64, u64, u64)>> {
        let now = ms(100_000);
        let millis = |before: Seconds| 100_000 - (before.0 * 1e3).round() as u64;
        let bars = |lane| stream.bars(worker(), lane, now);
        let lane = |lane| {
            bars(lane).iter().map(|bar| (millis(bar.from), millis(bar.to), bar.count)).collect()
        };
        (0..lanes).map(lane).collect()
    }

    fn worker() -> WorkerId {
        WorkerId::from_u128(1)
    }

    #[test]
    fn concurrent_runs_go_into_different_lanes() {
        let mut stream = Stream::default();
        ran(&mut stream, 2, "fib@1", 0, 1000);
        ran(&mut stream, 2, "fib@1", 200, 1200);
        ran(&mut stream, 2, "fib@1", 1001, 2000);
        let expected = vec![vec![(0, 1000, 1), (1001, 2000, 1)], vec![(200, 1200, 1)]];
        assert_eq!(lanes(&stream, 2), expected);
    }

    #[test]
    fn many_short_runs_are_one_bar() {
        let mut stream = Stream::default();
        for n in 0..10_000 {
            ran(&mut stream, 1, "fib@1", n, n + 1);
        }
        assert_eq!(lanes(&stream, 1), [[(0, 10_000, 10_000)]]);
    }

    #[test]
    fn a_lane_is_bounded_even_when_short_runs_alternate() {
        let mut stream = Stream::default();
        for n in 0..10_000 {
            ran(&mut stream, 1, if n % 2 == 0 { "a@1" } else { "b@1" }, n, n + 1);
        }
        assert_eq!(lanes(&stream, 1)[0].len(), STREAM.1);
    }

    #[test]
    fn old_runs_are_dropped() {
        let mut stream = Stream::default();
        ran(&mut stream, 1, "fib@1", 0, 1000);
        stream.ran_locally("fib@1".into(), ms(0), ms(5000), 3);
        stream.age(WINDOW + ms(2000));
        assert_eq!((stream.workers.len(), stream.local.len()), (0, 1));
        stream.age(WINDOW + ms(6000));
        assert_eq!(stream.local.len(), 0);
    }
}
