//! Why the address of a broker is refused.

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL, or without a host, or with a fragment (write `#` in a password as `%23`), or with
    /// an `@` in its vhost (write `%40`).
    #[error("not an AMQP URL like amqp://user:password@host:5672/vhost")]
    Malformed,
    /// Several addresses in another format.
    #[error("write several addresses as several whole URLs separated by commas")]
    List,
    /// URLs with different users: queue names contain the user's.
    #[error("all URLs of a list must have the same user")]
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
    /// Invalid certificates or an invalid key.
    #[error("the certificates cannot be used: {0}")]
    Certificates(String),
    /// `amqp://host/` means the vhost with the empty name, which is surely a mistake.
    #[error("the vhost is empty: leave out the last slash for the vhost \"/\", or write %2f")]
    EmptyVhost,
    /// The protocol allows at most 255 bytes.
    #[error("the vhost has more than 255 bytes")]
    LongVhost,
    /// No user, for a broker on another machine.
    #[error("no user: `guest` is assumed only for a broker on this machine")]
    MissingUser,
    /// A user without a password.
    #[error("the user has no password")]
    MissingPassword,
    /// A user name that permissions cannot be written for.
    #[error(
        "the user's name is not 1 to 64 of a-z, 0-9, '_', '-': names at the broker are made of it"
    )]
    User,
    /// A percent-encoded part is not UTF-8.
    #[error("a percent-encoded part is not UTF-8")]
    Encoding,
    /// Port 0.
    #[error("the port cannot be 0")]
    PortZero,
    /// A heartbeat that is not 1 to 600 seconds.
    #[error("a heartbeat must be 1 to 600 seconds")]
    Heartbeat,
    /// A parameter that other clients know, but we do not support.
    #[error(
        "the parameter {0} is not supported: heartbeat alone is, and certificates are given apart"
    )]
    Parameter(&'static str),
    /// An unknown parameter.
    #[error("the URL has an unknown parameter: heartbeat is the only one")]
    UnknownParameter,
}
