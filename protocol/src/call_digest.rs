//! What tells calls apart: function and arguments, as one digest.

use std::fmt;

use crate::Address;

/// The digest of a call: BLAKE3 of its function's address, a newline and its arguments in
/// MessagePack. Equal calls of a deterministic function have equal answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallDigest([u8; 32]);

impl CallDigest {
    /// The digest of this call.
    pub fn of(function: &Address, arguments: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(function.to_string().as_bytes()).update(b"\n").update(arguments);
        Self(*hasher.finalize().as_bytes())
    }
}

/// As 64 hexadecimal digits.
impl fmt::Display for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_equal_if_function_and_arguments_are() {
        let digest =
            |function: &str, arguments| CallDigest::of(&function.parse().unwrap(), arguments);
        assert_eq!(digest("fib@1", b"1"), digest("fib@1", b"1"));
        let others = [("fib@1", b"2"), ("fib@2", b"1"), ("fob@1", b"1")];
        for (function, arguments) in others {
            assert_ne!(digest(function, arguments), digest("fib@1", b"1"));
        }
        assert_eq!(digest("fib@1", b"1").to_string().len(), 64);
    }
}
