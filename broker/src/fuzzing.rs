//! The entry point for fuzzers and tests of the frame path: a whole connection without a socket.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::{
    core::{ConnectionId, Core, Input},
    settings::Settings,
    wire::Decoder,
};

/// Feeds the bytes to a broker as one connection: as they are, and again after a proper handshake
/// with an open channel. Returns how many bytes came back in total.
pub fn connection(bytes: &[u8]) -> usize {
    let handshake: &[&[u8]] = &[
        b"AMQP\x00\x00\x09\x01",
        b"\x01\0\0\0\0\0\x24\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US\xce",
        b"\x01\0\0\0\0\0\x0c\0\x0a\0\x1f\0\x0a\0\x01\0\0\0\0\xce",
        b"\x01\0\0\0\0\0\x08\0\x0a\0\x28\x01/\0\0\xce",
        b"\x01\0\x01\0\0\0\x05\0\x14\0\x0a\0\xce",
    ];
    play(&[bytes]) + play(&[&handshake.concat(), bytes])
}

#[expect(clippy::disallowed_methods, reason = "a clock that nothing depends on")]
fn play(parts: &[&[u8]]) -> usize {
    let settings = Settings::default();
    let mut decoder = Decoder::new(settings.frame_max);
    let mut now = Instant::now();
    let mut core = Core::new(settings);
    let id = ConnectionId(1);
    core.apply(Input::Connected(id), now);
    let mut buffer = BytesMut::new();
    for part in parts {
        buffer.extend_from_slice(part);
        while let Some(frame) = decoder.next(&mut buffer) {
            core.apply(Input::Frames(id, vec![frame]), now);
            now += Duration::from_millis(1);
            core.tick(now);
        }
    }
    let written = core.effects().iter().map(crate::core::Effect::bytes).sum();
    core.apply(Input::Gone(id), now);
    assert!(core.holds_nothing_of(id), "everything a connection held is given back");
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_answered() {
        let unopened = connection(b"\x01\0\x02\0\0\0\x05\0\x14\0\x0a\0\xce");
        // `tune`, `open-ok` and two `channel.open-ok` are what the second connection adds.
        assert!(unopened > connection(b""), "a second channel opens");
    }

    /// Frames that make the broker keep something, to be mutated.
    fn seeds() -> Vec<Vec<u8>> {
        let publish = b"\x01\0\x01\0\0\0\x0a\0\x3c\0\x28\0\0\0\x01q\x01\xce";
        let header = b"\x02\0\x01\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\x04\0\0\xce";
        vec![
            b"\x01\0\x01\0\0\0\x0d\0\x32\0\x0a\0\0\x01q\0\0\0\0\0\xce".to_vec(),
            b"\x01\0\x01\0\0\0\x05\0\x55\0\x0a\0\xce".to_vec(),
            b"\x01\0\x01\0\0\0\x0e\0\x3c\0\x14\0\0\x01q\0\0\0\0\0\0\xce".to_vec(),
            [&publish[..], header, b"\x03\0\x01\0\0\0\x04body\xce"].concat(),
            b"\x01\0\x01\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0\xce".to_vec(),
            b"\x01\0\x01\0\0\0\x0d\0\x3c\0\x5a\0\0\0\0\0\0\0\x01\x01\xce".to_vec(),
            b"\x01\0\x01\0\0\0\x09\0\x3c\0\x46\0\0\x01q\0\xce".to_vec(),
            b"\x01\0\x01\0\0\0\x09\0\x32\0\x28\0\0\x01q\0\xce".to_vec(),
        ]
    }

    #[test]
    fn spoilt_frames_do_no_harm() {
        let (seeds, mut state) = (seeds(), 0x9E37_79B9_7F4A_7C15_u64);
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for _ in 0..5_000 {
            let mut bytes = Vec::new();
            for _ in 0..random(12) {
                bytes.extend(&seeds[random(seeds.len())]);
            }
            for _ in 0..random(4) {
                if !bytes.is_empty() {
                    let at = random(bytes.len());
                    bytes[at] = random(256) as u8;
                }
            }
            connection(&bytes);
        }
    }
}
