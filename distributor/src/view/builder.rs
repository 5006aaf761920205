//! Builds views: adds what only the process knows to the scheduler's view, and keeps the last known
//! workers while there is no link.

use std::collections::VecDeque;
use std::time::Duration;

use simple_dist_link::BrokerUrl;
use simple_dist_protocol::DistributorId;

use simple_dist_core::scheduler::Scheduler;

use super::{Action, Looks, Phase, Seconds, View, Worker, WorkerState};

/// Builds one view after another.
#[derive(Debug)]
pub(crate) struct ViewBuilder {
    id: DistributorId,
    prefix: String,
    address: String,
    sequence: u64,
    connections: u32,
    /// Whether the link was up, and since when.
    link: (bool, Duration),
    /// The live workers when the link was last up, and when that was.
    last: (Vec<Worker>, Duration),
    looks: Looks,
    /// What operators did, the newest first.
    actions: VecDeque<Action>,
}

/// The most actions kept.
const ACTIONS: usize = 100;

impl ViewBuilder {
    /// A builder for this distributor on this broker.
    pub(crate) fn new(id: DistributorId, prefix: &str, broker: &BrokerUrl) -> Self {
        Self {
            id,
            prefix: prefix.to_owned(),
            address: broker.address(),
            sequence: 0,
            connections: 0,
            link: (false, Duration::ZERO),
            last: (vec![], Duration::ZERO),
            looks: Looks::default(),
            actions: VecDeque::new(),
        }
    }

    /// Adds what an operator did.
    pub(crate) fn acted(&mut self, action: Action) {
        self.actions.truncate(ACTIONS - 1);
        self.actions.push_front(action);
    }

    /// A view of the scheduler. `now` is the time since the process started, `unix_now` the same
    /// moment in Unix time.
    pub(crate) fn build(
        &mut self,
        scheduler: &Scheduler,
        now: Duration,
        unix_now: Duration,
    ) -> View {
        let mut view = scheduler.view(now, unix_now);
        if view.broker.up != self.link.0 {
            self.link = (view.broker.up, now);
            self.connections += u32::from(view.broker.up);
        }
        self.sequence += 1;
        view.sequence = self.sequence;
        view.distributor.id = self.id;
        view.distributor.prefix.clone_from(&self.prefix);
        view.distributor.up = now.into();
        view.broker.address.clone_from(&self.address);
        view.broker.since = now.saturating_sub(self.link.1).into();
        view.broker.connections = self.connections;
        if view.distributor.phase == Phase::Down {
            view.workers.splice(0..0, self.last_known(now));
        } else {
            let alive = view.workers.iter().filter(|worker| worker.state.is_alive());
            self.last = (alive.cloned().collect(), now);
        }
        self.looks.assign(&mut view.functions);
        view.actions = self.actions.iter().cloned().collect();
        view.problems = super::diagnose(&view);
        view
    }

    /// The workers that were alive before the link went down, as unreachable.
    fn last_known(&self, now: Duration) -> impl Iterator<Item = Worker> {
        let (workers, at) = &self.last;
        let since = Seconds::from(now.saturating_sub(*at)).0;
        workers.iter().map(move |worker| Worker {
            state: WorkerState::Unreachable,
            age: Seconds(worker.age.0 + since),
            silent: Seconds(worker.silent.0 + since),
            busy: 0,
            abandoned: 0,
            holds: 0,
            held: vec![],
            ..worker.clone()
        })
    }
}
