//! The bytes of requests and answers in memory at once, whoever sends or takes them how slowly.
//!
//! ```text
//!  body --[bodies]--> read --[values]--> MessagePack --> the scheduler
//!  taken <--[answers, piece by piece]-- JSON <--[values]-- MessagePack <-- the scheduler
//! ```
//! What is small needs no room: the number of connections bounds it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::HeaderValue;
use axum::http::header::HeaderName;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use simple_dist_protocol::limits::ARGUMENT_BYTES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};

/// The largest body of a call: the largest argument as base64, and some.
pub(crate) const BODY_BYTES: usize = ARGUMENT_BYTES / 2 * 3;
/// What needs no room.
pub(crate) const SMALL: usize = 64 * 1024;
/// An answer is given to its connection in pieces of this size, so that what is taken is freed.
const PIECE: usize = 32 * 1024;
/// Room is counted in units of this many bytes.
const UNIT: usize = 1024;

/// How many bytes there may be of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of bodies that are read, or wait to be understood.
    pub(crate) bodies: usize,
    /// Of values that are being understood, or written: many times as large as their text.
    pub(crate) values: usize,
    /// Of answers that are made, or wait to be taken.
    pub(crate) answers: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bodies: 5 * BODY_BYTES, values: 512 * 1024 * 1024, answers: 128 * 1024 * 1024 }
    }
}

/// The room there is; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    bounds: Bounds,
    bodies: Arc<Semaphore>,
    values: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

/// Room that is given back when this is dropped.
pub(crate) type Held = OwnedSemaphorePermit;

impl Room {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let of = |bytes: usize| Arc::new(Semaphore::new(bytes / UNIT + 1));
        Self {
            bounds,
            bodies: of(bounds.bodies),
            values: of(bounds.values),
            answers: of(bounds.answers),
        }
    }

    /// Waits until there is room for a body of so many bytes.
    pub(crate) async fn body(&self, bytes: usize) -> Result<Held, Problem> {
        wait(&self.bodies, bytes.min(self.bounds.bodies)).await
    }

    /// Waits for the turn of values of about so many bytes; there may never be room for them.
    pub(crate) async fn value(&self, bytes: usize) -> Result<Held, Problem> {
        if bytes > self.bounds.values {
            let most = self.bounds.values / UNIT / UNIT;
            let why = "pass large lists as bytes";
            let detail = format!("its values take more than {most} MiB of memory: {why}");
            return Err(Problem::new(Kind::TooLarge, detail));
        }
        wait(&self.values, bytes).await
    }

    /// Room for an answer, if there is any now: to wait would keep it in memory all the same.
    pub(crate) fn answer(&self, bytes: usize) -> Result<Held, Problem> {
        Arc::clone(&self.answers).try_acquire_many_owned(units(bytes)).map_err(|_| {
            ::metrics::counter!(FULL).increment(1);
            let most = self.bounds.answers / UNIT / UNIT;
            let why = "answers that their callers have not taken yet";
            Problem::new(
                Kind::Busy,
                format!("no room for an answer of {bytes} bytes beside {most} MiB of {why}"),
            )
        })
    }

    /// The response, with room for its body until that is taken; or why there is none.
    pub(crate) fn hold(&self, response: Response) -> Response {
        // A stream makes each event when there is room for it at its connection.
        let bytes = response.body().size_hint().exact().unwrap_or(0);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes <= SMALL {
            return response;
        }
        match self.answer(bytes) {
            Ok(held) => until_taken(response, held),
            Err(problem) => {
                let mut refused = problem.into_response();
                let told = |(name, _): &(&HeaderName, &HeaderValue)| {
                    name.as_str().starts_with("x-simple-dist-")
                };
                let told = response.headers().iter().filter(told);
                refused
                    .headers_mut()
                    .extend(told.map(|(name, value)| (name.clone(), value.clone())));
                refused
            }
        }
    }
}

/// How often there was no room for an answer.
pub(crate) const FULL: &str = "simple_dist_http_answers_refused_total";

async fn wait(room: &Arc<Semaphore>, bytes: usize) -> Result<Held, Problem> {
    let closed = |_| Problem::new(Kind::Internal, "there is no room, and never will be");
    Arc::clone(room).acquire_many_owned(units(bytes)).await.map_err(closed)
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes / UNIT + 1).unwrap_or(u32::MAX)
}

/// The response, with something that is held until its body is taken, or nobody will.
pub(crate) fn until_taken<T: Send + Unpin + 'static>(response: Response, held: T) -> Response {
    response.map(|body| Body::new(Pieces { body, rest: Bytes::new(), _held: held }))
}

/// A body whose memory goes with what is taken of it: the pieces are copies. Its connection asks
/// for the next when it has little of the ones before.
struct Pieces<T> {
    body: Body,
    rest: Bytes,
    _held: T,
}

impl<T: Unpin> hyper::body::Body for Pieces<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.len() > PIECE => self.rest = data,
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let most = self.rest.len().min(PIECE);
        let piece = Bytes::copy_from_slice(&self.rest.split_to(most));
        Poll::Ready(Some(Ok(Frame::data(piece))))
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
