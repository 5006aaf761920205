//! `simple-dist setup`: creates credentials for every role, once, and the matching RabbitMQ
//! definitions.
//!
//! ```text
//! <directory>/distributor/amqp-url, page-token     one directory for each role, so that each can
//!             worker/amqp-url                      be a volume that only its role has
//!             client/amqp-url
//!             rabbitmq/definitions.json, erlang-cookie
//! ```
//!
//! Existing secrets are kept, so it may run before every start. The URLs and the definitions are
//! rewritten from them, so that they follow a changed broker or prefix.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use simple_dist_protocol::UserName;
use simple_dist_protocol::topology::{QueueKind, Role, Topology};
use url::Url;

use crate::definitions::{Login, definitions};
use crate::exit::Failure;
use crate::output::{print, say};

/// Creates credentials for every role, once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist setup                           as docker-compose.yml runs it
  simple-dist setup --directory ./credentials --broker amqp://broker.example:5672

Run again it keeps what is there. To have a new password, remove the role's amqp-url, run it, and
restart RabbitMQ and the role. It prints no secret.")]
pub(crate) struct Setup {
    #[command(flatten)]
    place: Place,
    /// Where the roles find the broker: a URL without a user
    #[arg(
        long,
        env = "SIMPLE_DIST_BROKER",
        value_name = "URL",
        default_value = "amqp://rabbitmq:5672"
    )]
    broker: Url,
    /// The prefix of all names at the broker
    #[arg(long, env = "SIMPLE_DIST_PREFIX", default_value = "sd")]
    prefix: String,
}

/// Prints a credential that `setup` created.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  docker-compose exec -T distributor simple-dist credentials client
  AMQP_URL=$(docker-compose exec -T distributor simple-dist credentials client) simple-dist call fib 20
  docker-compose exec -T distributor simple-dist credentials page")]
pub(crate) struct Credentials {
    /// Which credential to print
    #[arg(value_enum)]
    whose: Whose,
    #[command(flatten)]
    place: Place,
    /// The host in the printed URL
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port in the printed URL
    #[arg(long, env = "AMQP_PORT", default_value_t = 5672, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
}

/// Where credentials are kept.
#[derive(Debug, Args)]
struct Place {
    /// Where credentials are kept, a directory for each role
    #[arg(long, env = "SIMPLE_DIST_CREDENTIALS", default_value = "/credentials")]
    directory: PathBuf,
}

/// Which credential to print.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Whose {
    /// The URL of a client
    Client,
    /// The URL of a worker
    Worker,
    /// The URL of a distributor
    Distributor,
    /// The token of the status page and the HTTP API
    Page,
}

/// Readable by its role only.
const OWNER: u32 = 0o400;
/// Readable by RabbitMQ too, which runs as another user in this group.
const GROUP: u32 = 0o440;
/// Random bytes in a password or token: too many to guess, even with its hash.
const SECRET_BYTES: usize = 32;

/// Creates what is missing and rewrites the rest.
pub(crate) fn setup(options: &Setup) -> Result<(), Failure> {
    let topology =
        Topology::new(&options.prefix, QueueKind::Classic).map_err(Failure::configuration)?;
    let directory = &options.place.directory;
    let mut logins = Vec::new();
    for role in Role::ALL {
        logins.push((role, password(&url_file(directory, role))?));
    }
    for (role, password) in &logins {
        let url = url_with_login(&options.broker, user(*role).as_str(), password)?;
        write(&url_file(directory, *role), OWNER, url.as_str())?;
    }
    keep_or_make(&token_file(directory), OWNER)?;
    let rabbitmq = directory.join("rabbitmq");
    keep_or_make(&rabbitmq.join("erlang-cookie"), GROUP)?;
    let logins: Vec<Login<'_>> = logins
        .iter()
        .map(|(role, password)| Login { role: *role, user: user(*role), password })
        .collect();
    let definitions = format!("{:#}\n", definitions(&topology, &logins));
    write(&rabbitmq.join("definitions.json"), GROUP, &definitions)?;
    say(format_args!("credentials are in {}", directory.display()));
    Ok(())
}

/// Prints one credential.
pub(crate) fn credentials(options: &Credentials) -> Result<(), Failure> {
    let directory = &options.place.directory;
    let role = match options.whose {
        Whose::Client => Role::Client,
        Whose::Worker => Role::Worker,
        Whose::Distributor => Role::Distributor,
        Whose::Page => {
            let file = token_file(directory);
            return print(read(&file)?.ok_or_else(|| missing(&file))?);
        }
    };
    let file = url_file(directory, role);
    let mut url = kept_url(&file)?.ok_or_else(|| missing(&file))?;
    url.set_host(Some(&options.host)).map_err(Failure::usage)?;
    url.set_port(Some(options.port)).map_err(|()| not_a_broker(&url))?;
    print(url)
}

fn url_file(directory: &Path, role: Role) -> PathBuf {
    directory.join(role.as_str()).join("amqp-url")
}

fn token_file(directory: &Path) -> PathBuf {
    directory.join(Role::Distributor.as_str()).join("page-token")
}

/// The user name of a role.
fn user(role: Role) -> UserName {
    role.as_str().parse().expect("a role's word is a user name")
}

/// The password from an existing URL file, or a new one.
fn password(file: &Path) -> Result<String, Failure> {
    let Some(url) = kept_url(file)? else { return Ok(secret()) };
    url.password().map(str::to_owned).ok_or_else(|| unusable(file))
}

fn kept_url(file: &Path) -> Result<Option<Url>, Failure> {
    read(file)?.map(|text| text.parse().map_err(|_| unusable(file))).transpose()
}

/// Keeps an existing secret, or creates one.
fn keep_or_make(file: &Path, mode: u32) -> Result<(), Failure> {
    match read(file)? {
        Some(_) => Ok(()),
        None => write(file, mode, &secret()),
    }
}

fn secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>())
}

/// The broker's URL with a login. Our secrets need no escaping.
fn url_with_login(broker: &Url, user: &str, password: &str) -> Result<Url, Failure> {
    let mut url = broker.clone();
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage(
            "--broker must be a URL without a user: setup creates the users",
        ));
    }
    url.set_username(user).map_err(|()| not_a_broker(broker))?;
    url.set_password(Some(password)).map_err(|()| not_a_broker(broker))?;
    if url.path().is_empty() {
        url.set_path("/%2f");
    }
    Ok(url)
}

/// A file's text; `None` if there is no file.
fn read(file: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(file, &error)),
    }
}

/// Writes a file atomically.
fn write(file: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let new = file.with_extension("new");
    let written = (|| {
        fs::create_dir_all(file.parent().unwrap_or(file))?;
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        opened.write_all(text.as_bytes())?;
        opened.sync_all()?;
        fs::rename(&new, file)
    })();
    written.map_err(|error| failed(file, &error))
}

fn failed(file: &Path, error: &std::io::Error) -> Failure {
    Failure::configuration(format_args!("{}: {error}", file.display()))
}

fn missing(file: &Path) -> Failure {
    Failure::configuration(format_args!(
        "{} does not exist: `simple-dist setup` creates it",
        file.display()
    ))
}

fn unusable(file: &Path) -> Failure {
    Failure::configuration(format_args!(
        "{} does not contain a URL with a password; remove it to have it created anew",
        file.display()
    ))
}

fn not_a_broker(url: &Url) -> Failure {
    Failure::usage(format_args!("expected a broker like amqp://host:5672, not {}", url.scheme()))
}
