//! A large value as a JSON response body, in chunks that are freed as they are sent.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use simple_dist_protocol::{JsonError, write_value_as_json};

use super::memory::Reservation;

/// Large enough that the allocator returns each chunk to the system, small enough to waste little.
const CHUNK: usize = 256 * 1024;

/// The length, in bytes, of a value's JSON.
pub(crate) fn measure(value: &[u8]) -> Result<usize, JsonError> {
    let mut length = Length(0);
    write_value_as_json(value, &mut length).map(|()| length.0)
}

/// A value's JSON as a body that holds its memory reservations.
pub(crate) fn body(value: &[u8], reserved: [Reservation; 2]) -> Result<Body, JsonError> {
    let mut json_body =
        JsonBody { written: VecDeque::new(), last: Vec::new(), _reserved: reserved };
    write_value_as_json(value, &mut json_body)?;
    let last = std::mem::take(&mut json_body.last);
    json_body.written.push_back(last.into());
    Ok(Body::new(json_body))
}

struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct JsonBody {
    written: VecDeque<Bytes>,
    last: Vec<u8>,
    _reserved: [Reservation; 2],
}

impl Write for JsonBody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.len() == CHUNK {
            self.written.push_back(std::mem::take(&mut self.last).into());
        }
        if self.last.is_empty() {
            self.last.reserve_exact(CHUNK);
        }
        let fitting = bytes.len().min(CHUNK - self.last.len());
        self.last.extend_from_slice(&bytes[..fitting]);
        Ok(fitting)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl hyper::body::Body for JsonBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.written.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.written.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.written.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::codec;

    use super::*;
    use crate::web::memory::{Limits, MemoryBudget};

    #[tokio::test]
    async fn a_body_is_the_json_in_any_number_of_chunks() {
        let reserved = MemoryBudget::new(Limits::default());
        for length in [1, CHUNK - 2, CHUNK - 1, 3 * CHUNK + 7] {
            let value = codec::encode(&"x".repeat(length)).unwrap();
            let body =
                body(&value, [reserved.answer(length).unwrap(), reserved.answer(0).unwrap()])
                    .unwrap();
            assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(length as u64 + 2));
            let read = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            assert_eq!(measure(&value).unwrap(), read.len());
            assert_eq!(serde_json::from_slice::<String>(&read).unwrap(), "x".repeat(length));
        }
    }
}
