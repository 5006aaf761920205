//! Options that choose the broker, shared by all roles.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use simple_dist_broker as embedded;
use simple_dist_client::{self as client, Client, Isolation};
use simple_dist_link::Certificates;
use simple_dist_link::environment::{self, CA, CERTIFICATE, DEFAULT_URL, KEY};
use tokio::process::Command;

use crate::exit::Failure;

/// The broker, and the installation on it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Broker {
    /// The broker: amqp://user:password@host:port/vhost, or amqps. Prefer AMQP_URL, or a file named by
    /// AMQP_URL_FILE: anybody on this machine can read a command line
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The prefix of all names at the broker, to keep installations apart
    #[arg(long, env = "SIMPLE_DIST_PREFIX", default_value = "sd")]
    pub(crate) prefix: String,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// The files for TLS, with an amqps URL.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Files {
    /// For amqps: the CA certificates to trust, in PEM, instead of the system's
    #[arg(long, env = CA, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// For amqps, if the broker asks for one: the certificate to present, in PEM
    #[arg(long, env = CERTIFICATE, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of that certificate, in PEM
    #[arg(long, env = KEY, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

impl Files {
    fn read(&self) -> Result<Certificates, Failure> {
        let mut certificates = Certificates::new();
        if let Some(ca) = &self.ca {
            certificates = certificates.ca(read(ca)?);
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            certificates = certificates.identity(read(certificate)?, read(key)?);
        }
        Ok(certificates)
    }

    /// Passes them to a child process, instead of any it would inherit.
    pub(crate) fn name_to(&self, child: &mut Command) {
        for (variable, file) in [(CA, &self.ca), (CERTIFICATE, &self.certificate), (KEY, &self.key)]
        {
            match file {
                Some(file) => child.env(variable, file),
                None => child.env_remove(variable),
            };
        }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file)
        .map_err(|error| Failure::configuration(format_args!("{}: {error}", file.display())))
}

/// A broker to use: a given one, or an embedded one of this process.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// Its URL.
    pub(crate) url: String,
    pub(crate) files: Files,
    embedded: Option<embedded::Handle>,
}

impl Chosen {
    /// A note about it for the user.
    pub(crate) fn banner(&self) -> &'static str {
        match self.embedded {
            Some(_) => "on an embedded broker: jobs are lost when this process ends",
            None => "on the given broker",
        }
    }

    /// Stops it, if it is ours.
    pub(crate) async fn stop(self) {
        if let Some(broker) = self.embedded {
            broker.stop().await;
        }
    }
}

impl Broker {
    /// The given URL, from the flag, the variable or the file.
    pub(crate) fn given(&self) -> Result<Option<String>, Failure> {
        match &self.url {
            Some(url) => Ok(Some(url.clone())),
            None => environment::url().map_err(Failure::configuration),
        }
    }

    /// The given URL, or that of a broker on this machine.
    pub(crate) fn url(&self) -> Result<String, Failure> {
        Ok(self.given()?.unwrap_or_else(|| DEFAULT_URL.to_owned()))
    }

    /// The given broker, or an embedded one that ends with this process.
    pub(crate) async fn given_or_embedded(&self) -> Result<Chosen, Failure> {
        let embedded = match self.given()? {
            Some(url) => return Ok(Chosen { url, files: self.files.clone(), embedded: None }),
            None => embedded::Broker::builder().start().await.map_err(Failure::unavailable)?,
        };
        let url = embedded.url().to_owned();
        Ok(Chosen { url, files: Files::default(), embedded: Some(embedded) })
    }

    /// The given certificates.
    pub(crate) fn certificates(&self) -> Result<Certificates, Failure> {
        self.files.read()
    }

    /// A client of this installation, with local runs in processes of their own, or not.
    pub(crate) fn client(&self, isolation: Isolation) -> Result<Client, Failure> {
        let client = self.builder(&self.url()?, &self.files)?.local_isolation(isolation);
        client.connect().map_err(Failure::unusable)
    }

    /// A client of this installation at another broker.
    pub(crate) fn client_at(&self, url: &str, files: &Files) -> Result<Client, Failure> {
        self.builder(url, files)?.connect().map_err(Failure::unusable)
    }

    fn builder(&self, url: &str, files: &Files) -> Result<client::Builder, Failure> {
        Ok(Client::builder(url).certificates(files.read()?).prefix(&self.prefix))
    }
}

/// A secret from a variable, or from the file that `<variable>_FILE` names.
pub(crate) fn secret(variable: &str) -> Result<Option<String>, Failure> {
    environment::secret(variable).map_err(Failure::configuration)
}
