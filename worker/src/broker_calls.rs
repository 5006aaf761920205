//! What a worker asks of the broker and waits for: to consume a queue, and to stop. One after the
//! other, in order, off the service's loop.

use std::collections::VecDeque;
use std::fmt;

use futures_util::future::{BoxFuture, FutureExt, pending};
use simple_dist_core::worker::Consumer;
use simple_dist_link::{Consume, Reason, Session};

use crate::wire::Source;

/// Something to ask.
#[derive(Debug, Clone)]
pub(crate) enum BrokerCall {
    Consume { consumer: Consumer, queue: Consume },
    Cancel(Consumer),
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: BrokerCall,
    pub(crate) result: Result<(), Reason>,
}

/// Those that wait, and the one that is under way.
#[derive(Default)]
pub(crate) struct BrokerCalls {
    waiting: VecDeque<(Session, BrokerCall)>,
    current: Option<BoxFuture<'static, Asked>>,
}

impl fmt::Debug for BrokerCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BrokerCalls").field(&self.waiting).finish()
    }
}

impl BrokerCalls {
    pub(crate) fn push(&mut self, session: Session, request: BrokerCall) {
        self.waiting.push_back((session, request));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.current.is_none()
    }

    /// The link is gone, and with it whatever was asked on it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next result; never, while nothing is asked. Dropped, it goes on where it was.
    pub(crate) async fn next(&mut self) -> Asked {
        if self.current.is_none()
            && let Some((session, request)) = self.waiting.pop_front()
        {
            self.current = Some(ask(session, request).boxed());
        }
        let Some(current) = &mut self.current else { return pending().await };
        let asked = current.await;
        self.current = None;
        asked
    }
}

async fn ask(session: Session, request: BrokerCall) -> Asked {
    let result = match &request {
        BrokerCall::Consume { queue, .. } => session.consume(queue.clone()).await,
        BrokerCall::Cancel(consumer) => session.cancel(Source::Pool(*consumer).tag()).await,
    };
    Asked { request, result }
}
