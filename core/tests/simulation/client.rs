//! A client that keeps every job until its answer is in hand.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::limits::{ASK, RESEND};
use simple_dist_protocol::message::{
    Answer, Delivered, Delivery, FromClient, Ids, Marks, Noted, Presence, Submission, Submit,
};
use simple_dist_protocol::{ClientId, Generation, JobId, Term};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Value,
    Poisoned,
    /// Run here, since nobody served it, or its time was over.
    Local,
    /// Its time was over, and it must not be run here.
    Timeout,
    Cancelled,
}

#[derive(Debug)]
pub(crate) struct Call {
    deadline: Duration,
    marks: Marks,
    sent: Option<Duration>,
    confirmed: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) generation: u32,
    pub(crate) calls: BTreeMap<JobId, Call>,
    pub(crate) ended: BTreeMap<JobId, Vec<(Duration, Ended, Marks)>>,
    term: Option<Term>,
    asked: Duration,
}

/// Something to publish, and the jobs whose confirm is awaited.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) message: FromClient,
    pub(crate) jobs: Vec<JobId>,
}

impl Client {
    pub(crate) fn new(id: ClientId) -> Self {
        Self {
            id,
            generation: 0,
            calls: BTreeMap::new(),
            ended: BTreeMap::new(),
            term: None,
            asked: Duration::ZERO,
        }
    }

    pub(crate) fn call(&mut self, id: JobId, time: Duration, now: Duration) {
        let call =
            Call { deadline: now + time, marks: Marks::default(), sent: None, confirmed: false };
        self.calls.insert(id, call);
    }

    /// The caller is not interested any more.
    pub(crate) fn cancel(&mut self, id: JobId, now: Duration) -> Option<Send> {
        self.calls.contains_key(&id).then(|| {
            self.end(id, Ended::Cancelled, now);
            self.send(FromClient::Cancel(self.ids(vec![id])))
        })
    }

    /// A new link: everything outstanding is sent again.
    pub(crate) fn link_up(&mut self, generation: u32) {
        self.generation = generation;
        self.send_all_again();
    }

    pub(crate) fn seen(&mut self, presence: &Presence) {
        if self.term.replace(presence.term) != Some(presence.term) {
            self.send_all_again();
        }
    }

    /// What has become of submissions.
    pub(crate) fn settled(&mut self, jobs: &[JobId], confirmed: bool) {
        for job in jobs {
            if let Some(call) = self.calls.get_mut(job) {
                call.confirmed = confirmed;
            }
        }
    }

    pub(crate) fn delivered(&mut self, delivery: Delivery, now: Duration) -> Option<Send> {
        let id = delivery.id;
        let known = self.calls.get_mut(&id);
        match (delivery.body, known) {
            (Delivered::Struck(marks), Some(call)) => {
                call.marks = marks.clone();
                let noted =
                    Noted { client: self.id, generation: Generation(self.generation), id, marks };
                Some(self.send(FromClient::Noted(noted)))
            }
            (Delivered::Struck(_), None) => Some(self.send(FromClient::Cancel(self.ids(vec![id])))),
            (Delivered::Unknown, Some(call)) => {
                call.sent = None;
                None
            }
            (Delivered::Answer(answered), Some(call)) => {
                let struck = !call.marks.strikes.is_empty();
                let ended = match answered.answer {
                    Answer::Value(_) => Ended::Value,
                    Answer::Poisoned { .. } => Ended::Poisoned,
                    Answer::NotServed | Answer::Busy | Answer::Expired if struck => Ended::Timeout,
                    Answer::NotServed | Answer::Busy | Answer::Expired => Ended::Local,
                    other @ (Answer::Panicked { .. }
                    | Answer::BadArguments { .. }
                    | Answer::TooLarge { .. }
                    | Answer::Cancelled) => panic!("nobody did anything to deserve {other:?}"),
                };
                self.end(id, ended, now);
                None
            }
            (Delivered::Unknown | Delivered::Answer(_), None) => None,
        }
    }

    /// What is due: timeouts, jobs to be sent, questions.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<Send> {
        let over: Vec<(JobId, bool)> = self
            .calls
            .iter()
            .filter(|(_, call)| call.deadline <= now)
            .map(|(id, call)| (*id, call.marks.strikes.is_empty()))
            .collect();
        for (id, may_run_here) in over {
            self.end(id, if may_run_here { Ended::Local } else { Ended::Timeout }, now);
        }
        let mut jobs = vec![];
        for (id, call) in &mut self.calls {
            let due = call.sent.is_none_or(|sent| !call.confirmed && now >= sent + RESEND);
            if due {
                call.sent = Some(now);
                call.confirmed = false;
                jobs.push(Submission {
                    id: *id,
                    function: "f@1".into(),
                    args: Bytes::new(),
                    budget_ms: u64::try_from((call.deadline - now).as_millis()).unwrap(),
                    priority: 4,
                    marks: call.marks.clone(),
                    trace: None,
                });
            }
        }
        let mut sends = vec![];
        if !jobs.is_empty() {
            let (client, generation) = (self.id, Generation(self.generation));
            let ids = jobs.iter().map(|job| job.id).collect();
            let message = FromClient::Submit(Submit { client, generation, jobs });
            sends.push(Send { message, jobs: ids });
        }
        if now >= self.asked + ASK && !self.calls.is_empty() {
            self.asked = now;
            let ids = self.calls.keys().copied().collect();
            sends.push(self.send(FromClient::Ask(self.ids(ids))));
        }
        sends
    }

    fn end(&mut self, id: JobId, ended: Ended, now: Duration) {
        if let Some(call) = self.calls.remove(&id) {
            self.ended.entry(id).or_default().push((now, ended, call.marks));
        }
    }

    fn send_all_again(&mut self) {
        for call in self.calls.values_mut() {
            call.sent = None;
        }
    }

    fn send(&self, message: FromClient) -> Send {
        Send { message, jobs: vec![] }
    }

    fn ids(&self, ids: Vec<JobId>) -> Ids {
        Ids { client: self.id, generation: Generation(self.generation), ids }
    }
}
