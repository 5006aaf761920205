//! Filters what the client library gets to read from the broker. The library's parser is recursive
//! and accepts only UTF-8, so a message with headers nested a thousand deep would crash the
//! process, and one with names that are not text would end every connection it is delivered on. The
//! library therefore never sees what others wrote: methods and headers of messages are rewritten
//! with the few fields that we read. Pure.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use simple_dist_protocol::limits;

/// The header with the version of the wire protocol.
pub(super) const VERSION_HEADER: &str = "sd-v";
/// The bytes of a frame before its payload, and the one behind it.
const START: usize = 7;
const END: u8 = 0xCE;

/// Filters the frames of one connection.
#[derive(Debug, Default)]
pub(super) struct FrameFilter {
    /// Channels on which a message is being returned, whose header is next.
    returning: HashSet<u16>,
    /// The bytes of bodies to skip, by channel.
    skipped: HashMap<u16, u64>,
    returns: Returns,
}

/// The channels and ids of returned messages. The library would log each with its body.
#[derive(Debug, Clone, Default)]
pub(super) struct Returns(Arc<Mutex<HashSet<(u16, u64)>>>);

impl Returns {
    /// Whether this message of a channel was returned, for the first who asks. A returned message is
    /// in here before the library sees its confirm.
    pub(super) fn take(&self, channel: u16, id: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(channel, id))
    }

    fn add(&self, channel: u16, id: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((channel, id));
    }
}

impl FrameFilter {
    pub(super) fn new(returns: Returns) -> Self {
        Self { returns, ..Self::default() }
    }

    /// The next whole frame for the library, if there is one.
    pub(super) fn next(&mut self, inbox: &mut BytesMut) -> io::Result<Option<Bytes>> {
        while let Some(frame) = whole(inbox)? {
            let passed = self.sift(frame);
            if passed.is_some() {
                return Ok(passed);
            }
        }
        Ok(None)
    }

    /// The frame in the form that the library may see, if it may see it at all.
    fn sift(&mut self, frame: Bytes) -> Option<Bytes> {
        let (kind, channel) = (frame[0], u16::from_be_bytes([frame[1], frame[2]]));
        let payload = &frame[START..frame.len() - 1];
        match kind {
            1 => match (id_at(payload, 0), id_at(payload, 2)) {
                (Some(60), Some(50)) => {
                    self.returning.insert(channel);
                    None
                }
                (Some(60), Some(60 | 71)) => Some(
                    anonymous(payload)
                        .map_or(frame.clone(), |method| whole_of(1, channel, &method)),
                ),
                _ => Some(frame),
            },
            2 => self.header(channel, payload),
            3 => match self.skipped.get_mut(&channel) {
                Some(left) => {
                    *left = left.saturating_sub(payload.len() as u64);
                    if *left == 0 {
                        self.skipped.remove(&channel);
                    }
                    None
                }
                None => Some(frame),
            },
            _ => Some(frame),
        }
    }

    /// A message larger than any of ours is passed on empty, and then parked.
    fn header(&mut self, channel: u16, payload: &[u8]) -> Option<Bytes> {
        let (fixed, properties) = payload.split_at_checked(12)?;
        let mut size = (&fixed[4..]).get_u64();
        let properties = Properties::read(properties);
        let returning = self.returning.remove(&channel);
        if returning {
            self.returns.add(channel, properties.id.unwrap_or_default());
        }
        if size > 0 && (returning || size > limits::MESSAGE_BYTES) {
            self.skipped.insert(channel, size);
            size = 0;
        }
        (!returning).then(|| {
            let mut header = fixed[..4].to_vec();
            header.put_u64(size);
            properties.write(&mut header);
            whole_of(2, channel, &header)
        })
    }
}

/// Takes a whole frame off the front.
fn whole(inbox: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(mut size) = inbox.get(3..START) else { return Ok(None) };
    let size = size.get_u32() as usize;
    if size > limits::FRAME_BYTES as usize {
        let problem = format!("a frame of {size} bytes, where {} were agreed", limits::FRAME_BYTES);
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    let length = START + size + 1;
    Ok((inbox.len() >= length).then(|| inbox.split_to(length).freeze()))
}

fn whole_of(kind: u8, channel: u16, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(START + payload.len() + 1);
    frame.put_u8(kind);
    frame.put_u16(channel);
    frame.put_u32(u32::try_from(payload.len()).expect("it was a frame's, or is shorter"));
    frame.put_slice(payload);
    frame.put_u8(END);
    frame.freeze()
}

fn id_at(payload: &[u8], at: usize) -> Option<u16> {
    payload.get(at..at + 2).map(|mut id| id.get_u16())
}

/// `basic.deliver` or `basic.get-ok` without the exchange and the key, which its sender chose.
fn anonymous(payload: &[u8]) -> Option<Vec<u8>> {
    let mut rest = payload.get(4..)?;
    if id_at(payload, 2) == Some(60) {
        short_string(&mut rest)?;
    }
    // The delivery tag and the redelivered flag.
    rest.split_off(..9)?;
    let mut method = payload[..payload.len() - rest.len()].to_vec();
    short_string(&mut rest)?;
    short_string(&mut rest)?;
    method.extend([0, 0]);
    method.extend(rest);
    Some(method)
}

fn short_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(rest.try_get_u8().ok()?);
    rest.split_off(..length)
}

fn long_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    rest.split_off(..length)
}

/// The properties of a message that we read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Properties<'a> {
    version: Option<u8>,
    user: Option<&'a str>,
    /// Of a returned message: our own, so it is a number.
    id: Option<u64>,
}

impl<'a> Properties<'a> {
    /// Reads them as far as possible.
    fn read(properties: &'a [u8]) -> Self {
        let mut read = Self::default();
        read.fill(properties);
        read
    }

    fn fill(&mut self, mut rest: &'a [u8]) -> Option<()> {
        let flags = rest.try_get_u16().ok()?;
        // From content-type to cluster-id, in order.
        for bit in (2..16).rev().filter(|bit| flags & (1 << bit) != 0) {
            match bit {
                13 => self.version = version(long_string(&mut rest)?),
                12 | 11 => rest.try_get_u8().map(|_| ()).ok()?,
                6 => rest.try_get_u64().map(|_| ()).ok()?,
                7 => self.id = text(short_string(&mut rest)?).and_then(|id| id.parse().ok()),
                4 => self.user = text(short_string(&mut rest)?),
                _ => short_string(&mut rest).map(|_| ())?,
            }
        }
        Some(())
    }

    fn write(&self, header: &mut Vec<u8>) {
        let flag = |bit: u16, set| u16::from(set) << bit;
        header.put_u16(flag(13, self.version.is_some()) | flag(4, self.user.is_some()));
        if let Some(version) = self.version {
            let length = u8::try_from(VERSION_HEADER.len()).expect("it is four letters");
            header.put_u32(u32::from(length) + 3);
            header.put_u8(length);
            header.put_slice(VERSION_HEADER.as_bytes());
            header.put_slice(&[b'B', version]);
        }
        if let Some(user) = self.user {
            header.put_u8(u8::try_from(user.len()).expect("it was a short string"));
            header.put_slice(user.as_bytes());
        }
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The version in a header table. Nested tables are skipped.
fn version(mut table: &[u8]) -> Option<u8> {
    while !table.is_empty() {
        let key = short_string(&mut table)?;
        let kind = table.try_get_u8().ok()?;
        let value = match kind {
            b't' | b'b' | b'B' => table.split_off(..1)?,
            b's' | b'U' | b'u' => table.split_off(..2)?,
            b'I' | b'i' | b'f' => table.split_off(..4)?,
            b'D' => table.split_off(..5)?,
            b'L' | b'l' | b'd' | b'T' => table.split_off(..8)?,
            b'S' | b'x' | b'F' | b'A' => long_string(&mut table)?,
            b'V' => &[],
            _ => return None,
        };
        if key == VERSION_HEADER.as_bytes() {
            let integer =
                matches!(kind, b'b' | b'B' | b's' | b'U' | b'u' | b'I' | b'i' | b'L' | b'l');
            let (last, high) = value.split_last()?;
            return (integer && high.iter().all(|byte| *byte == 0)).then_some(*last);
        }
    }
    None
}

#[cfg(test)]
mod tests;
