//! MessagePack with limits: maps with names, so that fields can be added and other languages can
//! read them.

use bytes::Bytes;
use rmp_serde::decode::Error as RmpError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits;

/// A value that cannot be written, or bytes that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value refuses to be serialized.
    #[error("the value cannot be written as MessagePack: {0}")]
    Unwritable(String),
    /// The bytes are not a message of this type.
    #[error("not MessagePack of the expected type: {0}")]
    Malformed(String),
    /// There are bytes behind the end of the message.
    #[error("{0} bytes too many")]
    Trailing(usize),
}

/// Writes a message, an argument or a value.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    rmp_serde::to_vec_named(value).map_err(|error| Error::Unwritable(error.to_string()))
}

/// Reads a message, an argument or a value: all its bytes, nested at most
/// [`DEPTH`](limits::DEPTH) deep.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes);
    deserializer.set_max_depth(limits::DEPTH);
    let value = T::deserialize(&mut deserializer)
        .map_err(|error: RmpError| Error::Malformed(error.to_string()))?;
    match deserializer.get_ref().len() {
        0 => Ok(value),
        rest => Err(Error::Trailing(rest)),
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
    items: impl ExactSizeIterator<Item = &'a Bytes> + Clone,
) -> Vec<u8> {
    let size = envelope.len() + 5 + items.clone().map(Bytes::len).sum::<usize>();
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
    for item in items {
        bytes.extend_from_slice(item);
    }
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
    use crate::message::{FromClient, Ids};
    use crate::{ClientId, Generation, JobId};

    fn ask(ids: Vec<JobId>) -> FromClient {
        FromClient::Ask(Ids { client: ClientId::from_u128(1), generation: Generation(2), ids })
    }

    proptest! {
        #[test]
        fn a_joined_list_is_the_message_with_that_list(count in 1_usize..300) {
            let ids: Vec<JobId> = (0..count as u128).map(JobId::from_u128).collect();
            let items: Vec<Bytes> = ids.iter().map(|id| encode(id).unwrap().into()).collect();
            let joined = join(&envelope(&ask(vec![])), items.iter());
            prop_assert_eq!(joined, encode(&ask(ids)).unwrap());
        }

        #[test]
        fn random_bytes_are_an_error_and_nothing_worse(bytes: Vec<u8>) {
            let _message_or_error = decode::<FromClient>(&bytes);
        }
    }

    #[test]
    fn bytes_behind_the_end_are_refused() {
        let mut bytes = encode(&20_u64).unwrap();
        bytes.push(0);
        assert!(matches!(decode::<u64>(&bytes), Err(Error::Trailing(1))));
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
