//! How HTTP reaches the scheduler's task. Reads use the latest [`View`](crate::view::View) and
//! never wait for the task; everything else is a request through a bounded queue, and every wait
//! has a limit.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use simple_dist_core::scheduler::Purity;
use simple_dist_protocol::message::Answered;
use simple_dist_protocol::{JobId, JobKey, Selector, WorkerId, text};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::history::{Asked, Range};
use crate::view::{Action, Affected, FailedCall, Job, JobFilter, View};

/// The most requests that wait for the scheduler's task: more mean that it is stuck or flooded.
pub(crate) const REQUESTS: usize = 4096;
/// How long the scheduler's task may take to reply to anything but a call.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long past its timeout a call may take: the scheduler allows itself half a second.
const GRACE: Duration = Duration::from_secs(2);
/// The most characters kept of what an operator did.
const ACTION: usize = 300;

/// A handle to the scheduler's task; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<Arc<View>>,
}

/// A call over HTTP.
#[derive(Debug, Clone)]
pub struct HttpCall {
    /// Created for this request.
    pub id: JobId,
    /// `fib@1` or `fib`.
    pub function: Selector,
    /// The arguments, encoded as MessagePack.
    pub args: Bytes,
    /// How long its caller waits.
    pub timeout: Duration,
    /// 0 to 9; 9 is first.
    pub priority: u8,
    /// A W3C `traceparent`, passed on to the worker.
    pub trace: Option<String>,
    /// Whether it is to run even if an equal call runs already, or was answered.
    pub fresh: bool,
    /// The caller's address: workers are shared fairly between addresses.
    pub peer: Option<IpAddr>,
    /// The entity tags of answers that the caller has.
    pub known: Vec<String>,
}

/// The answer to a call over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpAnswer {
    /// `None` if the caller has it already.
    pub answered: Option<Answered>,
    /// What it is the answer to, if it can only be this one.
    pub purity: Option<Purity>,
}

/// The entity tag of the value of a call, between its quotes.
pub(crate) fn entity_tag(purity: &Purity) -> String {
    purity.call.to_string()[..32].to_owned()
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This distributor is not active, or its term ended during the call.
    #[error("this distributor is not the active one")]
    NotActive,
    /// The queue of requests is full, or no reply came in time.
    #[error("the distributor is too busy")]
    Busy,
    /// There is no such worker or unfinished job.
    #[error("there is no such worker or job")]
    Unknown,
}

/// What is asked of the scheduler's task.
#[derive(Debug)]
pub(crate) enum Request {
    /// A call; the reply is its answer.
    Call(HttpCall, oneshot::Sender<Result<HttpAnswer, Refused>>),
    /// The caller of this job is gone.
    CallerGone(JobId),
    /// Make a worker finish what it holds (true), or take jobs again.
    Drain(WorkerId, bool, oneshot::Sender<Result<(), Refused>>),
    /// Cancel a job.
    Cancel(JobKey, oneshot::Sender<Result<(), Refused>>),
    /// Find the jobs with this id, of any user.
    Find(JobId, oneshot::Sender<Vec<Job>>),
    /// List some of the unfinished jobs, at most this many.
    List(usize, oneshot::Sender<Vec<Job>>),
    /// Find the failed jobs with this id whose arguments are kept.
    Failed(JobId, oneshot::Sender<Vec<FailedCall>>),
    /// Find the answer with this digest, of those that differed.
    Differing(String, oneshot::Sender<Option<Bytes>>),
    /// Count the jobs under way that a filter means.
    Affected(JobFilter, oneshot::Sender<Vec<Affected>>),
    /// Cancel some of them, at most this many; the reply is how many.
    CancelSome(JobFilter, usize, oneshot::Sender<Result<usize, Refused>>),
    /// Look at the hours before.
    History(Asked, oneshot::Sender<Range>),
    /// An operator did this; the reply comes when the view has it.
    Acted(Action, oneshot::Sender<()>),
}

impl Handle {
    /// A handle, and the requests sent through it.
    pub(crate) fn open(view: watch::Receiver<Arc<View>>) -> (Self, mpsc::Receiver<Request>) {
        let (requests, received) = mpsc::channel(REQUESTS);
        (Self { requests, view }, received)
    }

    /// The newest view.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// A receiver of the views to come.
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Calls a function and waits for the answer, at most two seconds past the call's timeout.
    /// Dropping the future cancels the job.
    ///
    /// # Errors
    ///
    /// [`Refused::Busy`] if the scheduler's task does not take the call or does not answer in time;
    /// [`Refused::NotActive`] if this distributor is on standby or its term ends during the call.
    pub async fn call(&self, call: HttpCall) -> Result<HttpAnswer, Refused> {
        let limit = call.timeout.saturating_add(GRACE);
        let (answer, answered) = oneshot::channel();
        let mut hold = CancelOnDrop { requests: &self.requests, id: Some(call.id) };
        self.requests.try_send(Request::Call(call, answer)).map_err(|_| Refused::Busy)?;
        let answer = timeout(limit, answered).await;
        let Ok(Ok(answer)) = answer else { return Err(Refused::Busy) };
        hold.id = None;
        answer
    }

    /// Makes a worker finish what it holds and take no more (`true`), or take jobs again.
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`] if there is no such worker, [`Refused::NotActive`] on standby,
    /// [`Refused::Busy`] if the task does not reply in time.
    pub async fn drain(&self, worker: WorkerId, drain: bool) -> Result<(), Refused> {
        self.ask(|answer| Request::Drain(worker, drain, answer)).await?
    }

    /// Cancels a job: its caller gets `Cancelled`.
    ///
    /// # Errors
    ///
    /// [`Refused::Unknown`] if the job has ended or never was, [`Refused::NotActive`] on standby,
    /// [`Refused::Busy`] if the task does not reply in time.
    pub async fn cancel(&self, job: JobKey) -> Result<(), Refused> {
        self.ask(|answer| Request::Cancel(job, answer)).await?
    }

    /// The jobs with this id, unfinished or recently ended: one, unless two users chose the same
    /// id.
    ///
    /// # Errors
    ///
    /// [`Refused::Busy`] if the scheduler's task does not reply in time.
    pub async fn find(&self, job: JobId) -> Result<Vec<Job>, Refused> {
        self.ask(|answer| Request::Find(job, answer)).await
    }

    /// At most `most` of the unfinished jobs, in no particular order.
    ///
    /// # Errors
    ///
    /// [`Refused::Busy`] if the scheduler's task does not reply in time.
    pub async fn list(&self, most: usize) -> Result<Vec<Job>, Refused> {
        self.ask(|answer| Request::List(most, answer)).await
    }

    /// The failed jobs with this id whose arguments are kept: one, unless two users chose the same
    /// id.
    ///
    /// # Errors
    ///
    /// [`Refused::Busy`] if the scheduler's task does not reply in time.
    pub async fn failed(&self, job: JobId) -> Result<Vec<FailedCall>, Refused> {
        self.ask(|answer| Request::Failed(job, answer)).await
    }

    /// The value or error with this digest, of those that differed, if the distributor shows arguments.
    ///
    /// # Errors
    ///
    /// [`Refused::Busy`] if the scheduler's task does not reply in time.
    pub async fn differing(&self, digest: String) -> Result<Option<Bytes>, Refused> {
        self.ask(|answer| Request::Differing(digest, answer)).await
    }

    /// How many jobs under way a filter means, by function.
    ///
    /// # Errors
    ///
    /// [`Refused::Busy`] if the scheduler's task does not reply in time.
    pub async fn affected(&self, filter: JobFilter) -> Result<Vec<Affected>, Refused> {
        self.ask(|answer| Request::Affected(filter, answer)).await
    }

    /// Cancels at most `most` of the jobs under way that a filter means; returns how many.
    ///
    /// # Errors
    ///
    /// [`Refused::NotActive`] on standby, [`Refused::Busy`] if the task does not reply in time.
    pub async fn cancel_some(&self, filter: JobFilter, most: usize) -> Result<usize, Refused> {
        self.ask(|answer| Request::CancelSome(filter, most, answer)).await?
    }

    /// A part of the history.
    pub(crate) async fn history(&self, asked: Asked) -> Result<Range, Refused> {
        self.ask(|answer| Request::History(asked, answer)).await
    }

    /// Writes down what an operator did, in the log and in the view.
    pub(crate) async fn acted(&self, by: Option<IpAddr>, what: String) {
        let what = text::line(&what, ACTION).to_string();
        let by = by.map(|by| by.to_string());
        tracing::info!(by, "an operator {what}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        // If the task is too busy, the log has it.
        let action = Action { unix_ms, by, what };
        let _busy = self.ask(|answer| Request::Acted(action, answer)).await;
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        self.requests.try_send(request(answer)).map_err(|_| Refused::Busy)?;
        match timeout(REPLY_TIMEOUT, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Refused::Busy),
        }
    }
}

/// Cancels a call whose caller went away before its answer came.
struct CancelOnDrop<'a> {
    requests: &'a mpsc::Sender<Request>,
    id: Option<JobId>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // If the queue is full, the job ends at its deadline.
            let _full = self.requests.try_send(Request::CallerGone(id));
        }
    }
}
