//! Checks made four times a second: late calls, idle slots, and whether everything is done.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_core::view::{Place, Shadow};
use simple_dist_protocol::Address;
use simple_dist_protocol::message::WorkerState;

use super::*;
use crate::script::{CALLS_END, Way};

pub(super) const EVERY: Duration = Duration::from_millis(250);
/// What has not ended by then is stuck.
const END: Duration = Duration::from_secs(180);

/// The slots that were idle while a job that they could run was waiting: since when, and how many
/// jobs they had started.
#[derive(Debug, Default)]
pub(super) struct Idle(BTreeMap<(Who, usize), (Duration, u64)>);

impl World {
    /// Whether all is done.
    pub(super) fn looks(&mut self) -> bool {
        self.look_for_late_calls();
        self.look_for_accused();
        if self.judge.is_calm() {
            self.look_for_idle_slots();
        }
        if self.now < CALLS_END {
            return false;
        }
        let problem = self.problem();
        let is_over = self.now >= END || problem.is_none();
        if is_over && self.judge.is_calm() {
            self.judge.demand(problem.is_none(), || problem.clone().unwrap_or_default());
        }
        is_over
    }

    fn look_for_late_calls(&mut self) {
        let is_late = |case: &&crate::judge::Case| {
            let process = &self.processes[case.who];
            let Machine::Client(client) = &process.machine else { return false };
            process.frozen.is_none()
                && Judge::is_late(case, self.now, process.slept, client.is_full())
        };
        let late = self.judge.cases.values().find(is_late);
        let late = late.map(|case| format!("{} has not ended by its time", case.call.id));
        self.judge.demand(late.is_none(), || late.unwrap_or_default());
    }

    fn look_for_accused(&mut self) {
        for process in &self.processes {
            let Machine::Distributor(it) = &process.machine else { continue };
            if it.scheduler.counters().checks_differed > 0 {
                let now = self.now - process.began;
                let view = it.scheduler.view(now, now);
                let outvoted = view.workers.iter().filter(|worker| worker.outvoted.is_some());
                let outvoted: Vec<_> = outvoted.map(|worker| worker.id).collect();
                let refuted = view.functions.iter().any(|function| function.refuted);
                self.judge.accused(&outvoted, refuted);
            }
        }
    }

    fn look_for_idle_slots(&mut self) {
        if self.script.calls() {
            return; // a slot is idle too while one that was lent is used beside it
        }
        let mut waiting: Vec<std::sync::Arc<str>> = vec![];
        for process in &self.processes {
            let Machine::Distributor(distributor) = &process.machine else { continue };
            if distributor.scheduler.term().is_some() {
                // A marked job waits until it is alone.
                let jobs = distributor.scheduler.jobs(usize::MAX, self.now - process.began);
                let jobs = jobs.into_iter().filter(|job| job.place == Place::Queued);
                let calm = jobs.filter(|job| !job.mark && job.strikes.is_empty());
                waiting.extend(calm.map(|job| job.function));
            }
        }
        let limit = Duration::from_secs(if self.script.way == Way::Quick { 4 } else { 10 });
        for (who, process) in self.processes.iter().enumerate() {
            let Machine::Worker(worker) = &process.machine else { continue };
            let Some(beat) = &worker.last_beat else { continue };
            let could = |address: &Address| waiting.iter().any(|it| **it == *address.to_string());
            let could = process.is_alive
                && beat.state == WorkerState::Live
                && beat.functions.iter().any(could);
            for (place, slot) in worker.slots.iter().enumerate() {
                let known = self.idle.0.entry((who, place)).or_insert((self.now, slot.count));
                if !could || slot.is_busy || known.1 != slot.count {
                    *known = (self.now, slot.count);
                }
                let idle = self.now - known.0;
                let label = &process.label;
                self.judge.demand(idle < limit, || {
                    format!("slot {place} of {label} is idle for {idle:?} while {waiting:?} wait")
                });
            }
        }
    }

    /// What distributors know of a job.
    fn known_of(
        &self,
        id: simple_dist_protocol::JobId,
    ) -> Vec<simple_dist_core::view::UnfinishedJob> {
        let distributors = self.processes.iter().filter_map(|process| match &process.machine {
            Machine::Distributor(it) => {
                Some(it.scheduler.jobs(usize::MAX, self.now - process.began))
            }
            Machine::Worker(_) | Machine::Client(_) => None,
        });
        distributors.flatten().filter(|job| job.id == id).collect()
    }

    /// Why not all is done yet.
    fn problem(&self) -> Option<String> {
        if let Some(case) = self.judge.cases.values().find(|case| !case.is_over) {
            return Some(format!("{} is stuck: {:?}", case.call.id, self.known_of(case.call.id)));
        }
        let mut leading = 0;
        for process in &self.processes {
            match &process.machine {
                Machine::Distributor(it) if it.scheduler.term().is_some() => {
                    leading += 1;
                    let now = self.now - process.began;
                    let wrong = |it: &Shadow| match &*it.shadow {
                        // A liar differs from itself.
                        "shadow@1" => it.differ > 0 && self.script.liar.is_none(),
                        _ => it.equal > 0,
                    };
                    if let Some(wrong) =
                        it.scheduler.view(now, now).shadows.iter().find(|it| wrong(it))
                    {
                        return Some(format!("it compares what is not of one call: {wrong:?}"));
                    }
                    if it.scheduler.counters().under_way() > 0 {
                        return Some(format!("it leaks {:?}", it.scheduler.jobs(9, now)));
                    }
                    let pools = it.scheduler.view(now, now).pools;
                    if pools.iter().any(|pool| pool.abandoned > 0) {
                        return Some(format!("room is lost: {pools:?}"));
                    }
                }
                Machine::Distributor(_) | Machine::Client(_) => {}
                Machine::Worker(it) => {
                    if let Some(beat) = it.last_beat.as_ref().filter(|beat| !beat.held.is_empty()) {
                        return Some(format!("{} still holds {:?}", process.label, beat.held));
                    }
                }
            }
        }
        (leading != 1).then(|| format!("{leading} distributors lead"))
    }
}
