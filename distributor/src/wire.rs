//! Encodes effects into messages, and looks up where they go; [`decode`] is the way in.

pub(crate) mod decode;
mod wills;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_link::{Lane, Outgoing, Route};
use simple_dist_protocol::codec::{encode_message, encode_sharing, envelope};
use simple_dist_protocol::message::{Control, Deliveries, Delivery, Place, Placement, Presence};
use simple_dist_protocol::topology::{Name, Topology};
use simple_dist_protocol::{Generation, PoolId, Term, UserName, WorkerId};

use self::wills::Wills;
use simple_dist_core::scheduler::{Origin, Token};

/// The most routes kept in the cache; beyond this it is cleared.
const ROUTES: usize = 4096;

/// Encodes messages.
#[derive(Debug)]
pub(crate) struct Wire {
    topology: Topology,
    pools: HashMap<(PoolId, Term), Arc<Route>>,
    clients: HashMap<(Origin, Term), Arc<Route>>,
    presence: Arc<Route>,
    parked: Arc<Route>,
    pub(crate) wills: Wills,
}

impl Wire {
    pub(crate) fn new(topology: Topology) -> Self {
        let presence = Route {
            exchange: topology.presence(),
            key: topology.presence_key(),
            mandatory: false,
            envelope: None,
        };
        let parked = to_queue(&topology, topology.parked(), false, None);
        Self {
            pools: HashMap::new(),
            clients: HashMap::new(),
            presence: Arc::new(presence),
            parked: Arc::new(parked),
            wills: Wills::new(),
            topology,
        }
    }

    /// A job for a pool.
    pub(crate) fn place(
        &mut self,
        pool: PoolId,
        term: Term,
        placement: &Placement,
        work: Duration,
        token: Token,
    ) -> Outgoing {
        if self.pools.len() >= ROUTES {
            self.pools.clear();
        }
        let topology = &self.topology;
        let route = self.pools.entry((pool, term)).or_insert_with(|| {
            let envelope = envelope(&Place { term, jobs: Vec::new() });
            Arc::new(to_queue(topology, topology.pool(pool).name, true, Some(envelope)))
        });
        Outgoing {
            route: Arc::clone(route),
            body: encode_sharing(placement, Some(&placement.args)),
            work,
            token: Some(token.0),
            lane: Lane::Jobs,
        }
    }

    /// An answer or notice for a client.
    pub(crate) fn deliver(
        &mut self,
        to: Origin,
        term: Term,
        delivery: &Delivery,
        token: Token,
    ) -> Outgoing {
        if self.clients.len() >= ROUTES {
            self.clients.clear();
        }
        let topology = &self.topology;
        let route = self.clients.entry((to, term)).or_insert_with_key(|(to, term)| {
            let envelope = envelope(&Deliveries { term: *term, jobs: Vec::new() });
            let queue = topology.client(&to.user, to.client, to.generation);
            Arc::new(to_queue(topology, queue.name, true, Some(envelope)))
        });
        Outgoing {
            route: Arc::clone(route),
            body: encode_sharing(delivery, delivery.payload()),
            work: Duration::ZERO,
            token: Some(token.0),
            lane: Lane::Jobs,
        }
    }

    /// An empty message to a client's queue: it is returned if the queue is gone.
    pub(crate) fn probe_client(&self, to: &Origin, term: Term, token: Token) -> Outgoing {
        let queue = self.topology.client(&to.user, to.client, to.generation);
        Outgoing {
            route: Arc::new(to_queue(&self.topology, queue.name, true, None)),
            body: encode_message(&Deliveries { term, jobs: Vec::new() }).into(),
            work: Duration::ZERO,
            token: Some(token.0),
            lane: Lane::Jobs,
        }
    }

    /// A control message for a worker.
    pub(crate) fn control(
        &self,
        user: &UserName,
        worker: WorkerId,
        generation: Generation,
        control: &Control,
        token: Token,
    ) -> Outgoing {
        let queue = self.topology.worker(user, worker, generation);
        Outgoing {
            route: Arc::new(to_queue(&self.topology, queue.name, true, None)),
            body: encode_message(control).into(),
            work: Duration::ZERO,
            token: Some(token.0),
            lane: Lane::Control,
        }
    }

    /// The will of a worker's link, for that link to hold. A worker that knows no wills has no such
    /// queue.
    pub(crate) fn will(
        &self,
        user: &UserName,
        worker: WorkerId,
        generation: Generation,
    ) -> Outgoing {
        let queue = self.topology.will(user, worker, generation);
        let route = to_queue(&self.topology, queue.name, false, None);
        unconfirmed(
            &Arc::new(route),
            encode_message(&self.wills.write(worker, generation)),
            Lane::Control,
        )
    }

    /// The active distributor's beat, for everyone.
    pub(crate) fn presence(&self, presence: &Presence) -> Outgoing {
        unconfirmed(&self.presence, encode_message(presence), Lane::Control)
    }

    /// An undecodable message, kept for an operator to look at. It uses the lane of the jobs, so
    /// that a flood of it does not delay control messages.
    pub(crate) fn park(&self, body: Bytes) -> Outgoing {
        unconfirmed(&self.parked, body, Lane::Jobs)
    }
}

fn unconfirmed(route: &Arc<Route>, body: Bytes, lane: Lane) -> Outgoing {
    let (route, body) = (Arc::clone(route), body.into());
    Outgoing { route, body, work: Duration::ZERO, token: None, lane }
}

fn to_queue(topology: &Topology, queue: Name, mandatory: bool, envelope: Option<Bytes>) -> Route {
    Route { exchange: topology.default_exchange(), key: queue, mandatory, envelope }
}
