//! A client of a distributor's HTTP API: one kept-alive connection, and a limit on every wait.

use std::io::ErrorKind;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use simple_dist_protocol::JobId;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use crate::broker_args::secret;
use crate::exit::Failure;

/// How long one request may take; a slower distributor counts as unreachable.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// The most bytes of a response: far more than a thousand workers need.
const MOST: u64 = 64 << 20;

/// Which distributor.
#[derive(Debug, Args)]
pub(crate) struct Distributor {
    /// Where the distributor serves its page
    #[arg(
        long,
        env = "SIMPLE_DIST_HTTP",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    url: String,
}

impl Distributor {
    /// A client of it, with the token that the environment names, if it does.
    pub(crate) fn api(&self) -> Result<Api, Failure> {
        Api::new(&self.url, secret("SIMPLE_DIST_TOKEN")?.as_deref())
    }
}

/// A client of one distributor.
#[derive(Debug)]
pub(crate) struct Api {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Error {
    /// Nobody answered, or not in time.
    Unreachable(String),
    /// The token is missing or wrong.
    Forbidden(String),
    /// The distributor refused the request.
    Refused(String),
    /// The response is not one of a distributor.
    Unfit(String),
}

impl Error {
    /// The explanation for people.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Unreachable(message)
            | Self::Forbidden(message)
            | Self::Refused(message)
            | Self::Unfit(message) => message,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreachable(message) | Error::Refused(message) => Self::unavailable(message),
            Error::Forbidden(message) => Self::forbidden(message),
            Error::Unfit(message) => Self::configuration(message),
        }
    }
}

/// The error of a response (RFC 9457).
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: Option<String>,
}

impl Api {
    /// A client of the API at `http://host:port`.
    pub(crate) fn new(url: &str, token: Option<&str>) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/').to_owned();
        let host = base.strip_prefix("http://").unwrap_or_default();
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            let problem = format_args!("{url:?} is not a URL like http://127.0.0.1:8080");
            return Err(Failure::configuration(problem));
        }
        let authorization = token.map(|token| format!("Bearer {token}"));
        if authorization.as_ref().is_some_and(|line| line.contains(|c: char| c.is_control())) {
            return Err(Failure::configuration("the token contains a line break"));
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .into();
        Ok(Self { agent, base, authorization })
    }

    /// The base URL.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Whether requests carry a token.
    pub(crate) fn has_token(&self) -> bool {
        self.authorization.is_some()
    }

    /// Reads a resource.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut answer = self.accepted(request.call())?;
        answer.body_mut().with_config().limit(MOST).read_json().map_err(|error| match error {
            ureq::Error::Json(error) => self.unfit(error),
            error => self.unreachable(&error),
        })
    }

    /// Requests a change.
    pub(crate) fn post(&self, path: &str) -> Result<(), Error> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.accepted(request.send_empty()).map(drop)
    }

    /// Requests a change that may take `within`, and reads what it says.
    pub(crate) fn post_for_text(&self, path: &str, within: Duration) -> Result<String, Error> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let within = Some(within.saturating_add(REQUEST_TIMEOUT));
        let mut request = request.config().timeout_global(within).build();
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut answer = self.accepted(request.send_empty())?;
        let text = answer.body_mut().with_config().limit(MOST).read_to_string();
        text.map_err(|error| self.unreachable(&error))
    }

    /// The error of a request that is none of ours to repeat: with a hint if a token is missing.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        let is_missing = matches!(error, Error::Forbidden(_)) && !self.has_token();
        Failure::from(error).with(is_missing.then_some(
            "its token goes into SIMPLE_DIST_TOKEN, or into a file named by SIMPLE_DIST_TOKEN_FILE",
        ))
    }

    /// What could not be done to one job of several is the end of the command, unless it only refused
    /// that one: the others are tried, and the last refusal is the end.
    pub(crate) fn go_on(
        &self,
        ended: &mut Result<(), Failure>,
        id: &JobId,
        error: Error,
    ) -> Result<(), Failure> {
        let Error::Refused(why) = error else { return Err(self.failure(error)) };
        let failure = Failure::function(format_args!("{id}: {why}"));
        if let Err(before) = std::mem::replace(ended, Err(failure)) {
            before.say();
        }
        Ok(())
    }

    fn accepted(
        &self,
        answered: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Error> {
        let mut answer = answered.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let problem = answer.body_mut().with_config().limit(MOST).read_json::<Problem>();
        let said = match problem {
            Ok(problem) => problem.detail.unwrap_or(problem.title),
            // Not from a distributor: the status line says enough.
            Err(_) => String::new(),
        };
        let said = if said.is_empty() { status.to_string() } else { said };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Forbidden(said)),
            StatusCode::NOT_FOUND if said.starts_with("404") => Err(self.unfit(said)),
            _ => Err(Error::Refused(said)),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let why = match error {
            ureq::Error::Timeout(_) => format!("it took longer than {REQUEST_TIMEOUT:?}"),
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                "nothing listens there".to_owned()
            }
            error => error.to_string(),
        };
        Error::Unreachable(format!("no answer from {}: {why}", self.base))
    }

    fn unfit(&self, what: impl std::fmt::Display) -> Error {
        Error::Unfit(format!("{} is not a distributor of this version: {what}", self.base))
    }
}
