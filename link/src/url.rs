//! The addresses of a broker, checked before anybody connects to them: what the client library
//! would quietly take for something else is refused here, and never printed.

mod endpoint;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub(super) use self::endpoint::Endpoint;
use super::certificates::Certificates;
use simple_dist_protocol::UserName;

/// An `amqp://user:password@host:port/vhost` that can be connected to, or several with commas
/// between: they are tried in turn. Prints without its passwords.
///
/// ```
/// use simple_dist_link::BrokerUrl;
///
/// let url: BrokerUrl = "amqp://ada:secret@one.example/jobs,amqp://ada:secret@two.example/jobs".parse()?;
/// assert_eq!(url.user().as_str(), "ada");
/// assert_eq!(url.address(), "one.example:5672,two.example:5672");
/// assert_eq!(
///     url.to_string(),
///     "amqp://ada@one.example:5672/jobs,amqp://ada@two.example:5672/jobs"
/// );
/// # Ok::<(), simple_dist_link::UrlError>(())
/// ```
#[derive(Clone)]
pub struct BrokerUrl {
    /// At least one, all of one user.
    endpoints: Arc<[Endpoint]>,
}

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL, or one without a host, or with a fragment (a `#` in a password is `%23`), or with
    /// an `@` in its vhost (`%40`).
    #[error("not an AMQP URL like amqp://user:password@host:5672/vhost")]
    Malformed,
    /// More than one address in another form than ours.
    #[error("several addresses are several whole URLs with commas between them")]
    List,
    /// URLs of different users: names of queues are made of the user's.
    #[error("all URLs of a list have one user")]
    Users,
    /// Not `amqp` or `amqps`.
    #[error("the scheme of the URL is neither amqp nor amqps")]
    Scheme,
    /// `amqps` in a program that was built without the feature `tls`.
    #[error("TLS is not built in: build with the feature tls")]
    Tls,
    /// Certificates for an `amqp` URL, which is not checked against any.
    #[error("certificates are given, but the scheme is amqp, not amqps")]
    NotTls,
    /// Certificates or a key that are none.
    #[error("the certificates cannot be used: {0}")]
    Certificates(String),
    /// `amqp://host/` is the vhost with the empty name, which nobody means.
    #[error("the vhost is empty: leave out the last slash for the vhost \"/\", or write %2f")]
    EmptyVhost,
    /// The protocol has room for 255 bytes.
    #[error("the vhost has more than 255 bytes")]
    LongVhost,
    /// No user for a broker on another machine.
    #[error("no user: only a broker on this machine is tried as guest")]
    MissingUser,
    /// A user without a password.
    #[error("the user has no password")]
    MissingPassword,
    /// A user that rights cannot be written for.
    #[error(
        "the user's name is not 1 to 64 of a-z, 0-9, '_', '-': names at the broker are made of it"
    )]
    User,
    /// What is behind a `%` is not UTF-8.
    #[error("a percent-encoded part is not UTF-8")]
    Encoding,
    /// Port 0.
    #[error("there is no port 0")]
    PortZero,
    /// Not 1 to 600 seconds.
    #[error("a heartbeat is 1 to 600 seconds")]
    Heartbeat,
    /// A parameter that other clients know.
    #[error(
        "the parameter {0} is not supported: heartbeat alone is, and certificates are given apart"
    )]
    Parameter(&'static str),
    /// A parameter that nobody knows.
    #[error("the URL has an unknown parameter: heartbeat is the only one")]
    UnknownParameter,
}

impl BrokerUrl {
    /// A URL with certificates of its own, for `amqps`; without them the system's are trusted.
    pub fn new(text: &str, certificates: &Certificates) -> Result<Self, UrlError> {
        let urls = listed(text).into_iter();
        let endpoints: Arc<[Endpoint]> =
            urls.map(|url| Endpoint::new(url, certificates)).collect::<Result<_, _>>()?;
        if endpoints.iter().any(|endpoint| endpoint.user() != endpoints[0].user()) {
            return Err(UrlError::Users);
        }
        Ok(Self { endpoints })
    }

    /// The login's name.
    pub fn user(&self) -> &UserName {
        self.endpoints[0].user()
    }

    /// Host and port, for people; of several with commas between.
    pub fn address(&self) -> String {
        let addresses: Vec<String> = self.endpoints.iter().map(Endpoint::address).collect();
        addresses.join(",")
    }

    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

/// The URLs of a list. A comma parts two where a scheme comes behind it: passwords have commas too.
fn listed(text: &str) -> Vec<&str> {
    let between = |character: char| character == ',' || character.is_whitespace();
    let text = text.trim_matches(between);
    let (mut urls, mut from) = (Vec::new(), 0);
    for (comma, _) in text.match_indices(',') {
        let rest = text[comma..].trim_start_matches(between);
        let scheme = rest.split_once("://").map(|(scheme, _)| scheme);
        let is_scheme = |scheme: &str| scheme.chars().all(|letter| letter.is_ascii_alphanumeric());
        if comma >= from && scheme.is_some_and(is_scheme) {
            urls.push(text[from..comma].trim_end_matches(between));
            from = text.len() - rest.len();
        }
    }
    urls.push(&text[from..]);
    urls
}

impl FromStr for BrokerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::new(text, &Certificates::new())
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{endpoint}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
