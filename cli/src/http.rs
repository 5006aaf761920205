//! Options of a distributor's page and API.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::str::FromStr;
use std::{fmt, fs};

use clap::Args;
use clap::builder::FalseyValueParser;
use simple_dist_distributor::web::{BasePath, LISTEN, Secret, Settings};

use crate::broker_args::secret;
use crate::exit::Failure;

/// The page and the API.
#[derive(Debug, Args)]
pub(crate) struct Http {
    /// Where to serve the page and the API; `none` to turn them off [default: 127.0.0.1:8080, if
    /// free]. Any address but loopback needs a token: SIMPLE_DIST_TOKEN, or a file named by
    /// SIMPLE_DIST_TOKEN_FILE
    #[arg(long, env = "LISTEN", value_name = "ADDRESS")]
    listen: Option<Listen>,
    /// A file with the token; without one, nobody can drain or cancel
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// A host name for the page, in addition to localhost; may be repeated
    #[arg(
        long = "allow-host",
        env = "SIMPLE_DIST_HOSTS",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    hosts: Vec<String>,
    /// The path under which a proxy shows the page and the API, such as /dist; requests may come with
    /// it or without
    #[arg(long, env = "SIMPLE_DIST_BASE_PATH", value_name = "PATH", default_value_t)]
    base_path: BasePath,
    /// Let anybody read; calling and changing still need the token
    #[arg(long, env = "SIMPLE_DIST_OPEN_READS", value_parser = FalseyValueParser::new())]
    open_reads: bool,
}

/// Where to serve the page and the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Nowhere.
    Nowhere,
    /// At this address.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" | "off" => Ok(Self::Nowhere),
            text => text
                .parse()
                .map(Self::At)
                .map_err(|_| format!("expected an address like {LISTEN} or [::1]:8080, or `none`")),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("none"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl Listen {
    /// Checks that the address is free; a child process would report it only in its log.
    pub(crate) fn is_free(self) -> Result<(), Failure> {
        let Self::At(address) = self else { return Ok(()) };
        TcpListener::bind(address).map(drop).map_err(|error| {
            Failure::configuration(format_args!(
                "cannot serve the page on {address}: {error}; choose another address with --page, \
                 or `none`"
            ))
        })
    }
}

impl Http {
    /// The settings; `None` if there is to be no page.
    pub(crate) fn settings(self) -> Result<Option<Settings>, Failure> {
        let (address, required) = match self.listen {
            Some(Listen::Nowhere) => return Ok(None),
            Some(Listen::At(address)) => (address, true),
            // The port may be taken by another distributor on this machine.
            None => (LISTEN.parse().map_err(Failure::configuration)?, false),
        };
        let token = match &self.token_file {
            Some(path) => Some(fs::read_to_string(path).map_err(|error| {
                Failure::configuration(format_args!("{}: {error}", path.display()))
            })?),
            None => secret("SIMPLE_DIST_TOKEN")?,
        };
        let token = token.map(|token| Secret::new(token.trim())).transpose();
        let settings = Settings {
            token: token.map_err(Failure::configuration)?,
            hosts: self.hosts.into_iter().filter(|host| !host.is_empty()).collect(),
            base_path: self.base_path,
            open_reads: self.open_reads,
            required,
            ..Settings::new(address)
        };
        settings.check().map_err(Failure::configuration)?;
        Ok(Some(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_nowhere() {
        assert_eq!("none".parse(), Ok(Listen::Nowhere));
        assert_eq!("off".parse(), Ok(Listen::Nowhere));
        assert_eq!("0.0.0.0:80".parse(), Ok(Listen::At("0.0.0.0:80".parse().unwrap())));
        for text in ["", "8080", "localhost:8080", "http://127.0.0.1:1"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
