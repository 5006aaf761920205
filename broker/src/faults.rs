//! Fault injection, for tests of what uses a broker.

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    core::FaultKind,
    error::Error,
    server::{Event, Fault, Order, order},
};

/// Which connections a fault affects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connections {
    /// All that are open.
    All,
    /// Those that logged in as this user.
    OfUser(String),
    /// The one that was accepted as the n-th of those still open; the first is 0.
    Nth(usize),
}

/// What survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Durable exchanges, bindings and queues with all their messages.
    Messages,
    /// Durable exchanges, bindings and queues with their persistent messages, as RabbitMQ does.
    PersistentMessages,
    /// Durable exchanges, bindings and queues, empty.
    Queues,
    /// Nothing, as after the loss of the disk.
    Nothing,
}

/// Injects faults into a broker. Every fault is in force when its call returns.
///
/// ```
/// use simple_dist_broker::{Broker, Connections, Keep};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), simple_dist_broker::Error> {
/// let broker = Broker::builder().start().await?;
/// let faults = broker.faults();
/// assert_eq!(faults.cut(Connections::All).await?, 0);
/// faults.refuse_connections();
/// faults.restart(Keep::PersistentMessages).await?;
/// faults.accept_connections();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    pub(crate) orders: mpsc::Sender<Event>,
    pub(crate) refuses: Arc<AtomicBool>,
}

impl Faults {
    /// Cuts connections without closing them properly; returns how many.
    ///
    /// # Errors
    /// If the broker has stopped, like every call here.
    pub async fn cut(&self, which: Connections) -> Result<usize, Error> {
        self.strike(|answer| Fault::Cut(which, answer)).await
    }

    /// Stalls connections: neither reads from nor writes to them, but keeps their sockets open.
    /// With [`Connections::All`], new connections are accepted and stalled as well. Returns how
    /// many were stalled.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn stall(&self, which: Connections) -> Result<usize, Error> {
        self.strike(|answer| Fault::Stall(which, true, answer)).await
    }

    /// Resumes stalled connections.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn resume(&self) -> Result<usize, Error> {
        self.strike(|answer| Fault::Stall(Connections::All, false, answer)).await
    }

    /// Withholds every publisher confirm from now on, for good.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn drop_confirms(&self) -> Result<(), Error> {
        self.strike(|answer| Fault::Confirms(FaultKind::Drop, answer)).await
    }

    /// Delays every publisher confirm from now on.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn delay_confirms(&self, delay: Duration) -> Result<(), Error> {
        self.strike(|answer| Fault::Confirms(FaultKind::Delay(delay), answer)).await
    }

    /// Confirms immediately again. Confirms already withheld stay withheld.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn pass_confirms(&self) -> Result<(), Error> {
        self.strike(|answer| Fault::Confirms(FaultKind::Nothing, answer)).await
    }

    /// Refuses new connections.
    pub fn refuse_connections(&self) {
        self.refuses.store(true, Ordering::Relaxed);
    }

    /// Accepts new connections again.
    pub fn accept_connections(&self) {
        self.refuses.store(false, Ordering::Relaxed);
    }

    /// Raises the memory alarm: publishing connections are notified and no longer read.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn block(&self) -> Result<(), Error> {
        self.strike(|answer| Fault::Block(true, answer)).await
    }

    /// Ends the alarm, unless memory really is short.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn unblock(&self) -> Result<(), Error> {
        self.strike(|answer| Fault::Block(false, answer)).await
    }

    /// Cuts all connections and loses what a restart loses. The port stays open; to simulate
    /// downtime, refuse connections around it.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn restart(&self, keep: Keep) -> Result<(), Error> {
        self.strike(|answer| Fault::Restart(keep, answer)).await
    }

    /// Deletes a queue, whoever owns it; false if there is none of that name.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn delete_queue(&self, name: &str) -> Result<bool, Error> {
        self.strike(|answer| Fault::DeleteQueue(name.to_owned(), answer)).await
    }

    /// Drops all waiting messages of a queue; returns how many.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn purge(&self, name: &str) -> Result<usize, Error> {
        self.strike(|answer| Fault::Purge(name.to_owned(), answer)).await
    }

    async fn strike<T>(&self, fault: impl FnOnce(oneshot::Sender<T>) -> Fault) -> Result<T, Error> {
        order(&self.orders, |answer| Order::Fault(fault(answer))).await
    }
}
