//! Frames on a stream: four bytes of length, then a message in MessagePack.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;
use simple_dist_protocol::codec;

/// The longest frame: an argument or a value at its limit, with room for what is around it.
const MAX: usize = 32 * 1024 * 1024;
/// So much is kept for further frames; what a large one took is given back.
const KEPT: usize = 256 * 1024;
const HEAD: usize = 4;

/// A message as a frame.
pub(crate) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let body = codec::encode(message).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX);
    let length = length.ok_or_else(|| io::Error::other("a frame is too long"))?;
    Ok([&length.to_le_bytes()[..], &body].concat())
}

/// What has come and is not yet a whole frame.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
}

impl Incoming {
    /// Reads once; false at the end of the stream.
    pub(crate) fn read(&mut self, mut from: impl Read) -> io::Result<bool> {
        self.bytes.drain(..self.at);
        self.at = 0;
        let had = self.bytes.len();
        let missing =
            self.length().map_or(0, |length| HEAD + length.min(MAX) - had.min(HEAD + length));
        self.bytes.resize(had + missing.clamp(16 * 1024, 1024 * 1024), 0);
        let read = from.read(&mut self.bytes[had..]);
        self.bytes.truncate(had + read.as_ref().copied().unwrap_or(0));
        Ok(read? > 0)
    }

    /// The next message, if all of it is there.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(length) = self.length() else { return Ok(None) };
        if length > MAX {
            return Err(io::Error::other("a frame is too long"));
        }
        let (begin, end) = (self.at + HEAD, self.at + HEAD + length);
        let Some(body) = self.bytes.get(begin..end) else { return Ok(None) };
        let message = codec::decode(body).map_err(io::Error::other)?;
        self.at = end;
        if self.at == self.bytes.len() {
            (self.at, self.bytes) = (0, std::mem::take(&mut self.bytes));
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        }
        Ok(Some(message))
    }

    fn length(&self) -> Option<usize> {
        let head = self.bytes.get(self.at..self.at + HEAD)?;
        let length = u32::from_le_bytes(head.try_into().expect("four bytes"));
        Some(usize::try_from(length).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It gives a byte at a time, or all.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn messages_come_back_however_they_are_cut() {
        let long = "x".repeat(200_000);
        let messages = ["", "one", &long, "two"];
        let stream: Vec<u8> =
            messages.iter().flat_map(|message| encode(message).unwrap()).collect();
        for piece in [1, 3, 70_000, usize::MAX] {
            let (mut incoming, mut pieces) = (Incoming::default(), Pieces(&stream, piece));
            let mut read = vec![];
            while incoming.read(&mut pieces).unwrap() {
                while let Some(message) = incoming.next::<String>().unwrap() {
                    read.push(message);
                }
            }
            assert_eq!(read, messages);
            assert!(incoming.bytes.is_empty());
        }
    }

    #[test]
    fn a_length_over_the_limit_is_an_error_and_takes_no_memory() {
        let mut incoming = Incoming::default();
        assert!(incoming.read(&[0xff; 64][..]).unwrap());
        assert!(incoming.next::<String>().is_err());
        assert!(incoming.bytes.capacity() <= 64 * 1024);
    }
}
