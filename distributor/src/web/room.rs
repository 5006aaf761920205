//! The bytes of requests and answers in memory at once, whoever sends or takes them how slowly.
//!
//! ```text
//!  body --[bodies]--> read --[values]--> MessagePack --[arguments]--> the scheduler
//!  taken <--[answers, sheet by sheet]-- JSON <--[answers]-- MessagePack <-- the scheduler
//! ```
//! What is small needs no room: the number of connections bounds it. Of arguments and answers, which
//! wait for others, callers at one address have no more than half.

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

use super::problem::{Kind, Problem};

/// The largest body of a call: the largest argument as base64, and some.
pub(crate) const BODY_BYTES: usize = ARGUMENT_BYTES / 2 * 3;
/// What needs no room.
pub(crate) const SMALL: usize = 64 * 1024;
/// An answer is given to its connection in pieces of this size, so that what is taken is freed.
const PIECE: usize = 32 * 1024;
/// Room is counted in units of this many bytes.
const UNIT: usize = 1024;

/// Values that are read or written at once: the links need the processor too.
const TURNS: usize = 4;

/// How many bytes there may be of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of bodies that are read, or wait to be understood.
    pub(crate) bodies: usize,
    /// Of values that are being understood: many times as large as their text.
    pub(crate) values: usize,
    /// Of arguments whose calls have no answer yet.
    pub(crate) arguments: usize,
    /// Of answers that are made, or wait to be taken.
    pub(crate) answers: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { bodies: 5 * BODY_BYTES, values: 512 * MIB, arguments: 256 * MIB, answers: 256 * MIB }
    }
}

/// The room there is, for callers at one address; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    bounds: Bounds,
    bodies: Arc<Semaphore>,
    values: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    arguments: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    share: Arc<Share>,
}

/// The bytes that callers at one address have of each.
#[derive(Debug, Default)]
pub(crate) struct Share {
    arguments: AtomicUsize,
    answers: AtomicUsize,
}

/// What room there is of that nobody waits for.
#[derive(Debug, Clone, Copy)]
enum Of {
    Arguments,
    Answers,
}

impl Share {
    fn of(&self, what: Of) -> &AtomicUsize {
        match what {
            Of::Arguments => &self.arguments,
            Of::Answers => &self.answers,
        }
    }
}

/// Room that is given back when this is dropped.
pub(crate) type Held = OwnedSemaphorePermit;

/// Some of the room for arguments or answers, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Part {
    _all: Held,
    share: Arc<Share>,
    what: Of,
    bytes: usize,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.share.of(self.what).fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Says that a response has room for its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HasRoom;

impl Room {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let of = |bytes: usize| Arc::new(Semaphore::new(bytes / UNIT + 1));
        Self {
            bounds,
            bodies: of(bounds.bodies),
            values: of(bounds.values),
            turns: Arc::new(Semaphore::new(TURNS)),
            arguments: of(bounds.arguments),
            answers: of(bounds.answers),
            share: Arc::default(),
        }
    }

    /// The same for callers who have this share.
    pub(crate) fn shared_by(&self, share: Arc<Share>) -> Self {
        Self { share, ..self.clone() }
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

    /// Waits for the turn of a value to be read or written.
    pub(crate) async fn turn(&self) -> Result<Held, Problem> {
        wait(&self.turns, 0).await
    }

    /// Room for the arguments of a call, if there is any now.
    pub(crate) fn arguments(&self, bytes: usize) -> Result<Part, Problem> {
        self.part(Of::Arguments, bytes)
    }

    /// Room for an answer, if there is any now: to wait would keep it in memory all the same.
    pub(crate) fn answer(&self, bytes: usize) -> Result<Part, Problem> {
        self.part(Of::Answers, bytes)
    }

    fn part(&self, what: Of, bytes: usize) -> Result<Part, Problem> {
        let (all, most, named, refused) = match what {
            Of::Arguments => {
                (&self.arguments, self.bounds.arguments, "arguments", ARGUMENTS_REFUSED)
            }
            Of::Answers => (&self.answers, self.bounds.answers, "an answer", ANSWERS_REFUSED),
        };
        let all = Arc::clone(all).try_acquire_many_owned(units(bytes)).ok();
        let part = all.and_then(|all| {
            let share = Arc::clone(&self.share);
            let before = share.of(what).fetch_add(bytes, Ordering::Relaxed);
            // One that is too much is dropped here, and gives back what it took.
            let part = Part { _all: all, share, what, bytes };
            (before + bytes <= most / 2).then_some(part)
        });
        part.ok_or_else(|| {
            ::metrics::counter!(refused).increment(1);
            let most = most / UNIT / UNIT;
            let detail = format!(
                "no room for {named} of {bytes} bytes: all calls under way share {most} MiB, those \
                 from one address half of that"
            );
            Problem::new(Kind::Busy, detail)
        })
    }

    /// The response, with room for its body until that is taken; or why there is none.
    pub(crate) fn hold(&self, mut response: Response) -> Response {
        if response.extensions_mut().remove::<HasRoom>().is_some() {
            return response;
        }
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

/// How often there was no room for arguments.
pub(crate) const ARGUMENTS_REFUSED: &str = "simple_dist_http_arguments_refused_total";
/// How often there was none for an answer.
pub(crate) const ANSWERS_REFUSED: &str = "simple_dist_http_answers_refused_total";

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
