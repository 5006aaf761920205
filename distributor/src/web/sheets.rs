//! The JSON of a large value: in sheets, each of which is freed when it is taken.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use simple_dist_protocol::{JsonError, write_value_as_json};

use super::room::Part;

/// So large that the system gets the memory of each back, and so small that little is.
const SHEET: usize = 256 * 1024;

/// How many bytes the JSON of a value has.
pub(crate) fn measure(value: &[u8]) -> Result<usize, JsonError> {
    let mut length = Length(0);
    write_value_as_json(value, &mut length).map(|()| length.0)
}

/// The JSON of a value as a body, with the room for it.
pub(crate) fn body(value: &[u8], room: [Part; 2]) -> Result<Body, JsonError> {
    let mut sheets = Sheets { written: VecDeque::new(), last: Vec::new(), _room: room };
    write_value_as_json(value, &mut sheets)?;
    let last = std::mem::take(&mut sheets.last);
    sheets.written.push_back(last.into());
    Ok(Body::new(sheets))
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

struct Sheets {
    written: VecDeque<Bytes>,
    last: Vec<u8>,
    _room: [Part; 2],
}

impl Write for Sheets {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.len() == SHEET {
            self.written.push_back(std::mem::take(&mut self.last).into());
        }
        if self.last.is_empty() {
            self.last.reserve_exact(SHEET);
        }
        let fitting = bytes.len().min(SHEET - self.last.len());
        self.last.extend_from_slice(&bytes[..fitting]);
        Ok(fitting)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl hyper::body::Body for Sheets {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.written.pop_front().map(|sheet| Ok(Frame::data(sheet))))
    }

    fn is_end_stream(&self) -> bool {
        self.written.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.written.iter().map(|sheet| sheet.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::codec;

    use super::*;
    use crate::web::room::{Bounds, Room};

    #[tokio::test]
    async fn a_body_is_the_json_however_many_sheets_it_takes() {
        let room = Room::new(Bounds::default());
        for length in [1, SHEET - 2, SHEET - 1, 3 * SHEET + 7] {
            let value = codec::encode(&"x".repeat(length)).unwrap();
            let body =
                body(&value, [room.answer(length).unwrap(), room.answer(0).unwrap()]).unwrap();
            assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(length as u64 + 2));
            let read = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            assert_eq!(measure(&value).unwrap(), read.len());
            assert_eq!(serde_json::from_slice::<String>(&read).unwrap(), "x".repeat(length));
        }
    }
}
