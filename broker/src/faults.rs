//! Fault injection, for tests of what uses a broker.

use tokio::sync::{mpsc, oneshot};

use crate::{
    error::Error,
    server::{Event, Fault, Order, order},
};

/// Injects faults into a broker. Every fault is in force when its call returns.
///
/// ```
/// use simple_dist_broker::Broker;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), simple_dist_broker::Error> {
/// let broker = Broker::builder().start().await?;
/// broker.faults().restart().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    pub(crate) orders: mpsc::Sender<Event>,
}

impl Faults {
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

    /// Cuts all connections and deletes all queues and exchanges, like a restart that has lost its
    /// disk. The port stays open.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn restart(&self) -> Result<(), Error> {
        self.strike(Fault::Restart).await
    }

    /// Deletes a queue, even an exclusive one; false if there is none of that name.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn delete_queue(&self, name: &str) -> Result<bool, Error> {
        self.strike(|answer| Fault::DeleteQueue(name.to_owned(), answer)).await
    }

    async fn strike<T>(&self, fault: impl FnOnce(oneshot::Sender<T>) -> Fault) -> Result<T, Error> {
        order(&self.orders, |answer| Order::Fault(fault(answer))).await
    }
}
