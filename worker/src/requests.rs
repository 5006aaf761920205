//! What a worker asks of the broker and waits for: to consume a queue, and to stop. One after the
//! other, in order, off the service's loop.

use std::collections::VecDeque;
use std::fmt;

use futures_util::future::{BoxFuture, FutureExt, pending};
use simple_dist_core::worker::Consumer;
use simple_dist_link::{Consume, Reason, Session, Source};

/// Something to ask.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Consume { consumer: Consumer, queue: Consume },
    Cancel(Source),
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) result: Result<(), Reason>,
}

/// Those that wait, and the one that is under way.
#[derive(Default)]
pub(crate) struct Requests {
    waiting: VecDeque<(Session, Request)>,
    current: Option<BoxFuture<'static, Asked>>,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Requests").field(&self.waiting).finish()
    }
}

impl Requests {
    pub(crate) fn push(&mut self, session: Session, request: Request) {
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

async fn ask(session: Session, request: Request) -> Asked {
    let result = match &request {
        Request::Consume { queue, .. } => session.consume(queue.clone()).await,
        Request::Cancel(source) => session.cancel(*source).await,
    };
    Asked { request, result }
}
