//! Settings: where to listen, and who may do what there.

use std::fmt;
use std::net::SocketAddr;

use subtle::ConstantTimeEq;

use super::base::BasePath;

/// The default address of the page and the API.
pub const LISTEN: &str = "127.0.0.1:8080";

/// How the page and the API are served.
///
/// ```
/// use simple_dist_distributor::web::{Secret, Settings, SettingsError};
///
/// let mut settings = Settings::new("0.0.0.0:8080".parse()?);
/// assert_eq!(settings.check(), Err(SettingsError::Open("0.0.0.0:8080".parse()?)));
/// settings.token = Some(Secret::new("a long random text")?);
/// assert_eq!(settings.check(), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on. On loopback, reading and calling are free; elsewhere they need the
    /// token.
    pub listen: SocketAddr,
    /// The secret that grants access; without one nothing can be changed.
    pub token: Option<Secret>,
    /// Host names to accept, besides the loopback ones and IP addresses.
    pub hosts: Vec<String>,
    /// The path under which a proxy shows the page and the API.
    pub base_path: BasePath,
    /// Whether reading needs no token, on any address.
    pub open_reads: bool,
    /// Whether the distributor must not start if it cannot listen there. Otherwise it warns and
    /// runs without the page and the API.
    pub required: bool,
}

/// Why settings are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The address is reachable from other machines, but there is no token.
    #[error(
        "{0} is reachable from other machines: set a token (SIMPLE_DIST_TOKEN_FILE), or listen \
         on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// The token is empty or cannot be sent in a header.
    #[error("a token must be 1 to 256 visible ASCII characters or spaces")]
    Token,
    /// The name is not a host name.
    #[error("{0:?} is not a host name; write it without a scheme or a path")]
    Host(String),
    /// The path is not made of names after slashes.
    #[error("{0:?} is not a path like /dist")]
    BasePath(String),
}

impl Settings {
    /// Settings that listen on this address, without a token.
    pub fn new(listen: SocketAddr) -> Self {
        let base_path = BasePath::default();
        Self { listen, token: None, hosts: vec![], base_path, open_reads: false, required: true }
    }

    /// Checks the settings against each other.
    ///
    /// # Errors
    ///
    /// Fails if the address is reachable from other machines and there is no token, or if a host
    /// name is invalid.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !self.is_loopback() && self.token.is_none() {
            return Err(SettingsError::Open(self.listen));
        }
        let strange = |host: &&String| {
            host.is_empty()
                || !host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
        };
        match self.hosts.iter().find(strange) {
            Some(host) => Err(SettingsError::Host(host.clone())),
            None => Ok(()),
        }
    }

    /// Whether only this machine can reach it.
    pub(crate) fn is_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }
}

/// A text that is never printed, and is compared in constant time.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A secret that can be sent in a header.
    ///
    /// # Errors
    ///
    /// Fails with [`SettingsError::Token`] unless the text is 1 to 256 visible ASCII characters or
    /// spaces, with no space at either end.
    pub fn new(text: impl Into<String>) -> Result<Self, SettingsError> {
        let text = text.into();
        let fits = (1..=256).contains(&text.len())
            && text.trim() == text
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if fits { Ok(Self(text)) } else { Err(SettingsError::Token) }
    }

    /// Whether this is the secret. Compares hashes, so that its length does not leak either.
    pub(crate) fn is(&self, offered: &[u8]) -> bool {
        let (ours, theirs) = (blake3::hash(self.0.as_bytes()), blake3::hash(offered));
        ours.as_bytes().ct_eq(theirs.as_bytes()).into()
    }

    /// A key for one purpose, from which the secret cannot be derived.
    pub(crate) fn key(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listen: &str) -> Settings {
        Settings::new(listen.parse().unwrap())
    }

    #[test]
    fn a_public_address_needs_a_token() {
        for listen in ["0.0.0.0:8080", "192.168.1.2:80", "[::]:8080"] {
            assert_eq!(
                settings(listen).check(),
                Err(SettingsError::Open(listen.parse().unwrap())),
                "{listen}"
            );
            let token = Some(Secret::new("abc").unwrap());
            assert_eq!(Settings { token, ..settings(listen) }.check(), Ok(()), "{listen}");
        }
        for listen in ["127.0.0.1:8080", "127.8.8.8:1", "[::1]:8080"] {
            assert_eq!(settings(listen).check(), Ok(()), "{listen}");
        }
    }

    #[test]
    fn an_allowed_host_is_a_name_and_not_a_url() {
        for (host, fits) in
            [("dist.example", true), ("[::1]:80", true), ("", false), ("http://x", false)]
        {
            let settings = Settings { hosts: vec![host.to_owned()], ..settings("127.0.0.1:1") };
            assert_eq!(settings.check().is_ok(), fits, "{host}");
        }
    }

    #[test]
    fn a_secret_is_itself_alone_and_is_never_shown() {
        let secret = Secret::new("open sesame").unwrap();
        assert!(secret.is(b"open sesame"));
        for other in ["", "open", "open sesame ", "Open sesame"] {
            assert!(!secret.is(other.as_bytes()), "{other:?}");
        }
        assert!(!format!("{secret:?}").contains("sesame"));
        for unfit in ["", " ", "two\nlines", "päss", &"x".repeat(257)] {
            assert_eq!(Secret::new(unfit).err(), Some(SettingsError::Token), "{unfit:?}");
        }
    }
}
