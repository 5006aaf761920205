//! Where whoever is not on the broker comes to the scheduler: HTTP callers with their calls, people
//! with their wishes. They read the [`View`](crate::view::View) and never wait for the scheduler to
//! do that; everything else is a request through a bounded queue, and every wait has a limit.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::Answered;
use simple_dist_protocol::{JobId, JobKey, Selector, WorkerId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::view::{Job, View};

/// The most requests that wait for the scheduler's task: more mean that it is stuck or flooded.
pub(crate) const REQUESTS: usize = 4096;
/// How long the scheduler's task may take for anything but a call.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long past its time a call may take: the scheduler gives half a second of grace.
const GRACE: Duration = Duration::from_secs(2);

/// The way to the scheduler from outside the broker; cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<Arc<View>>,
}

/// A call by HTTP.
#[derive(Debug, Clone)]
pub struct HttpCall {
    /// Made for this request.
    pub id: JobId,
    /// `fib@1` or `fib`.
    pub function: Selector,
    /// In MessagePack.
    pub args: Bytes,
    /// Until its caller gives up.
    pub timeout: Duration,
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// A W3C `traceparent`.
    pub trace: Option<String>,
    /// Where it comes from: callers share the workers by address.
    pub peer: Option<IpAddr>,
}

/// Why a request came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This distributor does not lead, or its term ended under the call.
    #[error("this distributor is not the active one")]
    NotActive,
    /// The queue of requests is full, or its answer did not come in time.
    #[error("the distributor is too busy")]
    Busy,
    /// There is no such worker or job, or it has gone.
    #[error("there is no such thing")]
    Unknown,
}

/// What is asked of the scheduler's task.
#[derive(Debug)]
pub(crate) enum Request {
    /// A call; its answer comes when it comes.
    Call(HttpCall, oneshot::Sender<Result<Answered, Refused>>),
    /// The caller is gone.
    GiveUp(JobId),
    /// A worker shall finish what it holds (true), or take jobs again.
    Drain(WorkerId, bool, oneshot::Sender<Result<(), Refused>>),
    /// A job shall end.
    Cancel(JobKey, oneshot::Sender<Result<(), Refused>>),
    /// Jobs of this id, whosever they are.
    Find(JobId, oneshot::Sender<Vec<Job>>),
    /// Some of the jobs under way.
    List(usize, oneshot::Sender<Vec<Job>>),
}

impl Desk {
    /// A desk, and what comes to it.
    pub(crate) fn open(view: watch::Receiver<Arc<View>>) -> (Self, mpsc::Receiver<Request>) {
        let (requests, received) = mpsc::channel(REQUESTS);
        (Self { requests, view }, received)
    }

    /// The newest view.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The views to come.
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Calls a function and waits for the answer. Dropped, it cancels the job. Ends at the latest
    /// two seconds past the call's timeout.
    pub async fn call(&self, call: HttpCall) -> Result<Answered, Refused> {
        let limit = call.timeout.saturating_add(GRACE);
        let (answer, answered) = oneshot::channel();
        let mut hold = GiveUp { requests: &self.requests, id: Some(call.id) };
        self.requests.try_send(Request::Call(call, answer)).map_err(|_| Refused::Busy)?;
        let answer = timeout(limit, answered).await;
        let Ok(Ok(answer)) = answer else { return Err(Refused::Busy) };
        hold.id = None;
        answer
    }

    /// Makes a worker finish what it holds and take no more (`true`), or take jobs again.
    pub async fn drain(&self, worker: WorkerId, drain: bool) -> Result<(), Refused> {
        self.ask(|answer| Request::Drain(worker, drain, answer)).await?
    }

    /// Ends a job: its caller gets `Cancelled`.
    pub async fn cancel(&self, job: JobKey) -> Result<(), Refused> {
        self.ask(|answer| Request::Cancel(job, answer)).await?
    }

    /// The jobs of this id, under way or ended lately: one, unless two users chose the same.
    pub async fn find(&self, job: JobId) -> Result<Vec<Job>, Refused> {
        self.ask(|answer| Request::Find(job, answer)).await
    }

    /// At most so many of the jobs under way, in no order that matters.
    pub async fn list(&self, most: usize) -> Result<Vec<Job>, Refused> {
        self.ask(|answer| Request::List(most, answer)).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        self.requests.try_send(request(answer)).map_err(|_| Refused::Busy)?;
        match timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Refused::Busy),
        }
    }
}

/// Cancels a call whose caller went before its answer came.
struct GiveUp<'a> {
    requests: &'a mpsc::Sender<Request>,
    id: Option<JobId>,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // Full: the job ends at its deadline.
            let _full = self.requests.try_send(Request::GiveUp(id));
        }
    }
}
