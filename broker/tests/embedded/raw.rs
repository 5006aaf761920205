//! A client that speaks in bytes, well or badly as the test wants.

use std::time::Duration;

use simple_dist_broker::Handle;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Nothing in these tests takes longer, or it hangs.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
}

/// A frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Class and method.
    pub(crate) fn method(&self) -> (u16, u16) {
        assert_eq!(self.kind, 1, "a method");
        let number = |at: usize| u16::from_be_bytes([self.payload[at], self.payload[at + 1]]);
        (number(0), number(2))
    }
}

impl Raw {
    /// Connected, and nothing said.
    pub(crate) async fn connect(broker: &Handle) -> Self {
        Self { stream: TcpStream::connect(broker.addr()).await.unwrap() }
    }

    /// Logged in as the guest, with a small `frame_max`.
    pub(crate) async fn open(broker: &Handle) -> Self {
        let mut raw = Self::connect(broker).await;
        raw.send(b"AMQP\x00\x00\x09\x01").await;
        assert_eq!(raw.read().await.unwrap().method(), (10, 10));
        raw.send(&method(0, 10, 11, b"\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US")).await;
        assert_eq!(raw.read().await.unwrap().method(), (10, 30));
        raw.send(&method(0, 10, 31, &[0, 10, 0, 1, 0, 0, 0, 0])).await;
        raw.send(&method(0, 10, 40, b"\x01/\0\0")).await;
        assert_eq!(raw.read().await.unwrap().method(), (10, 41));
        raw
    }

    /// Logged in, with channel 1 open.
    pub(crate) async fn open_channel(broker: &Handle) -> Self {
        let mut raw = Self::open(broker).await;
        raw.send(&method(1, 20, 10, b"\0")).await;
        assert_eq!(raw.read().await.unwrap().method(), (20, 11));
        raw
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(LIMIT, self.stream.write_all(bytes)).await.expect("it is read").unwrap();
    }

    /// The next frame; nothing if the broker closed.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        let mut start = [0; 7];
        let read = timeout(LIMIT, self.stream.read_exact(&mut start)).await.expect("no silence");
        read.ok()?;
        let size = u32::from_be_bytes([start[3], start[4], start[5], start[6]]);
        let mut payload = vec![0; size as usize + 1];
        self.stream.read_exact(&mut payload).await.ok()?;
        assert_eq!(payload.pop(), Some(0xCE));
        Some(Frame { kind: start[0], payload })
    }

    /// The code that the broker closes the connection with, and that it does close.
    pub(crate) async fn closed_with(mut self) -> u16 {
        let code = loop {
            let frame = self.read().await.expect("a close comes first");
            if frame.kind == 1 && frame.method() == (10, 50) {
                break u16::from_be_bytes([frame.payload[4], frame.payload[5]]);
            }
        };
        self.send(&method(0, 10, 51, b"")).await;
        assert!(self.read().await.is_none(), "the socket is closed");
        code
    }
}

/// A method frame.
pub(crate) fn method(channel: u16, class_id: u16, method_id: u16, arguments: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(class_id.to_be_bytes());
    payload.extend(method_id.to_be_bytes());
    payload.extend(arguments);
    frame(1, channel, &payload)
}

/// A content header of the class basic, with the properties as given.
pub(crate) fn header(channel: u16, size: u64, properties: &[u8]) -> Vec<u8> {
    let mut payload = vec![0, 60, 0, 0];
    payload.extend(size.to_be_bytes());
    payload.extend(properties);
    frame(2, channel, &payload)
}

pub(crate) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend(payload);
    frame.push(0xCE);
    frame
}

/// `basic.publish` to the default exchange.
pub(crate) fn publish(channel: u16, key: &str) -> Vec<u8> {
    let mut arguments = vec![0, 0, 0, u8::try_from(key.len()).unwrap()];
    arguments.extend(key.as_bytes());
    arguments.push(0);
    method(channel, 60, 40, &arguments)
}

/// A table that holds `depth` tables, one in the other, with its length before it.
pub(crate) fn nested_table(depth: usize) -> Vec<u8> {
    let mut table = 0_u32.to_be_bytes().to_vec();
    for _ in 0..depth {
        let mut outer = (u32::try_from(table.len()).unwrap() + 3).to_be_bytes().to_vec();
        outer.extend([1, b'a', b'F']);
        outer.extend(table);
        table = outer;
    }
    table
}
