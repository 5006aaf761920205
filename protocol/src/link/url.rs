//! The address of a broker, checked before anybody connects to it: what the client library would
//! quietly take for something else is refused here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use url::{Host, Url};

use super::certificates::Certificates;
use super::tls::Tls;
use crate::{UserName, UserNameError, limits};

/// An `amqp://user:password@host:port/vhost` that can be connected to. Prints without its
/// password.
///
/// ```
/// use simple_dist_protocol::link::BrokerUrl;
///
/// let url: BrokerUrl = "amqp://ada:secret@broker.example/jobs".parse()?;
/// assert_eq!(url.user().as_str(), "ada");
/// assert_eq!(url.address(), "broker.example:5672");
/// assert_eq!(url.to_string(), "amqp://ada@broker.example:5672/jobs");
/// # Ok::<(), simple_dist_protocol::link::UrlError>(())
/// ```
#[derive(Clone)]
pub struct BrokerUrl {
    user: UserName,
    password: String,
    host: String,
    port: u16,
    vhost: String,
    heartbeat: Duration,
    /// With `amqps` alone.
    tls: Option<Tls>,
}

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL, or one without a host, or with a fragment (a `#` in a password is `%23`).
    #[error("not an AMQP URL like amqp://user:password@host:5672/vhost")]
    Malformed,
    /// Not `amqp` or `amqps`.
    #[error("the scheme is {0:?}, not amqp")]
    Scheme(String),
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
    /// An IPv6 literal, which the client library would take for `localhost`.
    #[error("IPv6 literals are not supported: use a host name")]
    Ipv6,
    /// No user for a broker on another machine.
    #[error("no user: only a broker on this machine is tried as guest")]
    MissingUser,
    /// A user without a password.
    #[error("the user has no password")]
    MissingPassword,
    /// A user that rights cannot be written for.
    #[error("the user's name does not fit")]
    User(#[source] UserNameError),
    /// What is behind a `%` is not UTF-8.
    #[error("a percent-encoded part is not UTF-8")]
    Encoding,
    /// Port 0.
    #[error("there is no port 0")]
    PortZero,
    /// Not 1 to 600 seconds.
    #[error("a heartbeat is 1 to 600 seconds")]
    Heartbeat,
    /// A parameter we do not know.
    #[error("unknown parameter {0:?}: only heartbeat can be set")]
    Parameter(String),
}

impl BrokerUrl {
    /// A URL with certificates of its own, for `amqps`; without them the system's are trusted.
    pub fn new(text: &str, certificates: &Certificates) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError::Malformed)?;
        let secure = match url.scheme() {
            "amqp" => false,
            "amqps" => true,
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        let host = host(&url)?;
        let (user, password) = login(&url, &host)?;
        let port = match url.port() {
            Some(0) => return Err(UrlError::PortZero),
            Some(port) => port,
            None if secure => 5671,
            None => 5672,
        };
        let (vhost, heartbeat) = (vhost(&url)?, heartbeat(&url)?);
        let tls = if secure {
            Some(Tls::new(certificates)?)
        } else if certificates.is_empty() {
            None
        } else {
            return Err(UrlError::NotTls);
        };
        Ok(Self { user, password, host, port, vhost, heartbeat, tls })
    }

    /// The login's name.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// Host and port, for people.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// For the client library: how to get there is up to [`Self::tls`]. Its `Debug` and `Display` show the password: never print it.
    pub(super) fn uri(&self) -> AMQPUri {
        AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: self.user.as_str().to_owned(),
                    password: self.password.clone(),
                },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: u16::try_from(self.heartbeat.as_secs()).ok(),
                ..AMQPQueryString::default()
            },
        }
    }
}

impl FromStr for BrokerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::new(text, &Certificates::new())
    }
}

fn host(url: &Url) -> Result<String, UrlError> {
    if url.fragment().is_some() {
        return Err(UrlError::Malformed);
    }
    match url.host() {
        Some(Host::Domain(host)) if !host.is_empty() => decoded(host),
        Some(Host::Ipv4(host)) => Ok(host.to_string()),
        Some(Host::Ipv6(_)) => Err(UrlError::Ipv6),
        Some(Host::Domain(_)) | None => Err(UrlError::Malformed),
    }
}

fn login(url: &Url, host: &str) -> Result<(UserName, String), UrlError> {
    let (user, password) = match (url.username(), url.password()) {
        ("", None) if is_loopback(host) => ("guest", Some("guest")),
        ("", _) => return Err(UrlError::MissingUser),
        login => login,
    };
    let user = decoded(user)?.parse().map_err(UrlError::User)?;
    Ok((user, decoded(password.ok_or(UrlError::MissingPassword)?)?))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn vhost(url: &Url) -> Result<String, UrlError> {
    let vhost = match url.path() {
        "" => "/".to_owned(),
        path => decoded(path.strip_prefix('/').ok_or(UrlError::Malformed)?)?,
    };
    match vhost.len() {
        0 => Err(UrlError::EmptyVhost),
        1..=255 => Ok(vhost),
        _ => Err(UrlError::LongVhost),
    }
}

fn heartbeat(url: &Url) -> Result<Duration, UrlError> {
    let mut heartbeat = limits::HEARTBEAT;
    for (name, value) in url.query_pairs() {
        if name != "heartbeat" {
            return Err(UrlError::Parameter(name.into_owned()));
        }
        let seconds = value.parse().ok().filter(|seconds| (1..=600).contains(seconds));
        heartbeat = Duration::from_secs(seconds.ok_or(UrlError::Heartbeat)?);
    }
    Ok(heartbeat)
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        let value = high.zip(low).ok_or(UrlError::Encoding)?;
        bytes.push(u8::try_from(value.0 * 16 + value.1).expect("two digits are a byte"));
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Encoding)
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}@{}:{}", self.user, self.host, self.port)?;
        match self.vhost.as_str() {
            "/" => Ok(()),
            vhost => write!(f, "/{vhost}"),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> BrokerUrl {
        text.parse().unwrap()
    }

    #[track_caller]
    fn refused(text: &str, error: UrlError) {
        assert_eq!(text.parse::<BrokerUrl>().err(), Some(error), "{text}");
    }

    #[test]
    fn everything_can_be_said() {
        let url = url("amqp://ada:s%40cret%2f@broker.example:5673/a%2fb?heartbeat=10");
        assert_eq!(url.user().as_str(), "ada");
        assert_eq!(url.address(), "broker.example:5673");
        let uri = url.uri();
        assert_eq!(uri.authority.userinfo.password, "s@cret/");
        assert_eq!(uri.vhost, "a/b");
        assert_eq!(uri.query.heartbeat, Some(10));
    }

    #[test]
    fn the_library_reads_back_what_the_pool_is_told() {
        let uri = url("amqp://ada:s%40cret%2f%23@broker.example/%2f").uri();
        assert_eq!(uri.to_string().parse(), Ok(uri));
    }

    #[test]
    fn a_broker_on_this_machine_is_tried_as_guest() {
        for text in ["amqp://localhost", "amqp://127.0.0.1:5692", "amqp://LOCALHOST/%2f"] {
            let uri = url(text).uri();
            assert_eq!(uri.authority.userinfo.username, "guest");
            assert_eq!((uri.vhost.as_str(), uri.query.heartbeat), ("/", Some(4)));
        }
        refused("amqp://broker.example", UrlError::MissingUser);
        refused("amqp://:secret@localhost", UrlError::MissingUser);
        refused("amqp://ada@localhost", UrlError::MissingPassword);
    }

    #[test]
    fn what_the_library_would_take_for_something_else_is_refused() {
        refused("amqp://localhost/", UrlError::EmptyVhost);
        refused("amqp://localhost/?heartbeat=4", UrlError::EmptyVhost);
        refused("amqp://a:b@[::1]/%2f", UrlError::Ipv6);
        refused("http://a:b@localhost", UrlError::Scheme("http".to_owned()));
        refused("localhost:5672", UrlError::Scheme("localhost".to_owned()));
        refused("amqp:localhost", UrlError::Malformed);
        refused("amqp:///vhost", UrlError::Malformed);
        refused("amqp://a:b#c@localhost", UrlError::Malformed);
        refused("amqp://localhost:0", UrlError::PortZero);
        refused("amqp://a.b:c@localhost", UrlError::User(UserNameError));
        refused("amqp://a:%ff@localhost", UrlError::Encoding);
        refused("amqp://a:%zz@localhost", UrlError::Encoding);
        refused(&format!("amqp://localhost/{}", "v".repeat(256)), UrlError::LongVhost);
        for seconds in ["0", "601", "four", ""] {
            refused(&format!("amqp://localhost?heartbeat={seconds}"), UrlError::Heartbeat);
        }
        let parameter = UrlError::Parameter("frame_max".to_owned());
        refused("amqp://localhost?frame_max=1", parameter);
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn without_tls_nothing_goes_out_in_the_clear_instead() {
        refused("amqps://a:b@localhost", UrlError::Tls);
    }

    #[test]
    #[cfg(feature = "tls")]
    fn what_is_no_certificate_is_refused_at_once() {
        let url = |certificates| BrokerUrl::new("amqps://a:b@localhost", &certificates).err();
        for certificates in [
            Certificates::new().ca(""),
            Certificates::new().ca("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
            Certificates::new().identity("", ""),
        ] {
            assert!(matches!(url(certificates), Some(UrlError::Certificates(_))));
        }
    }

    #[test]
    fn certificates_are_not_ignored() {
        let certificates = Certificates::new().ca("anything");
        let url = BrokerUrl::new("amqp://a:b@localhost", &certificates);
        assert_eq!(url.err(), Some(UrlError::NotTls));
        assert!(!format!("{:?}", Certificates::new().identity("", "secret")).contains("secret"));
    }

    #[test]
    fn the_password_is_never_shown() {
        let url = url("amqp://ada:secret@localhost/jobs");
        assert_eq!(url.to_string(), "amqp://ada@localhost:5672/jobs");
        assert_eq!(format!("{url:?}"), url.to_string());
    }
}
