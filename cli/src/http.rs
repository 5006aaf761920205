//! Where a distributor's page and API are, and who may do what there.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;
use simple_dist_distributor::web::{LISTEN, Secret, Settings};

use crate::at::secret;
use crate::exit::Failure;

/// The page and the API.
#[derive(Debug, Args)]
pub(crate) struct Http {
    /// Where the page and the API are; `none` for nowhere [default: 127.0.0.1:8080, if it is free].
    /// Other than loopback only with a token: SIMPLE_DIST_TOKEN, or a file named by
    /// SIMPLE_DIST_TOKEN_FILE
    #[arg(long, env = "LISTEN", value_name = "ADDRESS", value_parser = listen)]
    listen: Option<Listen>,
    /// A file that holds the token; draining and cancelling are off without one
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// A host name under which the page is reached, beside localhost; may be repeated
    #[arg(
        long = "allow-host",
        env = "SIMPLE_DIST_HOSTS",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    hosts: Vec<String>,
    /// Lets everybody read who reaches it; calling and changing need the token all the same
    #[arg(long, env = "SIMPLE_DIST_OPEN_READS", value_parser = FalseyValueParser::new())]
    open_reads: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listen {
    Nowhere,
    At(SocketAddr),
}

fn listen(text: &str) -> Result<Listen, String> {
    match text {
        "none" | "off" => Ok(Listen::Nowhere),
        text => text.parse().map(Listen::At).map_err(|_| {
            format!("an address is like {LISTEN} or [::1]:8080, or `none` for nowhere")
        }),
    }
}

impl Http {
    /// What was said; none if it shall be nowhere.
    pub(crate) fn settings(self) -> Result<Option<Settings>, Failure> {
        let (address, required) = match self.listen {
            Some(Listen::Nowhere) => return Ok(None),
            Some(Listen::At(address)) => (address, true),
            // A second distributor on this machine finds the first one's page there.
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
        assert_eq!(listen("none"), Ok(Listen::Nowhere));
        assert_eq!(listen("off"), Ok(Listen::Nowhere));
        assert_eq!(listen("0.0.0.0:80"), Ok(Listen::At("0.0.0.0:80".parse().unwrap())));
        for text in ["", "8080", "localhost:8080", "http://127.0.0.1:1"] {
            assert!(listen(text).is_err(), "{text}");
        }
    }
}
