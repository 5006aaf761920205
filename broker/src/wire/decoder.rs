//! The frame path: bytes of one connection in, whole frames out. Nothing is allocated on a
//! length's word: a frame's bytes are awaited only within the negotiated frame size.

use amq_protocol::protocol::{AMQPClass, parse_class};
use bytes::{Buf, Bytes, BytesMut};

use super::{Code, ContentHeader, Refusal, nesting};

/// What a client must say first.
pub(crate) const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// Frame type, channel and size before the payload, and the end mark after it.
const FRAME_OVERHEAD: usize = 8;
const FRAME_END: u8 = 0xCE;

/// Bodies below this are copied out, so that a small message does not keep a whole read buffer.
const COPY_BELOW: usize = 16 * 1024;

/// One thing that a client said.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The protocol header of AMQP 0-9-1.
    Hello,
    /// Some other protocol header.
    WrongProtocol,
    Method(u16, AMQPClass),
    Header(u16, Box<ContentHeader>),
    Body(u16, Bytes),
    Heartbeat,
    /// The stream makes no sense; nothing after this is read.
    Malformed(Refusal),
}

/// Splits one connection's bytes into frames.
#[derive(Debug)]
pub(crate) struct Decoder {
    frame_max: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitingHello,
    Reading,
    Failed,
}

impl Decoder {
    pub(crate) fn new(frame_max: usize) -> Self {
        Self { frame_max, state: State::AwaitingHello }
    }

    /// The largest frame from now on, overhead included.
    pub(crate) fn set_frame_max(&mut self, frame_max: usize) {
        self.frame_max = frame_max;
    }

    /// How many bytes the frame at the front has in all, once its beginning is there.
    pub(crate) fn wanted(&self, buffer: &BytesMut) -> usize {
        match (self.state, buffer.get(3..7)) {
            (State::Reading, Some(size)) => {
                let size = u32::from_be_bytes([size[0], size[1], size[2], size[3]]);
                usize::try_from(size)
                    .map_or(self.frame_max, |size| size.saturating_add(FRAME_OVERHEAD))
                    .min(self.frame_max)
            }
            (_, _) => FRAME_OVERHEAD,
        }
    }

    /// The next whole frame, taken off the front of `buffer`; `None` until it is complete.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Option<Incoming> {
        match self.state {
            State::Failed => {
                buffer.clear();
                None
            }
            State::AwaitingHello => self.hello(buffer),
            State::Reading => match self.frame(buffer) {
                Ok(incoming) => incoming,
                Err(refusal) => {
                    self.state = State::Failed;
                    Some(Incoming::Malformed(refusal))
                }
            },
        }
    }

    fn hello(&mut self, buffer: &mut BytesMut) -> Option<Incoming> {
        let known = buffer.len().min(PROTOCOL_HEADER.len());
        if buffer[..known] != PROTOCOL_HEADER[..known] {
            self.state = State::Failed;
            return Some(Incoming::WrongProtocol);
        }
        if known < PROTOCOL_HEADER.len() {
            return None;
        }
        buffer.advance(PROTOCOL_HEADER.len());
        self.state = State::Reading;
        Some(Incoming::Hello)
    }

    fn frame(&self, buffer: &mut BytesMut) -> Result<Option<Incoming>, Refusal> {
        let Some(start) = buffer.get(..7) else { return Ok(None) };
        let kind = start[0];
        let channel = u16::from_be_bytes([start[1], start[2]]);
        let size = u32::from_be_bytes([start[3], start[4], start[5], start[6]]);
        if !matches!(kind, 1 | 2 | 3 | 8) {
            return Err(Refusal::new(Code::FrameError, format!("unknown frame type {kind}")));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > self.frame_max - FRAME_OVERHEAD {
            let most = self.frame_max - FRAME_OVERHEAD;
            let text = format!("frame of {size} bytes is larger than the negotiated {most}");
            return Err(Refusal::new(Code::FrameError, text));
        }
        match buffer.get(7 + size) {
            None => return Ok(None),
            Some(&FRAME_END) => {}
            Some(_) => return Err(Refusal::new(Code::FrameError, "frame without its end mark")),
        }
        let payload = buffer.split_to(size + FRAME_OVERHEAD).freeze();
        interpret(kind, channel, payload.slice(7..7 + size)).map(Some)
    }
}

fn interpret(kind: u8, channel: u16, payload: Bytes) -> Result<Incoming, Refusal> {
    match kind {
        1 => method(&payload).map(|class| Incoming::Method(channel, class)),
        2 => {
            let header = ContentHeader::parse(&payload)?;
            Ok(Incoming::Header(channel, Box::new(header)))
        }
        3 if payload.len() < COPY_BELOW => {
            Ok(Incoming::Body(channel, Bytes::copy_from_slice(&payload)))
        }
        3 => Ok(Incoming::Body(channel, payload)),
        _ if channel == 0 && payload.is_empty() => Ok(Incoming::Heartbeat),
        _ => Err(Refusal::new(Code::FrameError, "heartbeat on a channel or with a payload")),
    }
}

fn method(payload: &[u8]) -> Result<AMQPClass, Refusal> {
    let [class_high, class_low, method_high, method_low, ..] = *payload else {
        return Err(Refusal::new(Code::SyntaxError, "method frame is too short"));
    };
    let class_id = u16::from_be_bytes([class_high, class_low]);
    let method_id = u16::from_be_bytes([method_high, method_low]);
    let refused = |code, text: &str| {
        Err(Refusal::new(code, format!("{text} {class_id}.{method_id}")).about(class_id, method_id))
    };
    match nesting::check_method(payload) {
        Ok(()) => {}
        Err(nesting::Unfit::TooDeep) => {
            return refused(Code::SyntaxError, "table nested too deeply in method");
        }
        Err(nesting::Unfit::Malformed) => {
            return refused(Code::SyntaxError, "malformed table in method");
        }
    }
    // The parsed form has no room for `prefetch_size`, which is refused as RabbitMQ does.
    if (class_id, method_id) == (60, 10) && payload.get(4..8).is_some_and(|size| size != [0; 4]) {
        return refused(Code::NotImplemented, "prefetch_size is not zero in method");
    }
    match parse_class(payload) {
        Ok(([], class)) => Ok(class),
        Ok(_) => refused(Code::SyntaxError, "bytes after the arguments of method"),
        Err(_) if is_known(class_id, method_id) => {
            refused(Code::SyntaxError, "malformed arguments of method")
        }
        Err(_) => refused(Code::CommandInvalid, "unknown method"),
    }
}

fn is_known(class_id: u16, method_id: u16) -> bool {
    let methods: &[u16] = match class_id {
        10 => &[10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 60, 61, 70, 71],
        20 => &[10, 11, 20, 21, 40, 41],
        30 => &[10, 11],
        40 => &[10, 11, 20, 21, 30, 31, 40, 51],
        50 => &[10, 11, 20, 21, 30, 31, 40, 41, 50, 51],
        60 => &[10, 11, 20, 21, 30, 31, 40, 50, 60, 70, 71, 72, 80, 90, 100, 110, 111, 120],
        85 => &[10, 11],
        90 => &[10, 11, 20, 21, 30, 31],
        _ => &[],
    };
    methods.contains(&method_id)
}
