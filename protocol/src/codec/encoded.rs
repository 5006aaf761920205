//! Encoded messages in which large values are shared, not copied.

use std::io::{self, Write};

use bytes::Bytes;

/// An encoded message, or item of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    pub(super) bytes: Bytes,
    /// A value that belongs there in them.
    pub(super) shared: Option<Box<(usize, Bytes)>>,
}

impl Encoded {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.shared.as_ref().map_or(0, |shared| shared.1.len())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in one piece.
    pub fn into_bytes(self) -> Bytes {
        if self.shared.is_none() {
            return self.bytes;
        }
        let mut all = Vec::with_capacity(self.len());
        self.write_to(&mut all);
        all.into()
    }

    pub(super) fn write_to(&self, buffer: &mut Vec<u8>) {
        match self.shared.as_deref() {
            None => buffer.extend_from_slice(&self.bytes),
            Some((at, value)) => {
                let (before, after) = self.bytes.split_at(*at);
                buffer.extend_from_slice(before);
                buffer.extend_from_slice(value);
                buffer.extend_from_slice(after);
            }
        }
    }
}

impl From<Bytes> for Encoded {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, shared: None }
    }
}

/// Writes everything but this value.
pub(super) struct Sharing<'a> {
    pub(super) buffer: &'a mut Vec<u8>,
    pub(super) value: &'a Bytes,
    /// Where it would have been.
    pub(super) at: Option<usize>,
}

impl Sharing<'_> {
    pub(super) fn shared(&self) -> Option<Box<(usize, Bytes)>> {
        self.at.map(|at| Box::new((at, self.value.clone())))
    }
}

impl Write for Sharing<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.at.is_none() && std::ptr::eq(data, &raw const **self.value) {
            self.at = Some(self.buffer.len());
        } else {
            self.buffer.extend_from_slice(data);
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
