//! Whether an argument or a value comes out of MessagePack as it went in, seen before it is
//! written: a serializer that writes nothing.

use std::cell::Cell;

use serde::ser::{self, Serialize};

use super::Error;

/// A serializer that looks, and counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit<'a> {
    /// How many levels of lists and maps may still be opened.
    pub(super) levels: usize,
    /// How many bytes were written as numbers.
    pub(super) numbers: &'a Cell<usize>,
}

/// Whether what was looked at is written as nil.
pub(super) type Nil = bool;

impl Fit<'_> {
    fn deeper(self) -> Result<Self, Error> {
        let levels = self.levels.checked_sub(1).ok_or(Error::Deep)?;
        Ok(Self { levels, ..self })
    }
}

/// What is written as itself, whatever it is.
macro_rules! plain {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Result<Nil, Error> {
            Ok(false)
        })*
    };
}

/// What is within a list or a map.
macro_rules! within {
    ($($trait:ident: $method:ident($($key:ty)?)),* $(,)?) => {
        $(impl ser::$trait for Fit<'_> {
            type Ok = Nil;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $(_: $key,)?
                value: &T,
            ) -> Result<(), Error> {
                value.serialize(*self).map(drop)
            }

            fn end(self) -> Result<Nil, Error> {
                Ok(false)
            }
        })*
    };
}

within! {
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(&'static str),
    SerializeStructVariant: serialize_field(&'static str),
}

impl ser::SerializeMap for Fit<'_> {
    type Ok = Nil;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(*self).map(drop)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(*self).map(drop)
    }

    fn end(self) -> Result<Nil, Error> {
        Ok(false)
    }
}

impl ser::Serializer for Fit<'_> {
    type Ok = Nil;
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    plain! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_i128: i128, serialize_u128: u128, serialize_f32: f32, serialize_f64: f64,
        serialize_unit_struct: &'static str,
    }

    fn serialize_u8(self, _: u8) -> Result<Nil, Error> {
        self.numbers.set(self.numbers.get() + 1);
        Ok(false)
    }

    /// As the codec, which writes what machines read.
    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_none(self) -> Result<Nil, Error> {
        Ok(true)
    }

    fn serialize_unit(self) -> Result<Nil, Error> {
        Ok(true)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Nil, Error> {
        if value.serialize(self)? { Err(Error::Ambiguous) } else { Ok(false) }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Nil, Error> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<Nil, Error> {
        Ok(false)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<Nil, Error> {
        value.serialize(self.deeper()?).map(|_| false)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Error> {
        self.deeper()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        self.deeper()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        self.deeper()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        self.deeper()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Error> {
        self.deeper()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        self.deeper()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        self.deeper()
    }
}
