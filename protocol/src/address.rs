//! Function names: `fib@1`, and `fib` for any version.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::Text;

/// The longest name, in bytes: `[a-z][a-z0-9_.-]{0,63}`.
const NAME_LENGTH: usize = 64;
/// The highest version: five digits.
const VERSION_MAX: u32 = 99_999;

/// A function's name and version: `fib@1`.
///
/// ```
/// use simple_dist_protocol::Address;
///
/// let fib: Address = "fib@1".parse()?;
/// assert_eq!((fib.name(), fib.version()), ("fib", 1));
/// assert!("Fib@1".parse::<Address>().is_err());
/// # Ok::<(), simple_dist_protocol::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    name: Arc<str>,
    version: u32,
}

impl Address {
    /// Checks the name against `[a-z][a-z0-9_.-]{0,63}` and the version against five digits.
    ///
    /// # Errors
    ///
    /// Fails if either does not match.
    pub fn new(name: &str, version: u32) -> Result<Self, AddressError> {
        if !is_name(name) {
            return Err(AddressError::Name);
        }
        if version > VERSION_MAX {
            return Err(AddressError::Version);
        }
        Ok(Self { name: name.into(), version })
    }

    /// The name without its version: `fib`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version: 1 of `fib@1`.
    pub fn version(&self) -> u32 {
        self.version
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.parse::<Selector>()? {
            Selector { name, version: Some(version) } => Ok(Self { name, version }),
            Selector { version: None, .. } => Err(AddressError::Version),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer)?.0.parse().map_err(serde::de::Error::custom)
    }
}

/// The function a caller asks for: `fib@1`, or `fib` for the highest version with a live worker, or
/// the one that is promoted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    name: Arc<str>,
    version: Option<u32>,
}

impl Selector {
    /// The name without a version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address, if the caller named a version.
    pub fn address(&self) -> Option<Address> {
        self.version.map(|version| Address { name: Arc::clone(&self.name), version })
    }

    /// Whether this address is one that the caller asked for.
    pub fn matches(&self, address: &Address) -> bool {
        self.name == address.name && self.version.is_none_or(|version| version == address.version)
    }
}

impl From<Address> for Selector {
    fn from(address: Address) -> Self {
        Self { name: address.name, version: Some(address.version) }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for Selector {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, digits)) => (name, Some(version_of(digits)?)),
        };
        if is_name(name) {
            Ok(Self { name: name.into(), version })
        } else {
            Err(AddressError::Name)
        }
    }
}

/// Why a text is not a function's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The name does not match its grammar.
    #[error(
        "a function's name must be a lower-case letter followed by up to 63 of a-z, 0-9, '_', '.', '-'"
    )]
    Name,
    /// The version is missing or not one to five digits.
    #[error("a function's version must be one to five digits after '@', as in fib@1")]
    Version,
}

fn version_of(digits: &str) -> Result<u32, AddressError> {
    let fits = (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !fits {
        return Err(AddressError::Version);
    }
    digits.parse().map_err(|_| AddressError::Version)
}

/// Checks a name; `const`, so that an invalid `Function` fails to compile.
pub(crate) const fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > NAME_LENGTH || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut index = 1;
    while index < bytes.len() {
        if !matches!(bytes[index], b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-') {
            return false;
        }
        index += 1;
    }
    true
}

/// Checks a version; `const` for the same reason.
pub(crate) const fn is_version(version: u32) -> bool {
    version <= VERSION_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_takes_names_and_versions() {
        for text in ["f@0", "fib@1", "a.b-c_d9@99999", "fib@007"] {
            assert!(text.parse::<Address>().is_ok(), "{text}");
        }
    }

    #[test]
    fn the_grammar_refuses_everything_else() {
        let long = "a".repeat(65);
        for name in ["", "Fib", "1fib", "fi b", "<script>", "../x", "fib\n", "\u{1b}[31m", &long] {
            assert_eq!(name.parse::<Selector>(), Err(AddressError::Name), "{name:?}");
        }
        for text in ["fib@", "fib@x", "fib@-1", "fib@100000", "fib@1@2", "fib@+1"] {
            assert_eq!(text.parse::<Selector>(), Err(AddressError::Version), "{text:?}");
        }
    }

    #[test]
    fn a_selector_without_a_version_matches_every_version() {
        let (any, one): (Selector, Selector) = ("fib".parse().unwrap(), "fib@1".parse().unwrap());
        let two: Address = "fib@2".parse().unwrap();
        assert!(any.matches(&two));
        assert!(!one.matches(&two));
    }
}
