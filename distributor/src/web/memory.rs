//! A budget for the bytes of requests and answers in memory at once, however slowly clients send
//! and read them.
//!
//! ```text
//!  body --[bodies]--> read --[values]--> MessagePack --[arguments]--> the scheduler
//!  sent <--[answers, chunk by chunk]-- JSON <--[answers]-- MessagePack <-- the scheduler
//! ```
//! Small ones are not counted: the number of connections bounds them. Callers at one address may
//! hold at most half of the budget for arguments and of that for answers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::HeaderValue;
use axum::http::header::HeaderName;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use simple_dist_protocol::limits::ARGUMENT_BYTES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::counters::{ANSWERS_REFUSED, ARGUMENTS_REFUSED};

use super::problem::{Kind, Problem};

/// The largest body of a call, in bytes: the largest argument as base64, and some more.
pub(crate) const BODY_BYTES: usize = ARGUMENT_BYTES / 2 * 3;
/// Bodies up to this many bytes are not counted.
pub(crate) const UNBUDGETED: usize = 64 * 1024;
/// An answer is passed to its connection in chunks of this size, each freed once it is sent.
const CHUNK: usize = 32 * 1024;
/// Memory is counted in units of this many bytes.
const UNIT: usize = 1024;

/// How many values are converted at once: the broker link needs the CPU too.
const CONCURRENT_VALUES: usize = 4;

/// The bytes allowed for each use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bodies that are being read or wait to be parsed.
    pub(crate) bodies: usize,
    /// Values that are being parsed: many times as large as their text.
    pub(crate) values: usize,
    /// Arguments of calls without an answer.
    pub(crate) arguments: usize,
    /// Answers that are being encoded or wait to be sent.
    pub(crate) answers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { bodies: 5 * BODY_BYTES, values: 512 * MIB, arguments: 256 * MIB, answers: 256 * MIB }
    }
}

/// The budget, as seen by the callers at one address; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct MemoryBudget {
    limits: Limits,
    bodies: Arc<Semaphore>,
    values: Arc<Semaphore>,
    value_slots: Arc<Semaphore>,
    arguments: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    share: Arc<Share>,
}

/// The bytes that callers at one address hold.
#[derive(Debug, Default)]
pub(crate) struct Share {
    arguments: AtomicUsize,
    answers: AtomicUsize,
}

/// The uses that do not wait for memory: a request without it is refused.
#[derive(Debug, Clone, Copy)]
enum Use {
    Arguments,
    Answers,
}

impl Share {
    fn of(&self, what: Use) -> &AtomicUsize {
        match what {
            Use::Arguments => &self.arguments,
            Use::Answers => &self.answers,
        }
    }
}

/// Memory that is released when this is dropped.
pub(crate) type Permit = OwnedSemaphorePermit;

/// Memory for arguments or an answer, released when this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    _all: Permit,
    share: Arc<Share>,
    what: Use,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.share.of(self.what).fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Marks a response whose body has its memory reserved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryReserved;

impl MemoryBudget {
    pub(crate) fn new(limits: Limits) -> Self {
        let of = |bytes: usize| Arc::new(Semaphore::new(bytes / UNIT + 1));
        Self {
            limits,
            bodies: of(limits.bodies),
            values: of(limits.values),
            value_slots: Arc::new(Semaphore::new(CONCURRENT_VALUES)),
            arguments: of(limits.arguments),
            answers: of(limits.answers),
            share: Arc::default(),
        }
    }

    /// The same budget for the callers with this share.
    pub(crate) fn shared_by(&self, share: Arc<Share>) -> Self {
        Self { share, ..self.clone() }
    }

    /// Waits until there is memory for a body of `bytes`.
    pub(crate) async fn body(&self, bytes: usize) -> Result<Permit, Problem> {
        wait(&self.bodies, bytes.min(self.limits.bodies)).await
    }

    /// Waits until there is memory for parsed values of about `bytes`; refuses more than the whole
    /// budget.
    pub(crate) async fn value(&self, bytes: usize) -> Result<Permit, Problem> {
        if bytes > self.limits.values {
            let most = self.limits.values / UNIT / UNIT;
            let why = "pass large lists as bytes";
            let detail = format!("its values take more than {most} MiB of memory: {why}");
            return Err(Problem::new(Kind::TooLarge, detail));
        }
        wait(&self.values, bytes).await
    }

    /// Waits until a value may be converted.
    pub(crate) async fn value_slot(&self) -> Result<Permit, Problem> {
        wait(&self.value_slots, 0).await
    }

    /// Memory for a call's arguments, if there is any now.
    pub(crate) fn arguments(&self, bytes: usize) -> Result<Reservation, Problem> {
        self.reservation(Use::Arguments, bytes)
    }

    /// Memory for an answer, if there is any now: the answer stays in memory while it waits.
    pub(crate) fn answer(&self, bytes: usize) -> Result<Reservation, Problem> {
        self.reservation(Use::Answers, bytes)
    }

    fn reservation(&self, what: Use, bytes: usize) -> Result<Reservation, Problem> {
        let (all, most, named, refused) = match what {
            Use::Arguments => {
                (&self.arguments, self.limits.arguments, "arguments", &ARGUMENTS_REFUSED)
            }
            Use::Answers => (&self.answers, self.limits.answers, "an answer", &ANSWERS_REFUSED),
        };
        let all = Arc::clone(all).try_acquire_many_owned(units(bytes)).ok();
        let reservation = all.and_then(|all| {
            let share = Arc::clone(&self.share);
            let before = share.of(what).fetch_add(bytes, Ordering::Relaxed);
            // Over the share: dropped at once, which releases it.
            let reservation = Reservation { _all: all, share, what, bytes };
            (before + bytes <= most / 2).then_some(reservation)
        });
        reservation.ok_or_else(|| {
            refused.add();
            let most = most / UNIT / UNIT;
            let detail = format!(
                "no memory for {named} of {bytes} bytes: all running calls share {most} MiB, and \
                 calls from one address may use half of that"
            );
            Problem::new(Kind::Busy, detail)
        })
    }

    /// The response with memory reserved until its body is sent, or a refusal.
    pub(crate) fn hold(&self, mut response: Response) -> Response {
        if response.extensions_mut().remove::<MemoryReserved>().is_some() {
            return response;
        }
        // A stream has no exact size: it makes an event only when its connection can send it.
        let bytes = response.body().size_hint().exact().unwrap_or(0);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes <= UNBUDGETED {
            return response;
        }
        match self.answer(bytes) {
            Ok(held) => hold_until_sent(response, held),
            Err(problem) => {
                let mut refused = problem.into_response();
                let ours = |(name, _): &(&HeaderName, &HeaderValue)| {
                    name.as_str().starts_with("x-simple-dist-")
                };
                let ours = response.headers().iter().filter(ours);
                refused
                    .headers_mut()
                    .extend(ours.map(|(name, value)| (name.clone(), value.clone())));
                refused
            }
        }
    }
}

async fn wait(budget: &Arc<Semaphore>, bytes: usize) -> Result<Permit, Problem> {
    let closed = |_| Problem::new(Kind::Internal, "the memory budget is closed");
    Arc::clone(budget).acquire_many_owned(units(bytes)).await.map_err(closed)
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes / UNIT + 1).unwrap_or(u32::MAX)
}

/// The response, holding `held` until its body is sent or its connection ends.
pub(crate) fn hold_until_sent<T: Send + Unpin + 'static>(response: Response, held: T) -> Response {
    response.map(|body| Body::new(Chunks { body, rest: Bytes::new(), _held: held }))
}

/// A body that copies its frames into chunks, so that memory is freed as it is sent. The connection
/// asks for the next chunk when its write buffer is nearly empty.
struct Chunks<T> {
    body: Body,
    rest: Bytes,
    _held: T,
}

impl<T: Unpin> hyper::body::Body for Chunks<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.len() > CHUNK => self.rest = data,
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let most = self.rest.len().min(CHUNK);
        let chunk = Bytes::copy_from_slice(&self.rest.split_to(most));
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let more = self.body.size_hint().exact();
        more.map_or_else(SizeHint::default, |more| SizeHint::with_exact(rest + more))
    }
}
