//! A worker by the rules: it consumes only when welcome, never runs what comes redelivered, runs a
//! marked job only after its `Started` was confirmed, acks after its answer was, and tells in
//! every beat what it holds. What it has not been able to say it says on its next link.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::{
    Answer, Answers, Control, End, Ended, Held, Place, Placement, Started, StartedJob, WorkerBeat,
    WorkerState,
};
use simple_dist_protocol::{Attempt, Generation, JobKey, WorkerId};

/// What a worker has in hand.
#[derive(Debug)]
pub(crate) struct InHand {
    pub(crate) key: JobKey,
    pub(crate) attempt: Attempt,
    /// The delivery to ack, if its link still lives.
    pub(crate) tag: Option<u64>,
    pub(crate) step: Step,
    since: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// For a slot, or for its message of hand-back to be confirmed.
    Waits,
    /// For its `Started` to be confirmed.
    Starts,
    Runs,
    /// For its answer to be confirmed.
    Answers,
    /// Handed back; for that to be confirmed.
    Returns,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) slots: u32,
    pub(crate) seq: u64,
    pub(crate) generation: u32,
    pub(crate) welcome: bool,
    pub(crate) in_hand: BTreeMap<u64, InHand>,
    /// Attempts that are not to be begun when they come.
    cancelled: BTreeSet<(JobKey, Attempt)>,
    count: u64,
}

/// What a worker wants to be done.
#[derive(Debug)]
pub(crate) enum Want {
    Consume(simple_dist_protocol::PoolId),
    /// Publish, and come back with this number when it is confirmed.
    Say(Said, u64),
    Run(u64),
    Ack(u64),
}

#[derive(Debug)]
pub(crate) enum Said {
    Answers(Answers),
    Started(Started),
}

impl Worker {
    pub(crate) fn new(id: WorkerId, slots: u32) -> Self {
        let in_hand = BTreeMap::new();
        let cancelled = BTreeSet::new();
        Self { id, slots, seq: 0, generation: 0, welcome: false, in_hand, cancelled, count: 0 }
    }

    pub(crate) fn beat(&mut self, now: Duration) -> WorkerBeat {
        self.seq += 1;
        let held = self
            .in_hand
            .values()
            .filter(|job| job.step != Step::Returns)
            .map(|job| Held {
                key: job.key.clone(),
                function: "f@1".parse().unwrap(),
                attempt: job.attempt,
                slot: (job.step == Step::Runs).then_some(0),
                age_ms: u64::try_from((now - job.since).as_millis()).unwrap(),
            })
            .collect();
        WorkerBeat {
            worker: self.id,
            seq: self.seq,
            generation: Generation(self.generation),
            host: "simulated".into(),
            version: "1".into(),
            functions: vec!["f@1".parse().unwrap()],
            slots: self.slots,
            state: WorkerState::Live,
            held,
            leaves: false,
        }
    }

    /// The old link is gone, and with it what was not begun: its message comes again to somebody.
    pub(crate) fn link_down(&mut self) {
        self.welcome = false;
        self.in_hand.retain(|_, job| matches!(job.step, Step::Runs | Step::Answers));
        for job in self.in_hand.values_mut() {
            job.tag = None;
        }
    }

    pub(crate) fn link_up(&mut self, generation: u32) -> Vec<Want> {
        self.generation = generation;
        let unsaid = self.in_hand.iter().filter(|(_, job)| job.step == Step::Answers);
        let unsaid: Vec<u64> = unsaid.map(|(number, _)| *number).collect();
        unsaid.into_iter().filter_map(|number| self.answer(number)).collect()
    }

    pub(crate) fn told(&mut self, control: &Control) -> Vec<Want> {
        match control {
            Control::Welcome { pool, .. } if !self.welcome => {
                self.welcome = true;
                vec![Want::Consume(*pool)]
            }
            // A thread cannot be stopped; what runs runs on, and its answer is ignored.
            Control::Cancel { keys, attempts } => {
                let cancelled = keys.iter().cloned().zip(attempts.iter().copied());
                cancelled.flat_map(|attempt| self.cancel(attempt)).collect()
            }
            Control::Welcome { .. }
            | Control::Drain
            | Control::Resume
            | Control::Probe
            | Control::Refused { .. } => vec![],
        }
    }

    /// What waits ends, and what has not come is remembered.
    fn cancel(&mut self, (key, attempt): (JobKey, Attempt)) -> Option<Want> {
        let is_it = |job: &InHand| (&job.key, job.attempt) == (&key, attempt);
        match self.in_hand.iter_mut().find(|(_, job)| is_it(job)) {
            Some((number, job)) if job.step == Step::Waits => {
                job.step = Step::Returns;
                let number = *number;
                Some(self.say_end(number, End::Answer(Answer::Cancelled)))
            }
            Some(_) => None,
            None => {
                self.cancelled.insert((key, attempt));
                None
            }
        }
    }

    pub(crate) fn placed(
        &mut self,
        place: Place,
        (tag, redelivered, unwilling): (u64, bool, bool),
        now: Duration,
    ) -> Vec<Want> {
        let mut wants = vec![];
        for Placement { key, attempt, start_confirmed, .. } in place.jobs {
            self.count += 1;
            let number = self.count;
            let attempt = Attempt { term: place.term, number: attempt };
            let is_cancelled = self.cancelled.contains(&(key.clone(), attempt));
            let job = InHand { key, attempt, tag: Some(tag), step: Step::Waits, since: now };
            self.in_hand.insert(number, job);
            if is_cancelled {
                self.in_hand.get_mut(&number).unwrap().step = Step::Returns;
                wants.push(self.say_end(number, End::Answer(Answer::Cancelled)));
            } else if redelivered || unwilling {
                wants.extend(self.hand_back(number, !redelivered));
            } else if start_confirmed {
                wants.extend(self.start(number));
            }
        }
        wants.extend(self.next());
        wants
    }

    /// Something published was confirmed.
    pub(crate) fn confirmed(&mut self, number: u64) -> Vec<Want> {
        let Some(job) = self.in_hand.get_mut(&number) else { return vec![] };
        match job.step {
            Step::Starts => {
                job.step = Step::Runs;
                vec![Want::Run(number)]
            }
            Step::Answers | Step::Returns => {
                let tag = job.tag;
                self.in_hand.remove(&number);
                tag.map(Want::Ack).into_iter().chain(self.next()).collect()
            }
            Step::Waits | Step::Runs => vec![],
        }
    }

    /// A run is over.
    pub(crate) fn ran(&mut self, number: u64) -> Vec<Want> {
        if let Some(job) = self.in_hand.get_mut(&number) {
            job.step = Step::Answers;
        }
        self.answer(number).into_iter().chain(self.next()).collect()
    }

    /// Fills the slots.
    fn next(&mut self) -> Vec<Want> {
        let busy = self.in_hand.values().filter(|job| job.step == Step::Runs).count();
        let free = (self.slots as usize).saturating_sub(busy);
        let waiting: VecDeque<u64> = self
            .in_hand
            .iter()
            .filter(|(_, job)| job.step == Step::Waits)
            .map(|(number, _)| *number)
            .take(free)
            .collect();
        for number in &waiting {
            self.in_hand.get_mut(number).unwrap().step = Step::Runs;
        }
        waiting.into_iter().map(Want::Run).collect()
    }

    fn start(&mut self, number: u64) -> Option<Want> {
        let job = self.in_hand.get_mut(&number)?;
        job.step = Step::Starts;
        let jobs = vec![StartedJob { key: job.key.clone(), attempt: job.attempt }];
        let started = Started { worker: self.id, seq: self.seq, jobs };
        Some(Want::Say(Said::Started(started), number))
    }

    fn hand_back(&mut self, number: u64, willing: bool) -> Option<Want> {
        let job = self.in_hand.get_mut(&number)?;
        job.step = Step::Returns;
        Some(self.say_end(number, End::Returned { willing }))
    }

    fn answer(&mut self, number: u64) -> Option<Want> {
        self.in_hand
            .contains_key(&number)
            .then(|| self.say_end(number, End::Answer(Answer::Value(Bytes::from_static(b"\x01")))))
    }

    fn say_end(&self, number: u64, end: End) -> Want {
        let job = &self.in_hand[&number];
        let ended = Ended { key: job.key.clone(), attempt: job.attempt, end, took_us: 1000 };
        Want::Say(Said::Answers(Answers { worker: self.id, jobs: vec![ended] }), number)
    }
}
