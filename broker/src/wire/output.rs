//! Frames to bytes, gathered per connection so that one write carries many of them.

use amq_protocol::{
    frame::{AMQPFrame, WriteContext, gen_frame},
    protocol::AMQPClass,
};
use bytes::{BufMut, Bytes};

const FRAME_END: u8 = 0xCE;
const BASIC_CLASS: u16 = 60;
const DELIVER_METHOD: u16 = 60;

/// Bodies of at least this many bytes are passed on as they are instead of copied.
const SHARE_FROM: usize = 16 * 1024;

/// A heartbeat frame.
pub(crate) fn heartbeat() -> Bytes {
    Bytes::from_static(&[8, 0, 0, 0, 0, 0, 0, FRAME_END])
}

/// What a `basic.deliver` says about its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) consumer_tag: &'a str,
    pub(crate) delivery_tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
}

/// Encoded frames that wait for their connection's next write.
#[derive(Debug, Default)]
pub(crate) struct Output {
    chunks: Vec<Bytes>,
    tail: Vec<u8>,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.tail.is_empty()
    }

    /// Everything gathered so far.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.seal();
        std::mem::take(&mut self.chunks)
    }

    /// Bytes outside of any frame: the protocol header that refuses another protocol.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> usize {
        self.tail.extend_from_slice(bytes);
        bytes.len()
    }

    /// Adds a method frame; says how many bytes it has.
    pub(crate) fn method(&mut self, channel: u16, class: AMQPClass) -> usize {
        let before = self.tail.len();
        let frame = AMQPFrame::Method(channel, class);
        let context = WriteContext { write: std::mem::take(&mut self.tail), position: 0 };
        self.tail = gen_frame(&frame)(context).expect("a vector takes every write").write;
        self.tail.len() - before
    }

    /// Adds a `basic.deliver`, the frame that is written most, without the detour of a method.
    pub(crate) fn deliver(&mut self, channel: u16, delivery: Delivery<'_>) -> usize {
        let strings = [delivery.exchange, delivery.routing_key];
        let size = 4
            + (1 + delivery.consumer_tag.len())
            + 9
            + strings.iter().map(|text| 1 + text.len()).sum::<usize>();
        self.begin(1, channel, size);
        self.tail.put_u16(BASIC_CLASS);
        self.tail.put_u16(DELIVER_METHOD);
        self.short_string(delivery.consumer_tag);
        self.tail.put_u64(delivery.delivery_tag);
        self.tail.put_u8(u8::from(delivery.redelivered));
        for text in strings {
            self.short_string(text);
        }
        self.tail.put_u8(FRAME_END);
        size + 8
    }

    /// Adds header and body frames of a message.
    pub(crate) fn content(
        &mut self,
        channel: u16,
        properties: &[u8],
        body: &Bytes,
        frame_max: usize,
    ) -> usize {
        let mut written = properties.len() + 12 + 8;
        self.begin(2, channel, properties.len() + 12);
        self.tail.put_u16(BASIC_CLASS);
        self.tail.put_u16(0);
        self.tail.put_u64(body.len() as u64);
        self.tail.extend_from_slice(properties);
        self.tail.put_u8(FRAME_END);
        let mut rest = body.clone();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(frame_max - 8));
            written += part.len() + 8;
            self.begin(3, channel, part.len());
            if part.len() < SHARE_FROM {
                self.tail.extend_from_slice(&part);
            } else {
                self.seal();
                self.chunks.push(part);
            }
            self.tail.put_u8(FRAME_END);
        }
        written
    }

    fn begin(&mut self, kind: u8, channel: u16, size: usize) {
        self.tail.put_u8(kind);
        self.tail.put_u16(channel);
        self.tail.put_u32(u32::try_from(size).expect("a frame is shorter than frame_max"));
    }

    fn short_string(&mut self, text: &str) {
        self.tail.put_u8(u8::try_from(text.len()).expect("names have at most 255 bytes"));
        self.tail.extend_from_slice(text.as_bytes());
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }
}
