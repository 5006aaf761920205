//! The objects at the broker from the viewpoint of one login: its own, others', shared, and foreign
//! ones.

use simple_dist_protocol::topology::{Role, Topology};
use simple_dist_protocol::{ClientId, DistributorId, Generation, PoolId, UserName, WorkerId};

/// An exchange of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    Submit,
    Results,
    Beats,
    Presence,
    /// The default exchange, which reaches every queue by name.
    Default,
    /// `amq.direct`, which every broker has.
    Direct,
    /// Another installation's.
    Elsewhere,
}

/// A queue of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Submissions,
    Control,
    Answers,
    Parked,
    Leader,
    Pool,
    Distributors,
    OwnWorkers,
    /// Of a login whose name starts with this one's.
    OtherWorkers,
    OwnClients,
    OtherClients,
    /// Another installation's.
    Elsewhere,
    /// Of an unrelated program.
    Payroll,
    /// With the name of an exchange: it does not exist, and only the distributor could create it.
    NamedSubmit,
    NamedPresence,
    /// Named by the broker.
    Unnamed,
}

impl Exchange {
    pub(crate) const ALL: [Self; 7] = [
        Self::Submit,
        Self::Results,
        Self::Beats,
        Self::Presence,
        Self::Default,
        Self::Direct,
        Self::Elsewhere,
    ];
}

impl Queue {
    /// Those that exist.
    pub(crate) const ALL: [Self; 13] = [
        Self::Submissions,
        Self::Control,
        Self::Answers,
        Self::Parked,
        Self::Leader,
        Self::Pool,
        Self::Distributors,
        Self::OwnWorkers,
        Self::OtherWorkers,
        Self::OwnClients,
        Self::OtherClients,
        Self::Elsewhere,
        Self::Payroll,
    ];
    /// Those that somebody might want to create.
    pub(crate) const NONE_YET: [Self; 3] = [Self::NamedSubmit, Self::NamedPresence, Self::Unnamed];
}

/// The names of all objects, from the same code that the roles use.
pub(crate) struct Names {
    pub(crate) user: UserName,
    topology: Topology,
    other: UserName,
    pool: PoolId,
    ids: (DistributorId, WorkerId, ClientId),
}

impl Names {
    pub(crate) fn new(topology: Topology, user: UserName) -> Self {
        let other = format!("{user}-2").parse().expect("it is as plain as the user's own");
        let pool = PoolId::of(&["fib@1".parse().expect("it is an address")], false);
        let ids = (DistributorId::new(), WorkerId::new(), ClientId::new());
        Self { user, topology, other, pool, ids }
    }

    pub(crate) fn exchange(&self, exchange: Exchange) -> String {
        match exchange {
            Exchange::Submit => self.topology.submit().to_string(),
            Exchange::Results => self.topology.results().to_string(),
            Exchange::Beats => self.topology.beats().to_string(),
            Exchange::Presence => self.topology.presence().to_string(),
            Exchange::Default => String::new(),
            Exchange::Direct => "amq.direct".to_owned(),
            Exchange::Elsewhere => format!("else-{}", self.topology.submit()),
        }
    }

    pub(crate) fn queue(&self, queue: Queue) -> String {
        let (topology, first) = (&self.topology, Generation(1));
        let (distributor, worker, client) = self.ids;
        let name = match queue {
            Queue::Submissions => topology.submissions(),
            Queue::Control => topology.control(),
            Queue::Answers => topology.answers(),
            Queue::Parked => topology.parked(),
            Queue::Leader => {
                let [lock, ..] = topology.leader();
                lock.name
            }
            Queue::Pool => topology.pool(self.pool).name,
            Queue::Distributors => topology.heard(distributor, first).name,
            Queue::OwnWorkers => topology.worker(&self.user, worker, first).name,
            Queue::OtherWorkers => topology.worker(&self.other, worker, first).name,
            Queue::OwnClients => topology.client(&self.user, client, first).name,
            Queue::OtherClients => topology.client(&self.other, client, first).name,
            Queue::NamedSubmit => topology.submit(),
            Queue::NamedPresence => topology.presence(),
            Queue::Elsewhere => return format!("else-{}", topology.submissions()),
            Queue::Payroll => return "payroll".to_owned(),
            Queue::Unnamed => return String::new(),
        };
        name.to_string()
    }
}

/// What a role should have access to, written without regular expressions.
pub(crate) struct Access {
    pub(crate) configure: Things,
    pub(crate) write: Things,
    pub(crate) read: Things,
}

/// Exchanges and queues.
pub(crate) struct Things(&'static [Exchange], &'static [Queue]);

impl Things {
    pub(crate) fn exchange(&self, exchange: Exchange) -> bool {
        self.0.contains(&exchange)
    }

    pub(crate) fn queue(&self, queue: Queue) -> bool {
        self.1.contains(&queue)
    }
}

impl Access {
    pub(crate) fn of(role: Role) -> Self {
        use {Exchange as X, Queue as Q};
        const SHARED: &[X] = &[X::Submit, X::Results, X::Beats, X::Presence];
        const INTAKES: &[Q] = &[Q::Submissions, Q::Control, Q::Answers, Q::Distributors];
        const DISTRIBUTORS: &[Q] = &[
            Q::Submissions,
            Q::Control,
            Q::Answers,
            Q::Distributors,
            Q::Parked,
            Q::Leader,
            Q::Pool,
            Q::NamedSubmit,
            Q::NamedPresence,
        ];
        match role {
            Role::Distributor => Self {
                configure: Things(SHARED, DISTRIBUTORS),
                write: Things(&[X::Default, X::Presence], INTAKES),
                read: Things(SHARED, DISTRIBUTORS),
            },
            Role::Worker => Self {
                configure: Things(&[], &[Q::OwnWorkers]),
                write: Things(&[X::Results, X::Beats], &[Q::OwnWorkers]),
                read: Things(&[X::Presence], &[Q::Pool, Q::OwnWorkers]),
            },
            Role::Client => Self {
                configure: Things(&[], &[Q::OwnClients]),
                write: Things(&[X::Submit], &[Q::OwnClients]),
                read: Things(&[X::Presence], &[Q::OwnClients]),
            },
        }
    }
}
