//! The recent past for the page: the jobs that ended last, and a sample of every second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::Answer;
use simple_dist_protocol::{ClientId, JobId, UserName, WorkerId, value_to_json};

use crate::view::{
    CancelledBy, CrashReport, RECENT, RECENT_FAILED, RecentJob, Sample, Seconds, WINDOW,
};

use super::counters::Counters;
use super::timeline::Timeline;

/// The most characters kept of an error or panic message.
const DETAIL: usize = 200;
/// The most characters kept of arguments, and the most bytes of arguments that are decoded at all.
const PREVIEW: (usize, usize) = (120, 1024);

/// The recent past.
#[derive(Debug, Default)]
pub(super) struct History {
    ended: VecDeque<EndedJob>,
    /// Those of the jobs before that failed.
    failed: VecDeque<EndedJob>,
    samples: VecDeque<Sample>,
    /// The counts at the last sample.
    counted: Counters,
    /// Local runs of clients since the last sample.
    pub(super) local: u64,
}

/// A job that has ended, as it is kept.
#[derive(Debug)]
pub(super) struct EndedJob {
    pub(super) id: JobId,
    pub(super) user: UserName,
    pub(super) client: ClientId,
    pub(super) function: Arc<str>,
    pub(super) kind: &'static str,
    pub(super) has_failed: bool,
    pub(super) cancelled_by: Option<CancelledBy>,
    pub(super) detail: Option<String>,
    pub(super) crashes: Vec<CrashReport>,
    pub(super) arguments: Option<String>,
    pub(super) worker: Option<WorkerId>,
    pub(super) attempts: u32,
    pub(super) answered_by: Option<u32>,
    pub(super) submitted: Duration,
    pub(super) waited: Duration,
    pub(super) ran: Option<Duration>,
    pub(super) at: Duration,
    pub(super) timeline: Timeline,
}

impl History {
    pub(super) fn push(&mut self, ended: EndedJob) {
        if self.ended.len() >= RECENT
            && let Some(oldest) = self.ended.pop_back()
            && oldest.has_failed
        {
            self.failed.truncate(RECENT_FAILED - 1);
            self.failed.push_front(oldest);
        }
        self.ended.push_front(ended);
    }

    /// Newest first.
    pub(super) fn ended(&self) -> impl Iterator<Item = &EndedJob> {
        self.ended.iter().chain(&self.failed)
    }

    /// Adds a sample. `sample` has the current state; the counts of what happened since the last
    /// one are added here.
    pub(super) fn sample(&mut self, sample: Sample, counters: &Counters) {
        let before = std::mem::replace(&mut self.counted, counters.clone());
        let refused = |counters: &Counters| counters.refused_by.values().sum::<u64>();
        self.samples.push_back(Sample {
            // A term's end subtracts forgotten jobs.
            accepted: counters.accepted.saturating_sub(before.accepted),
            done: counters.done - before.done,
            failed: counters.failed - before.failed,
            timed_out: counters.timed_out - before.timed_out,
            cancelled: counters.cancelled - before.cancelled,
            refused: refused(counters) - refused(&before),
            local: std::mem::take(&mut self.local),
            ..sample
        });
        if self.samples.len() > WINDOW.as_secs() as usize {
            self.samples.pop_front();
        }
    }

    /// Oldest first.
    pub(super) fn samples(&self) -> impl DoubleEndedIterator<Item = &Sample> {
        self.samples.iter()
    }
}

impl EndedJob {
    /// The job as the view at this time shows it.
    pub(super) fn view(&self, now: Duration, unix_now: Duration) -> RecentJob {
        let at = unix_now.saturating_sub(now.saturating_sub(self.at));
        RecentJob {
            id: self.id,
            user: self.user.clone(),
            client: self.client,
            function: Arc::clone(&self.function),
            answer: self.kind.to_owned(),
            cancelled_by: self.cancelled_by,
            detail: self.detail.clone(),
            crashes: self.crashes.clone(),
            arguments: self.arguments.clone(),
            worker: self.worker,
            attempts: self.attempts,
            answered_by: self.answered_by,
            waited: self.waited.into(),
            ran: self.ran.map(Seconds::from),
            ended_unix_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            timeline: self.timeline.moments(self.submitted, Some(self.at)),
        }
    }
}

/// The detail of an answer, besides its kind.
pub(super) fn detail(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Failed { message, .. }
        | Answer::Panicked { message, .. }
        | Answer::BadArguments { message } => Some(message.chars().take(DETAIL).collect()),
        Answer::Poisoned { workers, crashes } => {
            let lost = (!workers.is_empty()).then(|| {
                let workers: Vec<_> = workers.iter().map(|worker| worker.short()).collect();
                format!("lost with it: {}", workers.join(", "))
            });
            let crashes = crashes.iter().map(ToString::to_string);
            Some(lost.into_iter().chain(crashes).collect::<Vec<_>>().join("; "))
        }
        Answer::TooLarge { bytes, limit } => Some(format!("{bytes} bytes, over {limit}")),
        Answer::Value(_)
        | Answer::NotServed
        | Answer::Busy
        | Answer::Cancelled
        | Answer::Expired => None,
    }
}

/// Where a function panicked.
pub(super) fn location(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Panicked { location, .. } => location.clone(),
        Answer::Value(_)
        | Answer::Failed { .. }
        | Answer::Poisoned { .. }
        | Answer::NotServed
        | Answer::BadArguments { .. }
        | Answer::TooLarge { .. }
        | Answer::Busy
        | Answer::Cancelled
        | Answer::Expired => None,
    }
}

/// The processes that a poisoned job ended.
pub(super) fn crashes(answer: &Answer) -> Vec<CrashReport> {
    match answer {
        Answer::Poisoned { crashes, .. } => crashes.iter().map(CrashReport::from).collect(),
        Answer::Value(_)
        | Answer::Failed { .. }
        | Answer::Panicked { .. }
        | Answer::NotServed
        | Answer::BadArguments { .. }
        | Answer::TooLarge { .. }
        | Answer::Busy
        | Answer::Cancelled
        | Answer::Expired => vec![],
    }
}

/// The beginning of a job's arguments, as JSON.
pub(super) fn preview(args: &[u8]) -> Option<String> {
    let (characters, bytes) = PREVIEW;
    if args.len() > bytes {
        return Some(format!("{} bytes", args.len()));
    }
    let json = value_to_json(args).ok()?.to_string();
    if json.chars().count() <= characters {
        return Some(json);
    }
    Some(json.chars().take(characters).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::codec;

    use super::*;

    #[test]
    fn a_sample_counts_what_ended_in_its_second() {
        let mut history = History::default();
        let counters = |done, failed| Counters { done, failed, ..Counters::default() };
        history.sample(Sample { busy: 1, ..Sample::default() }, &counters(5, 1));
        history.local = 2;
        history.sample(Sample::default(), &counters(8, 1));
        let seen: Vec<_> = history
            .samples()
            .map(|sample| (sample.busy, sample.done, sample.failed, sample.local))
            .collect();
        assert_eq!(seen, [(1, 5, 1, 0), (0, 3, 0, 2)]);
    }

    #[test]
    fn a_preview_is_short() {
        assert_eq!(preview(&codec::encode(&20).unwrap()).as_deref(), Some("20"));
        let long = preview(&codec::encode(&"x".repeat(300)).unwrap()).unwrap();
        assert_eq!(long.chars().count(), PREVIEW.0 + 1);
        assert_eq!(preview(&[0; 4096]).as_deref(), Some("4096 bytes"));
        assert_eq!(preview(&[0xc1]), None, "no MessagePack at all");
    }
}
