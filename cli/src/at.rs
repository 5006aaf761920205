//! Which broker: the options that every role shares.

use std::env;
use std::fs;

use clap::Args;
use simple_dist_broker as embedded;
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

/// A broker to work on.
#[derive(Debug)]
pub(crate) struct At {
    /// Where it is.
    pub(crate) url: String,
    embedded: Option<embedded::Handle>,
}

impl At {
    /// What a person should know of it.
    pub(crate) fn banner(&self) -> &'static str {
        match self.embedded {
            Some(_) => "on an embedded broker: jobs live only as long as this process",
            None => "on the broker that was given",
        }
    }

    /// Ends it, if it is our own.
    pub(crate) async fn stop(self) {
        if let Some(broker) = self.embedded {
            broker.stop().await;
        }
    }
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
            if let Some(url) = secret(variable)? {
                return Ok(Some(url));
            }
        }
        Ok(None)
    }

    /// The URL that was given, or the one on this machine.
    pub(crate) fn url(&self) -> Result<String, Failure> {
        Ok(self.given()?.unwrap_or_else(|| DEFAULT.to_owned()))
    }

    /// The broker that was given, or one that ends with this process.
    pub(crate) async fn given_or_embedded(&self) -> Result<At, Failure> {
        let embedded = match self.given()? {
            Some(url) => return Ok(At { url, embedded: None }),
            None => embedded::Broker::builder().start().await.map_err(Failure::unavailable)?,
        };
        Ok(At { url: embedded.url().to_owned(), embedded: Some(embedded) })
    }

    /// A client on it.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.client_at(&self.url()?)
    }

    /// A client of this installation at another broker.
    pub(crate) fn client_at(&self, url: &str) -> Result<Client, Failure> {
        Client::builder(url).prefix(&self.prefix).connect().map_err(Failure::configuration)
    }
}

/// A secret from a variable, or from the file that `<variable>_FILE` names.
pub(crate) fn secret(variable: &str) -> Result<Option<String>, Failure> {
    if let Ok(secret) = env::var(variable) {
        return Ok(Some(secret));
    }
    let Ok(path) = env::var(format!("{variable}_FILE")) else { return Ok(None) };
    let secret = fs::read_to_string(&path).map_err(|error| {
        Failure::configuration(format_args!("{variable}_FILE: {path}: {error}"))
    })?;
    Ok(Some(secret.trim().to_owned()))
}
