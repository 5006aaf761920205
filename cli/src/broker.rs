//! Which broker: the options that every role shares.

use std::env;
use std::fs;

use clap::Args;
use simple_dist_client::Client;

use crate::exit::Failure;

/// The broker, and the installation on it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Broker {
    /// The broker: amqp://user:password@host:port/vhost. Better set AMQP_URL, or name a file by
    /// AMQP_URL_FILE: everybody on this machine can read a command line
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The prefix of all names at the broker, to keep installations apart
    #[arg(long, env = "SIMPLE_DIST_PREFIX", default_value = "sd")]
    pub(crate) prefix: String,
}

/// Where a URL is looked for, in this order.
const VARIABLES: [&str; 3] = ["AMQP_URL", "RABBITMQ_URL", "CLOUDAMQP_URL"];
/// Where a broker is when nobody says.
const DEFAULT: &str = "amqp://127.0.0.1:5672";

impl Broker {
    /// The URL that was given, by flag, variable or file.
    pub(crate) fn given(&self) -> Result<Option<String>, Failure> {
        if let Some(url) = &self.url {
            return Ok(Some(url.clone()));
        }
        for variable in VARIABLES {
            if let Ok(url) = env::var(variable) {
                return Ok(Some(url));
            }
            if let Ok(path) = env::var(format!("{variable}_FILE")) {
                let url = fs::read_to_string(&path).map_err(|error| {
                    Failure::configuration(format_args!("{variable}_FILE: {path}: {error}"))
                })?;
                return Ok(Some(url.trim().to_owned()));
            }
        }
        Ok(None)
    }

    /// The URL that was given, or the one on this machine.
    pub(crate) fn url(&self) -> Result<String, Failure> {
        Ok(self.given()?.unwrap_or_else(|| DEFAULT.to_owned()))
    }

    /// A client on it.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::builder(self.url()?).prefix(&self.prefix).connect().map_err(Failure::configuration)
    }
}
