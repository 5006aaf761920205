//! MessagePack with limits: maps with names, so that fields can be added and other languages can
//! read them.

mod encoded;
mod fit;

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rmp_serde::decode::Error as RmpError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::encoded::Encoded;
use self::encoded::Sharing;
use self::fit::Fit;
use crate::limits;

/// A value that cannot be written, or bytes that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value refuses to be serialized.
    #[error("the value cannot be written as MessagePack: {0}")]
    Unwritable(String),
    /// There is a `Some` whose content is written as nothing is: `Some(None)`, `Some(())`.
    #[error(
        "Some(None) and Some(()) cannot be told from None in MessagePack: put the inner value into \
         a struct with a field, or use an enum of your own"
    )]
    Ambiguous,
    /// It is nested too deep.
    #[error("nested deeper than {} levels: send it as a flat list", limits::DEPTH)]
    Deep,
    /// What its type writes, its type does not read, or reads as something else. Only a build with
    /// debug assertions looks, before it sends.
    #[error("{kind} does not come back as it was written: {problem}")]
    OneWay {
        /// The type.
        kind: &'static str,
        /// What became of it.
        problem: String,
    },
    /// The bytes are not a message of this type.
    #[error("not MessagePack of the expected type: {0}")]
    Malformed(String),
    /// There are bytes behind the end of the message.
    #[error("there are bytes behind its end")]
    Trailing,
}

impl serde::ser::Error for Error {
    fn custom<T: std::fmt::Display>(problem: T) -> Self {
        Self::Unwritable(problem.to_string())
    }
}

/// So many bytes in lists of numbers are worth a warning: they take two bytes each where they are
/// 128 or more, and five times as long.
const NUMBERS: usize = 64 * 1024;

/// Writes an argument or a value, if it would be read back as it is. A build with debug assertions
/// reads it back to see.
///
/// # Errors
/// [`Error::Unwritable`], [`Error::Ambiguous`], [`Error::Deep`] or [`Error::OneWay`].
pub fn encode_exact<T: Serialize + DeserializeOwned>(value: &T) -> Result<Vec<u8>, Error> {
    let numbers = Cell::new(0);
    let bytes = encode_fit(value, &numbers)?;
    if numbers.get() >= NUMBERS {
        warn_of_numbers(type_name::<T>(), numbers.get());
    }
    if cfg!(debug_assertions) {
        read_back::<T>(&bytes)?;
    }
    Ok(bytes)
}

/// Writes what is not read back as the same type, such as JSON.
///
/// # Errors
/// [`Error::Unwritable`], [`Error::Ambiguous`] or [`Error::Deep`].
pub fn encode_untyped<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    encode_fit(value, &Cell::new(0))
}

fn encode_fit<T: Serialize + ?Sized>(value: &T, numbers: &Cell<usize>) -> Result<Vec<u8>, Error> {
    value.serialize(Fit { levels: limits::DEPTH, numbers })?;
    encode(value)
}

fn read_back<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<(), Error> {
    let one_way = |problem| Err(Error::OneWay { kind: type_name::<T>(), problem });
    let again = || decode::<T>(bytes).and_then(|value| encode(&value));
    // What panics here panics where it is read in earnest, and is told there.
    match catch_unwind(AssertUnwindSafe(again)) {
        Ok(Ok(again)) if tally(&again) != tally(bytes) => {
            one_way("it reads what it wrote as another value".to_owned())
        }
        Ok(Err(error)) => one_way(error.to_string()),
        Ok(Ok(_)) => Ok(()),
        Err(panic) => {
            // It may panic in its turn.
            std::mem::forget(panic);
            Ok(())
        }
    }
}

/// How often each byte is there: the same for the entries of a `HashMap` in whatever order.
fn tally(bytes: &[u8]) -> [usize; 256] {
    let mut tally = [0; 256];
    for byte in bytes {
        tally[usize::from(*byte)] += 1;
    }
    tally
}

/// Tells it once for each type.
fn warn_of_numbers(kind: &'static str, numbers: usize) {
    static TOLD: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(kind) {
        tracing::warn!(
            "{kind} has {numbers} bytes in lists of numbers, which takes five times as long: declare \
             them as Bytes, or #[serde(with = \"serde_bytes\")]"
        );
    }
}

/// Encodes a message.
///
/// # Errors
///
/// Fails if the value cannot be encoded, for example a sequence of unknown length.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    rmp_serde::to_vec_named(value).map_err(|error| Error::Unwritable(error.to_string()))
}

/// Encodes one of our own messages, or an item of a list, in a buffer that is used again and again.
///
/// # Panics
/// If it cannot be written: a mistake in the message's type.
pub fn encode_message<T: Serialize>(message: &T) -> Bytes {
    encode_sharing(message, None).bytes
}

/// The same for a message with an argument or a value in it, which is shared if it is large.
///
/// # Panics
/// If it cannot be written: a mistake in the message's type.
pub fn encode_sharing<T: Serialize>(message: &T, value: Option<&Bytes>) -> Encoded {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        let (written, shared) = match value.filter(|value| value.len() >= LARGE) {
            // By the writer of a plain buffer, which is faster.
            None => (rmp_serde::encode::write_named(buffer, message), None),
            Some(value) => {
                let mut writer = Sharing { buffer, value, at: None };
                let written = rmp_serde::encode::write_named(&mut writer, message);
                (written, writer.shared())
            }
        };
        written.expect("our own messages can be written");
        let bytes = match buffer.len() {
            ..LARGE => Bytes::copy_from_slice(buffer),
            LARGE.. => std::mem::take(buffer).into(),
        };
        Encoded { bytes, shared }
    })
}

/// From so many bytes on it costs less to share what is there, or to give it away, than to copy it.
const LARGE: usize = 16 * 1024;

/// Decodes a message, an argument or a value from all of the bytes.
///
/// # Errors
///
/// Fails if the bytes are not MessagePack of this type, if any are left over, or if they are nested
/// more than [`DEPTH`](limits::DEPTH) deep.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    // One at which it has had enough.
    deserializer.set_max_depth(limits::DEPTH + 1);
    let value = T::deserialize(&mut deserializer)
        .map_err(|error: RmpError| Error::Malformed(error.to_string()))?;
    // It does not say where it is. Only at the end is there no marker to read.
    match bool::deserialize(&mut deserializer) {
        Err(RmpError::InvalidMarkerRead(_)) => Ok(value),
        Ok(_) | Err(_) => Err(Error::Trailing),
    }
}

/// The head of a list message: the message with an empty list, less the byte of that list.
///
/// [`join`] puts a list behind it. So items are encoded once, by whoever makes them, and a
/// publisher joins what is waiting without knowing what it is.
///
/// # Panics
/// If the list is not empty or not the last field: a mistake in the message's type.
pub fn envelope<T: Serialize>(empty: &T) -> Bytes {
    let mut bytes = encode(empty).expect("our own messages can be written");
    assert_eq!(bytes.pop(), Some(EMPTY_LIST), "the last field is an empty list");
    bytes.into()
}

/// A list message from its [`envelope`] and its encoded items.
pub fn join<'a>(
    envelope: &[u8],
    items: impl ExactSizeIterator<Item = &'a Encoded> + Clone,
) -> Vec<u8> {
    let size = envelope.len() + 5 + items.clone().map(Encoded::len).sum::<usize>();
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(envelope);
    match items.len() {
        count @ 0..=15 => bytes.push(EMPTY_LIST | u8::try_from(count).expect("at most 15")),
        count => {
            let count = u16::try_from(count).expect("at most LIST_JOBS items");
            bytes.push(LIST_16);
            bytes.extend_from_slice(&count.to_be_bytes());
        }
    }
    items.for_each(|item| item.write_to(&mut bytes));
    bytes
}

/// MessagePack's `fixarray` of no elements.
const EMPTY_LIST: u8 = 0x90;
/// MessagePack's `array 16`.
const LIST_16: u8 = 0xdc;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Answer, End, Ended, FromClient, Ids};
    use crate::{Attempt, ClientId, Generation, JobId, JobKey, Term};

    fn ask(ids: Vec<JobId>) -> FromClient {
        FromClient::Ask(Ids { client: ClientId::from_u128(1), generation: Generation(2), ids })
    }

    proptest! {
        #[test]
        fn a_joined_list_is_the_message_with_that_list(count in 1_usize..300) {
            let ids: Vec<JobId> = (0..count as u128).map(JobId::from_u128).collect();
            let items: Vec<Encoded> = ids.iter().map(|id| encode_message(id).into()).collect();
            let joined = join(&envelope(&ask(vec![])), items.iter());
            prop_assert_eq!(joined, encode(&ask(ids)).unwrap());
        }

        #[test]
        fn random_bytes_are_an_error_and_nothing_worse(bytes: Vec<u8>) {
            let _message_or_error = decode::<FromClient>(&bytes);
        }
    }

    #[test]
    fn a_large_value_is_shared_and_stands_where_it_belongs() {
        for (size, shared) in [(0, false), (LARGE - 1, false), (LARGE, true), (100_000, true)] {
            let value = Bytes::from(vec![7; size]);
            let ended = Ended {
                key: JobKey { user: "u".parse().unwrap(), id: JobId::from_u128(1) },
                attempt: Attempt { term: Term(1), number: 1 },
                end: End::Answer(Answer::Value(value.clone())),
                took_us: 9,
            };
            let item = encode_sharing(&ended, ended.payload());
            let is_shared =
                item.shared.as_ref().is_some_and(|own| own.1.as_ptr() == value.as_ptr());
            assert_eq!(is_shared, shared, "{size}");
            let bytes = encode(&ended).unwrap();
            assert_eq!(item.len(), bytes.len());
            assert_eq!(join(&[], [&item].into_iter())[1..], bytes);
            assert_eq!(item.into_bytes(), bytes);
        }
    }

    #[test]
    fn bytes_behind_the_end_are_refused() {
        for rest in [&[0][..], &[0xc0], &[0x91], &[0x81], &[0xcd], &[0xa1], &[0xc4], &[0xc7]] {
            let bytes = [&encode(&20_u64).unwrap(), rest].concat();
            assert!(matches!(decode::<u64>(&bytes), Err(Error::Trailing)), "{rest:?}");
        }
    }

    /// A list in a list, and so on.
    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Node {
        number: u32,
        next: Option<Box<Self>>,
    }

    /// Nested through an enum, whose levels the codec does not count.
    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    enum Tree {
        Leaf,
        Knot(Box<Self>),
    }

    fn nodes(levels: usize) -> Node {
        let last = Node { number: 0, next: None };
        (1..levels).fold(last, |next, _| Node { number: 1, next: Some(Box::new(next)) })
    }

    #[test]
    fn what_is_nested_to_the_limit_comes_back_and_what_is_deeper_is_not_written() {
        let deepest = nodes(limits::DEPTH);
        let bytes = encode_exact(&deepest).unwrap();
        assert_eq!(decode::<Node>(&bytes).unwrap(), deepest);
        assert!(matches!(encode_exact(&nodes(limits::DEPTH + 1)), Err(Error::Deep)));

        let tree = |levels| (0..levels).fold(Tree::Leaf, |tree, _| Tree::Knot(Box::new(tree)));
        let bytes = encode_exact(&tree(limits::DEPTH)).unwrap();
        assert_eq!(decode::<Tree>(&bytes).unwrap(), tree(limits::DEPTH));
        assert!(matches!(encode_exact(&tree(limits::DEPTH + 1)), Err(Error::Deep)));
    }

    /// It is told before it is written whether it would come back.
    #[track_caller]
    fn check<T>(value: &T, comes_back: bool)
    where
        T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let read = decode::<T>(&encode(value).unwrap());
        assert_eq!(read.is_ok_and(|read| read == *value), comes_back, "{value:?}");
        match encode_exact(value) {
            Ok(_) => assert!(comes_back, "{value:?}"),
            Err(error) => assert!(matches!(error, Error::Ambiguous) && !comes_back, "{value:?}"),
        }
    }

    #[test]
    fn what_would_not_come_back_is_not_written() {
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Through(Option<u8>);
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Unit;
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        enum Choice {
            Nothing,
            One(Option<u8>),
            Two((), Option<u8>),
            Named { inner: Option<u8> },
        }
        for value in [None, Some(None), Some(Some(7_u8))] {
            check(&value, value != Some(None));
            check(&vec![value], value != Some(None));
            check(&(1, value), value != Some(None));
            check(&std::collections::BTreeMap::from([(1, value)]), value != Some(None));
        }
        check(&Some(()), false);
        check(&Some(Through(None)), false);
        check(&Some(Through(Some(1))), true);
        check(&Some(Some(Some(()))), false);
        check(&Ok::<_, String>(Some(())), false);
        check(&Some(Unit), true);
        check(&Some(((),)), true);
        check(&(), true);
        check(&Through(None), true);
        for choice in [
            Choice::Nothing,
            Choice::One(None),
            Choice::One(Some(1)),
            Choice::Two((), None),
            Choice::Named { inner: None },
        ] {
            check(&choice, true);
            check(&Some(choice), true);
        }
        check(&(i128::MIN, u128::MAX, i64::MIN, u64::MAX, 'x', 0.1_f32, f64::INFINITY), true);
        check(&Ok::<(), String>(()), true);
        check(&Some(String::new()), true);
    }

    type Mixed = Vec<(Option<Option<i16>>, Result<Option<String>, Option<()>>, Option<char>)>;

    proptest! {
        #[test]
        fn what_is_written_comes_back(value: Mixed) {
            if let Ok(bytes) = encode_exact(&value) {
                prop_assert_eq!(decode::<Mixed>(&bytes).unwrap(), value);
            }
        }
    }

    #[test]
    fn what_its_type_does_not_read_is_told_where_it_is_written() {
        #[derive(Serialize, serde::Deserialize)]
        #[serde(untagged)]
        enum Untagged {
            Number(f64),
            Exact(u64),
        }
        /// It reads every number as text, and what it writes it cannot read.
        #[derive(Serialize, serde::Deserialize)]
        struct Lopsided(#[serde(serialize_with = "as_text")] u64);
        fn as_text<S: serde::Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(number)
        }
        for error in [
            encode_exact(&Untagged::Exact(7)).unwrap_err(),
            encode_exact(&Lopsided(7)).unwrap_err(),
        ] {
            assert!(matches!(error, Error::OneWay { .. }), "{error}");
        }
        encode_exact(&Untagged::Number(7.5)).unwrap();
        let words = (0..100).map(|number| (number, number.to_string()));
        encode_exact(&words.collect::<std::collections::HashMap<_, _>>()).unwrap();
    }

    #[test]
    fn bytes_in_lists_of_numbers_are_counted() {
        fn numbers<T: Serialize>(value: &T) -> usize {
            let numbers = Cell::new(0);
            encode_fit(value, &numbers).unwrap();
            numbers.get()
        }
        assert_eq!(numbers(&(vec![1_u8; 500], Some(vec![200_u8; 7]))), 507);
        assert_eq!(numbers(&(Bytes::from(vec![1; 500]), vec![1_u16; 500], "text")), 0);
    }

    #[test]
    fn deep_nesting_and_length_bombs_are_refused() {
        let deep: Vec<u8> = std::iter::repeat_n(0x91, 5_000).chain([0xc0]).collect();
        assert!(matches!(decode::<FromClient>(&deep), Err(Error::Malformed(_))));
        assert!(matches!(decode::<serde_json::Value>(&deep), Err(Error::Malformed(_))));
        let bomb = [0xdd, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(decode::<Vec<u64>>(&bomb), Err(Error::Malformed(_))));
    }
}
