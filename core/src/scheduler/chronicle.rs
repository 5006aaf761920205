//! What is written down for the page as it happens: runs, losses, ends. Nothing is decided by it.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::WorkerId;
use simple_dist_protocol::limits::CLIENT_EXPIRES;
use simple_dist_protocol::message::{Answer, Answered};

use crate::view::{BarEnd, What};

use super::Scheduler;
use super::books::Ending;
use super::history::{Ended, detail, preview};
use super::jobs::{Job, JobRef, Out};
use super::stream::{LANES, Run};

impl Scheduler {
    /// A worker ran a job to its end.
    pub(super) fn ran(&mut self, job: JobRef, id: WorkerId, took: Duration, answer: &Answer) {
        let now = self.now;
        let Some(found) = self.jobs.get_mut(job) else { return };
        let (attempt, slot) = found.out().map_or((found.runs, None), |out| {
            let holder = out.holder.filter(|holder| holder.worker == id);
            (out.run, holder.and_then(|holder| holder.running?.slot))
        });
        let from = now.saturating_sub(took).max(found.since);
        found.began.get_or_insert(from);
        if !found.timeline.has_started(attempt) {
            found.timeline.push(from, What::Started { attempt, worker: id });
        }
        let function = Arc::clone(&self.functions.get(found.function).name);
        let is_value = matches!(answer, Answer::Value(_));
        let Some(worker) = self.workers.get_mut(id) else { return };
        *(if is_value { &mut worker.done } else { &mut worker.failed }) += 1;
        if took.is_zero() {
            return;
        }
        worker.load.ran(took, now);
        let end = if is_value { BarEnd::Value } else { BarEnd::Failed };
        self.stream.ran(id, worker.slots, Run { function, slot, from, to: now, end });
    }

    /// A worker was lost with an attempt in its hands.
    pub(super) fn lost_run(&mut self, job: JobRef, id: WorkerId, out: &Out) {
        let run = self.run_so_far(job, id, out);
        let Some((run, worker)) = run.zip(self.workers.get(id)) else { return };
        self.stream.ran(id, worker.slots, run);
    }

    /// An attempt's message came back though a worker runs it, as far as we know: its link is
    /// gone, and maybe the worker too.
    pub(super) fn came_back(&mut self, job: JobRef) {
        let Some(out) = self.jobs.get(job).and_then(|job| job.out()) else { return };
        let Some((holder, out)) = out.holder.map(|holder| (holder.worker, out.clone())) else {
            return;
        };
        let run = self.run_so_far(job, holder, &out);
        let Some((run, worker)) = run.zip(self.workers.get_mut(holder)) else { return };
        if worker.came_back.len() < LANES.min(worker.slots as usize) {
            worker.came_back.push(run);
        }
    }

    /// What a worker has run of an attempt when it was heard last.
    fn run_so_far(&self, job: JobRef, id: WorkerId, out: &Out) -> Option<Run> {
        let running = out.holder?.running?;
        let function = Arc::clone(&self.functions.get(self.jobs.get(job)?.function).name);
        let to = self.workers.get(id)?.heard.unwrap_or(self.now);
        let from = running.since.min(to);
        Some(Run { function, slot: running.slot, from, to, end: BarEnd::Lost })
    }

    /// A lost worker had the job, and nothing says that it had begun it by order.
    pub(super) fn place_again_after_loss(&mut self, job: JobRef, worker: WorkerId) {
        let now = self.now;
        if let Some(found) = self.jobs.get_mut(job)
            && let Some(out) = found.out().cloned()
        {
            let attempt = out.run;
            found.timeline.push(now, What::Lost { attempt, worker });
            self.lost_run(job, worker, &out);
        }
        self.place_again_marked(job);
    }

    /// A job has ended.
    pub(super) fn chronicle(&mut self, gone: &mut Job, answered: &Answered, ending: Ending) {
        let kind = match ending {
            Ending::TimedOut => Answer::Expired.kind(),
            Ending::Done | Ending::Failed | Ending::Cancelled(_) => answered.answer.kind(),
        };
        let by_worker = answered.worker.is_some();
        let ran = by_worker.then(|| Duration::from_micros(answered.took_us));
        let waited = gone.began.unwrap_or(self.now).saturating_sub(gone.since);
        let function = self.functions.get_mut(gone.function);
        function.measures.get_or_insert_default().ended(kind, ending, waited, ran);
        self.measures.ended(kind, ending, waited, ran);
        self.history.push(Ended {
            id: gone.key.id,
            user: self.users.name(gone.key.user).clone(),
            client: gone.client,
            function: Arc::clone(&function.name),
            kind,
            cancelled_by: match ending {
                Ending::Cancelled(by) => Some(by),
                Ending::Done | Ending::Failed | Ending::TimedOut => None,
            },
            detail: detail(answered),
            arguments: self.config.preview.then(|| preview(&gone.args)).flatten(),
            worker: answered.worker,
            attempts: gone.runs,
            submitted: gone.since,
            waited,
            ran,
            at: self.now,
            timeline: std::mem::take(&mut gone.timeline),
        });
    }

    /// Once a second: windows roll, old bars go, a sample is taken.
    pub(super) fn age_history(&mut self) {
        let now = self.now;
        self.measures.roll(now);
        for function in self.functions.iter_mut() {
            if let Some(measures) = &mut function.measures {
                measures.roll(now);
            }
        }
        self.stream.age(now);
        let clients = &self.clients;
        self.callers.retain(|client, caller| {
            clients.contains_key(client) || now.saturating_sub(caller.heard) < CLIENT_EXPIRES
        });
        self.sample(now);
    }
}
