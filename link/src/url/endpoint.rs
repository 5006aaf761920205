//! One address of a broker, and the login there.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use url::{Host, Url};

use crate::certificates::Certificates;
use crate::tls::Tls;
use crate::url_error::UrlError;
use simple_dist_protocol::{UserName, limits};

/// Parameters that other clients of RabbitMQ know. An unknown parameter may be part of a password,
/// and is not even named.
const PARAMETERS: [&str; 13] = [
    "auth_mechanism",
    "cacertfile",
    "certfile",
    "channel_max",
    "connection_timeout",
    "fail_if_no_peer_cert",
    "frame_max",
    "idle_time_out",
    "keyfile",
    "locale",
    "password",
    "server_name_indication",
    "verify",
];

/// Where to connect, and as whom.
#[derive(Clone)]
pub(crate) struct Endpoint {
    user: UserName,
    password: String,
    /// IPv6 addresses are without brackets.
    host: String,
    port: u16,
    vhost: String,
    heartbeat: Duration,
    /// Set for `amqps` only.
    tls: Option<Tls>,
}

impl Endpoint {
    pub(super) fn new(text: &str, certificates: &Certificates) -> Result<Self, UrlError> {
        // A second URL would end up in the vhost, with the login before it.
        if text.matches("://").count() > 1 {
            return Err(UrlError::List);
        }
        let url = Url::parse(text).map_err(|_| UrlError::Malformed)?;
        let secure = match url.scheme() {
            "amqp" => false,
            "amqps" => true,
            _ => return Err(UrlError::Scheme),
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

    pub(super) fn user(&self) -> &UserName {
        &self.user
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// For the client library, which gets an established connection and so needs no address. Its
    /// `Debug` and `Display` show the password: never print it.
    pub(crate) fn uri(&self) -> AMQPUri {
        AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: self.user.as_str().to_owned(),
                    password: self.password.clone(),
                },
                host: "127.0.0.1".to_owned(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: u16::try_from(self.heartbeat.as_secs()).ok(),
                frame_max: Some(limits::FRAME_BYTES),
                ..AMQPQueryString::default()
            },
        }
    }
}

fn host(url: &Url) -> Result<String, UrlError> {
    if url.fragment().is_some() {
        return Err(UrlError::Malformed);
    }
    match url.host() {
        Some(Host::Domain(host)) if host.contains(',') => Err(UrlError::List),
        Some(Host::Domain(host)) => {
            let host = decoded(host)?;
            if is_name(&host) { Ok(host) } else { Err(UrlError::Malformed) }
        }
        Some(Host::Ipv4(host)) => Ok(host.to_string()),
        Some(Host::Ipv6(host)) => Ok(host.to_string()),
        None => Err(UrlError::Malformed),
    }
}

fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.chars().all(|letter| letter.is_alphanumeric() || "-._".contains(letter))
}

fn login(url: &Url, host: &str) -> Result<(UserName, String), UrlError> {
    let (user, password) = match (url.username(), url.password()) {
        ("", None) if is_loopback(host) => ("guest", Some("guest")),
        ("", _) => return Err(UrlError::MissingUser),
        login => login,
    };
    let user = decoded(user)?.parse().map_err(|_| UrlError::User)?;
    Ok((user, decoded(password.ok_or(UrlError::MissingPassword)?)?))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn vhost(url: &Url) -> Result<String, UrlError> {
    let vhost = match url.path() {
        "" => "/".to_owned(),
        // A slash in a password ends the host too early: this is the rest of a password.
        path if path.contains('@') => return Err(UrlError::Malformed),
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
            let known = PARAMETERS.into_iter().find(|known| name == *known);
            return Err(known.map_or(UrlError::UnknownParameter, UrlError::Parameter));
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

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}@{}", self.user, self.address())?;
        match self.vhost.as_str() {
            "/" => Ok(()),
            vhost => write!(f, "/{}", vhost.escape_debug()),
        }
    }
}
