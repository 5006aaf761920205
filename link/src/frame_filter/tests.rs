use lapin::protocol::{AMQPClass, basic, parse_class};
use lapin::types::AMQPValue;
use proptest::prelude::*;

use super::*;

/// All that the library may read of these bytes.
fn filtered(frame_filter: &mut FrameFilter, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut inbox = BytesMut::from(bytes);
    let frames = std::iter::from_fn(|| frame_filter.next(&mut inbox).unwrap());
    frames.map(|frame| (frame[0], frame[START..frame.len() - 1].to_vec())).collect()
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn method(id: u8, arguments: &[&[u8]]) -> Bytes {
    whole_of(1, 1, &[&[0, 60, 0, id], arguments.concat().as_slice()].concat())
}

fn deliver(exchange: &[u8], key: &[u8]) -> Bytes {
    method(60, &[&short(b"tag"), &[0, 0, 0, 0, 0, 0, 0, 7, 1], &short(exchange), &short(key)])
}

fn header(size: u64, properties: &[u8]) -> Bytes {
    whole_of(2, 1, &[&[0, 60, 0, 0], size.to_be_bytes().as_slice(), properties].concat())
}

/// Properties with this table as their headers, from ada.
fn of_ada(table: &[u8]) -> Vec<u8> {
    [&[0x20, 0x10], long(table).as_slice(), &short(b"ada")].concat()
}

/// What the library makes of a header.
fn read(payload: &[u8]) -> (u64, basic::AMQPProperties) {
    let (rest, properties) = basic::parse_properties(&payload[12..]).unwrap();
    assert!(rest.is_empty());
    ((&payload[4..12]).get_u64(), properties)
}

/// A message with these properties, as the library reads them.
fn properties_of(properties: &[u8]) -> (Option<u8>, Option<String>) {
    let frames = filtered(&mut FrameFilter::default(), &header(0, properties));
    let (_, read) = read(&frames[0].1);
    let version = read.headers().as_ref().map(|headers| match headers.inner()[VERSION_HEADER] {
        AMQPValue::ShortShortUInt(version) => version,
        _ => panic!("it is written as one byte"),
    });
    (version, read.user_id().as_ref().map(ToString::to_string))
}

fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |table, _| [b"\x01aF", long(&table).as_slice()].concat())
}

#[test]
fn however_deep_headers_are_the_library_does_not_see_it() {
    for depth in [1, 1_200, 15_000] {
        let version = [short(b"sd-v"), b"I\0\0\0\x01".to_vec()].concat();
        let before = of_ada(&[nested(depth), version].concat());
        assert_eq!(properties_of(&before), (Some(1), Some("ada".to_owned())));
    }
}

#[test]
fn our_headers_are_read_in_every_type_of_number() {
    let of = |value: &[u8]| properties_of(&of_ada(&[&short(b"sd-v"), value].concat())).0;
    let ours: [&[u8]; 5] = [b"b\x01", b"B\x01", b"s\0\x01", b"i\0\0\0\x01", b"l\0\0\0\0\0\0\0\x01"];
    for value in ours {
        assert_eq!(of(value), Some(1));
    }
    for value in [b"S\0\0\0\x011".as_slice(), b"t\x01", b"V", b"I\0\0\x01\x01", b"?\x01", b"I"] {
        assert_eq!(of(value), None, "{value:?}");
    }
}

#[test]
fn what_is_no_text_is_left_out() {
    // A key of a header, a correlation id, a reply-to, the user.
    assert_eq!(properties_of(&of_ada(b"\x01\xfft\x01")), (None, Some("ada".to_owned())));
    assert_eq!(properties_of(b"\x06\x10\x01\xff\x01\xff\x03ada"), (None, Some("ada".to_owned())));
    assert_eq!(properties_of(b"\0\x10\x01\xff"), (None, None));
    // Cut off, and without flags.
    assert_eq!(properties_of(b"\x20\x10\xff\xff\xff\xff\x03ada"), (None, None));
    assert_eq!(properties_of(b""), (None, None));
    let frames = filtered(&mut FrameFilter::default(), &deliver(b"\xff", &[0xfe; 200]));
    let (rest, method) = parse_class(frames[0].1.as_slice()).unwrap();
    assert!(rest.is_empty());
    let AMQPClass::Basic(basic::AMQPMethod::Deliver(delivery)) = method else {
        panic!("{method:?}")
    };
    assert_eq!((delivery.delivery_tag, delivery.redelivered), (7, true));
    assert_eq!((delivery.consumer_tag.as_str(), delivery.routing_key.as_str()), ("tag", ""));
}

#[test]
fn a_message_got_is_written_anew_too() {
    let got = method(
        71,
        &[&[0, 0, 0, 0, 0, 0, 0, 7, 1], &short(b"\xff"), &short(b"\xff"), &[0, 0, 0, 9]],
    );
    let frames = filtered(&mut FrameFilter::default(), &got);
    let AMQPClass::Basic(basic::AMQPMethod::GetOk(got)) =
        parse_class(frames[0].1.as_slice()).unwrap().1
    else {
        panic!("it is a message")
    };
    assert_eq!((got.delivery_tag, got.message_count), (7, 9));
}

#[test]
fn what_comes_back_is_told_apart_and_never_shown() {
    let returns = Returns::default();
    let mut frame_filter = FrameFilter::new(returns.clone());
    let returned = method(50, &[&[1, 56], &short(b"NO_ROUTE"), &short(b""), &short(b"key")]);
    let with_id = |id: &[u8]| header(3, &[&[0, 0x80], short(id).as_slice()].concat());
    let body = whole_of(3, 1, b"abc");
    let delivered = [deliver(b"", b""), header(3, &[0, 0]), body.clone()].concat();
    let bytes = [returned.clone(), with_id(b"7"), body, returned, header(0, &[0, 0])].concat();
    let frames = filtered(&mut frame_filter, &[bytes, delivered].concat());
    assert_eq!(frames.iter().map(|frame| frame.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(frames[2].1, b"abc");
    assert_eq!([7, 0, 7, 8].map(|id| returns.take(1, id)), [true, true, false, false]);
}

#[test]
fn a_message_larger_than_any_of_ours_arrives_empty() {
    let mut frame_filter = FrameFilter::default();
    let large = limits::MESSAGE_BYTES + 1;
    let frames =
        filtered(&mut frame_filter, &[deliver(b"", b""), header(large, &of_ada(b""))].concat());
    let (size, properties) = read(&frames[1].1);
    assert_eq!((size, properties.user_id().as_ref().unwrap().as_str()), (0, "ada"));
    let mut left = large;
    while left > 0 {
        let piece = left.min(100_000);
        let piece = vec![0; usize::try_from(piece).unwrap()];
        left -= piece.len() as u64;
        assert_eq!(filtered(&mut frame_filter, &whole_of(3, 1, &piece)), []);
    }
    let next = [deliver(b"", b""), header(1, &[0, 0]), whole_of(3, 1, b"x")].concat();
    assert_eq!(filtered(&mut frame_filter, &next).len(), 3);
}

#[test]
fn a_frame_comes_when_it_is_whole_and_never_without_a_limit() {
    let (mut frame_filter, mut inbox) = (FrameFilter::default(), BytesMut::new());
    let frame = whole_of(8, 0, b"");
    for byte in &frame[..frame.len() - 1] {
        inbox.put_u8(*byte);
        assert_eq!(frame_filter.next(&mut inbox).unwrap(), None);
    }
    inbox.put_u8(END);
    assert_eq!(frame_filter.next(&mut inbox).unwrap(), Some(frame));
    assert!(frame_filter.next(&mut BytesMut::from(&[3, 0, 1, 0xff, 0, 0, 0][..])).is_err());
}

proptest! {
    #[test]
    fn whatever_the_properties_are_the_library_can_read_them(
        properties in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        properties_of(&properties);
    }
}
