//! How many messages a worker takes beside those that its slots run.
//!
//! ```text
//!  run ends --answer--> broker --confirm--> worker --ack--> broker --delivery--> next run
//! ```
//!
//! A message makes room for the next one two round trips after its end: that is the *gap*. What is
//! taken ahead fills it, and waits for a slot no longer than that, as long as jobs take what they
//! took before.

use std::time::Duration;

use simple_dist_protocol::limits;
use simple_dist_protocol::message::Place;

use super::jobs::State;
use super::{Batch, Executor};
use crate::round_trips::RoundTrips;

/// The most messages taken ahead for each slot.
const MESSAGES: usize = 64;
/// The most jobs and bytes of arguments in all of them, by what messages had of late.
const JOBS: f64 = 8192.0;
const BYTES: f64 = 64.0 * 1024.0 * 1024.0;
/// So long at least a slot is busy with a message, however short its jobs.
const HANDLING: f64 = 50e-6;
/// Jobs that take more than so many gaps are not worth it.
const WORTHWHILE: u32 = 8;
/// How much the newest message counts.
const WEIGHT: f64 = 0.125;

/// What was measured for it.
#[derive(Debug, Default)]
pub(super) struct LookAhead {
    round_trips: RoundTrips,
    /// The beat whose confirm is awaited, and when it was sent.
    awaited: Option<(u64, Duration)>,
    /// The jobs of a message, and the bytes of their arguments.
    jobs: f64,
    bytes: f64,
    /// How many messages are to be taken.
    pub(super) messages: usize,
}

impl LookAhead {
    /// A beat is sent.
    pub(super) fn sent(&mut self, seq: u64, now: Duration) {
        self.awaited.get_or_insert((seq, now));
    }

    /// And confirmed, if it was.
    pub(super) fn settled(&mut self, seq: u64, confirmed: bool, now: Duration) {
        if let Some((_, sent)) = self.awaited.take_if(|(awaited, _)| *awaited == seq)
            && confirmed
        {
            self.round_trips.add(now.saturating_sub(sent));
        }
    }

    /// The link is gone, and the next one may go elsewhere.
    pub(super) fn lose_link(&mut self) {
        self.round_trips = RoundTrips::default();
        (self.awaited, self.messages) = (None, 0);
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trips.shortest()
    }

    /// A message came.
    pub(super) fn came(&mut self, place: &Place) {
        let bytes: usize = place.jobs.iter().map(|job| job.args.len()).sum();
        self.jobs += WEIGHT * (place.jobs.len() as f64 - self.jobs);
        self.bytes += WEIGHT * (bytes as f64 - self.bytes);
    }

    fn gap(&self) -> Duration {
        self.round_trip().unwrap_or_default() * 2
    }

    /// Nothing is taken to wait for jobs that take this long or longer: either the gap costs them
    /// little, or what waits could meanwhile run elsewhere.
    fn longest(&self) -> Duration {
        let worthwhile = (self.gap() * WORTHWHILE).min(self.gap() * 2 + limits::LIST_TIMEOUT);
        limits::SHORT_JOB.max(worthwhile)
    }

    /// For jobs that take so long, how many messages fill the gap of so many slots.
    fn wanted(&self, run: Duration, slots: usize) -> usize {
        let message = (run.as_secs_f64() * self.jobs.max(1.0)).max(HANDLING);
        let gaps = slots as f64 * self.gap().as_secs_f64() / message;
        let most = (JOBS / self.jobs.max(1.0)).min(BYTES / self.bytes.max(1.0));
        // Short jobs always find another one there.
        let least = if run < limits::SHORT_JOB { slots } else { 0 };
        (gaps.min(most) as usize).clamp(least, slots * MESSAGES)
    }
}

impl Executor {
    /// Decides anew, with each beat.
    pub(super) fn look_ahead(&mut self, now: Duration) {
        let ran = std::mem::take(&mut self.ran);
        let run = self.run_times.mean().filter(|_| ran && self.may_look_ahead());
        let is_long = |batch: &Batch| self.is_long(batch, now);
        let run = run.filter(|_| !self.slots.iter().flatten().any(is_long));
        let wanted = run.map(|run| self.look_ahead.wanted(run, self.profile.slots));
        self.look_ahead.messages = wanted.unwrap_or_default();
    }

    /// Whether what ran of late was not too long for it.
    pub(super) fn may_look_ahead(&self) -> bool {
        self.run_times.mean().is_some_and(|run| run < self.look_ahead.longest())
    }

    /// Whether what a slot runs is too long for something to be taken that would wait for it.
    pub(super) fn is_long(&self, batch: &Batch, now: Duration) -> bool {
        let longest = self.look_ahead.longest();
        let front = batch.run.front().and_then(|number| self.jobs.get(*number));
        front.is_some_and(|job| match job.state {
            State::Running { announced: true, .. } => {
                self.run_times.is_known_for(&job.function, longest) || job.since + longest <= now
            }
            State::Abandoned { .. } => true,
            State::Running { announced: false, .. }
            | State::Waiting
            | State::Confirming { .. }
            | State::Given { .. }
            | State::Over => false,
        })
    }

    /// How long a list may wait for a slot.
    pub(super) fn patience(&self) -> Duration {
        let gap = self.look_ahead.gap();
        let run = self.run_times.mean().unwrap_or_default();
        limits::LIST_TIMEOUT + gap + run.min(gap * WORTHWHILE)
    }
}
