//! The addresses of a broker, checked before anybody connects: URLs that the client library would
//! silently misread are refused here, and passwords are never printed.

mod endpoint;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub(super) use self::endpoint::Endpoint;
use super::certificates::Certificates;
use super::url_error::UrlError;
use simple_dist_protocol::UserName;

/// A valid `amqp://user:password@host:port/vhost`, or several separated by commas, which are tried
/// in turn. Prints without its passwords.
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
    /// At least one, all with the same user.
    endpoints: Arc<[Endpoint]>,
}

impl BrokerUrl {
    /// Parses a URL, with certificates for `amqps`; without them the system's are trusted.
    ///
    /// # Errors
    ///
    /// Fails if the URL or the certificates are invalid, see [`UrlError`].
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

    /// Host and port, without credentials; several are separated by commas.
    pub fn address(&self) -> String {
        let addresses: Vec<String> = self.endpoints.iter().map(Endpoint::address).collect();
        addresses.join(",")
    }

    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

/// Splits a list of URLs. A comma separates two only if a scheme follows it: passwords may contain
/// commas.
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
