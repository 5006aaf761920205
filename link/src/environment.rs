//! The settings of an installation in the environment: the same variables for every program in it.
//!
//! | variable | |
//! |---|---|
//! | `AMQP_URL`, else `RABBITMQ_URL`, else `CLOUDAMQP_URL` | the broker and the login, or several separated by commas; `amqp://127.0.0.1:5672` by default |
//! | the same with `_FILE` appended | a file that contains it, such as a mounted secret |
//! | `AMQP_CA_FILE`, `AMQP_CERTIFICATE_FILE`, `AMQP_KEY_FILE` | for `amqps`: see [`Certificates`] |
//! | `SIMPLE_DIST_PREFIX` | the prefix of all names at the broker; `sd` by default |
//! | `SIMPLE_DIST_SLOTS` | a worker's slots; the number of cores by default |
//! | `SIMPLE_DIST_ISOLATION` | `process` or `thread`: in what a worker runs its jobs |
//! | `SIMPLE_DIST_LOCAL_ISOLATION` | the same of a client, where functions run in its place |
//!
//! An empty variable counts as unset.

use std::{env, fmt, fs, io};

use crate::Certificates;

/// The default URL.
pub const DEFAULT_URL: &str = "amqp://127.0.0.1:5672";
/// The variable for the CA certificates.
pub const CA: &str = "AMQP_CA_FILE";
/// The variable for the client certificate.
pub const CERTIFICATE: &str = "AMQP_CERTIFICATE_FILE";
/// The variable for its key.
pub const KEY: &str = "AMQP_KEY_FILE";

const URLS: [&str; 3] = ["AMQP_URL", "RABBITMQ_URL", "CLOUDAMQP_URL"];

/// Settings from the environment.
pub struct Environment {
    /// The broker's URL.
    pub url: String,
    /// The certificates to trust and to present.
    pub certificates: Certificates,
    /// The installation's prefix, if set.
    pub prefix: Option<String>,
    /// A worker's slots, if set.
    pub slots: Option<usize>,
    /// Whether a worker's jobs run in processes of their own, if set.
    pub isolated: Option<bool>,
    /// Whether what a client runs by itself runs in processes of its own, if set.
    pub isolated_locally: Option<bool>,
}

// Written by hand: the URL may contain a password.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("prefix", &self.prefix)
            .field("slots", &self.slots)
            .field("isolated", &self.isolated)
            .field("isolated_locally", &self.isolated_locally)
            .finish_non_exhaustive()
    }
}

/// A variable is invalid; fix its value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// It names a file that cannot be read.
    #[error("{variable}: {path}: {problem}")]
    File {
        /// The variable.
        variable: String,
        /// The path.
        path: String,
        /// The error.
        problem: io::Error,
    },
    /// A certificate without its key, or vice versa.
    #[error("{CERTIFICATE} and {KEY} go together")]
    Half,
    /// It is not a number of slots.
    #[error("SIMPLE_DIST_SLOTS: {0:?} is no number")]
    Slots(String),
    /// It is neither of the two.
    #[error("{variable}: {said:?} is neither process nor thread")]
    Isolation {
        /// The variable.
        variable: &'static str,
        /// What it says.
        said: String,
    },
}

impl Environment {
    /// Reads this process's environment, and the files it names.
    ///
    /// # Errors
    ///
    /// Fails if a variable is invalid, or a file that it names cannot be read.
    pub fn read() -> Result<Self, EnvironmentError> {
        Self::of(&variable)
    }

    fn of(said: &impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let file = |name: &str| said(name).map(|path| contents(name, path)).transpose();
        let mut certificates = Certificates::new();
        if let Some(ca) = file(CA)? {
            certificates = certificates.ca(ca);
        }
        match (file(CERTIFICATE)?, file(KEY)?) {
            (Some(certificate), Some(key)) => {
                certificates = certificates.identity(certificate, key)
            }
            (None, None) => {}
            _ => return Err(EnvironmentError::Half),
        }
        let slots = said("SIMPLE_DIST_SLOTS")
            .map(|text| text.parse().map_err(|_| EnvironmentError::Slots(text)))
            .transpose()?;
        let isolation = |variable| match said(variable).as_deref() {
            None => Ok(None),
            Some("process") => Ok(Some(true)),
            Some("thread") => Ok(Some(false)),
            Some(said) => Err(EnvironmentError::Isolation { variable, said: said.to_owned() }),
        };
        Ok(Self {
            url: url_of(said)?.unwrap_or_else(|| DEFAULT_URL.to_owned()),
            certificates,
            prefix: said("SIMPLE_DIST_PREFIX"),
            slots,
            isolated: isolation("SIMPLE_DIST_ISOLATION")?,
            isolated_locally: isolation("SIMPLE_DIST_LOCAL_ISOLATION")?,
        })
    }
}

/// The broker's URL, if set.
///
/// # Errors
///
/// Fails if a file that a variable names cannot be read.
pub fn url() -> Result<Option<String>, EnvironmentError> {
    url_of(&variable)
}

/// The variables that say who this process is to the broker and to others, or name a file that does:
/// not for the processes that it starts.
pub fn credentials() -> Vec<String> {
    let files = [CERTIFICATE, KEY].map(str::to_owned);
    let secrets = URLS.into_iter().chain(["SIMPLE_DIST_TOKEN", "SIMPLE_DIST_BROKER_PASSWORD"]);
    secrets.flat_map(|name| [name.to_owned(), format!("{name}_FILE")]).chain(files).collect()
}

/// The environment of a process that is started to run functions: the variables that it does not get,
/// which are [`credentials`], and those that it gets instead: a URL, where programs want one.
pub fn of_children() -> (Vec<String>, Vec<(String, String)>) {
    let without = credentials();
    let given = without.iter().any(|name| env::var_os(name).is_some());
    let with = given.then(|| (URLS[0].to_owned(), DEFAULT_URL.to_owned()));
    (without, with.into_iter().collect())
}

/// A secret from a variable, or from the file that `<variable>_FILE` names.
///
/// # Errors
///
/// Fails if the file cannot be read.
pub fn secret(name: &str) -> Result<Option<String>, EnvironmentError> {
    secret_of(&variable, name)
}

fn url_of(said: &impl Fn(&str) -> Option<String>) -> Result<Option<String>, EnvironmentError> {
    for name in URLS {
        if let Some(url) = secret_of(said, name)? {
            return Ok(Some(url));
        }
    }
    Ok(None)
}

fn secret_of(
    said: &impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<String>, EnvironmentError> {
    if let Some(secret) = said(name) {
        return Ok(Some(secret));
    }
    let name = format!("{name}_FILE");
    let secret = said(&name).map(|path| contents(&name, path)).transpose()?;
    Ok(secret.map(|secret| secret.trim().to_owned()))
}

fn contents(variable: &str, path: String) -> Result<String, EnvironmentError> {
    fs::read_to_string(&path).map_err(|problem| EnvironmentError::File {
        variable: variable.to_owned(),
        path,
        problem,
    })
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::of(&|name: &str| {
            let found = said.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// A file with this in it, in a folder of this test.
    fn file(name: &str, contents: &str) -> String {
        let path = env::temp_dir().join(format!("simple-dist-{}-{name}", std::process::id()));
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn nothing_said_is_this_machine() {
        let said = of(&[]).unwrap();
        assert_eq!((said.url.as_str(), said.prefix, said.slots), (DEFAULT_URL, None, None));
    }

    #[test]
    fn a_variable_goes_before_its_file_and_amqp_before_the_others() {
        let path = file("url", "amqp://from-a-file\n");
        let from_file = [("RABBITMQ_URL", "amqp://other"), ("AMQP_URL_FILE", path.as_str())];
        assert_eq!(of(&from_file).unwrap().url, "amqp://from-a-file");
        let both = [("AMQP_URL", "amqp://said"), from_file[1]];
        assert_eq!(of(&both).unwrap().url, "amqp://said");
        assert_eq!(of(&from_file[..1]).unwrap().url, "amqp://other");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_rest_is_read_or_refused() {
        let said = of(&[("SIMPLE_DIST_PREFIX", "mine"), ("SIMPLE_DIST_SLOTS", "3")]).unwrap();
        assert_eq!((said.prefix.as_deref(), said.slots), (Some("mine"), Some(3)));
        for (text, isolated) in [("process", Some(true)), ("thread", Some(false)), ("", None)] {
            let said: &[_] = if text.is_empty() { &[] } else { &[("SIMPLE_DIST_ISOLATION", text)] };
            assert_eq!(of(said).unwrap().isolated, isolated);
        }
        let said = of(&[("SIMPLE_DIST_LOCAL_ISOLATION", "process")]).unwrap();
        assert_eq!((said.isolated, said.isolated_locally), (None, Some(true)));
        let told = |said: &[(&str, &str)]| of(said).unwrap_err().to_string();
        assert_eq!(
            told(&[("SIMPLE_DIST_SLOTS", "all")]),
            "SIMPLE_DIST_SLOTS: \"all\" is no number"
        );
        assert_eq!(
            told(&[("SIMPLE_DIST_ISOLATION", "all")]),
            "SIMPLE_DIST_ISOLATION: \"all\" is neither process nor thread"
        );
        let missing = told(&[("AMQP_URL_FILE", "/nowhere/url")]);
        assert!(missing.starts_with("AMQP_URL_FILE: /nowhere/url: No such file"), "{missing}");
        let key = file("key", "a key");
        let half = told(&[(KEY, &key)]);
        assert_eq!(half, "AMQP_CERTIFICATE_FILE and AMQP_KEY_FILE go together");
        fs::remove_file(key).unwrap();
    }
}
